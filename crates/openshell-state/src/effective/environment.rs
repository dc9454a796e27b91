//! `GetSandboxProviderEnvironment` (`config.md` 6): what a sandbox's providers put into its
//! environment, and where each credential may be used. Composed with the credentials still sealed,
//! so that it can be kept; they are opened for one answer at a time.

mod workload;

use std::collections::{BTreeMap, BTreeSet};

use openshell_policy::credentials::{self, BoundEndpoint};
use openshell_proto::datamodel::Provider;
use openshell_proto::v1::{
    GetSandboxProviderEnvironmentResponse, ProviderProfile, Sandbox, StaticCredentialBinding,
    StaticCredentialEndpointBinding,
};
use openshell_providers::{environment, predicates, provider_type, token_grant};
use prost::Message;

use crate::checks;
use crate::composition::{Member, Subject, View};
use crate::decide::{policy, provider};
use crate::decision::Opener;
use crate::effective::config::{effective_policy, known_middlewares};
use crate::effective::environment_revision;
use crate::key::Key;
use crate::refusal::Refusal;
use crate::state::State;

/// A sandbox's environment at one moment, its credentials sealed.
#[derive(Clone, Debug)]
pub struct Environment {
    /// Everything but the values of credentials.
    open: GetSandboxProviderEnvironmentResponse,
    sealed: Vec<SealedCredential>,
    /// The revision of each key that the environment was composed from.
    relied_on: BTreeMap<Key, u64>,
    composed_at_ms: i64,
    /// From here on some credential has expired, and another answer is due. `i64::MAX` without one.
    valid_until_ms: i64,
}

/// One credential as its provider holds it.
#[derive(Clone, Debug)]
struct SealedCredential {
    workspace: String,
    provider: String,
    key: String,
    sealed: String,
}

impl Environment {
    /// Composes a sandbox's environment as it is at `now_ms`, milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// `FAILED_PRECONDITION` when an attached provider is missing, what is composed is not valid, or
    /// keys collide; `INTERNAL` when a stored record contradicts itself. A retry on the same state
    /// hears the same, unless a credential expires meanwhile (`config.md` 6.6).
    pub fn compose(state: &State, workspace: &str, sandbox: &Sandbox, now_ms: i64) -> Result<Self, Refusal> {
        let subject = Subject::stored(state, workspace, sandbox);
        let members = View::of(state).members(workspace, &subject.providers)?;
        // No policy at all is an empty one here (PE-2).
        let policy = effective_policy(state, &subject, sandbox, &members)?.policy;
        if let Some(policy) = &policy {
            known_middlewares(policy)?;
            checks::credential_context(policy, &members)?;
        }
        checks::environment_keys(&members, now_ms)?;
        let bindings = policy.as_ref().map_or(Ok(BTreeMap::new()), credentials::bindings).map_err(Refusal::invalid)?;
        let id = sandbox.metadata.as_ref().map_or("", |metadata| metadata.id.as_str());
        let expiries = members.iter().flat_map(|member| member.provider.credential_expires_at_ms.values());
        let mut composed = Self {
            open: GetSandboxProviderEnvironmentResponse {
                provider_env_revision: environment_revision(&members, policy.as_ref())?,
                ..GetSandboxProviderEnvironmentResponse::default()
            },
            sealed: Vec::new(),
            relied_on: relied_on(state, workspace, sandbox, &members),
            composed_at_ms: now_ms,
            // Also one that is not in the answer counts: when it expires, two providers no longer collide.
            valid_until_ms: expiries.copied().filter(|expiry| *expiry > now_ms).min().unwrap_or(i64::MAX),
        };
        for member in &members {
            composed.add(workspace, id, member, bindings.get(&member.name), now_ms)?;
        }
        Ok(composed)
    }

    /// Adds one provider's credentials, then the variables of its configuration (PE-5 to PE-18).
    fn add(
        &mut self,
        workspace: &str,
        sandbox_id: &str,
        member: &Member<'_>,
        bound: Option<&BTreeSet<BoundEndpoint>>,
        now_ms: i64,
    ) -> Result<(), Refusal> {
        let profile = member.resolved.as_ref().map(|resolved| &*resolved.profile);
        let places = profile.map(|profile| places(profile, bound));
        // Credentials that have no place to be used are withheld (PE-8).
        let withheld = places.as_ref().is_some_and(Vec::is_empty);
        let provider: &Provider = &member.provider;
        let mut emitted = BTreeSet::new();
        for (key, handle) in provider.credential_handles.iter().filter(|_| !withheld) {
            let expires_at_ms = provider.credential_expires_at_ms.get(key).copied().unwrap_or(0);
            let expired = expires_at_ms > 0 && expires_at_ms <= now_ms;
            if expired || !environment::is_env_name(key) || !environment::is_injectable(&provider.r#type, key) {
                continue;
            }
            if handle.driver != provider::SEALED {
                return Err(Refusal::internal(format!(
                    "credential {key:?} of provider {:?} is kept by driver {:?}, which this gateway does not have",
                    member.name, handle.driver
                )));
            }
            emitted.insert(key.as_str());
            if expires_at_ms > 0 {
                self.open.credential_expires_at_ms.insert(key.clone(), expires_at_ms);
            }
            if let Some(endpoints) = &places {
                let binding = binding(sandbox_id, member, key, endpoints.clone())?;
                self.open.static_credential_bindings.insert(key.clone(), binding);
            }
            self.sealed.push(SealedCredential {
                workspace: workspace.to_owned(),
                provider: member.name.clone(),
                key: key.clone(),
                sealed: handle.handle.clone(),
            });
        }
        for (key, value) in environment::generated_config(&provider.r#type, &provider.config) {
            if !emitted.contains(key.as_str()) && !self.open.environment.contains_key(&key) {
                self.open.non_secret_environment_keys.push(key.clone());
                self.open.environment.insert(key, value);
            }
        }
        if let Some(profile) = profile {
            self.open.dynamic_credentials.extend(token_grant::dynamic_credentials(&member.name, profile));
        }
        Ok(())
    }

    /// Whether composing again, at `now_ms` on `state`, would come to the same.
    #[must_use]
    pub fn holds(&self, state: &State, now_ms: i64) -> bool {
        (self.composed_at_ms..self.valid_until_ms).contains(&now_ms)
            && self.relied_on.iter().all(|(key, revision)| state.revision_of(key) == *revision)
    }

    /// From this moment on another answer is due: the earliest expiry of a credential of the attached
    /// providers, in milliseconds since the Unix epoch. None when nothing expires.
    #[must_use]
    pub fn valid_until_ms(&self) -> Option<i64> {
        (self.valid_until_ms != i64::MAX).then_some(self.valid_until_ms)
    }

    /// About how much memory this takes.
    #[must_use]
    pub fn size(&self) -> usize {
        // A map's entry costs about this much beside its content.
        const ENTRY: usize = 96;
        let keys = self.relied_on.keys().map(|key| ENTRY + key.workspace.len() + key.name.len());
        let sealed = self.sealed.iter().map(|credential| {
            ENTRY
                + credential.workspace.len()
                + credential.provider.len()
                + 2 * credential.key.len()
                + credential.sealed.len()
        });
        size_of::<Self>() + 2 * self.open.encoded_len() + keys.sum::<usize>() + sealed.sum::<usize>()
    }

    /// The answer with its credentials in plain text: to be sent and forgotten. For a supervisor that
    /// cannot bind credentials to endpoints (`static_bindings` is false) it holds none (PE-19).
    ///
    /// # Errors
    /// `INTERNAL` when a credential does not open: it was sealed by another key, or the record was
    /// changed. The text names the provider and the key.
    pub fn answer(
        &self,
        opener: &dyn Opener,
        static_bindings: bool,
    ) -> Result<GetSandboxProviderEnvironmentResponse, Refusal> {
        let mut answer = self.open.clone();
        if !static_bindings {
            answer.credential_expires_at_ms.clear();
            answer.static_credential_bindings.clear();
            return Ok(answer);
        }
        for SealedCredential { workspace, provider, key, sealed } in &self.sealed {
            let plain = provider::open(opener, workspace, provider, key, sealed);
            let plain = plain.ok_or_else(|| {
                Refusal::internal(format!(
                    "credential {key:?} of provider {provider:?} in workspace {workspace:?} does not open with this \
                     node's secrets key; set it again"
                ))
            })?;
            answer.environment.insert(key.clone(), plain);
        }
        Ok(answer)
    }
}

/// Where a profile's credentials may be used: host, port and path of its endpoints; without any, the
/// endpoints that the policy binds to the provider (PE-8, PE-10).
fn places(profile: &ProviderProfile, bound: Option<&BTreeSet<BoundEndpoint>>) -> Vec<StaticCredentialEndpointBinding> {
    let place = |host: &str, port, path: &str| StaticCredentialEndpointBinding {
        host: host.to_owned(),
        port,
        path: path.to_owned(),
    };
    let of_profile: Vec<_> = profile
        .endpoints
        .iter()
        .flat_map(|endpoint| {
            let ports = predicates::endpoint_ports(endpoint).into_iter();
            ports.map(move |port| place(&endpoint.host, port, &endpoint.path))
        })
        .collect();
    if !of_profile.is_empty() {
        return of_profile;
    }
    bound.into_iter().flatten().map(|bound| place(&bound.host, bound.port, &bound.path)).collect()
}

/// Where one credential may be used and what it is known as (PE-10, PE-12).
fn binding(
    sandbox_id: &str,
    member: &Member<'_>,
    key: &str,
    endpoints: Vec<StaticCredentialEndpointBinding>,
) -> Result<StaticCredentialBinding, Refusal> {
    let provider_id = member.provider.metadata.as_ref().map_or("", |metadata| metadata.id.as_str());
    let handle = workload::handle(sandbox_id, member, key, &endpoints)?.unwrap_or_default();
    let credential_identity =
        if handle.is_empty() { format!("{provider_id}:{key}") } else { format!("refresh:{handle}") };
    Ok(StaticCredentialBinding { endpoints, credential_identity, workload_credential_handle: handle })
}

/// Every key that was looked at, with its revision. Whoever writes a refresh state writes its provider
/// or touches its users, so that these two stand for the states that are not there yet.
fn relied_on(state: &State, workspace: &str, sandbox: &Sandbox, members: &[Member<'_>]) -> BTreeMap<Key, u64> {
    let metadata = sandbox.metadata.as_ref();
    let (name, id) = metadata.map_or(("", ""), |metadata| (&metadata.name, &metadata.id));
    let mut keys =
        vec![Key::sandbox(workspace, name), Key::gateway_settings(), policy::next_revision_key(state, workspace, id)];
    for member in members {
        let provider: &Provider = &member.provider;
        let provider_id = provider.metadata.as_ref().map_or("", |metadata| metadata.id.as_str());
        let profile = provider_type::profile_id(&provider.r#type);
        keys.extend([
            Key::provider(workspace, &member.name),
            Key::provider_users(workspace, &member.name),
            Key::builtin_profile(&profile),
            Key::profile("", &profile),
            Key::profile(&provider.profile_workspace, &profile),
        ]);
        let refreshes = member.refreshes.iter();
        keys.extend(refreshes.map(|refresh| Key::refresh(workspace, provider_id, &refresh.credential_key)));
    }
    keys.into_iter().map(|key| (key.clone(), state.revision_of(&key))).collect()
}
