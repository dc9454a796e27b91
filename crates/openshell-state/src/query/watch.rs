//! What a watch shows: which records its caller may see, which of them it selects, and how a
//! change reads. Pure: where changes come from, and who waits for them, is known elsewhere.

use std::ops::Bound;
use std::sync::Arc;

use openshell_proto::cluster::watch_event::{Act, Object};
use openshell_proto::cluster::{WatchEvent, WatchKind, WatchOrigin, WatchRequest};
use openshell_proto::log::{Change, HistoryEntry, Kind, change};

use crate::access::{Principal, Role};
use crate::composition::Source;
use crate::fault::Fault;
use crate::key::Key;
use crate::names;
use crate::query::{draft, policy, profile, provider, scope, settings};
use crate::record::{Record, Value};
use crate::refusal::Refusal;
use crate::state::State;

/// The kinds of records that watches show, in the order of keys.
const SHOWN: [(Kind, WatchKind); 10] = [
    (Kind::Workspace, WatchKind::Workspace),
    (Kind::WorkspaceMember, WatchKind::WorkspaceMember),
    (Kind::ProviderProfile, WatchKind::ProviderProfile),
    (Kind::Provider, WatchKind::Provider),
    (Kind::Sandbox, WatchKind::Sandbox),
    (Kind::SandboxSettings, WatchKind::Settings),
    (Kind::GatewaySettings, WatchKind::Settings),
    (Kind::PolicyRevision, WatchKind::Policy),
    (Kind::DraftChunk, WatchKind::DraftChunk),
    (Kind::BuiltinProfile, WatchKind::ProviderProfile),
];

/// Who may see a record in a watch, as they may in lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience<'a> {
    /// Whoever watches anything: profiles and settings of the platform.
    Everyone,
    /// Who watches this workspace, and who watches all. Not all of them watch every kind.
    Workspace(&'a str),
    /// Who watches all workspaces.
    Platform,
    /// Nobody: it is not a public noun.
    Nobody,
}

/// What one watch asked for. Made once, when the watch begins.
#[derive(Clone, Debug)]
pub struct Interest {
    /// Bit `WatchKind as u32`.
    kinds: u32,
    /// None: all workspaces.
    workspace: Option<Arc<str>>,
    terms: Vec<(String, String)>,
    with_origin: bool,
}

/// Who may see the record at a key.
#[must_use]
pub fn audience(key: &Key) -> Audience<'_> {
    match (key.kind, &*key.workspace) {
        (Kind::Workspace, _) => Audience::Workspace(&key.name),
        (Kind::ProviderProfile | Kind::BuiltinProfile | Kind::GatewaySettings, "") => Audience::Everyone,
        (Kind::PolicyRevision, "") => Audience::Platform,
        (
            Kind::WorkspaceMember
            | Kind::ProviderProfile
            | Kind::Provider
            | Kind::Sandbox
            | Kind::SandboxSettings
            | Kind::PolicyRevision
            | Kind::DraftChunk,
            workspace,
        ) => Audience::Workspace(workspace),
        _ => Audience::Nobody,
    }
}

impl Interest {
    /// Reads a request, for a caller who may make it.
    ///
    /// # Errors
    /// A refusal about the request, the caller, the workspace or the selector, as of the lists.
    pub fn read(state: &State, principal: &Principal, request: &WatchRequest) -> Result<Self, Refusal> {
        let workspace = scope(state, principal, &request.workspace, request.all_workspaces)?;
        let mut kinds = 0;
        for number in &request.kinds {
            match WatchKind::try_from(*number) {
                Ok(WatchKind::Unspecified) | Err(_) => {
                    let text = format!("kinds holds {number}, which is no kind that this gateway can watch");
                    return Err(Refusal::invalid(text));
                }
                Ok(kind) => kinds |= bit(kind),
            }
        }
        if request.kinds.is_empty() {
            // Whoever is admin of the workspace names members: that role comes and goes, and what a
            // watch is of stays the same wherever it goes on.
            kinds =
                if principal.require_platform_admin().is_ok() { u32::MAX } else { !bit(WatchKind::WorkspaceMember) };
        }
        let workspace: Option<Arc<str>> = workspace.map(Into::into);
        require_role(state, principal, workspace.as_deref(), kinds)?;
        Ok(Self {
            kinds,
            workspace,
            terms: names::selector(&request.label_selector)?,
            with_origin: principal.require_platform_admin().is_ok(),
        })
    }

    /// Whether the caller may still watch: memberships change while a watch goes on.
    ///
    /// # Errors
    /// `PERMISSION_DENIED`.
    pub fn permit(&self, state: &State, principal: &Principal) -> Result<(), Refusal> {
        require_role(state, principal, self.workspace.as_deref(), self.kinds)
    }

    /// The workspace that is watched; none for all.
    #[must_use]
    pub fn workspace(&self) -> Option<&Arc<str>> {
        self.workspace.as_ref()
    }

    /// Whether changes of the record at this key may be shown, whatever its labels.
    #[must_use]
    pub fn covers(&self, key: &Key) -> bool {
        let Some(kind) = watch_kind(key.kind) else { return false };
        let visible = match (audience(key), &self.workspace) {
            (Audience::Nobody, _) => false,
            (_, None) | (Audience::Everyone, Some(_)) => true,
            (Audience::Workspace(workspace), Some(watched)) => workspace == &**watched,
            (Audience::Platform, Some(_)) => false,
        };
        visible && self.kinds & bit(kind) != 0
    }

    /// What one entry of the history changed of this watch's selection, in the order of its writes.
    ///
    /// # Errors
    /// [`Fault`] when the entry does not hold the values that it wrote; it is of an older build.
    pub fn events(&self, entry: &HistoryEntry) -> Result<Vec<WatchEvent>, Fault> {
        let mut events = Vec::new();
        for change in &entry.changes {
            let Some(key) = &change.key else { continue };
            // A kind of a newer build is not one that was asked for.
            let Ok(key) = Key::from_proto(key) else { continue };
            if self.covers(&key) {
                events.extend(self.event(&key, change, entry.revision)?);
            }
        }
        Ok(events)
    }

    /// Who made the changes of an entry, if the caller may know.
    #[must_use]
    pub fn origin(&self, entry: &HistoryEntry) -> Option<WatchOrigin> {
        self.with_origin.then(|| WatchOrigin {
            principal: entry.principal.clone(),
            rpc: entry.rpc.clone(),
            time_ms: entry.time_ms,
            node: entry.node,
        })
    }

    /// One change, seen from the selection: what leaves it is deleted, what enters it is created.
    fn event(&self, key: &Key, change: &Change, revision: u64) -> Result<Option<WatchEvent>, Fault> {
        let (was_there, is_there) = match change.act() {
            change::Act::Created => (false, true),
            change::Act::Updated => (true, true),
            change::Act::Deleted => (true, false),
            change::Act::Unspecified => return Ok(None),
        };
        let value = match (&change.value, is_there) {
            (Some(bytes), true) => Some(Value::decode(key, bytes)?),
            (None, true) => return Err(Fault::Incomplete { what: "a history entry", part: "a value" }),
            (_, false) => None,
        };
        let was_selected = was_there && names::selected(&self.terms, Some(&change.labels_before));
        let is_selected = value.as_ref().is_some_and(|value| names::selected(&self.terms, value.labels()));
        Ok(match (was_selected, is_selected) {
            (false, false) => None,
            (false, true) => Some(event(Act::Created, key, revision, value.as_ref())),
            (true, true) => Some(event(Act::Updated, key, revision, value.as_ref())),
            (true, false) => Some(event(Act::Deleted, key, revision, None)),
        })
    }

    /// The next objects of a state, in the order of their keys, after the one at `after`, and the
    /// key of the last of them; as many as fit into about `bytes_max` bytes. Empty when there are no more.
    #[must_use]
    pub fn page(&self, state: &State, after: Option<&Key>, bytes_max: usize) -> (Vec<WatchEvent>, Option<Key>) {
        let (mut events, mut last, mut bytes) = (Vec::new(), None, 0);
        for (key, record) in self.selected(state, after) {
            events.push(event(Act::Created, key, record.revision, Some(&record.value)));
            last = Some(key.clone());
            bytes += record.bytes.len();
            if bytes >= bytes_max {
                break;
            }
        }
        (events, last)
    }

    fn selected<'a>(
        &'a self,
        state: &'a State,
        after: Option<&'a Key>,
    ) -> impl Iterator<Item = (&'a Key, &'a Arc<Record>)> {
        self.segments().into_iter().flat_map(move |(kind, workspace)| {
            let first = Key::new(kind, workspace.unwrap_or(""), "");
            let from = match after {
                Some(after) if *after >= first => Bound::Excluded(after.clone()),
                Some(_) | None => Bound::Included(first),
            };
            state
                .records
                .range((from, Bound::Unbounded))
                .take_while(move |(key, _)| {
                    key.kind == kind && workspace.is_none_or(|workspace| &*key.workspace == workspace)
                })
                .filter(|(key, record)| self.covers(key) && names::selected(&self.terms, record.value.labels()))
        })
    }

    /// (kind, workspace) of the stretches of keys that hold everything watched, in their order.
    fn segments(&self) -> Vec<(Kind, Option<&str>)> {
        let mut segments = Vec::new();
        for (kind, _) in SHOWN.iter().filter(|(_, shown)| self.kinds & bit(*shown) != 0) {
            match (kind, self.workspace.as_deref()) {
                (_, None) => segments.push((*kind, None)),
                (Kind::Workspace | Kind::GatewaySettings | Kind::BuiltinProfile, Some(_)) => {
                    segments.push((*kind, Some("")));
                }
                (Kind::ProviderProfile, Some(workspace)) => {
                    segments.extend([(*kind, Some("")), (*kind, Some(workspace))]);
                }
                (_, Some(workspace)) => segments.push((*kind, Some(workspace))),
            }
        }
        segments
    }
}

/// Whether a caller may watch these kinds, in one workspace or in all: who is a member is for admins.
fn require_role(state: &State, principal: &Principal, workspace: Option<&str>, kinds: u32) -> Result<(), Refusal> {
    let Some(workspace) = workspace else { return principal.require_platform_admin() };
    let members = kinds & bit(WatchKind::WorkspaceMember) != 0;
    let role = if members { Role::Admin } else { Role::User };
    principal.require_role(state, workspace, role).map(|_| ())
}

fn bit(kind: WatchKind) -> u32 {
    1 << (kind as u32)
}

fn watch_kind(kind: Kind) -> Option<WatchKind> {
    SHOWN.iter().find(|(stored, _)| *stored == kind).map(|(_, shown)| *shown)
}

fn event(act: Act, key: &Key, revision: u64, value: Option<&Value>) -> WatchEvent {
    WatchEvent {
        act: act as i32,
        kind: watch_kind(key.kind).unwrap_or_default() as i32,
        workspace: key.workspace.to_string(),
        name: name(key),
        revision,
        object: value.and_then(|value| object(key, value)),
    }
}

/// The name that people know; versions of policies are padded in keys.
fn name(key: &Key) -> String {
    let version = key.name.split_once('/').filter(|_| key.kind == Kind::PolicyRevision);
    match version.and_then(|(sandbox, version)| Some((sandbox, version.parse::<u32>().ok()?))) {
        Some((sandbox, version)) => format!("{sandbox}/{version}"),
        None => key.name.to_string(),
    }
}

/// The object in the form in which it is read elsewhere: credentials never, not even sealed.
fn object(key: &Key, value: &Value) -> Option<Object> {
    let source = match (key.kind, &*key.workspace) {
        (Kind::BuiltinProfile, _) => Source::Builtin,
        (_, "") => Source::Platform,
        (_, _) => Source::Workspace,
    };
    match value {
        Value::Workspace(workspace) => Some(Object::WorkspaceObject(workspace.clone())),
        Value::Profile(stored) => Some(Object::ProviderProfile(profile::answered(stored, source))),
        Value::Provider(stored) => Some(Object::Provider(provider::redacted(stored))),
        Value::Sandbox(sandbox) => Some(Object::Sandbox(Clone::clone(sandbox))),
        Value::Settings(stored) => Some(Object::Settings(settings::watched(stored))),
        Value::PolicyRevision(revision) => Some(Object::Policy(policy::shown(revision))),
        Value::Member(member) => Some(Object::WorkspaceMember(member.clone())),
        Value::DraftChunk(chunk) => Some(Object::DraftChunk(draft::shown(chunk))),
        Value::Refresh(_) | Value::DraftInbox(_) | Value::Cluster(_) => None,
    }
}
