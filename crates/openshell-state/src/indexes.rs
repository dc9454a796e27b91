//! Reverse indexes: for finding, never for judging. Each is a function of the records, and
//! a test rebuilds them from scratch and compares.

use std::sync::Arc;

use imbl::{OrdMap, OrdSet};
use openshell_proto::log::Kind;
use openshell_providers::provider_type;

use crate::key::Key;
use crate::record::{Record, Value};

type Name = Arc<str>;

/// Everything that is found other than by its key.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Indexes {
    /// Sandbox id -> key.
    pub(crate) sandbox_ids: OrdMap<Name, Key>,
    /// (workspace, provider, sandbox): the sandbox lists the provider.
    pub(crate) sandboxes_by_provider: OrdSet<(Name, Name, Name)>,
    /// (workspace, sandbox) of sandboxes that list any provider.
    pub(crate) sandboxes_with_providers: OrdSet<(Name, Name)>,
    /// (profile id that the provider's type means, workspace, provider).
    pub(crate) providers_by_profile: OrdSet<(Name, Name, Name)>,
    /// Workspace -> how many members it has; none without any.
    pub(crate) members: OrdMap<Name, usize>,
    /// (kind, workspace, created at, name): the order of lists within a workspace (`config.md` GR-7).
    pub(crate) by_creation: OrdSet<(Kind, Name, i64, Name)>,
    /// (kind, created at, name, workspace): the order of lists across workspaces.
    pub(crate) by_creation_everywhere: OrdSet<(Kind, i64, Name, Name)>,
}

impl Indexes {
    pub(crate) fn insert(&mut self, key: &Key, record: &Record) {
        self.by_creation.insert(creation(key, record));
        self.by_creation_everywhere.insert(creation_everywhere(key, record));
        match &record.value {
            Value::Sandbox(sandbox) => {
                let id = sandbox.metadata.as_ref().map_or("", |metadata| metadata.id.as_str());
                self.sandbox_ids.insert(id.into(), key.clone());
                let providers = sandbox.spec.as_ref().map_or(&[][..], |spec| &spec.providers);
                for provider in providers {
                    self.sandboxes_by_provider.insert(listed(key, provider));
                }
                if !providers.is_empty() {
                    self.sandboxes_with_providers.insert((key.workspace.clone(), key.name.clone()));
                }
            }
            Value::Provider(provider) => {
                self.providers_by_profile.insert(typed(key, &provider.r#type));
            }
            Value::Member(_) => *self.members.entry(key.workspace.clone()).or_default() += 1,
            Value::Workspace(_)
            | Value::Profile(_)
            | Value::Refresh(_)
            | Value::Settings(_)
            | Value::PolicyRevision(_)
            | Value::DraftChunk(_)
            | Value::DraftInbox(_)
            | Value::Cluster(_) => {}
        }
    }

    pub(crate) fn remove(&mut self, key: &Key, record: &Record) {
        self.by_creation.remove(&creation(key, record));
        self.by_creation_everywhere.remove(&creation_everywhere(key, record));
        match &record.value {
            Value::Sandbox(sandbox) => {
                let id = sandbox.metadata.as_ref().map_or("", |metadata| metadata.id.as_str());
                self.sandbox_ids.remove(id);
                for provider in sandbox.spec.iter().flat_map(|spec| &spec.providers) {
                    self.sandboxes_by_provider.remove(&listed(key, provider));
                }
                self.sandboxes_with_providers.remove(&(key.workspace.clone(), key.name.clone()));
            }
            Value::Provider(provider) => {
                self.providers_by_profile.remove(&typed(key, &provider.r#type));
            }
            Value::Member(_) => {
                let others = self.members.get(&key.workspace).map_or(0, |count| count - 1);
                if others == 0 {
                    self.members.remove(&key.workspace);
                } else {
                    self.members.insert(key.workspace.clone(), others);
                }
            }
            Value::Workspace(_)
            | Value::Profile(_)
            | Value::Refresh(_)
            | Value::Settings(_)
            | Value::PolicyRevision(_)
            | Value::DraftChunk(_)
            | Value::DraftInbox(_)
            | Value::Cluster(_) => {}
        }
    }
}

fn creation(key: &Key, record: &Record) -> (Kind, Name, i64, Name) {
    (key.kind, key.workspace.clone(), record.created_at_ms, key.name.clone())
}

fn creation_everywhere(key: &Key, record: &Record) -> (Kind, i64, Name, Name) {
    (key.kind, record.created_at_ms, key.name.clone(), key.workspace.clone())
}

fn listed(key: &Key, provider: &str) -> (Name, Name, Name) {
    (key.workspace.clone(), provider.into(), key.name.clone())
}

fn typed(key: &Key, provider_type: &str) -> (Name, Name, Name) {
    (provider_type::profile_id(provider_type).into(), key.workspace.clone(), key.name.clone())
}
