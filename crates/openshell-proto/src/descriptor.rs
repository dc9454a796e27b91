//! What each RPC declares about itself, read from the descriptor: who may call it and
//! which node may answer it. Checked by a test over every method.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use prost_reflect::{DescriptorPool, DynamicMessage, MethodDescriptor, Value};

/// Who may call an RPC (`config.md` 7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthMode {
    /// Anyone, without a principal.
    Unauthenticated,
    /// Users only.
    Bearer,
    /// A sandbox's own principal only.
    Sandbox,
    /// Users and sandboxes.
    Dual,
}

/// Which node may answer an RPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// The leader decides; other nodes forward the call itself.
    Leader,
    /// Any node, after a read index; a caller may ask for `Local`.
    Linearizable,
    /// Any node, from what it has applied.
    Local,
}

/// The declared rule of one RPC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MethodRule {
    /// Who may call it.
    pub auth: AuthMode,
    /// Least role in the request's workspace: empty, `user` or `admin`.
    pub workspace_role: String,
    /// Role across workspaces: empty or `platform_admin`.
    pub global_role: String,
    /// OAuth scope that a scoped token must carry.
    pub scope: String,
    /// Which node may answer it.
    pub route: Route,
}

/// The descriptors of every file in `proto/`.
///
/// # Panics
/// When the embedded descriptor does not decode, which the build would have refused.
#[must_use]
pub fn pool() -> &'static DescriptorPool {
    static POOL: OnceLock<DescriptorPool> = OnceLock::new();
    POOL.get_or_init(|| DescriptorPool::decode(super::FILE_DESCRIPTOR_SET).expect("the embedded descriptor decodes"))
}

/// The rules of every public RPC, by full method name without the leading slash
/// (`openshell.v1.OpenShell/Health`). The peer service is not public and has none.
///
/// # Panics
/// When a public RPC declares no permission, one that contradicts itself (`config.md` AU-1), or no
/// route: such a program must not start.
#[must_use]
pub fn method_rules() -> &'static BTreeMap<String, MethodRule> {
    static RULES: OnceLock<BTreeMap<String, MethodRule>> = OnceLock::new();
    RULES.get_or_init(|| {
        pool()
            .services()
            .filter(|service| service.package_name() != "openshell.peer.v1")
            .flat_map(|service| service.methods().collect::<Vec<_>>())
            .map(|method| {
                let name = format!("{}/{}", method.parent_service().full_name(), method.name());
                let rule = method_rule(&method).unwrap_or_else(|| panic!("{name} declares no permission or no route"));
                if let Some(fault) = fault(&name, &rule) {
                    panic!("{name} {fault}");
                }
                (name, rule)
            })
            .collect()
    })
}

fn method_rule(method: &MethodDescriptor) -> Option<MethodRule> {
    let options = method.options();
    let authorization = extension(&options, "openshell.options.v1.authorization")?;
    let authorization = authorization.as_message()?;
    let text = |field: &str| {
        authorization.get_field_by_name(field).and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
    };
    let auth = match text("auth_mode").as_str() {
        "unauthenticated" => AuthMode::Unauthenticated,
        "bearer" => AuthMode::Bearer,
        "sandbox" => AuthMode::Sandbox,
        "dual" => AuthMode::Dual,
        _ => return None,
    };
    let route = match extension(&options, "openshell.options.v1.route")?.as_enum_number()? {
        1 => Route::Leader,
        2 => Route::Linearizable,
        3 => Route::Local,
        _ => return None,
    };
    Some(MethodRule {
        auth,
        workspace_role: text("workspace_role"),
        global_role: text("global_role"),
        scope: text("scope"),
        route,
    })
}

/// Users may call these without a role, and the first without a scope.
const AUTHENTICATION_ONLY: &str = "openshell.v1.OpenShell/GetCurrentUser";
const SCOPE_ONLY: &str = "openshell.v1.OpenShell/GetGatewayConfig";

/// What a declared permission may not be (`config.md` AU-1), if it is that.
fn fault(name: &str, rule: &MethodRule) -> Option<&'static str> {
    let roles = [&rule.workspace_role, &rule.global_role].into_iter().filter(|role| !role.is_empty()).count();
    if !["", "user", "admin"].contains(&rule.workspace_role.as_str())
        || !["", "platform_admin"].contains(&rule.global_role.as_str())
    {
        return Some("declares a role that nobody can have");
    }
    match rule.auth {
        AuthMode::Unauthenticated | AuthMode::Sandbox => {
            (roles > 0 || !rule.scope.is_empty()).then_some("declares a role or a scope, which only users have")
        }
        AuthMode::Bearer | AuthMode::Dual if roles > 1 => Some("declares a role in a workspace and one across them"),
        AuthMode::Bearer | AuthMode::Dual => {
            let needs_scope = name != AUTHENTICATION_ONLY;
            let needs_role = needs_scope && name != SCOPE_ONLY;
            if needs_scope && rule.scope.is_empty() {
                Some("declares no scope")
            } else if needs_role && roles == 0 {
                Some("declares no role")
            } else {
                None
            }
        }
    }
}

fn extension(options: &DynamicMessage, name: &str) -> Option<Value> {
    let extension = pool().get_extension_by_name(name)?;
    options.has_extension(&extension).then(|| options.get_extension(&extension).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(auth: AuthMode, workspace_role: &str, global_role: &str, scope: &str) -> MethodRule {
        let [workspace_role, global_role, scope] = [workspace_role, global_role, scope].map(str::to_owned);
        MethodRule { auth, workspace_role, global_role, scope, route: Route::Local }
    }

    #[test]
    fn au_1_a_permission_that_contradicts_itself_is_found_at_start() {
        use AuthMode::{Bearer, Dual, Sandbox, Unauthenticated};
        for (rule, expected) in [
            (rule(Bearer, "user", "platform_admin", "s"), "and one across"),
            (rule(Dual, "", "", "s"), "no role"),
            (rule(Bearer, "user", "", ""), "no scope"),
            (rule(Bearer, "owner", "", "s"), "nobody can have"),
            (rule(Bearer, "", "admin", "s"), "nobody can have"),
            (rule(Sandbox, "user", "", ""), "only users have"),
            (rule(Sandbox, "", "", "s"), "only users have"),
            (rule(Unauthenticated, "", "platform_admin", ""), "only users have"),
            (rule(Unauthenticated, "", "", "s"), "only users have"),
        ] {
            let found = fault("openshell.v1.OpenShell/Any", &rule).unwrap_or_else(|| panic!("{rule:?} passes"));
            assert!(found.contains(expected), "{rule:?}: {found}");
        }
        assert_eq!(fault(AUTHENTICATION_ONLY, &rule(Bearer, "", "", "")), None);
        assert_eq!(fault(SCOPE_ONLY, &rule(Bearer, "", "", "config:read")), None);
        assert!(fault(SCOPE_ONLY, &rule(Bearer, "", "", "")).is_some());
        // Every RPC of ours passes, or this panics.
        assert!(method_rules().len() > 70);
    }
}
