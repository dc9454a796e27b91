//! Who may make a call, and in which order a call is judged: the rules of `config.md` 7.1 and 7.5 to
//! 7.6, asked of every call that a workspace is named in.

use openshell_proto::v1::{
    ConfigureProviderRefreshRequest, CreateSandboxRequest, DeleteProviderProfileRequest, DeleteProviderRefreshRequest,
    DeleteProviderRequest, DeleteSandboxRequest, DeleteWorkspaceRequest, GetProviderProfileRequest,
    GetProviderRefreshStatusRequest, GetProviderRequest, GetSandboxPolicyStatusRequest, GetSandboxRequest,
    GetWorkspaceRequest, ListProviderProfilesRequest, ListProvidersRequest, ListSandboxProvidersRequest,
    ListSandboxesRequest, ListWorkspaceMembersRequest, ListWorkspacesRequest, RotateProviderCredentialRequest,
    UpdateConfigRequest, WorkspaceRole,
};
use openshell_state::access::Principal;
use openshell_state::decide::refresh::Awaited;
use openshell_state::{Code, Decision, Refusal, query};

use crate::support::{
    Decide, World, add_member, admin, attach, config, detach, global_setting, import, minimal, policy, provider,
    remove_member, sandbox, setting, update, update_policy, update_provider, user,
};

/// A call of its workspace.
struct Asked {
    request: Box<dyn Decide>,
    /// It needs the workspace's admin.
    admin: bool,
    /// It needs a workspace that is not being deleted.
    active: bool,
}

/// Every decided call that names a workspace, about things that do not exist in it.
fn decided(workspace: &str) -> Vec<Asked> {
    let in_it = || workspace.to_owned();
    let asked = |admin, active, request: Box<dyn Decide>| Asked { request, admin, active };
    let mut made = provider("none", "github", &["KEY"]);
    made.workspace = in_it();
    made.provider.as_mut().expect("a provider").profile_workspace = String::new();
    let mut changed = update_provider("none", &[], &[]);
    changed.workspace = in_it();
    let refreshed = ConfigureProviderRefreshRequest {
        provider: "none".to_owned(),
        credential_key: "KEY".to_owned(),
        workspace: in_it(),
        ..Default::default()
    };
    let unrefreshed = DeleteProviderRefreshRequest {
        provider: "none".to_owned(),
        credential_key: "KEY".to_owned(),
        workspace: in_it(),
    };
    let rotated = RotateProviderCredentialRequest {
        provider: "none".to_owned(),
        credential_key: "KEY".to_owned(),
        workspace: in_it(),
    };
    let with_token = CreateSandboxRequest { issue_token: true, workspace: in_it(), ..sandbox("new", &[], None) };
    let mut attached = attach("none", "none");
    attached.workspace = in_it();
    let mut detached = detach("none", "none");
    detached.workspace = in_it();
    let set = UpdateConfigRequest { workspace: in_it(), ..setting("none", "ocsf_json_enabled", true) };
    vec![
        asked(false, true, Box::new(CreateSandboxRequest { workspace: in_it(), ..sandbox("new", &[], None) })),
        asked(true, true, Box::new(with_token)),
        asked(false, true, Box::new(attached)),
        asked(false, false, Box::new(detached)),
        asked(false, false, Box::new(DeleteSandboxRequest { name: "none".to_owned(), workspace: in_it() })),
        asked(true, true, Box::new(made)),
        asked(true, false, Box::new(changed)),
        asked(true, false, Box::new(DeleteProviderRequest { name: "none".to_owned(), workspace: in_it() })),
        asked(true, true, Box::new(import(workspace, &[minimal("new")]))),
        asked(true, true, Box::new(update(workspace, 1, minimal("none")))),
        asked(true, false, Box::new(DeleteProviderProfileRequest { id: "none".to_owned(), workspace: in_it() })),
        asked(true, false, Box::new(refreshed)),
        asked(true, false, Box::new(unrefreshed)),
        asked(true, false, Box::new(Awaited { request: rotated, claim: Default::default() })),
        asked(true, false, Box::new(set)),
        asked(true, true, Box::new(add_member(workspace, "new", WorkspaceRole::User))),
        asked(true, false, Box::new(remove_member(workspace, "none"))),
    ]
}

/// Every read that names a workspace, about things that do not exist in it.
fn read(world: &World, principal: &Principal, workspace: &str) -> Vec<(&'static str, Result<(), Refusal>)> {
    let (state, in_it, none) = (&world.state, || workspace.to_owned(), || "none".to_owned());
    let sandbox = GetSandboxRequest { name: none(), workspace: in_it() };
    let sandboxes = ListSandboxesRequest { workspace: in_it(), ..Default::default() };
    let listed = ListSandboxProvidersRequest { sandbox_name: none(), workspace: in_it() };
    let provider = GetProviderRequest { name: none(), workspace: in_it() };
    let providers = ListProvidersRequest { workspace: in_it(), ..Default::default() };
    let profile = GetProviderProfileRequest { id: none(), workspace: in_it() };
    let profiles = ListProviderProfilesRequest { workspace: in_it(), ..Default::default() };
    let refresh = GetProviderRefreshStatusRequest { provider: none(), workspace: in_it(), ..Default::default() };
    let status = GetSandboxPolicyStatusRequest { name: none(), workspace: in_it(), ..Default::default() };
    let members = ListWorkspaceMembersRequest { workspace: in_it(), ..Default::default() };
    vec![
        ("GetSandbox", query::sandbox::get(state, principal, &sandbox).map(drop)),
        ("ListSandboxes", query::sandbox::list(state, principal, &sandboxes).map(drop)),
        ("ListSandboxProviders", query::sandbox::providers(state, principal, &listed).map(drop)),
        ("GetProvider", query::provider::get(state, principal, &provider).map(drop)),
        ("ListProviders", query::provider::list(state, principal, &providers).map(drop)),
        ("GetProviderProfile", query::profile::get(state, principal, &profile).map(drop)),
        ("ListProviderProfiles", query::profile::list(state, principal, &profiles).map(drop)),
        ("GetProviderRefreshStatus", query::refresh::status(state, principal, &refresh).map(drop)),
        ("GetSandboxPolicyStatus", query::policy::status(state, principal, &status).map(drop)),
        ("ListWorkspaceMembers", query::workspace::members(state, principal, &members).map(drop)),
        ("GetWorkspace", query::workspace::get(state, principal, &GetWorkspaceRequest { name: in_it() }).map(drop)),
    ]
}

/// The code of what is decided; none for what is not refused.
fn code(world: &World, principal: &Principal, request: &dyn Decide) -> Option<Code> {
    match world.decide_as(principal, request) {
        Decision::Refuse(refusal) => Some(refusal.code),
        Decision::Answer(_) | Decision::Transact(_) => None,
    }
}

fn text(world: &World, principal: &Principal, request: &dyn Decide) -> String {
    match world.decide_as(principal, request) {
        Decision::Refuse(refusal) => refusal.message,
        other => panic!("{request:?} is decided as {other:?}"),
    }
}

/// A workspace `team` with a user `uma` and an admin `ann`, and one that is being deleted, `going`,
/// with the same members.
fn world() -> World {
    let mut world = World::new();
    for workspace in ["team", "going"] {
        world.workspace(workspace);
        world.member(workspace, "uma", WorkspaceRole::User);
        world.member(workspace, "ann", WorkspaceRole::Admin);
    }
    world.ok(&CreateSandboxRequest { workspace: "going".to_owned(), ..sandbox("left", &[], None) });
    world.call(&DeleteWorkspaceRequest { name: "going".to_owned() }).expect_err("it is marked");
    world
}

#[test]
fn au_2_some_calls_need_more_than_they_declare() {
    let mut world = World::new();
    world.ok(&sandbox("s", &[], None));
    world.member("default", "ann", WorkspaceRole::Admin);
    world.member("default", "uma", WorkspaceRole::User);
    let (ann, uma) = (user("ann", false), user("uma", false));
    // UpdateConfig declares a workspace's admin; for the gateway as a whole it takes a platform admin.
    assert_eq!(code(&world, &ann, &setting("s", "ocsf_json_enabled", true)), None);
    assert_eq!(code(&world, &ann, &global_setting("ocsf_json_enabled", true)), Some(Code::PermissionDenied));
    assert_eq!(code(&world, &admin(), &global_setting("ocsf_json_enabled", true)), None);
    // CreateSandbox declares a user; who wants the sandbox's token has to be an admin.
    let with_token = CreateSandboxRequest { issue_token: true, ..sandbox("t", &[], None) };
    assert_eq!(code(&world, &uma, &sandbox("t", &[], None)), None);
    assert_eq!(code(&world, &uma, &with_token), Some(Code::PermissionDenied));
    assert_eq!(code(&world, &ann, &with_token), None);
    let everywhere = ListProvidersRequest { all_workspaces: true, ..Default::default() };
    let refusal = query::provider::list(&world.state, &ann, &everywhere).expect_err("of all workspaces");
    assert_eq!(refusal.code, Code::PermissionDenied);
    query::provider::list(&world.state, &admin(), &everywhere).expect("a platform admin's");
    let global = GetSandboxPolicyStatusRequest { global: true, ..Default::default() };
    let refusal = query::policy::status(&world.state, &ann, &global).expect_err("the global policy");
    assert_eq!(refusal.code, Code::PermissionDenied);
}

#[test]
fn au_12_a_sandbox_reaches_itself_alone() {
    let mut world = World::new();
    world.ok(&sandbox("s", &[], None));
    world.ok(&sandbox("t", &[], None));
    let (own, other) = (world.sandbox_id("s"), world.sandbox_id("t"));
    let principal = Principal::Sandbox { id: own.clone() };
    let by_id =
        |principal: &Principal, id: &str| world.config_as(principal, id).map(drop).map_err(|refusal| refusal.code);
    assert_eq!(by_id(&principal, &own), Ok(()));
    for id in [other.as_str(), "unknown", ""] {
        assert_eq!(by_id(&principal, id), Err(Code::PermissionDenied), "{id:?}");
    }
    assert_eq!(code(&world, &principal, &update_policy("s", policy("a.example.com"))), None);
    for name in ["t", "unknown"] {
        let refused = code(&world, &principal, &update_policy(name, policy("a.example.com")));
        assert_eq!(refused, Some(Code::PermissionDenied), "{name}");
    }
    // Whether the sandbox still exists is for the call to say: its token is valid all the same.
    let gone = Principal::Sandbox { id: "gone".to_owned() };
    assert_eq!(by_id(&gone, "gone"), Err(Code::NotFound));
    assert_eq!(query::sandbox::of_principal(&world.state, &gone).expect_err("gone").code, Code::NotFound);
}

#[test]
fn au_18_no_workspace_is_the_workspace_default() {
    let mut world = world();
    for workspace in ["", "default"] {
        world.ok(&add_member(workspace, &format!("of-{workspace}"), WorkspaceRole::User));
        for asked in decided(workspace).iter().filter(|asked| !asked.admin) {
            assert_ne!(code(&world, &user("of-", false), &*asked.request), Some(Code::PermissionDenied));
        }
    }
    assert_eq!(world.state.member_count("default"), 2);
    world.ok(&sandbox("s", &[], None));
    let request = GetSandboxRequest { name: "s".to_owned(), workspace: "default".to_owned() };
    query::sandbox::get(&world.state, &user("of-", false), &request).expect("the same workspace");
}

#[test]
fn au_19_platform_admins_need_no_membership_and_hear_what_does_not_exist() {
    let world = world();
    for asked in decided("nowhere") {
        let request = &*asked.request;
        assert_eq!(code(&world, &admin(), request), Some(Code::NotFound), "{request:?}");
    }
    for (rpc, answer) in read(&world, &admin(), "nowhere") {
        assert_eq!(answer.expect_err(rpc).code, Code::NotFound, "{rpc}");
    }
    for asked in decided("team") {
        assert_ne!(code(&world, &admin(), &*asked.request), Some(Code::PermissionDenied), "{:?}", asked.request);
    }
}

#[test]
fn au_20_who_is_no_member_is_denied_and_a_user_what_is_an_admins() {
    let world = world();
    let (eve, uma, ann) = (user("eve", false), user("uma", false), user("ann", false));
    for asked in decided("team") {
        let request = &*asked.request;
        assert!(text(&world, &eve, request).contains("not a member of workspace"), "{request:?}");
        let denied = Some(Code::PermissionDenied);
        assert_eq!(code(&world, &eve, request), denied, "{request:?}");
        assert_eq!(code(&world, &uma, request) == denied, asked.admin, "{request:?}");
        assert_ne!(code(&world, &ann, request), denied, "{request:?}");
    }
    for (rpc, answer) in read(&world, &eve, "team") {
        assert_eq!(answer.expect_err(rpc).code, Code::PermissionDenied, "{rpc}");
    }
    for member in [&uma, &ann] {
        for (rpc, answer) in read(&world, member, "team") {
            assert_ne!(answer.map_err(|refusal| refusal.code), Err(Code::PermissionDenied), "{rpc}");
        }
    }
    // Nothing tells a workspace that exists from one that does not.
    for (there, not_there) in decided("team").iter().zip(decided("nope")) {
        let said = [text(&world, &eve, &*there.request), text(&world, &eve, &*not_there.request)];
        assert_eq!(said[0].replace("team", "NAME"), said[1].replace("nope", "NAME"));
    }
}

#[test]
fn au_21_authorisation_comes_first_then_the_workspace_its_phase_and_the_object() {
    let world = world();
    let (eve, ann) = (user("eve", false), user("ann", false));
    for workspace in ["nowhere", "going"] {
        for asked in decided(workspace) {
            let request = &*asked.request;
            assert_eq!(code(&world, &eve, request), Some(Code::PermissionDenied), "{request:?}");
        }
        for (rpc, answer) in read(&world, &eve, workspace) {
            assert_eq!(answer.expect_err(rpc).code, Code::PermissionDenied, "{rpc} in {workspace}");
        }
    }
    for principal in [admin(), ann] {
        for asked in decided("going") {
            let request = &*asked.request;
            let goes = matches!(world.decide_as(&principal, request), Decision::Refuse(refusal)
                if refusal.code == Code::FailedPrecondition && refusal.message.contains("is being deleted"));
            assert_eq!(goes, asked.active, "{request:?}: the phase before the object, where it counts");
        }
    }
    let missing = query::sandbox::get(
        &world.state,
        &user("uma", false),
        &GetSandboxRequest { name: "none".to_owned(), workspace: "going".to_owned() },
    );
    assert_eq!(missing.expect_err("there is none").code, Code::NotFound);
}

#[test]
fn au_22_sandboxes_pass_where_they_may_call_and_nobody_in_particular_nowhere() {
    let mut world = world();
    world.ok(&CreateSandboxRequest { workspace: "team".to_owned(), ..sandbox("s", &[], None) });
    let id = world.state.sandbox("team", "s").expect("made").value.metadata.as_ref().expect("metadata").id.clone();
    let own = Principal::Sandbox { id: id.clone() };
    // No membership is asked for, in the sandbox's own workspace.
    let set = UpdateConfigRequest { workspace: "team".to_owned(), ..update_policy("s", policy("a.example.com")) };
    assert_eq!(code(&world, &own, &set), None);
    world.config_as(&own, &id).expect("its own");
    for asked in decided("team") {
        let request = &*asked.request;
        assert_eq!(code(&world, &own, request), Some(Code::PermissionDenied), "{request:?}");
        assert_eq!(code(&world, &Principal::Anonymous, request), Some(Code::Unauthenticated), "{request:?}");
    }
    for (rpc, answer) in read(&world, &own, "team") {
        assert_eq!(answer.expect_err(rpc).code, Code::PermissionDenied, "{rpc}");
    }
    for (rpc, answer) in read(&world, &Principal::Anonymous, "team") {
        assert_eq!(answer.expect_err(rpc).code, Code::Unauthenticated, "{rpc}");
    }
    let all = ListWorkspacesRequest::default();
    let refusal = query::workspace::list(&world.state, &Principal::Anonymous, &all).expect_err("nobody");
    assert_eq!(refusal.code, Code::Unauthenticated);
    assert_eq!(code(&world, &Principal::Anonymous, &config("s")), Some(Code::Unauthenticated));
}

#[test]
fn au_23_and_24_an_id_tells_a_stranger_nothing_and_a_name_that_it_is_not_theirs() {
    let mut world = world();
    world.ok(&CreateSandboxRequest { workspace: "team".to_owned(), ..sandbox("s", &[], None) });
    let id = world.state.sandbox("team", "s").expect("made").value.metadata.as_ref().expect("metadata").id.clone();
    let by_id = |principal: &Principal, id: &str| {
        query::sandbox::find_by_id(&world.state, principal, id)
            .map(|_| ())
            .map_err(|refusal| (refusal.code, refusal.message.replace(id, "ID")))
    };
    let eve = user("eve", false);
    let foreign = by_id(&eve, &id).expect_err("not hers");
    assert_eq!(foreign.0, Code::NotFound);
    assert_eq!(foreign, by_id(&eve, "random").expect_err("there is none"));
    assert_eq!(by_id(&user("uma", false), &id), Ok(()));
    assert_eq!(by_id(&Principal::Anonymous, &id).expect_err("nobody").0, Code::Unauthenticated);
    for name in ["s", "none"] {
        let request = GetSandboxRequest { name: name.to_owned(), workspace: "team".to_owned() };
        let refusal = query::sandbox::get(&world.state, &eve, &request).expect_err("no member");
        assert_eq!(refusal.code, Code::PermissionDenied, "{name}");
    }
}
