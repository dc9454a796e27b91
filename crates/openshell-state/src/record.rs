//! Records: the bytes that the leader encoded, beside their decoded form. The bytes are
//! what is stored, hashed and sent; nothing encodes them again.

use std::collections::BTreeMap;

use openshell_proto::datamodel::{Provider, Workspace};
use openshell_proto::log::{self, Kind};
use openshell_proto::sandbox::{NetworkPolicyRule, SandboxPolicy};
use openshell_proto::v1::{
    Sandbox, StoredDraftChunk, StoredPolicyRevision, StoredProviderCredentialRefreshState, StoredProviderProfile,
    WorkspaceMember,
};
use prost::Message;

use crate::fault::Fault;
use crate::key::Key;

/// Status words of policy revisions.
pub(crate) mod revision_status {
    /// Nobody has said yet what became of it.
    pub(crate) const PENDING: &str = "pending";
    /// It is enforced.
    pub(crate) const LOADED: &str = "loaded";
    /// The sandbox could not load it.
    pub(crate) const FAILED: &str = "failed";
    /// A newer one took its place.
    pub(crate) const SUPERSEDED: &str = "superseded";
}

/// Status words of draft chunks.
pub(crate) mod chunk_status {
    /// Nobody decided yet.
    pub(crate) const PENDING: &str = "pending";
    /// The rule went into the sandbox's policy.
    pub(crate) const APPROVED: &str = "approved";
    /// Somebody, or a newer proposal, said no.
    pub(crate) const REJECTED: &str = "rejected";
}

/// One record, as some log entry left it.
#[derive(Clone, Debug)]
pub struct Record {
    /// Log index of the last write: what guards compare.
    pub revision: u64,
    /// Log index of the creation.
    pub created_revision: u64,
    /// The stamp of the creation, milliseconds since the Unix epoch. Lists sort by it.
    pub created_at_ms: i64,
    /// The value as the leader encoded it.
    pub bytes: Vec<u8>,
    /// The same, decoded.
    pub value: Value,
}

/// A decoded record value, by kind.
#[derive(Clone, Debug)]
pub enum Value {
    /// `KIND_WORKSPACE`.
    Workspace(Workspace),
    /// `KIND_WORKSPACE_MEMBER`.
    Member(WorkspaceMember),
    /// `KIND_PROVIDER_PROFILE` and `KIND_BUILTIN_PROFILE`.
    Profile(Box<StoredProviderProfile>),
    /// `KIND_PROVIDER`.
    Provider(Box<Provider>),
    /// `KIND_PROVIDER_REFRESH`.
    Refresh(Box<StoredProviderCredentialRefreshState>),
    /// `KIND_SANDBOX`.
    Sandbox(Box<Sandbox>),
    /// `KIND_SANDBOX_SETTINGS` and `KIND_GATEWAY_SETTINGS`.
    Settings(log::Settings),
    /// `KIND_POLICY_REVISION`.
    PolicyRevision(Box<PolicyRevision>),
    /// `KIND_DRAFT_CHUNK`.
    DraftChunk(Box<DraftChunk>),
    /// `KIND_DRAFT_INBOX`.
    DraftInbox(log::DraftInbox),
    /// `KIND_CLUSTER`.
    Cluster(log::Cluster),
}

/// A policy revision with its policy decoded.
#[derive(Clone, Debug)]
pub struct PolicyRevision {
    /// The record as stored; `policy_payload` holds the policy's bytes.
    pub stored: StoredPolicyRevision,
    /// The policy.
    pub policy: SandboxPolicy,
}

/// A draft chunk with its rule decoded.
#[derive(Clone, Debug)]
pub struct DraftChunk {
    /// The record as stored; `proposed_rule` holds the rule's bytes.
    pub stored: StoredDraftChunk,
    /// The rule.
    pub rule: NetworkPolicyRule,
}

impl DraftChunk {
    /// What chunks are ordered by.
    pub(crate) fn age(&self) -> (i64, i64, &str) {
        (self.stored.draft_version, self.stored.created_at_ms, &self.stored.id)
    }
}

impl Value {
    /// Decodes the bytes of a record of the key's kind.
    ///
    /// # Errors
    /// [`Fault::Undecodable`] when they are not such a value; [`Fault::UnknownKind`] for a fence.
    pub fn decode(key: &Key, bytes: &[u8]) -> Result<Self, Fault> {
        let undecodable = |source| Fault::Undecodable { key: key.to_string(), source };
        let value = match key.kind {
            Kind::Workspace => Workspace::decode(bytes).map(Value::Workspace),
            Kind::WorkspaceMember => WorkspaceMember::decode(bytes).map(Value::Member),
            Kind::ProviderProfile | Kind::BuiltinProfile => {
                StoredProviderProfile::decode(bytes).map(|profile| Value::Profile(Box::new(profile)))
            }
            Kind::Provider => Provider::decode(bytes).map(|provider| Value::Provider(Box::new(provider))),
            Kind::ProviderRefresh => {
                StoredProviderCredentialRefreshState::decode(bytes).map(|refresh| Value::Refresh(Box::new(refresh)))
            }
            Kind::Sandbox => Sandbox::decode(bytes).map(|sandbox| Value::Sandbox(Box::new(sandbox))),
            Kind::SandboxSettings | Kind::GatewaySettings => log::Settings::decode(bytes).map(Value::Settings),
            Kind::PolicyRevision => StoredPolicyRevision::decode(bytes).and_then(|stored| {
                let policy = SandboxPolicy::decode(stored.policy_payload.as_slice())?;
                Ok(Value::PolicyRevision(Box::new(PolicyRevision { stored, policy })))
            }),
            Kind::DraftChunk => StoredDraftChunk::decode(bytes).and_then(|stored| {
                let rule = NetworkPolicyRule::decode(stored.proposed_rule.as_slice())?;
                Ok(Value::DraftChunk(Box::new(DraftChunk { stored, rule })))
            }),
            Kind::DraftInbox => log::DraftInbox::decode(bytes).map(Value::DraftInbox),
            Kind::Cluster => log::Cluster::decode(bytes).map(Value::Cluster),
            Kind::Unspecified
            | Kind::FenceProfileUsers
            | Kind::FenceProviderUsers
            | Kind::FenceWorkspaceContents
            | Kind::FenceComposition
            | Kind::FenceWorkspaceMembers => return Err(Fault::UnknownKind { kind: key.kind as i32 }),
        };
        value.map_err(undecodable)
    }

    /// The labels of kinds that have them.
    #[must_use]
    pub fn labels(&self) -> Option<&BTreeMap<String, String>> {
        let metadata = match self {
            Value::Workspace(workspace) => &workspace.metadata,
            Value::Profile(profile) => &profile.metadata,
            Value::Provider(provider) => &provider.metadata,
            Value::Sandbox(sandbox) => &sandbox.metadata,
            Value::Member(_)
            | Value::Refresh(_)
            | Value::Settings(_)
            | Value::PolicyRevision(_)
            | Value::DraftChunk(_)
            | Value::DraftInbox(_)
            | Value::Cluster(_) => return None,
        };
        metadata.as_ref().map(|metadata| &metadata.labels)
    }
}

impl Record {
    /// The record as it is stored and sent.
    #[must_use]
    pub fn to_proto(&self) -> log::Record {
        log::Record {
            revision: self.revision,
            created_revision: self.created_revision,
            created_at_ms: self.created_at_ms,
            value: self.bytes.clone(),
        }
    }

    /// Reads a stored record.
    ///
    /// # Errors
    /// [`Fault::Undecodable`] when the value is not of the key's kind.
    pub fn from_proto(key: &Key, record: log::Record) -> Result<Self, Fault> {
        let value = Value::decode(key, &record.value)?;
        Ok(Self {
            revision: record.revision,
            created_revision: record.created_revision,
            created_at_ms: record.created_at_ms,
            bytes: record.value,
            value,
        })
    }
}
