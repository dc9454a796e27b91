//! What must hold for a sandbox and its providers together (`providers.md` 5, `config.md` 4.4
//! and 4.5). Each check refuses with `FAILED_PRECONDITION` and names what collides.

use std::collections::{BTreeMap, BTreeSet};

use openshell_policy::credentials::{self, Bindings};
use openshell_policy::{Budget, ambiguity, safety};
use openshell_proto::datamodel::Provider;
use openshell_proto::sandbox::{NetworkEndpoint, SandboxPolicy};
use openshell_providers::{environment, predicates, token_grant};

use crate::composition::{Member, minted_keys};
use crate::refusal::Refusal;

mod size;

pub(crate) use size::{
    composed, composed_of_any_size, counts_bindings, environment as environment_size, grows,
    stored_environment as stored_environment_size,
};

/// Status word of a refresh state that is being deleted.
pub(crate) const REFRESH_DELETING: &str = "deleting";

/// Keys that a provider's credentials offer now, or will offer once minted (KEY-1).
pub(crate) fn active_credential_keys(member: &Member<'_>, now_ms: i64) -> BTreeSet<String> {
    let provider: &Provider = &member.provider;
    let expired = |key: &str| {
        let expiry = provider.credential_expires_at_ms.get(key).copied().unwrap_or(0);
        expiry > 0 && expiry <= now_ms
    };
    let held = provider.credentials.keys().chain(provider.credential_handles.keys());
    let mut keys: BTreeSet<String> = held
        .filter(|key| environment::is_env_name(key))
        .filter(|key| environment::is_injectable(&provider.r#type, key))
        .filter(|key| !expired(key))
        .cloned()
        .collect();
    let reserved = member.refreshes.iter().copied().flat_map(minted_keys);
    keys.extend(reserved.filter(|key| environment::is_env_name(key)).cloned());
    keys
}

/// No environment key is offered by two providers, and no two token grants tie (KEY-1 to KEY-6).
pub(crate) fn environment_keys(members: &[Member<'_>], now_ms: i64) -> Result<(), Refusal> {
    let mut credential_owner: BTreeMap<String, &str> = BTreeMap::new();
    let mut config_owners: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for member in members {
        for key in active_credential_keys(member, now_ms) {
            let owner = *credential_owner.entry(key.clone()).or_insert(&member.name);
            if owner != member.name {
                return Err(Refusal::precondition(format!(
                    "credential key {key:?} is provided by both provider {owner:?} and provider {:?}; give each provider \
                     a key of its own",
                    member.name
                )));
            }
        }
        for key in environment::generated_config(&member.provider.r#type, &member.provider.config).into_keys() {
            config_owners.entry(key).or_default().insert(&member.name);
        }
    }
    for (key, owner) in &credential_owner {
        let others = config_owners.get(key).into_iter().flatten();
        if let Some(other) = others.into_iter().find(|other| *other != owner) {
            return Err(Refusal::precondition(format!(
                "environment key {key:?} is a credential of provider {owner:?} and generated from the config of provider \
                 {other:?}; rename the credential or detach one of them"
            )));
        }
    }
    token_grants(members).map_err(Refusal::precondition)
}

/// No two dynamic token grants tie (`providers.md` 5.3). The error is the explanation.
pub(crate) fn token_grants(members: &[Member<'_>]) -> Result<(), String> {
    let bindings: Vec<_> = members
        .iter()
        .filter_map(|member| Some(token_grant::bindings(&member.name, &member.resolved.as_ref()?.profile)))
        .flatten()
        .collect();
    token_grant::first_ambiguity(&bindings).map_or(Ok(()), |ambiguity| Err(ambiguity.to_string()))
}

/// Nothing of a policy is unsafe to run (`config.md` EC-10). Layers of valid profiles and a base that was
/// accepted are safe together; what an older leader let pass may not be.
pub(crate) fn safe(policy: &SandboxPolicy) -> Result<(), Refusal> {
    let violations = safety::violations(policy);
    if violations.is_empty() {
        return Ok(());
    }
    Err(Refusal::precondition(format!("invalid effective policy: {}", violations.join("; "))))
}

/// No two endpoints of a policy contradict each other (`config.md` appendix A).
pub(crate) fn endpoint_ambiguity(policy: &SandboxPolicy) -> Result<(), Refusal> {
    let conflicts = ambiguity::conflicts(policy);
    if conflicts.is_empty() { Ok(()) } else { Err(Refusal::precondition(ambiguity::refusal(&conflicts))) }
}

/// Bindings are well-formed (`INVALID_ARGUMENT`) and name attached providers whose profiles
/// have no endpoints; signing endpoints have a source of AWS credentials (EC-30, EC-33, EC-34).
/// A profile that is left out gets the benefit of the doubt: its sandboxes go on without it.
pub(crate) fn credential_context(policy: &SandboxPolicy, members: &[Member<'_>]) -> Result<(), Refusal> {
    credentials_with(policy, members, true)
}

/// As [`credential_context`] for what a sandbox proposes: nobody vouches for it, so that a profile that is
/// left out gets no benefit of the doubt.
pub(crate) fn proposed_credential_context(policy: &SandboxPolicy, members: &[Member<'_>]) -> Result<(), Refusal> {
    credentials_with(policy, members, false)
}

fn credentials_with(policy: &SandboxPolicy, members: &[Member<'_>], trusting: bool) -> Result<(), Refusal> {
    let trusted = |member: &Member<'_>| trusting && member.lost_its_profile();
    let bindings = credentials::bindings(policy).map_err(Refusal::invalid)?;
    for provider in bindings.keys() {
        bound_provider(provider, members, trusting)?;
    }
    let mut sources: Option<SigningSources<'_>> = None;
    for signing in credentials::signing_endpoints(policy) {
        let endpoint = signing.endpoint;
        let sources = sources.get_or_insert_with(|| SigningSources::of(members));
        let found = match &endpoint.credential_binding {
            Some(binding) => {
                members.iter().any(|member| member.name == binding.provider && trusted(member))
                    || sources.bound.contains(&*binding.provider)
            }
            None => members.iter().any(trusted) || sources.cover(endpoint),
        };
        if !found && sources.budget.is_spent() {
            return Err(Refusal::precondition(format!(
                "network_policies.{}.endpoints[{}] ({}) signs requests, and whether a provider's profile covers it cannot be \
                 told: there are too many patterns to compare; bind a provider to it, or give profiles fewer endpoints \
                 with wildcards",
                signing.rule, signing.index, endpoint.host
            )));
        }
        if !found {
            return Err(Refusal::precondition(format!(
                "network_policies.{}.endpoints[{}] ({}) signs requests but has no resolvable AWS credential source; \
                 attach a provider whose profile declares AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY and covers it, \
                 or bind one",
                signing.rule, signing.index, endpoint.host
            )));
        }
    }
    Ok(())
}

fn bound_provider(provider: &str, members: &[Member<'_>], trusting: bool) -> Result<(), Refusal> {
    let refuse = |why: &str| Err(Refusal::precondition(format!("credential_binding: provider {provider:?} {why}")));
    let Some(member) = members.iter().find(|member| member.name == provider) else {
        return refuse("is not attached to the sandbox; attach it or remove the binding");
    };
    if member.resolved.is_none() && !(trusting && member.lost_its_profile()) {
        return refuse("has no profile, so its credentials cannot be bound");
    }
    if has_endpoints(member) {
        return refuse("cannot be bound: its profile already defines endpoints");
    }
    Ok(())
}

fn has_endpoints(member: &Member<'_>) -> bool {
    member.resolved.as_ref().is_some_and(|resolved| !resolved.profile.endpoints.is_empty())
}

fn declares_aws(member: &Member<'_>) -> bool {
    let Some(resolved) = &member.resolved else { return false };
    let declares = |variable: &str| {
        resolved.profile.credentials.iter().any(|credential| credential.env_vars.iter().any(|name| name == variable))
    };
    declares("AWS_ACCESS_KEY_ID") && declares("AWS_SECRET_ACCESS_KEY")
}

/// Where signatures can come from: the profiles that declare the AWS keys, found once for all endpoints.
struct SigningSources<'a> {
    /// Providers whose profile has no endpoints, so that a binding can name them.
    bound: BTreeSet<&'a str>,
    covering: Vec<credentials::Coverage<'a>>,
    budget: Budget,
}

impl<'a> SigningSources<'a> {
    fn of(members: &'a [Member<'_>]) -> Self {
        let (with, without): (Vec<_>, Vec<_>) =
            members.iter().filter(|member| declares_aws(member)).partition(|member| has_endpoints(member));
        let resolved = with.into_iter().filter_map(|member| member.resolved.as_ref());
        Self {
            bound: without.into_iter().map(|member| member.name.as_str()).collect(),
            covering: resolved.map(|resolved| credentials::Coverage::of(&resolved.profile.endpoints)).collect(),
            budget: Budget::for_policy(),
        }
    }

    /// Some profile covers host and path for every port. No when that takes too long to find out.
    fn cover(&mut self, endpoint: &NetworkEndpoint) -> bool {
        self.covering.iter().any(|coverage| coverage.covers(endpoint, &mut self.budget))
    }
}

/// Where the members' credentials are used: hosts and ports of credentialed profiles (EC-27)
/// and of bindings to providers whose profile has no endpoints (EC-31).
pub(crate) fn credential_scopes(bindings: &Bindings, members: &[Member<'_>]) -> Vec<credentials::Scope> {
    let mut scopes = Vec::new();
    for member in members {
        let Some(resolved) = &member.resolved else { continue };
        if predicates::is_credentialed(&resolved.profile) {
            scopes.extend(resolved.profile.endpoints.iter().map(|endpoint| credentials::Scope {
                host: endpoint.host.to_lowercase(),
                ports: openshell_policy::ports::effective(endpoint),
            }));
        }
    }
    for (provider, endpoints) in bindings {
        let endpointless =
            |member: &Member<'_>| member.name == *provider && member.resolved.is_some() && !has_endpoints(member);
        if members.iter().any(endpointless) {
            let bound = endpoints.iter();
            scopes.extend(
                bound.map(|bound| credentials::Scope { host: bound.host.to_lowercase(), ports: vec![bound.port] }),
            );
        }
    }
    scopes
}

/// No credentialed endpoint of the policy goes uninspected without saying so (EC-40).
pub(crate) fn uninspected(policy: &SandboxPolicy, members: &[Member<'_>]) -> Result<(), Refusal> {
    let mut stamped = policy.clone();
    let bindings = credentials::bindings(policy).map_err(Refusal::invalid)?;
    credentials::stamp(&mut stamped, &credential_scopes(&bindings, members));
    let found = credentials::uninspected(&stamped);
    if found.is_empty() {
        return Ok(());
    }
    let places: Vec<String> = found.iter().map(ToString::to_string).collect();
    Err(Refusal::precondition(format!(
        "credentials could travel uninspected: {}; set a protocol, let TLS be inspected, or set \
         allow_uninspected_credentials",
        places.join("; ")
    )))
}
