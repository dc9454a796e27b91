//! Who asks, and what they may do in a workspace (`config.md` 7.5). Authentication, that is
//! how a principal is found out, is the server's concern.

use openshell_proto::peer::{Caller, caller};
use openshell_proto::v1::WorkspaceRole;

use crate::key::Key;
use crate::refusal::{Code, Refusal};
use crate::state::State;

/// The workspace that an empty name means (`config.md` AU-18).
pub const DEFAULT_WORKSPACE: &str = "default";

/// Who makes a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// Nobody in particular.
    Anonymous,
    /// A person or a program acting for one.
    User(User),
    /// A sandbox's own supervisor.
    Sandbox {
        /// The sandbox's id.
        id: String,
    },
    /// The cluster itself.
    Cluster,
}

/// A user as authentication found it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    /// Stable name of the user.
    pub subject: String,
    /// Name for people, may be empty.
    pub display_name: String,
    /// `local_dev` or `mtls`.
    pub identity_provider: String,
    /// Roles that authentication found.
    pub roles: Vec<String>,
    /// OAuth scopes.
    pub scopes: Vec<String>,
    /// Bypasses membership (`config.md` AU-19).
    pub platform_admin: bool,
}

/// Least role that a call needs in a workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Reads and sandboxes.
    User,
    /// Providers, profiles and configuration.
    Admin,
}

impl Principal {
    /// The principal as text: bound to request ids, kept in the change history.
    #[must_use]
    pub fn subject(&self) -> String {
        match self {
            Principal::Anonymous => "anonymous".to_owned(),
            Principal::User(user) => format!("user:{}:{}", user.identity_provider, user.subject),
            Principal::Sandbox { id } => format!("sandbox:{id}"),
            Principal::Cluster => "cluster".to_owned(),
        }
    }

    /// The principal as it travels with a forwarded call.
    #[must_use]
    pub fn to_proto(&self) -> Caller {
        match self {
            Principal::Anonymous | Principal::Cluster => {
                Caller { r#type: caller::Type::Anonymous as i32, ..Caller::default() }
            }
            Principal::User(user) => Caller {
                r#type: caller::Type::User as i32,
                subject: user.subject.clone(),
                identity_provider: user.identity_provider.clone(),
                roles: user.roles.clone(),
                scopes: user.scopes.clone(),
                platform_admin: user.platform_admin,
                sandbox_id: String::new(),
                display_name: user.display_name.clone(),
            },
            Principal::Sandbox { id } => {
                Caller { r#type: caller::Type::Sandbox as i32, sandbox_id: id.clone(), ..Caller::default() }
            }
        }
    }

    /// Reads the principal of a forwarded call, which the entry node authenticated.
    #[must_use]
    pub fn from_proto(caller: Caller) -> Self {
        match caller.r#type() {
            caller::Type::Unspecified | caller::Type::Anonymous => Principal::Anonymous,
            caller::Type::User => Principal::User(User {
                subject: caller.subject,
                display_name: caller.display_name,
                identity_provider: caller.identity_provider,
                roles: caller.roles,
                scopes: caller.scopes,
                platform_admin: caller.platform_admin,
            }),
            caller::Type::Sandbox => Principal::Sandbox { id: caller.sandbox_id },
        }
    }

    /// The call needs a platform admin (`config.md` AU-19).
    ///
    /// # Errors
    /// `PERMISSION_DENIED`; `UNAUTHENTICATED` for nobody in particular.
    pub fn require_platform_admin(&self) -> Result<(), Refusal> {
        match self {
            Principal::Cluster => Ok(()),
            Principal::User(user) if user.platform_admin => Ok(()),
            Principal::User(_) | Principal::Sandbox { .. } => {
                Err(Refusal::denied("platform admin role required for this call"))
            }
            Principal::Anonymous => Err(unauthenticated()),
        }
    }

    /// The call needs somebody in particular, and is not one for sandboxes.
    ///
    /// # Errors
    /// `UNAUTHENTICATED` for nobody in particular; `PERMISSION_DENIED` for a sandbox's principal.
    pub(crate) fn require_user(&self) -> Result<(), Refusal> {
        if *self == Principal::Anonymous { Err(unauthenticated()) } else { self.refuse_sandboxes() }
    }

    /// The call is not one for sandboxes, whose own calls say so (`config.md` 7.1).
    ///
    /// # Errors
    /// `PERMISSION_DENIED` for a sandbox's principal.
    pub(crate) fn refuse_sandboxes(&self) -> Result<(), Refusal> {
        match self {
            Principal::Sandbox { .. } => Err(Refusal::denied("this call is for users; a sandbox may not make it")),
            Principal::Anonymous | Principal::User(_) | Principal::Cluster => Ok(()),
        }
    }

    /// The call needs a role in a workspace; the workspace need not exist (`config.md` AU-20).
    /// Returns the membership record that the answer relied on, if any.
    ///
    /// # Errors
    /// `PERMISSION_DENIED`, alike for workspaces that exist and that do not.
    pub fn require_role(&self, state: &State, workspace: &str, role: Role) -> Result<Option<Key>, Refusal> {
        let user = match self {
            Principal::Cluster => return Ok(None),
            // What a sandbox may do in its workspace is for the call itself to say (AU-22).
            Principal::Sandbox { .. } => return Ok(None),
            Principal::Anonymous => return Err(unauthenticated()),
            Principal::User(user) if user.platform_admin => return Ok(None),
            Principal::User(user) => user,
        };
        let key = Key::member(workspace, &user.subject);
        let Some(member) = state.member(workspace, &user.subject) else {
            let message = format!("{} is not a member of workspace {workspace:?}; ask one of its admins", user.subject);
            return Err(Refusal::denied(message));
        };
        match (role, member.value.role()) {
            (Role::User, WorkspaceRole::User | WorkspaceRole::Admin) | (Role::Admin, WorkspaceRole::Admin) => {
                Ok(Some(key))
            }
            (Role::Admin, WorkspaceRole::User) | (Role::User | Role::Admin, WorkspaceRole::Unspecified) => {
                Err(Refusal::denied(format!("this call needs the admin role in workspace {workspace:?}")))
            }
        }
    }
}

fn unauthenticated() -> Refusal {
    Refusal::new(Code::Unauthenticated, "this call needs an authenticated principal (missing principal)")
}

/// The workspace that a request means: `default` when it names none (`config.md` AU-18).
#[must_use]
pub fn workspace_or_default(workspace: &str) -> &str {
    if workspace.is_empty() { DEFAULT_WORKSPACE } else { workspace }
}
