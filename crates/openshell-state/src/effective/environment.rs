//! `GetSandboxProviderEnvironment` (`config.md` 6): what a sandbox's providers put into its
//! environment, and where each credential may be used. Composed with the credentials still sealed,
//! so that it can be kept; they are opened for one answer at a time.

mod encoded;
mod workload;

use std::collections::{BTreeMap, BTreeSet};

use openshell_policy::credentials::BoundEndpoint;
use openshell_proto::datamodel::Provider;
use openshell_proto::v1::{
    GetSandboxProviderEnvironmentResponse, ProviderProfile, Sandbox, StaticCredentialBinding,
    StaticCredentialEndpointBinding,
};
use openshell_providers::{environment, predicates, token_grant};

use crate::checks;
use crate::composition::{Member, Subject, View};
use crate::decide::provider;
use crate::effective::config::{effective_policy, known_middlewares};
use crate::effective::environment_revision;
use crate::refusal::Refusal;
use crate::state::State;
pub use encoded::Environment;
use encoded::Variable;

/// What an environment is being composed of.
struct Composing<'a> {
    workspace: &'a str,
    sandbox_id: &'a str,
    now_ms: i64,
    /// All but the variables.
    open: GetSandboxProviderEnvironmentResponse,
    variables: BTreeMap<String, Variable>,
}

impl Environment {
    /// Composes a sandbox's environment as it is at `now_ms`, milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// `FAILED_PRECONDITION` when an attached provider is missing, what is composed is not valid, or
    /// keys collide; `INTERNAL` when a stored record contradicts itself. A retry on the same state
    /// hears the same, unless a credential expires meanwhile (`config.md` 6.6).
    pub fn compose(state: &State, workspace: &str, sandbox: &Sandbox, now_ms: i64) -> Result<Self, Refusal> {
        let mut subject = Subject::stored(state, workspace, sandbox);
        // No policy at all is an empty one here (PE-2).
        subject.base.get_or_insert_default();
        let members = View::of(state).members(workspace, &subject.providers)?;
        let effective = effective_policy(state, &subject, sandbox, &members)?;
        let (policy, bindings) = (effective.policy.unwrap_or_default(), effective.bindings);
        known_middlewares(&policy)?;
        checks::credential_context(&policy, &members)?;
        checks::environment_keys(&members, now_ms)?;
        checks::stored_environment_size(&bindings, &members)?;
        let mut composing = Composing {
            workspace,
            sandbox_id: sandbox.metadata.as_ref().map_or("", |metadata| metadata.id.as_str()),
            now_ms,
            open: GetSandboxProviderEnvironmentResponse {
                provider_env_revision: environment_revision(&members, &bindings)?,
                ..GetSandboxProviderEnvironmentResponse::default()
            },
            variables: BTreeMap::new(),
        };
        for member in &members {
            composing.add(member, bindings.get(&member.name))?;
        }
        // Also one that is not in the answer counts: when it expires, two providers no longer collide.
        let expiries = members.iter().flat_map(|member| member.provider.credential_expires_at_ms.values());
        let valid_until_ms = expiries.copied().filter(|expiry| *expiry > now_ms).min().unwrap_or(i64::MAX);
        Ok(Self::new(composing.open, composing.variables, now_ms..valid_until_ms))
    }
}

impl Composing<'_> {
    /// Adds one provider's credentials, then the variables of its configuration (PE-5 to PE-18).
    fn add(&mut self, member: &Member<'_>, bound: Option<&BTreeSet<BoundEndpoint>>) -> Result<(), Refusal> {
        let profile = member.resolved.as_ref().map(|resolved| &*resolved.profile);
        let places = profile.map(|profile| places(profile, bound));
        // Credentials that have no place to be used are withheld (PE-8), and those of a provider whose
        // profile is left out: where they may be used, nobody can say.
        let withheld = member.lost_its_profile() || places.as_ref().is_some_and(Vec::is_empty);
        let provider: &Provider = &member.provider;
        let mut emitted = BTreeSet::new();
        for (key, handle) in provider.credential_handles.iter().filter(|_| !withheld) {
            let expires_at_ms = provider.credential_expires_at_ms.get(key).copied().unwrap_or(0);
            let expired = expires_at_ms > 0 && expires_at_ms <= self.now_ms;
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
                let binding = binding(self.sandbox_id, member, key, endpoints)?;
                self.open.static_credential_bindings.insert(key.clone(), binding);
            }
            let sealed = Variable::Sealed {
                workspace: self.workspace.to_owned(),
                provider: member.name.clone(),
                sealed: handle.handle.clone(),
            };
            self.variables.insert(key.clone(), sealed);
        }
        for (key, value) in environment::generated_config(&provider.r#type, &provider.config) {
            if !emitted.contains(key.as_str()) && !self.variables.contains_key(&key) {
                self.open.non_secret_environment_keys.push(key.clone());
                self.variables.insert(key, Variable::Open(value));
            }
        }
        if let Some(profile) = profile {
            self.open.dynamic_credentials.extend(token_grant::dynamic_credentials(&member.name, profile));
        }
        Ok(())
    }
}

/// Where a credential may be used. Host and path are shared by all ports and keys.
struct Place<'a> {
    host: &'a str,
    port: u32,
    path: &'a str,
}

/// Where a profile's credentials may be used: host, port and path of its endpoints; without any, the
/// endpoints that the policy binds to the provider (PE-8, PE-10).
fn places<'a>(profile: &'a ProviderProfile, bound: Option<&'a BTreeSet<BoundEndpoint>>) -> Vec<Place<'a>> {
    let of_profile: Vec<_> = profile
        .endpoints
        .iter()
        .flat_map(|endpoint| {
            let ports = predicates::endpoint_ports(endpoint).into_iter();
            ports.map(move |port| Place { host: &endpoint.host, port, path: &endpoint.path })
        })
        .collect();
    if !of_profile.is_empty() {
        return of_profile;
    }
    let bound = bound.into_iter().flatten();
    bound.map(|BoundEndpoint { host, port, path }| Place { host, port: *port, path }).collect()
}

/// Where one credential may be used and what it is known as (PE-10, PE-12).
fn binding(
    sandbox_id: &str,
    member: &Member<'_>,
    key: &str,
    places: &[Place<'_>],
) -> Result<StaticCredentialBinding, Refusal> {
    let provider_id = member.provider.metadata.as_ref().map_or("", |metadata| metadata.id.as_str());
    let handle = workload::handle(sandbox_id, member, key, places)?.unwrap_or_default();
    let credential_identity =
        if handle.is_empty() { format!("{provider_id}:{key}") } else { format!("refresh:{handle}") };
    let endpoint = |place: &Place<'_>| StaticCredentialEndpointBinding {
        host: place.host.to_owned(),
        port: place.port,
        path: place.path.to_owned(),
    };
    let endpoints = places.iter().map(endpoint).collect();
    Ok(StaticCredentialBinding { endpoints, credential_identity, workload_credential_handle: handle })
}
