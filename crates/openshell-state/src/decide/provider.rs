//! Providers: create, update, delete (`providers.md` 6). Secrets are sealed here, while the
//! leader stamps, and never leave; what is answered is redacted.

use std::borrow::Cow;
use std::collections::BTreeMap;

use openshell_chaos::{Bug, bug};
use openshell_proto::datamodel::{CredentialHandle, ObjectMeta, Provider};
use openshell_proto::v1::{
    CreateProviderRequest, DeleteProviderRequest, DeleteProviderResponse, ProviderResponse, UpdateProviderRequest,
};
use openshell_providers::{environment, predicates};

use crate::access::{Role, workspace_or_default};
use crate::checks::{self, REFRESH_DELETING};
use crate::composition::{self, Subject, View};
use crate::decide::{Need, enter_workspace, expect_version, new_metadata, next_metadata, policy};
use crate::decision::{Call, Decision, Draft, Opener};
use crate::key::Key;
use crate::names;
use crate::query::provider::{REDACTED, redacted};
use crate::refusal::Refusal;

/// Names the place where a sealed credential is kept: in the record itself.
pub(crate) const SEALED: &str = "sealed";
/// The kind that sealed credentials are bound to.
const PROVIDER: &str = "provider";
const TYPE_MAX: usize = 64;
const CREDENTIALS_MAX: usize = 32;
const CONFIG_MAX: usize = 64;

/// Decides a creation.
///
/// # Errors
/// A refusal about the caller, the workspace or a field; `ALREADY_EXISTS` when the workspace
/// has a provider of that name.
pub fn create(call: Call<'_>, request: &CreateProviderRequest) -> Result<Decision, Refusal> {
    let mut draft = Draft::new();
    let workspace = workspace_or_default(&request.workspace);
    enter_workspace(&call, &mut draft, workspace, Role::Admin, Need::Active)?;
    let asked = request.provider.as_ref().ok_or_else(|| Refusal::invalid("provider is required"))?;
    let metadata = create_metadata(&call, workspace, asked.metadata.as_ref())?;
    if asked.r#type.trim().is_empty() {
        return Err(Refusal::invalid("provider.type is required"));
    }
    no_handles(asked)?;
    if !asked.profile_workspace.is_empty() && asked.profile_workspace != workspace {
        return Err(Refusal::invalid(format!(
            "provider.profile_workspace {:?} must be empty or the provider's own workspace {workspace:?}",
            asked.profile_workspace
        )));
    }
    if asked.credentials.is_empty() {
        may_be_empty(&call, &mut draft, workspace, asked)?;
    }
    names::bounded("provider.metadata.name", &metadata.name, names::NAME_MAX)?;
    names::bounded("provider.type", &asked.r#type, TYPE_MAX)?;
    let mut provider = Provider { metadata: Some(metadata.clone()), credentials: BTreeMap::new(), ..asked.clone() };
    bounded(&asked.credentials, &provider)?;
    if let Some((key, expiry)) = asked.credential_expires_at_ms.iter().find(|(_, expiry)| **expiry < 0) {
        return Err(Refusal::invalid(format!("provider.credential_expires_at_ms[{key:?}] is negative: {expiry}")));
    }
    env_names(&asked.credentials)?;
    not_redacted(&asked.credentials)?;
    let key = Key::provider(workspace, &metadata.name);
    draft.rely_on(call.state, key.clone());
    if call.state.record(&key).is_some() {
        return Err(Refusal::exists(format!("provider {:?} already exists in workspace {workspace:?}", metadata.name)));
    }
    seal(&call, &mut provider, workspace, &asked.credentials);
    draft.put(&key, &provider);
    draft.touch(Key::workspace_contents(workspace));
    Ok(draft.answer(&ProviderResponse { provider: Some(redacted(&provider)) }))
}

/// Metadata of a new provider: the caller's, with what the gateway decides (`providers.md`
/// 6.2, steps 3, 6, 7 and 13).
fn create_metadata(call: &Call<'_>, workspace: &str, asked: Option<&ObjectMeta>) -> Result<ObjectMeta, Refusal> {
    let fresh = new_metadata(call, workspace, "");
    let mut metadata = match asked {
        // A caller's deletion timestamp would make a record that looks deleted; it is dropped.
        Some(asked) => ObjectMeta {
            id: fresh.id,
            resource_version: fresh.resource_version,
            workspace: fresh.workspace,
            deletion_timestamp_ms: 0,
            ..asked.clone()
        },
        None => fresh,
    };
    if metadata.name.is_empty() {
        metadata.name = call.stamp.identifiers.letters();
    }
    names::labels(&metadata.labels)?;
    names::annotations(&metadata.annotations)?;
    if metadata.name.trim() != metadata.name {
        return Err(Refusal::invalid("provider.metadata.name must not begin or end with white space"));
    }
    Ok(metadata)
}

/// A provider without credentials needs a profile whose credentials come at run time (PRED-2).
fn may_be_empty(call: &Call<'_>, draft: &mut Draft, workspace: &str, asked: &Provider) -> Result<(), Refusal> {
    // The effective profile of the workspace decides, whichever scope the provider names.
    let lookup = Provider { profile_workspace: workspace.to_owned(), ..asked.clone() };
    let view = View::of(call.state);
    let (resolved, left_out) = view.resolve(&lookup);
    let id = openshell_providers::provider_type::profile_id(&asked.r#type);
    draft.rely_on(call.state, Key::builtin_profile(&id));
    draft.rely_on(call.state, Key::profile("", &id));
    draft.rely_on(call.state, Key::profile(workspace, &id));
    if resolved.is_some_and(|resolved| predicates::allows_empty_credentials(&resolved.profile)) {
        return Ok(());
    }
    let why = match left_out {
        Some(left_out) => format!("; its profile {:?} is left out: {}", left_out.id, left_out.reason),
        None => String::new(),
    };
    Err(Refusal::invalid(format!(
        "provider.credentials must not be empty: type {:?} has no profile whose required credentials are all resolved at \
         run time{why}",
        asked.r#type
    )))
}

fn no_handles(asked: &Provider) -> Result<(), Refusal> {
    if asked.credential_handles.is_empty() {
        return Ok(());
    }
    Err(Refusal::invalid("provider.credential_handles is internal gateway state and cannot be set"))
}

/// Sizes of what a provider holds, in the order of `providers.md` 6.2 step 12. `credentials`
/// are the values sent, the record holds handles.
pub(super) fn bounded(credentials: &BTreeMap<String, String>, provider: &Provider) -> Result<(), Refusal> {
    names::bounded_map("provider.credentials", credentials, CREDENTIALS_MAX)?;
    names::bounded_keys("provider.credential_handles", &provider.credential_handles, CREDENTIALS_MAX)?;
    let both = credentials.keys().filter(|key| !provider.credential_handles.contains_key(*key)).count()
        + provider.credential_handles.len();
    if both > CREDENTIALS_MAX {
        return Err(Refusal::invalid(format!(
            "provider.credentials has {both} keys; at most {CREDENTIALS_MAX} are allowed"
        )));
    }
    names::bounded_map("provider.config", &provider.config, CONFIG_MAX)?;
    names::bounded_keys("provider.credential_expires_at_ms", &provider.credential_expires_at_ms, CREDENTIALS_MAX)
}

/// What answers show in place of a credential is no credential: whoever sends it back has echoed an
/// answer, and would replace the secret by that word.
fn not_redacted(credentials: &BTreeMap<String, String>) -> Result<(), Refusal> {
    match credentials.iter().find(|(_, value)| *value == REDACTED) {
        None => Ok(()),
        Some((key, _)) => Err(Refusal::invalid(format!(
            "provider.credentials[{key:?}] is {REDACTED:?}, which stands for a value in answers; leave the key out to keep \
             what is stored, or send the value"
        ))),
    }
}

/// Credentials are injected by name, so that each key is the name of a variable (`providers.md`
/// 6.2, step 14).
fn env_names(credentials: &BTreeMap<String, String>) -> Result<(), Refusal> {
    match credentials.iter().find(|(key, _)| !environment::is_env_name(key)) {
        None => Ok(()),
        Some((key, value)) if bug(Bug::SecretInError) => {
            Err(Refusal::invalid(format!("provider.credentials[{key:?}] is {value:?}, and {key:?} no variable")))
        }
        Some((key, _)) => Err(Refusal::invalid(format!(
            "provider.credentials key {key:?} is not the name of an environment variable: a letter or '_' first, then \
             letters, digits and '_'"
        ))),
    }
}

/// Seals the given credentials into the record's handles.
pub(super) fn seal(call: &Call<'_>, provider: &mut Provider, workspace: &str, credentials: &BTreeMap<String, String>) {
    let name = provider.metadata.as_ref().map_or("", |metadata| metadata.name.as_str()).to_owned();
    for (key, value) in credentials {
        let handle = call.stamp.sealer.seal(PROVIDER, workspace, &name, &field(key), value.as_bytes());
        let handle = CredentialHandle { driver: SEALED.to_owned(), handle, metadata: BTreeMap::new() };
        provider.credential_handles.insert(key.clone(), handle);
    }
}

/// Opens what [`seal`] sealed; none when it does not open, or is not text, as every credential is.
pub(crate) fn open(opener: &dyn Opener, workspace: &str, name: &str, key: &str, sealed: &str) -> Option<String> {
    opener.open(PROVIDER, workspace, name, &field(key), sealed).and_then(|plain| String::from_utf8(plain).ok())
}

/// What a sealed credential is bound to beside its provider.
fn field(key: &str) -> String {
    format!("credentials/{key}")
}

/// Decides an update: a merge (`providers.md` 6.6).
///
/// # Errors
/// A refusal about the caller, the workspace, a field or an attached sandbox; `NOT_FOUND`;
/// `ABORTED` when the caller's expected version does not hold, and only for an update that
/// would otherwise succeed.
pub fn update(call: Call<'_>, request: &UpdateProviderRequest) -> Result<Decision, Refusal> {
    let mut draft = Draft::new();
    let workspace = workspace_or_default(&request.workspace);
    enter_workspace(&call, &mut draft, workspace, Role::Admin, Need::Existing)?;
    let asked = request.provider.as_ref().ok_or_else(|| Refusal::invalid("provider is required"))?;
    let name = asked.metadata.as_ref().map_or("", |metadata| metadata.name.as_str());
    if name.is_empty() {
        return Err(Refusal::invalid("provider.metadata.name is required"));
    }
    let key = Key::provider(workspace, name);
    draft.rely_on(call.state, key.clone());
    let before = call
        .state
        .provider(workspace, name)
        .ok_or_else(|| Refusal::not_found(format!("provider {name:?} does not exist in workspace {workspace:?}")))?
        .value;
    immutable(before, asked)?;
    no_handles(asked)?;
    owned_by_refresh(&call, workspace, before, asked)?;
    let after = merged(&call, workspace, before, asked, &request.credential_expires_at_ms)?;
    attached_sandboxes(&call, &mut draft, workspace, name, View::of(call.state), &after)?;
    let expected = asked.metadata.as_ref().map_or(0, |metadata| metadata.resource_version);
    let current = before.metadata.as_ref().map_or(0, |metadata| metadata.resource_version);
    expect_version(&format!("provider {name:?}"), expected, current)?;
    draft.put(&key, &after);
    Ok(draft.answer(&ProviderResponse { provider: Some(redacted(&after)) }))
}

fn immutable(before: &Provider, asked: &Provider) -> Result<(), Refusal> {
    let asked_type = asked.r#type.trim();
    if !asked_type.is_empty() && !asked_type.eq_ignore_ascii_case(before.r#type.trim()) {
        return Err(Refusal::invalid(format!(
            "provider.type cannot be changed: it is {:?}; create another provider instead",
            before.r#type
        )));
    }
    if !asked.profile_workspace.is_empty() && asked.profile_workspace != before.profile_workspace {
        return Err(Refusal::invalid(format!(
            "provider.profile_workspace cannot be changed: it is {:?}",
            before.profile_workspace
        )));
    }
    Ok(())
}

/// Keys that a refresh mints are not the caller's to set (`providers.md` 6.5, step 10).
fn owned_by_refresh(call: &Call<'_>, workspace: &str, before: &Provider, asked: &Provider) -> Result<(), Refusal> {
    let id = before.metadata.as_ref().map_or("", |metadata| metadata.id.as_str());
    let owned: Vec<&str> = asked
        .credentials
        .keys()
        .filter(|key| {
            call.state.refresh_states(workspace, id).any(|refresh| {
                predicates::is_mintable(refresh.value.strategy())
                    && refresh.value.status != REFRESH_DELETING
                    && composition::minted_keys(refresh.value).any(|minted| minted == *key)
            })
        })
        .map(String::as_str)
        .collect();
    if owned.is_empty() {
        return Ok(());
    }
    Err(Refusal::precondition(format!(
        "credentials {} are managed by provider refresh; delete the refresh configuration first",
        owned.join(", ")
    )))
}

/// The stored provider with the request merged in; new secrets sealed.
fn merged(
    call: &Call<'_>,
    workspace: &str,
    before: &Provider,
    asked: &Provider,
    request_expiries: &BTreeMap<String, i64>,
) -> Result<Provider, Refusal> {
    let mut after = Provider { metadata: Some(next_metadata(before.metadata.as_ref())), ..before.clone() };
    let mut set = BTreeMap::new();
    for (key, value) in &asked.credentials {
        after.credentials.remove(key);
        if value.is_empty() {
            after.credential_handles.remove(key);
        } else {
            set.insert(key.clone(), value.clone());
        }
    }
    for (key, value) in &asked.config {
        if value.is_empty() {
            after.config.remove(key);
        } else {
            after.config.insert(key.clone(), value.clone());
        }
    }
    // The request's own map comes last: it wins, key by key.
    for (key, expiry) in asked.credential_expires_at_ms.iter().chain(request_expiries) {
        if *expiry > 0 {
            after.credential_expires_at_ms.insert(key.clone(), *expiry);
        } else {
            after.credential_expires_at_ms.remove(key);
        }
    }
    env_names(&set)?;
    not_redacted(&set)?;
    bounded(&set, &after)?;
    seal(call, &mut after, workspace, &set);
    Ok(after)
}

/// The update leaves every sandbox that lists the provider without collisions (`providers.md`
/// 5.5), and touches those who rely on it. `view` has what else the change proposes.
pub(super) fn attached_sandboxes<'a>(
    call: &Call<'a>,
    draft: &mut Draft,
    workspace: &str,
    name: &str,
    mut view: View<'a>,
    after: &'a Provider,
) -> Result<(), Refusal> {
    draft.rely_on(call.state, Key::provider_users(workspace, name));
    view.providers.insert((workspace.to_owned(), name.to_owned()), Cow::Borrowed(after));
    let before = View::of(call.state).member(workspace, name);
    let grows = match (&before, &view.member(workspace, name)) {
        (Some(before), Some(after)) => checks::grows(before, after),
        _ => true,
    };
    let mut attached = false;
    for sandbox in call.state.sandboxes_listing(workspace, name) {
        attached = true;
        let stored = call.state.sandbox(workspace, sandbox).expect("an indexed sandbox exists").value;
        let subject = Subject::stored(call.state, workspace, stored);
        let members: Vec<_> = subject.providers.iter().filter_map(|name| view.member(workspace, name)).collect();
        composition::rely_on_providers(draft, call.state, workspace, &members);
        composition::rely_on_profiles(draft, call.state, &members);
        if grows && members.iter().any(checks::counts_bindings) {
            // A binding that is added at the same time counts for the new keys as well.
            let id = stored.metadata.as_ref().map_or("", |metadata| metadata.id.as_str());
            draft.rely_on(call.state, policy::next_revision_key(call.state, workspace, id));
        }
        checks::environment_keys(&members, call.stamp.time_ms)
            .and_then(|()| match grows {
                true => checks::environment_size(&subject.base_or_empty(), &members),
                false => Ok(()),
            })
            .map_err(|refusal| Refusal::precondition(format!("sandbox {sandbox:?}: {}", refusal.message)))?;
    }
    if attached {
        composition::touch_profile_users(draft, after);
    }
    Ok(())
}

/// Decides a deletion.
///
/// # Errors
/// A refusal about the caller, the workspace or the name; `FAILED_PRECONDITION` naming the
/// sandboxes that list the provider. A provider that does not exist is an answer.
pub fn delete(call: Call<'_>, request: &DeleteProviderRequest) -> Result<Decision, Refusal> {
    let mut draft = Draft::new();
    let workspace = workspace_or_default(&request.workspace);
    enter_workspace(&call, &mut draft, workspace, Role::Admin, Need::Existing)?;
    if request.name.is_empty() {
        return Err(Refusal::invalid("name is required"));
    }
    let key = Key::provider(workspace, &request.name);
    let Some(entry) = call.state.provider(workspace, &request.name) else {
        return Ok(Decision::answer(&DeleteProviderResponse { deleted: false }));
    };
    draft.rely_on(call.state, key.clone());
    draft.rely_on(call.state, Key::provider_users(workspace, &request.name));
    let sandboxes: Vec<&str> = call.state.sandboxes_listing(workspace, &request.name).map(|name| &**name).collect();
    if !sandboxes.is_empty() {
        return Err(Refusal::precondition(format!(
            "provider {:?} is attached to sandboxes {}; detach it first",
            request.name,
            sandboxes.join(", ")
        )));
    }
    let id = entry.value.metadata.as_ref().map_or("", |metadata| metadata.id.as_str());
    for refresh in call.state.refresh_states(workspace, id) {
        // Whoever writes a refresh state writes its provider or touches its users, both guarded
        // here, so that none stays behind.
        draft.delete(&Key::refresh(workspace, id, &refresh.value.credential_key));
    }
    draft.touch(Key::workspace_contents(workspace));
    draft.delete(&key);
    Ok(draft.answer(&DeleteProviderResponse { deleted: true }))
}
