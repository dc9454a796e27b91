//! Whom an entry concerns: the revision since which what a sandbox is composed from has not changed, so
//! that an answer that was kept is known to hold by comparing one number. `apply` keeps it up through the
//! reverse indexes; what a change costs grows with the sandboxes that it concerns, not with those that exist.

use std::fmt;
use std::sync::Arc;

use imbl::OrdMap;
use openshell_proto::log::{Cluster, Kind};
use openshell_proto::v1::StoredProviderCredentialRefreshState;

use crate::checks::REFRESH_DELETING;
use crate::key::{GLOBAL_SCOPE, Key};
use crate::record::{Record, Value};
use crate::state::State;

/// When what sandboxes are composed from last changed.
#[derive(Clone, Default)]
pub(crate) struct Touched {
    /// When something changed that all depend on, or the state began on this node.
    all: u64,
    /// Sandbox -> when something of its own changed, if that was later.
    sandboxes: OrdMap<Key, u64>,
}

/// Shows nothing: nodes with equal states began at different revisions.
impl fmt::Debug for Touched {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Touched")
    }
}

/// Which sandboxes depend on a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Concerned {
    /// None.
    Nobody,
    /// These, by their keys.
    Sandboxes(Vec<Key>),
    /// All.
    Everybody,
}

impl State {
    /// The revision since which nothing has changed that this sandbox's configuration and environment are
    /// composed from: states of one node that say the same compose the same, but for credentials that
    /// expire meanwhile. A node that starts, or installs a snapshot, says so of every sandbox from there on.
    #[must_use]
    pub fn unchanged_since(&self, sandbox: &Key) -> u64 {
        self.touched.sandboxes.get(sandbox).copied().unwrap_or(0).max(self.touched.all)
    }

    /// The state begins here: nothing is known of what came before.
    pub(crate) fn begin_touched(&mut self) {
        self.touched = Touched { all: self.revision, sandboxes: OrdMap::new() };
    }

    /// Notes a record that was written or removed, once the indexes have it.
    pub(crate) fn note_change(&mut self, key: &Key, before: Option<&Record>, after: Option<&Record>) {
        if key.kind == Kind::Sandbox && after.is_none() {
            self.touched.sandboxes.remove(key);
            return;
        }
        if !matter(before, after) {
            return;
        }
        let refresh = before.or(after).filter(|_| key.kind == Kind::ProviderRefresh);
        match self.concerned(key, refresh.map(|record| provider_of(key, record))) {
            Concerned::Nobody => {}
            Concerned::Sandboxes(sandboxes) => {
                for sandbox in sandboxes {
                    self.touched.sandboxes.insert(sandbox, self.revision);
                }
            }
            Concerned::Everybody => self.begin_touched(),
        }
    }

    /// Whom a change of this record concerns, as this state has it: of providers and profiles, those who use
    /// them now. Whether the change mattered to them is not known here.
    #[must_use]
    pub fn concerned_by(&self, key: &Key) -> Concerned {
        if key.kind != Kind::ProviderRefresh {
            return self.concerned(key, None);
        }
        if let Some(record) = self.records.get(key) {
            return self.concerned(key, Some(provider_of(key, record)));
        }
        // It is gone: its key names the provider by its id.
        let id = key.name.split_once('/').map_or("", |(id, _)| id);
        let mut providers = self.by_creation(Kind::Provider, &key.workspace);
        let provider = providers.find(|(_, record)| match &record.value {
            Value::Provider(provider) => provider.metadata.as_ref().is_some_and(|metadata| metadata.id == id),
            other => panic!("a provider's key holds {other:?}"),
        });
        provider.map_or(Concerned::Nobody, |(provider, _)| self.concerned(&provider, None))
    }

    /// `refreshed` is the provider of a refresh state.
    fn concerned(&self, key: &Key, refreshed: Option<&str>) -> Concerned {
        match key.kind {
            Kind::GatewaySettings | Kind::Cluster => Concerned::Everybody,
            Kind::Sandbox => Concerned::Sandboxes(vec![key.clone()]),
            Kind::SandboxSettings => Concerned::Sandboxes(vec![Key { kind: Kind::Sandbox, ..key.clone() }]),
            Kind::PolicyRevision => {
                let scope = key.name.rsplit_once('/').map_or("", |(scope, _)| scope);
                if scope == GLOBAL_SCOPE {
                    return Concerned::Everybody;
                }
                Concerned::Sandboxes(self.indexes.sandbox_ids.get(scope).cloned().into_iter().collect())
            }
            Kind::Provider => Concerned::Sandboxes(self.users(&key.workspace, &key.name).collect()),
            Kind::ProviderRefresh => {
                Concerned::Sandboxes(self.users(&key.workspace, refreshed.unwrap_or_default()).collect())
            }
            Kind::BuiltinProfile | Kind::ProviderProfile => {
                // The scope of a workspace's profile is that workspace; all others are seen from everywhere.
                let in_scope = |workspace: &str| key.workspace.is_empty() || *key.workspace == *workspace;
                let providers = self.providers_of_profile(&key.name).filter(|(workspace, _)| in_scope(workspace));
                Concerned::Sandboxes(
                    providers.flat_map(|(workspace, provider)| self.users(workspace, provider)).collect(),
                )
            }
            Kind::Unspecified
            | Kind::Workspace
            | Kind::WorkspaceMember
            | Kind::DraftChunk
            | Kind::DraftInbox
            | Kind::FenceProfileUsers
            | Kind::FenceProviderUsers
            | Kind::FenceWorkspaceContents
            | Kind::FenceWorkspaceMembers
            | Kind::FenceComposition => Concerned::Nobody,
        }
    }

    /// The sandboxes that list a provider.
    fn users(&self, workspace: &Arc<str>, provider: &str) -> impl Iterator<Item = Key> {
        self.sandboxes_listing(workspace, provider).map(|sandbox| Key {
            kind: Kind::Sandbox,
            workspace: Arc::clone(workspace),
            name: Arc::clone(sandbox),
        })
    }
}

/// The provider whose credential a refresh state is about.
fn provider_of<'a>(key: &Key, record: &'a Record) -> &'a str {
    match &record.value {
        Value::Refresh(refresh) => &refresh.provider_name,
        other => panic!("{key} holds {other:?}"),
    }
}

/// Whether two values of a record could compose differently. Reports of a sandbox's phase and of what
/// became of a policy write its record and its revision's, and change neither answer. Nor does the course of
/// a refresh, or who is a member of the cluster.
fn matter(before: Option<&Record>, after: Option<&Record>) -> bool {
    match (before.map(|record| &record.value), after.map(|record| &record.value)) {
        (Some(Value::Sandbox(before)), Some(Value::Sandbox(after))) => before.spec != after.spec,
        (Some(Value::PolicyRevision(before)), Some(Value::PolicyRevision(after))) => {
            before.stored.policy_payload != after.stored.policy_payload
        }
        (Some(Value::Refresh(before)), Some(Value::Refresh(after))) => !same_grant(before, after),
        (Some(Value::Cluster(before)), Some(Value::Cluster(after))) => of_cluster(before) != of_cluster(after),
        _ => true,
    }
}

/// Whether two values of a refresh state compose the same: all that the checks, the environment's revision and
/// the handles of what is minted read. Claims, failures and times are not among it.
fn same_grant(before: &StoredProviderCredentialRefreshState, after: &StoredProviderCredentialRefreshState) -> bool {
    let identity = |refresh: &StoredProviderCredentialRefreshState| {
        refresh.metadata.as_ref().map(|metadata| (metadata.id.clone(), metadata.resource_version))
    };
    let deleting = |refresh: &StoredProviderCredentialRefreshState| refresh.status == REFRESH_DELETING;
    before.credential_key == after.credential_key
        && before.additional_output_keys == after.additional_output_keys
        && before.strategy == after.strategy
        && before.authorization_epoch == after.authorization_epoch
        && deleting(before) == deleting(after)
        && identity(before) == identity(after)
}

/// What composition may read of the cluster's record: the level that its members run at, and whether there is
/// a key. A new built-in catalogue writes its own records, and so does a new judgement of profiles.
fn of_cluster(cluster: &Cluster) -> (u32, bool) {
    (cluster.feature_level, cluster.sealed_signing_key.is_empty())
}
