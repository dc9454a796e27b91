//! The state: one immutable value. A clone costs a few pointers, so that a request works on
//! one revision to its end and a snapshot is a clone. How it changes is in `apply`.

use std::sync::Arc;

use imbl::OrdMap;
use openshell_proto::datamodel::{Provider, Workspace};
use openshell_proto::log::{self, Kind};
use openshell_proto::v1::{Sandbox, StoredProviderCredentialRefreshState, StoredProviderProfile, WorkspaceMember};

use crate::digest::Digest;
use crate::indexes::Indexes;
use crate::key::{GLOBAL_SCOPE, Key};
use crate::record::{PolicyRevision, Record, Value};
use crate::requests::{Memory, RequestId, RequestMemory};
use crate::touched::Touched;

/// Everything that the cluster knows, at one revision.
#[derive(Clone, Debug)]
pub struct State {
    pub(crate) revision: u64,
    pub(crate) last_time_ms: i64,
    pub(crate) records: OrdMap<Key, Arc<Record>>,
    pub(crate) fences: OrdMap<Key, u64>,
    pub(crate) requests: RequestMemory,
    pub(crate) indexes: Indexes,
    pub(crate) touched: Touched,
    pub(crate) digest: Digest,
}

/// A record of a known kind, borrowed from a state.
#[derive(Debug)]
pub struct Entry<'a, T> {
    /// Log index of the last write: what a guard names.
    pub revision: u64,
    /// The value.
    pub value: &'a T,
}

// Derived, these would ask the same of `T`.
impl<T> Copy for Entry<'_, T> {}
impl<T> Clone for Entry<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl Default for State {
    fn default() -> Self {
        Self::empty()
    }
}

/// A typed getter: the record at `$key` as `$variant`.
macro_rules! getter {
    ($(#[$doc:meta])* $name:ident($($arg:ident: $type:ty),*) -> $value:ty, $variant:path, $key:expr) => {
        $(#[$doc])*
        #[must_use]
        pub fn $name(&self, $($arg: $type),*) -> Option<Entry<'_, $value>> {
            let record = self.records.get(&$key)?;
            match &record.value {
                $variant(value) => Some(Entry { revision: record.revision, value }),
                other => panic!("{} holds {other:?}", $key),
            }
        }
    };
}

impl State {
    /// The state before the first entry.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            revision: 0,
            last_time_ms: 0,
            records: OrdMap::new(),
            fences: OrdMap::new(),
            requests: RequestMemory::new(0),
            indexes: Indexes::default(),
            touched: Touched::default(),
            digest: Digest::default(),
        }
    }

    /// Log index of the last applied entry.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The last stamp applied, milliseconds since the Unix epoch. The next is not less.
    #[must_use]
    pub fn last_time_ms(&self) -> i64 {
        self.last_time_ms
    }

    /// Whether the cluster has its record with its id. A restored one gets the id when it forms.
    #[must_use]
    pub fn is_formed(&self) -> bool {
        self.cluster().is_some_and(|cluster| !cluster.value.cluster_id.is_empty())
    }

    /// The epoch: 0 before formation, and another number after a restore from a backup.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.cluster().map_or(0, |cluster| cluster.value.epoch)
    }

    /// The digest of everything the state holds.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// What is known of a request id.
    #[must_use]
    pub fn recall(&self, id: &RequestId) -> Memory {
        self.requests.recall(id)
    }

    /// The memory of request ids.
    #[must_use]
    pub fn requests(&self) -> &RequestMemory {
        &self.requests
    }

    /// How many records there are.
    #[must_use]
    pub fn record_count(&self) -> usize {
        self.records.len()
    }

    /// The record at a key.
    #[must_use]
    pub fn record(&self, key: &Key) -> Option<&Arc<Record>> {
        self.records.get(key)
    }

    /// The revision that a guard for this key would name: of the record's last write or the
    /// fence's last touch, 0 when there was none.
    #[must_use]
    pub fn revision_of(&self, key: &Key) -> u64 {
        if key.is_fence() {
            self.fences.get(key).copied().unwrap_or(0)
        } else {
            self.records.get(key).map_or(0, |record| record.revision)
        }
    }

    getter!(
        /// The cluster's own record; none before formation.
        cluster() -> log::Cluster, Value::Cluster, Key::cluster()
    );
    getter!(
        /// A workspace.
        workspace(name: &str) -> Workspace, Value::Workspace, Key::workspace(name)
    );
    getter!(
        /// A membership.
        member(workspace: &str, subject: &str) -> WorkspaceMember, Value::Member, Key::member(workspace, subject)
    );
    getter!(
        /// A custom profile in exactly this scope.
        profile(scope: &str, id: &str) -> StoredProviderProfile, Value::Profile, Key::profile(scope, id)
    );
    getter!(
        /// A profile of the built-in catalogue.
        builtin_profile(id: &str) -> StoredProviderProfile, Value::Profile, Key::builtin_profile(id)
    );
    getter!(
        /// A provider.
        provider(workspace: &str, name: &str) -> Provider, Value::Provider, Key::provider(workspace, name)
    );
    getter!(
        /// A sandbox by name.
        sandbox(workspace: &str, name: &str) -> Sandbox, Value::Sandbox, Key::sandbox(workspace, name)
    );
    getter!(
        /// A sandbox's settings.
        sandbox_settings(workspace: &str, sandbox: &str) -> log::Settings, Value::Settings,
        Key::sandbox_settings(workspace, sandbox)
    );
    getter!(
        /// The gateway's settings.
        gateway_settings() -> log::Settings, Value::Settings, Key::gateway_settings()
    );
    getter!(
        /// One revision of a sandbox's policy.
        policy_revision(workspace: &str, sandbox_id: &str, version: u32) -> PolicyRevision, Value::PolicyRevision,
        Key::policy_revision(workspace, sandbox_id, version)
    );

    /// A refresh state by its key, which [`Key::refresh`] makes.
    #[must_use]
    pub fn refresh(&self, key: &Key) -> Option<Entry<'_, StoredProviderCredentialRefreshState>> {
        let record = self.record(key)?;
        match &record.value {
            Value::Refresh(state) => Some(Entry { revision: record.revision, value: &**state }),
            other => panic!("{key} holds {other:?}"),
        }
    }

    /// How many members a workspace has, known without looking at them.
    #[must_use]
    pub fn member_count(&self, workspace: &str) -> usize {
        self.indexes.members.get(workspace).copied().unwrap_or(0)
    }

    /// A sandbox by its id, with its key.
    #[must_use]
    pub fn sandbox_by_id(&self, id: &str) -> Option<(&Key, Entry<'_, Sandbox>)> {
        let key = self.indexes.sandbox_ids.get(id)?;
        let sandbox = self.sandbox(&key.workspace, &key.name).expect("an indexed sandbox exists");
        Some((key, sandbox))
    }

    /// The newest revision of a sandbox's policy.
    #[must_use]
    pub fn latest_policy(&self, workspace: &str, sandbox_id: &str) -> Option<Entry<'_, PolicyRevision>> {
        self.policy_revisions(workspace, sandbox_id).next()
    }

    /// The newest revision of the global policy, active or not.
    #[must_use]
    pub fn latest_global_policy(&self) -> Option<Entry<'_, PolicyRevision>> {
        self.latest_policy("", GLOBAL_SCOPE)
    }

    /// The revisions of a sandbox's policy, newest first.
    pub fn policy_revisions(
        &self,
        workspace: &str,
        sandbox_id: &str,
    ) -> impl Iterator<Item = Entry<'_, PolicyRevision>> {
        let range =
            Key::policy_revision(workspace, sandbox_id, 0)..=Key::policy_revision(workspace, sandbox_id, u32::MAX);
        self.records.range(range).rev().map(|(key, record)| revision_entry(key, record))
    }

    /// Those of a policy's revisions that are older than `version`, oldest first.
    pub fn policy_revisions_before(
        &self,
        workspace: &str,
        sandbox_id: &str,
        version: u32,
    ) -> impl Iterator<Item = Entry<'_, PolicyRevision>> {
        let range =
            Key::policy_revision(workspace, sandbox_id, 0)..Key::policy_revision(workspace, sandbox_id, version);
        self.records.range(range).map(|(key, record)| revision_entry(key, record))
    }

    /// The refresh states of a provider, in order of credential key.
    pub fn refresh_states(
        &self,
        workspace: &str,
        provider_id: &str,
    ) -> impl Iterator<Item = Entry<'_, StoredProviderCredentialRefreshState>> {
        let prefix = format!("{provider_id}/");
        let first = Key::new(Kind::ProviderRefresh, workspace, &prefix);
        self.records
            .range(first..)
            .take_while(move |(key, _)| key.kind == Kind::ProviderRefresh && key.name.starts_with(&prefix))
            .map(|(key, record)| match &record.value {
                Value::Refresh(state) => Entry { revision: record.revision, value: &**state },
                other => panic!("{key} holds {other:?}"),
            })
    }

    /// The refresh states of all providers.
    pub fn all_refresh_states(&self) -> impl Iterator<Item = &StoredProviderCredentialRefreshState> {
        let first = Key::new(Kind::ProviderRefresh, "", "");
        self.records.range(first..).take_while(|(key, _)| key.kind == Kind::ProviderRefresh).map(|(key, record)| {
            match &record.value {
                Value::Refresh(state) => &**state,
                other => panic!("{key} holds {other:?}"),
            }
        })
    }

    /// The custom profiles of one scope, in order of id.
    pub fn profiles(&self, scope: &str) -> impl Iterator<Item = (&Key, Entry<'_, StoredProviderProfile>)> {
        self.profiles_of(Kind::ProviderProfile, scope)
    }

    /// The custom profiles of all scopes, in order of scope and id.
    pub fn all_profiles(&self) -> impl Iterator<Item = (&Key, Entry<'_, StoredProviderProfile>)> {
        let first = Key::new(Kind::ProviderProfile, "", "");
        self.records.range(first..).take_while(|(key, _)| key.kind == Kind::ProviderProfile).map(profile_entry)
    }

    /// The built-in catalogue, in order of id.
    pub fn builtin_profiles(&self) -> impl Iterator<Item = (&Key, Entry<'_, StoredProviderProfile>)> {
        self.profiles_of(Kind::BuiltinProfile, "")
    }

    fn profiles_of(&self, kind: Kind, scope: &str) -> impl Iterator<Item = (&Key, Entry<'_, StoredProviderProfile>)> {
        let first = Key::new(kind, scope, "");
        let workspace = first.workspace.clone();
        let within = move |key: &Key| key.kind == kind && key.workspace == workspace;
        self.records.range(first..).take_while(move |(key, _)| within(key)).map(profile_entry)
    }

    /// The names of the sandboxes of a workspace that list a provider, in order.
    pub fn sandboxes_listing(&self, workspace: &str, provider: &str) -> impl Iterator<Item = &Arc<str>> {
        let first = (Arc::from(workspace), Arc::from(provider), Arc::from(""));
        let (workspace, provider): (Arc<str>, Arc<str>) = (Arc::clone(&first.0), Arc::clone(&first.1));
        self.indexes
            .sandboxes_by_provider
            .range(first..)
            .take_while(move |(in_workspace, listed, _)| *in_workspace == workspace && *listed == provider)
            .map(|(_, _, sandbox)| sandbox)
    }

    /// (workspace, provider) of every provider whose type means this profile id, in order.
    pub fn providers_of_profile(&self, id: &str) -> impl Iterator<Item = (&Arc<str>, &Arc<str>)> {
        let first = (Arc::from(id), Arc::from(""), Arc::from(""));
        let id: Arc<str> = Arc::clone(&first.0);
        self.indexes
            .providers_by_profile
            .range(first..)
            .take_while(move |(profile, _, _)| *profile == id)
            .map(|(_, workspace, provider)| (workspace, provider))
    }

    /// (workspace, name) of every sandbox that lists any provider, in order.
    pub fn sandboxes_with_providers(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<str>)> {
        self.indexes.sandboxes_with_providers.iter().map(|(workspace, sandbox)| (workspace, sandbox))
    }

    /// The records of a kind in one workspace, oldest first, then by name (`config.md` GR-7).
    pub fn by_creation(&self, kind: Kind, workspace: &str) -> impl Iterator<Item = (Key, &Arc<Record>)> {
        let first = (kind, Arc::from(workspace), i64::MIN, Arc::from(""));
        let workspace: Arc<str> = Arc::clone(&first.1);
        self.indexes
            .by_creation
            .range(first..)
            .take_while(move |(of_kind, in_workspace, _, _)| *of_kind == kind && *in_workspace == workspace)
            .map(|(kind, workspace, _, name)| {
                let key = Key { kind: *kind, workspace: Arc::clone(workspace), name: Arc::clone(name) };
                let record = self.records.get(&key).expect("an indexed record exists");
                (key, record)
            })
    }

    /// The records of a kind in all workspaces, oldest first, then by name and workspace.
    pub fn by_creation_everywhere(&self, kind: Kind) -> impl Iterator<Item = (Key, &Arc<Record>)> {
        let first = (kind, i64::MIN, Arc::from(""), Arc::from(""));
        self.indexes.by_creation_everywhere.range(first..).take_while(move |(of_kind, _, _, _)| *of_kind == kind).map(
            |(kind, _, name, workspace)| {
                let key = Key { kind: *kind, workspace: Arc::clone(workspace), name: Arc::clone(name) };
                let record = self.records.get(&key).expect("an indexed record exists");
                (key, record)
            },
        )
    }
}

/// A profile's record as what it is.
fn profile_entry<'a>((key, record): (&'a Key, &'a Arc<Record>)) -> (&'a Key, Entry<'a, StoredProviderProfile>) {
    match &record.value {
        Value::Profile(profile) => (key, Entry { revision: record.revision, value: &**profile }),
        other => panic!("{key} holds {other:?}"),
    }
}

/// A policy revision's record as what it is.
fn revision_entry<'a>(key: &Key, record: &'a Record) -> Entry<'a, PolicyRevision> {
    match &record.value {
        Value::PolicyRevision(revision) => Entry { revision: record.revision, value: revision },
        other => panic!("{key} holds {other:?}"),
    }
}
