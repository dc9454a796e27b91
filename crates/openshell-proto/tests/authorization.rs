//! What each RPC declares about who may call it, against the table of `config.md` 7.1.

use std::collections::BTreeMap;

use openshell_proto::{AuthMode, method_rules};

/// `auth_mode`, `scope`, `workspace_role`, `global_role`, and the RPCs of `openshell.v1.OpenShell`
/// that declare these.
const TABLE: [(&str, &str, &str, &str, &[&str]); 16] = [
    ("unauthenticated", "", "", "", &["Health"]),
    ("bearer", "", "", "", &["GetCurrentUser"]),
    ("bearer", "config:read", "", "platform_admin", &["GetGatewayInfo"]),
    (
        "bearer",
        "sandbox:write",
        "user",
        "",
        &[
            "CreateSandbox",
            "AttachSandboxProvider",
            "DetachSandboxProvider",
            "DeleteSandbox",
            "StopSandbox",
            "StartSandbox",
            "CreateSshSession",
            "ExposeService",
            "DeleteService",
            "RevokeSshSession",
            "ExecSandbox",
            "ForwardTcp",
            "ExecSandboxInteractive",
        ],
    ),
    (
        "bearer",
        "sandbox:read",
        "user",
        "",
        &[
            "GetSandbox",
            "ListSandboxes",
            "ListSandboxProviders",
            "GetService",
            "ListServices",
            "GetSandboxPolicyStatus",
            "ListSandboxPolicies",
            "GetSandboxLogs",
            "WatchSandbox",
        ],
    ),
    (
        "bearer",
        "provider:write",
        "admin",
        "",
        &[
            "CreateProvider",
            "ImportProviderProfiles",
            "UpdateProviderProfiles",
            "UpdateProvider",
            "ConfigureProviderRefresh",
            "RotateProviderCredential",
            "DeleteProviderRefresh",
            "DeleteProvider",
            "DeleteProviderProfile",
        ],
    ),
    (
        "bearer",
        "provider:read",
        "user",
        "",
        &[
            "GetProvider",
            "ListProviders",
            "ListProviderProfiles",
            "GetProviderProfile",
            "LintProviderProfiles",
            "GetProviderRefreshStatus",
        ],
    ),
    ("dual", "config:read", "user", "", &["GetSandboxConfig", "GetDraftPolicy"]),
    ("bearer", "config:read", "", "", &["GetGatewayConfig"]),
    ("dual", "config:write", "admin", "", &["UpdateConfig"]),
    (
        "sandbox",
        "",
        "",
        "",
        &[
            "ReportPolicyStatus",
            "GetSandboxProviderEnvironment",
            "PushSandboxLogs",
            "ConnectSupervisor",
            "ReportMainProcessExit",
            "RelayStream",
            "SubmitPolicyAnalysis",
            "IssueSandboxToken",
            "RefreshSandboxToken",
        ],
    ),
    (
        "bearer",
        "config:write",
        "admin",
        "",
        &[
            "ApproveDraftChunk",
            "RejectDraftChunk",
            "ApproveAllDraftChunks",
            "EditDraftChunk",
            "UndoDraftChunk",
            "ClearDraftChunks",
        ],
    ),
    ("bearer", "config:read", "user", "", &["GetDraftHistory"]),
    ("bearer", "workspace:write", "", "platform_admin", &["CreateWorkspace", "DeleteWorkspace"]),
    ("bearer", "workspace:read", "user", "", &["GetWorkspace", "ListWorkspaces", "ListWorkspaceMembers"]),
    ("bearer", "workspace:write", "admin", "", &["AddWorkspaceMember", "RemoveWorkspaceMember"]),
];

/// RPCs of the released API that the table leaves out, and ours: they declare what their likes do.
const BESIDE: [(&str, &str); 2] = [
    ("ExchangeProviderSubjectToken", "GetSandboxProviderEnvironment"),
    ("UpdateProviderProfile", "UpdateProviderProfiles"),
];

/// `auth_mode`, `scope`, `workspace_role`, `global_role`.
type Declared = [String; 4];

fn auth_mode(mode: AuthMode) -> &'static str {
    match mode {
        AuthMode::Unauthenticated => "unauthenticated",
        AuthMode::Bearer => "bearer",
        AuthMode::Sandbox => "sandbox",
        AuthMode::Dual => "dual",
    }
}

fn declared(service: &str) -> BTreeMap<String, Declared> {
    let of_service = method_rules().iter().filter_map(|(name, rule)| Some((name.strip_prefix(service)?, rule)));
    of_service
        .map(|(name, rule)| {
            let mode = auth_mode(rule.auth).to_owned();
            let declared = [mode, rule.scope.clone(), rule.workspace_role.clone(), rule.global_role.clone()];
            (name.to_owned(), declared)
        })
        .collect()
}

#[test]
fn au_1_every_rpc_declares_what_the_table_says() {
    let mut table: BTreeMap<String, Declared> = BTreeMap::new();
    for (mode, scope, workspace_role, global_role, names) in TABLE {
        for name in names {
            let row = [mode, scope, workspace_role, global_role].map(str::to_owned);
            assert_eq!(table.insert((*name).to_owned(), row), None, "{name} is there twice");
        }
    }
    assert_eq!(table.len(), 67, "the table is whole");
    for (name, like) in BESIDE {
        table.insert(name.to_owned(), table[like].clone());
    }
    let declared = declared("openshell.v1.OpenShell/");
    for (name, row) in &table {
        assert_eq!(declared.get(name), Some(row), "{name}");
    }
    let unknown: Vec<_> = declared.keys().filter(|name| !table.contains_key(*name)).collect();
    assert!(unknown.is_empty(), "in no table: {unknown:?}");
}

#[test]
fn what_the_cluster_shows_of_itself_is_for_platform_admins_but_for_where_its_nodes_are() {
    let declared = declared("openshell.cluster.v1.Cluster/");
    assert_eq!(declared["GetMembers"][0], "dual");
    let roles: BTreeMap<&str, &str> = declared
        .iter()
        .map(|(name, row)| (name.as_str(), if row[3].is_empty() { &*row[2] } else { &*row[3] }))
        .collect();
    let expected = [
        ("GetDigest", "platform_admin"),
        ("GetMembers", "user"),
        ("GetStatus", "platform_admin"),
        ("IssueSandboxToken", "admin"),
        ("ReplaceNode", "platform_admin"),
        ("TransferLeadership", "platform_admin"),
        ("Watch", "user"),
    ];
    assert_eq!(roles, BTreeMap::from(expected));
}

#[test]
fn sandboxes_synchronise_themselves_and_users_see_how_far_a_change_is() {
    let row = |mode: &str, scope: &str, role: &str| [mode, scope, role, ""].map(str::to_owned);
    let expected = [
        ("Follow".to_owned(), row("sandbox", "", "")),
        ("GetRollout".to_owned(), row("bearer", "config:read", "user")),
        ("Report".to_owned(), row("sandbox", "", "")),
    ];
    assert_eq!(declared("openshell.sync.v1.Sync/"), BTreeMap::from(expected));
}
