//! What the end of a call proves. Only what is certainly without effect counts as such: doubt stays doubt.

use openshell_client::{CallError, Seen};
use openshell_proto::v1::ProviderProfileDiagnostic;
use tonic::{Code, Status};

use crate::history::{Outcome, Position};

/// What an operation came to, and of which state its answer speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) outcome: Outcome,
    pub(crate) at: Option<Position>,
    /// Under its request id.
    pub(crate) attempts: u32,
}

impl Heard {
    /// An outcome that speaks of no state.
    pub(crate) fn nowhere(outcome: Outcome) -> Self {
        Self { outcome, at: None, attempts: 1 }
    }

    /// An outcome that speaks of the state that was seen.
    pub(crate) fn of(outcome: Outcome, seen: &Seen) -> Self {
        Self { outcome, at: position(seen), attempts: 1 }
    }

    /// What the cluster never says here.
    pub(crate) fn wrong(said: String, seen: &Seen) -> Self {
        Self::of(Outcome::Wrong { said }, seen)
    }

    /// A call that failed. `refused` says what a refusal means here, where it is one that may be.
    pub(crate) fn failed(error: CallError, refused: impl FnOnce(&Status) -> Option<Outcome>) -> Self {
        match error {
            CallError::NotDone { .. } | CallError::Unreachable(_) => Self::nowhere(Outcome::NotDone),
            CallError::Unknown { .. } => Self::nowhere(Outcome::Unknown { why: error.to_string() }),
            CallError::Refused(status) => {
                let seen = Seen::from_metadata(status.metadata());
                let outcome = refused(&status).unwrap_or_else(|| refusal(&status));
                Self::of(outcome, &seen)
            }
        }
    }
}

/// Of which state an answer speaks, when it says so.
pub(crate) fn position(seen: &Seen) -> Option<Position> {
    seen.epoch.zip(seen.revision).map(|(epoch, revision)| Position { epoch, revision })
}

/// A refusal that says nothing about what is there.
pub(crate) fn refusal(status: &Status) -> Outcome {
    let said = status.message().to_owned();
    match status.code() {
        // A node that is broken does not know what it did.
        Code::Internal | Code::DataLoss | Code::Unknown => Outcome::Unknown { why: said },
        // One that is about the id alone is for the clocks of machines.
        Code::InvalidArgument if !said.starts_with("request id:") => Outcome::Wrong { said },
        Code::Unauthenticated | Code::PermissionDenied | Code::Unimplemented => Outcome::Wrong { said },
        code => Outcome::Refused { code: format!("{code:?}"), said },
    }
}

/// The refusal of a version that is not the stored one.
pub(crate) fn conflict(status: &Status) -> Option<Outcome> {
    if status.code() != Code::Aborted {
        return None;
    }
    let text = status.message();
    let (_, rest) = text.split_once('"')?;
    let (key, _) = rest.split_once('"')?;
    Some(Outcome::Conflict { key: key.to_owned(), current: stated_version(text) })
}

/// The current version that a refusal states.
fn stated_version(text: &str) -> Option<u64> {
    let (_, rest) = text.split_once("current resource_version is ")?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// What diagnostics in the place of a change mean: exactly some of the keys are there, or not.
pub(crate) fn diagnosed(diagnostics: &[ProviderProfileDiagnostic]) -> Outcome {
    let named = |text: &str| -> Vec<String> {
        let about = diagnostics.iter().filter(|one| one.message.contains(text));
        about.map(|one| one.profile_id.clone()).collect()
    };
    let (exists, absent) = (named("already exists in"), named("does not exist in"));
    let said = || diagnostics.iter().map(|one| one.message.as_str()).collect::<Vec<_>>().join("; ");
    match diagnostics.len() {
        0 => Outcome::Wrong { said: "nothing was changed, and nobody said why".to_owned() },
        count if count == exists.len() => Outcome::Exists { keys: exists },
        count if count == absent.len() => Outcome::Absent { keys: absent },
        _ if diagnostics.iter().all(|one| one.message.contains("ambiguous")) => {
            Outcome::Refused { code: "Ambiguous".to_owned(), said: said() }
        }
        _ => Outcome::Wrong { said: said() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diagnostic(id: &str, message: &str) -> ProviderProfileDiagnostic {
        ProviderProfileDiagnostic {
            profile_id: id.to_owned(),
            message: message.to_owned(),
            ..ProviderProfileDiagnostic::default()
        }
    }

    #[test]
    fn the_key_and_its_current_version_are_read_from_a_refusal() {
        let text = "profile \"p-1\" was modified concurrently (concurrent modification): expected resource_version 3, \
                    the current resource_version is 14; read it again and repeat the change";
        let outcome = conflict(&Status::aborted(text));
        assert_eq!(outcome, Some(Outcome::Conflict { key: "p-1".to_owned(), current: Some(14) }));
        assert_eq!(conflict(&Status::not_found(text)), None);
        assert_eq!(stated_version("something else"), None);
    }

    #[test]
    fn an_internal_error_leaves_doubt_and_another_refusal_leaves_none() {
        let heard = |status| Heard::failed(CallError::Refused(status), |_| None).outcome;
        assert!(matches!(heard(Status::internal("a fault")), Outcome::Unknown { .. }));
        assert!(matches!(heard(Status::resource_exhausted("later")), Outcome::Refused { .. }));
        assert!(matches!(heard(Status::invalid_argument("no name")), Outcome::Wrong { .. }));
        let of_the_clock = "request id: it was made 70 s in the future";
        assert!(matches!(heard(Status::invalid_argument(of_the_clock)), Outcome::Refused { .. }));
    }

    #[test]
    fn an_endpoint_that_was_not_reached_leaves_no_doubt() {
        assert_eq!(Heard::failed(CallError::Unreachable(Vec::new()), |_| None).outcome, Outcome::NotDone);
    }

    #[test]
    fn diagnostics_name_all_that_is_there_or_all_that_is_not() {
        let exists = diagnostic("a", "profile \"a\" already exists in workspace \"w\"; update it instead");
        let absent = diagnostic("b", "custom profile \"b\" does not exist in workspace \"w\"; import it first");
        assert_eq!(diagnosed(std::slice::from_ref(&exists)), Outcome::Exists { keys: vec!["a".to_owned()] });
        assert_eq!(diagnosed(std::slice::from_ref(&absent)), Outcome::Absent { keys: vec!["b".to_owned()] });
        assert!(matches!(diagnosed(&[exists, absent]), Outcome::Wrong { .. }), "both at once are of no one request");
        let ambiguous = diagnostic("a", "update would create ambiguous dynamic token grants on sandbox \"s\"");
        assert!(matches!(diagnosed(&[ambiguous]), Outcome::Refused { .. }));
        assert!(matches!(diagnosed(&[]), Outcome::Wrong { .. }));
    }
}
