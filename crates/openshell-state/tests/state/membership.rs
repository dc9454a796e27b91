//! Who may do what: the scenarios of `config.md` and `providers.md` about callers, by number.

use openshell_proto::v1::{
    DeleteProviderProfileRequest, DeleteProviderRequest, DeleteWorkspaceRequest, GetProviderProfileRequest,
    GetProviderRequest, GetSandboxRequest, GetWorkspaceRequest, LintProviderProfilesRequest,
    ListProviderProfilesRequest, ListProvidersRequest, ListSandboxesRequest, ListWorkspacesRequest,
    UpdateConfigRequest, WorkspaceRole,
};
use openshell_state::access::Principal;
use openshell_state::{Code, Decision, query};

use crate::support::{
    Decide, World, attach, config, global_setting, import, minimal, policy, policy_of, provider, sandbox, says,
    setting, update, update_policy, update_provider, user,
};

#[track_caller]
fn code(world: &World, principal: &Principal, request: &dyn Decide) -> Code {
    match world.decide_as(principal, request) {
        Decision::Refuse(refusal) => refusal.code,
        other => panic!("{request:?} is decided as {other:?}"),
    }
}

fn elsewhere(name: &str) -> GetSandboxRequest {
    GetSandboxRequest { name: "s".to_owned(), workspace: name.to_owned() }
}

#[test]
fn config_scenario_14_a_non_member_cannot_tell_what_exists() {
    let mut world = World::new();
    world.ok(&sandbox("s", &[], None));
    let stranger = user("eve", false);
    let read = |request| query::sandbox::get(&world.state, &stranger, &request).expect_err("no member");
    assert_eq!(read(elsewhere("default")).code, Code::PermissionDenied);
    assert_eq!(read(elsewhere("no-such")).code, Code::PermissionDenied);
    says(&read(elsewhere("default")).message, &["not a member of workspace"]);
    let by_id = |principal: &Principal, id: &str| world.config_as(principal, id).expect_err("not to be seen");
    let id = world.sandbox_id("s");
    let foreign = by_id(&stranger, &id);
    assert_eq!(foreign.code, Code::NotFound);
    assert_eq!(foreign.message.replace(&id, "ID"), by_id(&stranger, "random").message.replace("random", "ID"));
    assert_eq!(by_id(&Principal::Anonymous, &id).code, Code::Unauthenticated);
}

#[test]
fn config_scenario_15_lists_of_all_workspaces_are_for_platform_admins() {
    let world = World::new();
    let request = ListSandboxesRequest { all_workspaces: true, ..ListSandboxesRequest::default() };
    let refusal = query::sandbox::list(&world.state, &user("eve", false), &request).expect_err("no admin");
    assert_eq!(refusal.code, Code::PermissionDenied);
    let both = ListSandboxesRequest { workspace: "default".to_owned(), ..request };
    let refusal = query::sandbox::list(&world.state, &world.principal, &both).expect_err("contradictory");
    assert_eq!(refusal.code, Code::InvalidArgument);
}

#[test]
fn providers_scenario_42_the_platforms_scope_is_for_platform_admins() {
    let mut world = World::new();
    world.member("default", "ann", WorkspaceRole::Admin);
    let admin = user("ann", false);
    let delete = DeleteProviderProfileRequest { id: "unknown".to_owned(), ..DeleteProviderProfileRequest::default() };
    let requests: [&dyn Decide; 3] = [&import("", &[minimal("x")]), &update("", 1, minimal("x")), &delete];
    for request in requests {
        assert_eq!(code(&world, &admin, request), Code::PermissionDenied);
    }
    let get = GetProviderProfileRequest { id: "github".to_owned(), workspace: String::new() };
    let refusals = [
        query::profile::get(&world.state, &admin, &get).expect_err("the platform's"),
        query::profile::list(&world.state, &admin, &Default::default()).expect_err("the platform's"),
        query::profile::lint(&world.state, &admin, &Default::default()).expect_err("the platform's"),
    ];
    for refusal in refusals {
        assert_eq!(refusal.code, Code::PermissionDenied);
        says(&refusal.message, &["platform admin role required"]);
    }
    assert!(matches!(world.decide_as(&admin, &import("default", &[minimal("x")])), Decision::Transact(_)));
}

#[test]
fn providers_scenario_43_a_stranger_learns_nothing_of_workspaces() {
    let world = World::new();
    let stranger = user("eve", false);
    let name = || "p".to_owned();
    for workspace in ["no-such-ws", "default"] {
        let workspace = || workspace.to_owned();
        let mut create = provider("p", "github", &["KEY"]);
        create.workspace = workspace();
        let mut change = update_provider("p", &[], &[]);
        change.workspace = workspace();
        let requests: [&dyn Decide; 6] = [
            &create,
            &change,
            &DeleteProviderRequest { name: name(), workspace: workspace() },
            &import(&workspace(), &[minimal("x")]),
            &update(&workspace(), 1, minimal("x")),
            &DeleteProviderProfileRequest { id: name(), workspace: workspace() },
        ];
        for request in requests {
            assert_eq!(code(&world, &stranger, request), Code::PermissionDenied, "{request:?}");
        }
        let (state, profile) = (&world.state, GetProviderProfileRequest { id: name(), workspace: workspace() });
        let get = GetProviderRequest { name: name(), workspace: workspace() };
        let all = ListProvidersRequest { workspace: workspace(), ..Default::default() };
        let profiles = ListProviderProfilesRequest { workspace: workspace(), ..Default::default() };
        let lint = LintProviderProfilesRequest { workspace: workspace(), ..Default::default() };
        let reads = [
            query::provider::get(state, &stranger, &get).map(drop),
            query::provider::list(state, &stranger, &all).map(drop),
            query::profile::get(state, &stranger, &profile).map(drop),
            query::profile::list(state, &stranger, &profiles).map(drop),
            query::profile::lint(state, &stranger, &lint).map(drop),
        ];
        for read in reads {
            assert_eq!(read.expect_err("not a member").code, Code::PermissionDenied);
        }
    }
    let mut create = provider("p", "github", &["KEY"]);
    create.workspace = "no-such-ws".to_owned();
    assert_eq!(code(&world, &world.principal, &create), Code::NotFound, "who may know it hears it");
}

#[test]
fn a_user_of_a_workspace_does_less_than_its_admin() {
    let mut world = World::new();
    world.ok(&sandbox("s", &[], None));
    world.member("default", "uma", WorkspaceRole::User);
    let member = user("uma", false);
    let requests: [&dyn Decide; 4] = [
        &provider("p", "github", &["KEY"]),
        &update_provider("p", &[], &[]),
        &import("default", &[minimal("x")]),
        &setting("s", "ocsf_json_enabled", true),
    ];
    for request in requests {
        assert_eq!(code(&world, &member, request), Code::PermissionDenied, "{request:?}");
    }
    assert!(matches!(world.decide_as(&member, &sandbox("t", &[], None)), Decision::Transact(_)));
}

#[test]
fn config_scenario_47_a_sandbox_sets_its_own_policy_and_nothing_else() {
    let mut world = World::new();
    world.ok(&sandbox("s", &[], None));
    world.ok(&sandbox("tt", &[], None));
    let own = Principal::Sandbox { id: world.sandbox_id("s") };
    let merge = UpdateConfigRequest { merge_operations: vec![Default::default()], ..config("s") };
    let deleted = UpdateConfigRequest { delete_setting: true, ..update_policy("s", policy("a.example.com")) };
    let blank = update_policy(" ", policy("a.example.com"));
    for request in
        [&global_setting("ocsf_json_enabled", true), &setting("s", "ocsf_json_enabled", true), &merge, &deleted, &blank]
    {
        assert_eq!(code(&world, &own, request), Code::PermissionDenied, "{request:?}");
    }
    let refused = |name: &str| match world.decide_as(&own, &update_policy(name, policy("a.example.com"))) {
        Decision::Refuse(refusal) => (refusal.code, refusal.message.replace(name, "NAME")),
        other => panic!("{other:?}"),
    };
    assert_eq!(refused("another"), refused("tt"), "whether or not it exists");
    assert_eq!(refused("tt").0, Code::PermissionDenied);
    assert!(matches!(world.decide_as(&own, &update_policy("s", policy("a.example.com"))), Decision::Transact(_)));
}

#[test]
fn a_sandbox_makes_no_call_of_users() {
    let mut world = World::new();
    world.ok(&sandbox("s", &[], None));
    let own = Principal::Sandbox { id: world.sandbox_id("s") };
    let requests: [&dyn Decide; 6] = [
        &provider("p", "github", &["KEY"]),
        &import("default", &[minimal("x")]),
        &import("", &[minimal("x")]),
        &sandbox("t", &[], None),
        &attach("s", "p"),
        &DeleteWorkspaceRequest { name: "team".to_owned() },
    ];
    for request in requests {
        assert_eq!(code(&world, &own, request), Code::PermissionDenied, "{request:?}");
    }
    let denied = [
        query::sandbox::get(&world.state, &own, &elsewhere("default")).map(|_| ()),
        query::provider::list(&world.state, &own, &ListProvidersRequest::default()).map(|_| ()),
        query::workspace::get(&world.state, &own, &GetWorkspaceRequest { name: "default".to_owned() }).map(|_| ()),
        query::workspace::list(&world.state, &own, &ListWorkspacesRequest::default()).map(|_| ()),
    ];
    for answer in denied {
        assert_eq!(answer.expect_err("not for sandboxes").code, Code::PermissionDenied);
    }
}

#[test]
fn config_scenario_84_a_sandbox_asks_about_itself_only() {
    let mut world = World::new();
    world.ok(&sandbox("s", &[], None));
    let own = Principal::Sandbox { id: world.sandbox_id("s") };
    let ask = |id: &str| world.config_as(&own, id);
    assert!(ask(&world.sandbox_id("s")).is_ok());
    assert_eq!(ask("another").expect_err("not its own").code, Code::PermissionDenied);
}

#[test]
fn config_scenario_45_reserved_rules_of_a_sandbox_are_left_out() {
    let mut world = World::new();
    world.ok(&sandbox("s", &[], None));
    let mut sent = policy("a.example.com");
    sent.network_policies.extend(policy_of("_provider_x", Default::default()).network_policies);
    world.refused(Code::InvalidArgument, &update_policy("s", sent.clone()));
    world.principal = Principal::Sandbox { id: world.sandbox_id("s") };
    world.ok(&update_policy("s", sent));
    let stored = &world.revisions("s")[0].policy;
    assert_eq!(stored.network_policies.keys().collect::<Vec<_>>(), ["r1"]);
}

#[test]
fn config_scenario_46_a_baseline_is_filled_in_once() {
    let mut world = World::new();
    world.ok(&sandbox("s", &[], None));
    world.principal = Principal::Sandbox { id: world.sandbox_id("s") };
    let sent = |host: &str, expected| UpdateConfigRequest {
        expected_resource_version: expected,
        ..update_policy("s", policy(host))
    };
    world.refused(Code::Aborted, &sent("a.example.com", 9));
    assert_eq!(world.revisions("s").len(), 0);
    let decided =
        ["a", "b", "c"].map(|name| crate::support::draft(world.decide(&sent(&format!("{name}.example.com"), 1))));
    let outcomes = decided.map(|draft| world.commit(draft).outcome);
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == openshell_state::Outcome::Installed).count(), 1);
    world.refused(Code::Aborted, &sent("b.example.com", 1));
    assert_eq!((world.revisions("s").len(), world.sandbox_version("s")), (1, 2));
    let spec = world.stored_sandbox("s").spec.as_ref().expect("a spec");
    assert_eq!(spec.policy, Some(policy("a.example.com")));
}
