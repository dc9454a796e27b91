//! What a sandbox composes with: its providers, the profile that each of them resolves to,
//! and the fences of all of these. Works on the state, or on the state as a proposed change
//! would leave it. Whether the result is acceptable is for `checks` to say.

use std::borrow::Cow;
use std::collections::BTreeMap;

use openshell_policy::layering::Layer;
use openshell_proto::datamodel::Provider;
use openshell_proto::sandbox::{LeftOutProfile, SandboxPolicy, SettingValue, setting_value};
use openshell_proto::v1::{ProviderProfile, Sandbox, StoredProviderCredentialRefreshState};
use openshell_providers::provider_type;

use crate::decision::Draft;
use crate::key::Key;
use crate::query::settings;
use crate::refusal::Refusal;
use crate::state::State;

/// The global setting that switches provider composition on.
pub(crate) const PROVIDERS_V2: &str = "providers_v2_enabled";
/// The reserved entry of the global settings that holds the global policy.
pub(crate) const GLOBAL_POLICY: &str = "policy";

/// The state, with some profiles and providers as a proposed change would have them.
#[derive(Clone)]
pub(crate) struct View<'a> {
    pub(crate) state: &'a State,
    /// (scope, id) -> the profile proposed.
    pub(crate) profiles: BTreeMap<(String, String), Cow<'a, ProviderProfile>>,
    /// (workspace, name) -> the provider proposed.
    pub(crate) providers: BTreeMap<(String, String), Cow<'a, Provider>>,
    /// The refresh state proposed.
    pub(crate) refresh: Option<&'a StoredProviderCredentialRefreshState>,
}

/// Where a resolved profile comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Builtin,
    Platform,
    Workspace,
}

impl Source {
    /// The profile's `source` in answers.
    pub(crate) fn id(self) -> &'static str {
        match self {
            Source::Builtin => "builtin",
            Source::Platform | Source::Workspace => "user",
        }
    }

    /// The profile's `scope` in answers.
    pub(crate) fn scope(self) -> &'static str {
        match self {
            Source::Builtin => "",
            Source::Platform => "platform",
            Source::Workspace => "workspace",
        }
    }
}

/// The profile that a provider resolves to (`providers.md` CAT-9).
#[derive(Clone)]
pub(crate) struct Resolved<'a> {
    pub(crate) source: Source,
    /// Workspace of a workspace profile, otherwise empty.
    pub(crate) workspace: String,
    pub(crate) id: String,
    pub(crate) profile: Cow<'a, ProviderProfile>,
    /// Version of the stored record, 0 for built-in and proposed profiles.
    pub(crate) resource_version: u64,
    /// The profile is proposed, not stored.
    pub(crate) proposed: bool,
}

/// A stored profile that a provider means and that is not valid: nothing of it is used, and the profile
/// that it would have hidden does not take its place.
#[derive(Clone)]
pub(crate) struct LeftOut<'a> {
    pub(crate) source: Source,
    /// Workspace of a workspace profile, otherwise empty.
    pub(crate) workspace: String,
    pub(crate) id: String,
    pub(crate) reason: &'a str,
}

/// One provider of a sandbox.
#[derive(Clone)]
pub(crate) struct Member<'a> {
    pub(crate) provider: Cow<'a, Provider>,
    pub(crate) name: String,
    pub(crate) refreshes: Vec<&'a StoredProviderCredentialRefreshState>,
    pub(crate) resolved: Option<Resolved<'a>>,
    /// Beside a built-in profile, the one that it hides.
    pub(crate) left_out: Option<LeftOut<'a>>,
}

impl Member<'_> {
    /// It has a profile, and is composed without it.
    pub(crate) fn lost_its_profile(&self) -> bool {
        self.resolved.is_none() && self.left_out.is_some()
    }
}

/// A sandbox as composition sees it.
#[derive(Clone)]
pub(crate) struct Subject<'a> {
    pub(crate) workspace: &'a str,
    pub(crate) name: &'a str,
    pub(crate) providers: Vec<String>,
    /// Latest policy revision, else the policy of the spec, else none (`config.md` EC-4).
    pub(crate) base: Option<Cow<'a, SandboxPolicy>>,
}

impl<'a> Subject<'a> {
    /// A stored sandbox.
    pub(crate) fn stored(state: &'a State, workspace: &'a str, sandbox: &'a Sandbox) -> Self {
        let metadata = sandbox.metadata.as_ref();
        let spec = sandbox.spec.as_ref();
        let base = metadata
            .and_then(|metadata| state.latest_policy(workspace, &metadata.id))
            .map(|revision| &revision.value.policy)
            .or_else(|| spec.and_then(|spec| spec.policy.as_ref()));
        Self {
            workspace,
            name: metadata.map_or("", |metadata| metadata.name.as_str()),
            providers: spec.map(|spec| spec.providers.clone()).unwrap_or_default(),
            base: base.map(Cow::Borrowed),
        }
    }

    /// The base policy, an empty one when there is none.
    pub(crate) fn base_or_empty(&self) -> Cow<'_, SandboxPolicy> {
        match &self.base {
            Some(base) => Cow::Borrowed(base),
            None => Cow::Owned(SandboxPolicy::default()),
        }
    }
}

impl<'a> View<'a> {
    /// The state as it is.
    pub(crate) fn of(state: &'a State) -> Self {
        Self { state, profiles: BTreeMap::new(), providers: BTreeMap::new(), refresh: None }
    }

    /// The profile that a provider resolves to: built-in, or by its `profile_workspace` the
    /// workspace's and then the platform's, or only the platform's. Beside it, or in its place, the
    /// stored one that is left out.
    pub(crate) fn resolve(&self, provider: &Provider) -> (Option<Resolved<'a>>, Option<LeftOut<'a>>) {
        let id = provider_type::profile_id(&provider.r#type);
        let scope = provider.profile_workspace.as_str();
        let in_workspace = (!scope.is_empty()).then(|| self.custom(scope, &id, Source::Workspace)).flatten();
        let custom = in_workspace.or_else(|| self.custom("", &id, Source::Platform));
        let builtin = self.state.builtin_profile(&id).map(|entry| Resolved {
            source: Source::Builtin,
            workspace: String::new(),
            id,
            profile: entry.value.profile.as_ref().map_or_else(Cow::default, Cow::Borrowed),
            resource_version: 0,
            proposed: false,
        });
        match custom {
            None => (builtin, None),
            Some(Ok(custom)) => (builtin.or(Some(custom)), None),
            Some(Err(left_out)) => (builtin, Some(left_out)),
        }
    }

    /// The custom profile of exactly this scope. One that is proposed has passed validation.
    fn custom(&self, scope: &str, id: &str, source: Source) -> Option<Result<Resolved<'a>, LeftOut<'a>>> {
        let (workspace, id) = (scope.to_owned(), id.to_owned());
        if let Some(profile) = self.profiles.get(&(workspace.clone(), id.clone())) {
            let profile = profile.clone();
            return Some(Ok(Resolved { source, workspace, id, profile, resource_version: 0, proposed: true }));
        }
        let stored = self.state.profile(scope, &id)?.value;
        if !stored.invalid_reason.is_empty() {
            return Some(Err(LeftOut { source, workspace, id, reason: &stored.invalid_reason }));
        }
        let resource_version = stored.metadata.as_ref().map_or(0, |metadata| metadata.resource_version);
        let profile = stored.profile.as_ref().map_or_else(Cow::default, Cow::Borrowed);
        Some(Ok(Resolved { source, workspace, id, profile, resource_version, proposed: false }))
    }

    /// The provider with this name, as proposed or as stored.
    pub(crate) fn provider(&self, workspace: &str, name: &str) -> Option<Cow<'a, Provider>> {
        match self.providers.get(&(workspace.to_owned(), name.to_owned())) {
            Some(proposed) => Some(proposed.clone()),
            None => self.state.provider(workspace, name).map(|entry| Cow::Borrowed(entry.value)),
        }
    }

    /// One provider with what it resolves to; none when there is no such provider.
    pub(crate) fn member(&self, workspace: &str, name: &str) -> Option<Member<'a>> {
        let provider = self.provider(workspace, name)?;
        let id = provider.metadata.as_ref().map_or("", |metadata| metadata.id.as_str());
        let proposed = self.refresh.filter(|refresh| refresh.provider_id == id);
        let stored = self.state.refresh_states(workspace, id).map(|entry| entry.value);
        let replaced = |refresh: &&StoredProviderCredentialRefreshState| {
            proposed.is_some_and(|proposed| proposed.credential_key == refresh.credential_key)
        };
        let refreshes = stored.filter(|refresh| !replaced(refresh)).chain(proposed).collect();
        let (resolved, left_out) = self.resolve(&provider);
        Some(Member { provider, name: name.to_owned(), refreshes, resolved, left_out })
    }

    /// Every provider of a list, in order.
    ///
    /// Refuses with `FAILED_PRECONDITION` when one does not exist (`providers.md` KEY-7).
    pub(crate) fn members(&self, workspace: &str, names: &[String]) -> Result<Vec<Member<'a>>, Refusal> {
        names
            .iter()
            .map(|name| {
                self.member(workspace, name).ok_or_else(|| {
                    Refusal::precondition(format!("provider {name:?} does not exist in workspace {workspace:?}"))
                })
            })
            .collect()
    }
}

/// The rules that providers add, in order (`config.md` EC-24 to EC-26).
pub(crate) fn layers(members: &[Member<'_>]) -> impl Iterator<Item = Layer> {
    members.iter().filter_map(|member| {
        let resolved = member.resolved.as_ref()?;
        Some(Layer { rule: openshell_providers::layer(&member.name, &resolved.profile) })
    })
}

/// The keys that a refresh mints, or reserves until it does: its own, then those of its other outputs.
pub(crate) fn minted_keys(refresh: &StoredProviderCredentialRefreshState) -> impl Iterator<Item = &String> {
    std::iter::once(&refresh.credential_key).chain(refresh.additional_output_keys.values())
}

/// What is left out of all that is composed with these members, in order.
pub(crate) fn left_out(members: &[Member<'_>]) -> Vec<LeftOutProfile> {
    members
        .iter()
        .filter_map(|member| {
            let left_out = member.left_out.as_ref()?;
            Some(LeftOutProfile {
                provider: member.name.clone(),
                profile: left_out.id.clone(),
                scope: left_out.source.scope().to_owned(),
                reason: left_out.reason.to_owned(),
            })
        })
        .collect()
}

/// Whether provider rules are composed at all: the setting is on and no global policy is set
/// (`providers.md` AS-13).
pub(crate) fn is_on(state: &State) -> Result<bool, Refusal> {
    Ok(providers_v2(state)? && global_policy(state)?.is_none())
}

/// The global setting `providers_v2_enabled`; unset is off.
pub(crate) fn providers_v2(state: &State) -> Result<bool, Refusal> {
    match settings::global(state, PROVIDERS_V2)? {
        None | Some(SettingValue { value: None }) => Ok(false),
        Some(SettingValue { value: Some(setting_value::Value::BoolValue(on)) }) => Ok(on),
        Some(_) => Err(Refusal::internal(format!("setting {PROVIDERS_V2} is stored with another type than bool"))),
    }
}

/// The active global policy.
pub(crate) fn global_policy(state: &State) -> Result<Option<SandboxPolicy>, Refusal> {
    settings::global_policy(state)
}

/// Records in a draft that its decision relied on how these members resolve.
pub(crate) fn rely_on_profiles(draft: &mut Draft, state: &State, members: &[Member<'_>]) {
    for member in members {
        let id = provider_type::profile_id(&member.provider.r#type);
        let scope = member.provider.profile_workspace.as_str();
        draft.rely_on(state, Key::builtin_profile(&id));
        draft.rely_on(state, Key::profile("", &id));
        if !scope.is_empty() {
            draft.rely_on(state, Key::profile(scope, &id));
        }
    }
}

/// Records in a draft that its decision relied on the providers themselves: that they are there,
/// and which keys they offer. Whoever writes a refresh state, which reserves keys, writes its
/// provider too. What providers compose to depends on type and scope only, which never change;
/// that an attached one exists, on the sandbox.
pub(crate) fn rely_on_providers(draft: &mut Draft, state: &State, workspace: &str, members: &[Member<'_>]) {
    for member in members {
        draft.rely_on(state, Key::provider(workspace, &member.name));
    }
}

/// As [`rely_on_providers`], by the fences of the profiles that they use: there are fewer of these where many sandboxes
/// have providers of their own. Whoever writes a provider that some sandbox lists touches them.
pub(crate) fn rely_on_profile_users(draft: &mut Draft, state: &State, members: &[Member<'_>]) {
    for member in members {
        let id = provider_type::profile_id(&member.provider.r#type);
        draft.rely_on(state, Key::profile_users(&member.provider.profile_workspace, &id));
    }
}

/// Touches the fences of everyone who relies on what these members compose to.
pub(crate) fn touch_users(draft: &mut Draft, members: &[Member<'_>]) {
    for member in members {
        touch_profile_users(draft, &member.provider);
    }
    if !members.is_empty() {
        draft.touch(Key::composition());
    }
}

/// Touches the fences of the profile that a provider's type means: of its own scope, and of
/// the platform, whose profile it falls back to.
pub(crate) fn touch_profile_users(draft: &mut Draft, provider: &Provider) {
    let id = provider_type::profile_id(&provider.r#type);
    draft.touch(Key::profile_users("", &id));
    if !provider.profile_workspace.is_empty() {
        draft.touch(Key::profile_users(&provider.profile_workspace, &id));
    }
}
