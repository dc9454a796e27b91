//! What a call brings beside its request: principal, request id, deadline, consistency and the
//! state that its caller has already seen. Read from the headers, refused when malformed.

use std::time::Duration;

use openshell_proto::{AuthMode, MethodRule};
use openshell_raft::Consistency;
use openshell_state::access::Principal;
use openshell_state::{RequestId, State};
use tokio::time::Instant;
use tonic::Status;
use tonic::metadata::MetadataMap;
use uuid::Uuid;

use super::status::position_lost;

/// No call is held longer.
pub(crate) const CALL_MAX: Duration = Duration::from_secs(10);
/// Taken off the caller's own timeout, at most a tenth of it, so that the answer which says
/// whether anything happened comes before the transport gives the call up.
const MARGIN_MAX: Duration = Duration::from_millis(50);

/// A call on its way.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    pub(crate) principal: Principal,
    /// From this instant on nobody is this principal by what the call showed.
    pub(crate) ends: Option<Instant>,
    pub(crate) request_id: Option<RequestId>,
    /// The caller has sent this id before.
    pub(crate) repeated_attempt: bool,
    pub(crate) deadline: Instant,
    pub(crate) consistency: Option<Consistency>,
    /// The caller has seen this revision and must not see an older one.
    pub(crate) min_revision: Option<u64>,
    /// The epoch that `min_revision` belongs to.
    pub(crate) epoch: Option<u64>,
}

impl Context {
    /// A call of the cluster's own, which nobody repeats.
    pub(crate) fn of_cluster(deadline: Instant) -> Self {
        Self {
            principal: Principal::Cluster,
            ends: None,
            request_id: None,
            repeated_attempt: false,
            deadline,
            consistency: None,
            min_revision: None,
            epoch: None,
        }
    }

    /// Reads the headers of a call.
    pub(crate) fn read(metadata: &MetadataMap, principal: Principal) -> Result<Self, Status> {
        let request_id = text(metadata, "x-openshell-request-id")?.map(request_id).transpose()?;
        let attempt = number(metadata, "x-openshell-attempt")?.unwrap_or(1);
        let consistency = match text(metadata, "x-openshell-consistency")? {
            None => None,
            Some("local") => Some(Consistency::Local),
            Some("linearizable") => Some(Consistency::Linearizable),
            Some(other) => {
                let text = format!("x-openshell-consistency {other:?} must be local or linearizable");
                return Err(Status::invalid_argument(text));
            }
        };
        let timeout = text(metadata, "grpc-timeout")?.map(timeout).transpose()?;
        let patience = timeout.map_or(CALL_MAX, |timeout| timeout - MARGIN_MAX.min(timeout / 10)).min(CALL_MAX);
        Ok(Self {
            principal,
            ends: None,
            repeated_attempt: attempt > 1 && request_id.is_some(),
            request_id,
            deadline: Instant::now() + patience,
            consistency,
            min_revision: number(metadata, "x-openshell-min-revision")?,
            epoch: number(metadata, "x-openshell-epoch")?,
        })
    }

    /// A caller that carries the epoch of another cluster cannot be answered. A state that is none yet cannot tell, so that
    /// this is asked again of the one that was waited for.
    pub(crate) fn fits(&self, state: &State) -> Result<(), Status> {
        let epoch = state.epoch();
        match self.epoch {
            Some(seen) if seen != epoch && epoch != 0 => Err(position_lost(format!(
                "the caller has seen epoch {seen}, this cluster is in epoch {epoch}: it was restored from a backup; drop \
                 what was remembered of it and read again"
            ))),
            _ => Ok(()),
        }
    }

    /// The revision that has to be waited for before the call: who carries an epoch needs some state at least.
    pub(crate) fn least_revision(&self) -> Option<u64> {
        self.min_revision.max(self.epoch.map(|_| 1))
    }

    /// Whether this kind of principal may call the method at all (`config.md` AU-7). Roles in
    /// a workspace are for the rule, on the state that it decides on.
    pub(crate) fn permit(&self, rule: &MethodRule) -> Result<(), Status> {
        match (&self.principal, rule.auth) {
            (_, AuthMode::Unauthenticated) | (Principal::User(_), AuthMode::Bearer | AuthMode::Dual) => {}
            (Principal::Sandbox { .. }, AuthMode::Sandbox | AuthMode::Dual) => return Ok(()),
            (Principal::Anonymous, _) => return Err(Status::unauthenticated("missing authorization header")),
            (Principal::User(_), AuthMode::Sandbox) => {
                return Err(Status::permission_denied("this call requires a sandbox principal"));
            }
            (Principal::Sandbox { .. }, AuthMode::Bearer) => {
                return Err(Status::permission_denied("sandbox principals may not call this method"));
            }
            (Principal::Cluster, _) => return Err(Status::permission_denied("the cluster itself does not call")),
        }
        match &self.principal {
            Principal::User(user) if rule.global_role == "platform_admin" && !user.platform_admin => {
                Err(Status::permission_denied("platform admin role required for this call"))
            }
            Principal::User(_) | Principal::Anonymous | Principal::Sandbox { .. } | Principal::Cluster => Ok(()),
        }
    }
}

fn text<'a>(metadata: &'a MetadataMap, name: &str) -> Result<Option<&'a str>, Status> {
    let invalid = |_| Status::invalid_argument(format!("{name} is not text"));
    metadata.get(name).map(|value| value.to_str().map_err(invalid)).transpose()
}

fn number(metadata: &MetadataMap, name: &str) -> Result<Option<u64>, Status> {
    let invalid = |text| move |_| Status::invalid_argument(format!("{name} {text:?} is not a number"));
    text(metadata, name)?.map(|text| text.parse().map_err(invalid(text))).transpose()
}

fn request_id(text: &str) -> Result<RequestId, Status> {
    let id = Uuid::try_parse(text).ok().and_then(|id| RequestId::from_bytes(id.as_bytes()));
    id.ok_or_else(|| Status::invalid_argument(format!("x-openshell-request-id {text:?} is not a UUID of version 7")))
}

/// `grpc-timeout`: up to eight digits and a unit (gRPC over HTTP/2).
fn timeout(text: &str) -> Result<Duration, Status> {
    let invalid = || Status::invalid_argument(format!("grpc-timeout {text:?} is malformed"));
    let split = text.len().checked_sub(1).filter(|at| text.is_char_boundary(*at)).ok_or_else(invalid)?;
    let (digits, unit) = text.split_at(split);
    let count: u64 = digits.parse().map_err(|_| invalid())?;
    match unit {
        "H" => Ok(Duration::from_secs(count.saturating_mul(3600))),
        "M" => Ok(Duration::from_secs(count.saturating_mul(60))),
        "S" => Ok(Duration::from_secs(count)),
        "m" => Ok(Duration::from_millis(count)),
        "u" => Ok(Duration::from_micros(count)),
        "n" => Ok(Duration::from_nanos(count)),
        _ => Err(invalid()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use openshell_state::access::User;

    fn rule(name: &str) -> &'static MethodRule {
        &openshell_proto::method_rules()[name]
    }

    fn context(principal: Principal) -> Context {
        Context::read(&MetadataMap::new(), principal).unwrap()
    }

    #[test]
    fn a_malformed_header_is_refused_by_name() {
        for (name, value) in [
            ("x-openshell-request-id", "17"),
            ("x-openshell-request-id", "6ba7b810-9dad-11d1-80b4-00c04fd430c8"),
            ("x-openshell-consistency", "sometimes"),
            ("x-openshell-min-revision", "new"),
            ("grpc-timeout", "1"),
        ] {
            let mut metadata = MetadataMap::new();
            metadata.insert(name, value.parse().unwrap());
            let status = Context::read(&metadata, Principal::Anonymous).unwrap_err();
            assert_eq!(status.code(), tonic::Code::InvalidArgument, "{name}");
            assert!(status.message().contains(name), "{}", status.message());
        }
    }

    #[test]
    fn au_7_principals_reach_only_their_methods() {
        let sandbox = context(Principal::Sandbox { id: "a".to_owned() });
        let user = context(Principal::User(User { platform_admin: false, ..User::default() }));
        let anonymous = context(Principal::Anonymous);
        let code = |result: Result<(), Status>| result.map_err(|status| status.code());
        assert_eq!(code(anonymous.permit(rule("openshell.v1.OpenShell/Health"))), Ok(()));
        assert_eq!(
            code(anonymous.permit(rule("openshell.v1.OpenShell/GetSandbox"))),
            Err(tonic::Code::Unauthenticated)
        );
        assert_eq!(code(sandbox.permit(rule("openshell.v1.OpenShell/GetSandboxConfig"))), Ok(()));
        for (who, method) in [
            (&sandbox, "openshell.v1.OpenShell/CreateSandbox"),
            (&user, "openshell.v1.OpenShell/ReportPolicyStatus"),
            (&user, "openshell.v1.OpenShell/CreateWorkspace"),
        ] {
            assert_eq!(code(who.permit(rule(method))), Err(tonic::Code::PermissionDenied), "{method}");
        }
    }
}
