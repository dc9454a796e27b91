//! Keys of records and fences: a kind, a workspace and a name, ordered in that order.

use std::fmt;
use std::sync::Arc;

use openshell_proto::log::{self, Kind};

use crate::fault::Fault;

/// Version numbers in a key have this many digits, so that byte order is number order.
const VERSION_DIGITS: usize = 10;
/// Stands for a sandbox id in the keys of global policy revisions (`config.md` GR-3).
pub(crate) const GLOBAL_SCOPE: &str = "__global__";

/// Names one record or fence. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// What the key names.
    pub kind: Kind,
    /// Empty for what belongs to no workspace.
    pub workspace: Arc<str>,
    /// Unique within kind and workspace.
    pub name: Arc<str>,
}

impl Key {
    /// A key of any kind.
    #[must_use]
    pub fn new(kind: Kind, workspace: &str, name: &str) -> Self {
        Self { kind, workspace: workspace.into(), name: name.into() }
    }
    /// A workspace's own record.
    #[must_use]
    pub fn workspace(name: &str) -> Self {
        Self::new(Kind::Workspace, "", name)
    }
    /// Membership of a principal in a workspace.
    #[must_use]
    pub fn member(workspace: &str, subject: &str) -> Self {
        Self::new(Kind::WorkspaceMember, workspace, subject)
    }
    /// A custom profile; `scope` is a workspace, or empty for the platform.
    #[must_use]
    pub fn profile(scope: &str, id: &str) -> Self {
        Self::new(Kind::ProviderProfile, scope, id)
    }
    /// A profile of the built-in catalogue.
    #[must_use]
    pub fn builtin_profile(id: &str) -> Self {
        Self::new(Kind::BuiltinProfile, "", id)
    }
    /// A provider.
    #[must_use]
    pub fn provider(workspace: &str, name: &str) -> Self {
        Self::new(Kind::Provider, workspace, name)
    }
    /// A provider's refresh state for one credential key.
    #[must_use]
    pub fn refresh(workspace: &str, provider_id: &str, credential_key: &str) -> Self {
        Self::new(Kind::ProviderRefresh, workspace, &format!("{provider_id}/{credential_key}"))
    }
    /// A sandbox.
    #[must_use]
    pub fn sandbox(workspace: &str, name: &str) -> Self {
        Self::new(Kind::Sandbox, workspace, name)
    }
    /// A sandbox's settings.
    #[must_use]
    pub fn sandbox_settings(workspace: &str, sandbox: &str) -> Self {
        Self::new(Kind::SandboxSettings, workspace, sandbox)
    }
    /// The gateway's settings.
    #[must_use]
    pub fn gateway_settings() -> Self {
        Self::new(Kind::GatewaySettings, "", "global")
    }
    /// One revision of a sandbox's policy.
    #[must_use]
    pub fn policy_revision(workspace: &str, sandbox_id: &str, version: u32) -> Self {
        Self::new(Kind::PolicyRevision, workspace, &format!("{sandbox_id}/{version:0VERSION_DIGITS$}"))
    }
    /// One chunk of a sandbox's draft inbox.
    #[must_use]
    pub fn draft_chunk(workspace: &str, sandbox_id: &str, chunk_id: &str) -> Self {
        Self::new(Kind::DraftChunk, workspace, &format!("{sandbox_id}/{chunk_id}"))
    }
    /// What guards all chunks of a sandbox's draft inbox.
    #[must_use]
    pub fn draft_inbox(workspace: &str, sandbox_id: &str) -> Self {
        Self::new(Kind::DraftInbox, workspace, sandbox_id)
    }
    /// One revision of the global policy.
    #[must_use]
    pub fn global_policy_revision(version: u32) -> Self {
        Self::policy_revision("", GLOBAL_SCOPE, version)
    }
    /// The cluster's own record.
    #[must_use]
    pub fn cluster() -> Self {
        Self::new(Kind::Cluster, "", "cluster")
    }
    /// Fence: who composes with profile `id` of `scope`.
    #[must_use]
    pub fn profile_users(scope: &str, id: &str) -> Self {
        Self::new(Kind::FenceProfileUsers, scope, id)
    }
    /// Fence: which sandboxes list a provider.
    #[must_use]
    pub fn provider_users(workspace: &str, provider: &str) -> Self {
        Self::new(Kind::FenceProviderUsers, workspace, provider)
    }
    /// Fence: what a workspace holds.
    #[must_use]
    pub fn workspace_contents(name: &str) -> Self {
        Self::new(Kind::FenceWorkspaceContents, "", name)
    }
    /// Fence: who is a member of a workspace.
    #[must_use]
    pub fn workspace_members(name: &str) -> Self {
        Self::new(Kind::FenceWorkspaceMembers, "", name)
    }
    /// Fence: everything that provider composition of any sandbox depends on.
    #[must_use]
    pub fn composition() -> Self {
        Self::new(Kind::FenceComposition, "", "all")
    }

    /// Whether the key names a fence rather than a record.
    #[must_use]
    pub fn is_fence(&self) -> bool {
        self.kind as i32 >= Kind::FenceProfileUsers as i32
    }

    /// The key as bytes that sort as keys do: kind, workspace, a zero byte, name.
    /// Unambiguous because a workspace name never holds a zero byte.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(2 + self.workspace.len() + self.name.len());
        bytes.push(u8::try_from(self.kind as i32).expect("kinds fit in a byte"));
        bytes.extend_from_slice(self.workspace.as_bytes());
        bytes.push(0);
        bytes.extend_from_slice(self.name.as_bytes());
        bytes
    }

    /// Reads back what [`Key::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`Fault`] when the bytes are no key of this build.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Fault> {
        let incomplete = |part| Fault::Incomplete { what: "a stored key", part };
        let (kind, rest) = bytes.split_first().ok_or_else(|| incomplete("its kind"))?;
        let zero = rest.iter().position(|byte| *byte == 0).ok_or_else(|| incomplete("its separator"))?;
        let text = |bytes: &[u8]| std::str::from_utf8(bytes).map(Arc::from).map_err(|_| incomplete("valid UTF-8"));
        let kind = known_kind(i32::from(*kind))?;
        Ok(Self { kind, workspace: text(&rest[..zero])?, name: text(&rest[zero + 1..])? })
    }

    /// The key as it is written in transactions.
    #[must_use]
    pub fn to_proto(&self) -> log::Key {
        log::Key { kind: self.kind as i32, workspace: self.workspace.to_string(), name: self.name.to_string() }
    }

    /// Reads a key of a transaction.
    ///
    /// # Errors
    /// [`Fault::UnknownKind`] when the kind is not one of this build.
    pub fn from_proto(key: &log::Key) -> Result<Self, Fault> {
        let kind = known_kind(key.kind).map_err(|_| Fault::kind(key))?;
        Ok(Self::new(kind, &key.workspace, &key.name))
    }
}

fn known_kind(number: i32) -> Result<Kind, Fault> {
    match Kind::try_from(number) {
        Ok(Kind::Unspecified) | Err(_) => Err(Fault::UnknownKind { kind: number }),
        Ok(kind) => Ok(kind),
    }
}

impl fmt::Display for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind.as_str_name().trim_start_matches("KIND_").to_lowercase();
        write!(formatter, "{kind} {:?}", self.name)?;
        if !self.workspace.is_empty() {
            write!(formatter, " in workspace {:?}", self.workspace)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Key({self})")
    }
}
