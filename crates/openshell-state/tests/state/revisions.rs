//! Policy revisions: rules PR-1 to PR-7, PR-10 and PR-11 of `config.md`. What sandboxes report about them is
//! in `reports`.

use openshell_proto::sandbox::SandboxPolicy;
use openshell_proto::v1::{
    GetSandboxPolicyStatusRequest, ListSandboxPoliciesRequest, PolicyStatus, SandboxPolicyRevision,
    UpdateConfigRequest, WorkspaceRole,
};
use openshell_state::access::Principal;
use openshell_state::{Code, Key, Outcome, Refusal, query};

use crate::support::{World, draft, global_policy, global_setting, map, policy, sandbox, update_policy, user};

fn with_policy(host: &str) -> World {
    let mut world = World::new();
    world.ok(&sandbox("s", &[], Some(policy(host))));
    world
}

fn annotated(host: &str, pairs: &[(&str, &str)]) -> UpdateConfigRequest {
    UpdateConfigRequest { annotations: map(pairs), ..update_policy("s", policy(host)) }
}

fn list(world: &World, principal: &Principal, request: &ListSandboxPoliciesRequest) -> Result<Vec<u32>, Refusal> {
    Ok(revisions(world, principal, request)?.iter().map(|revision| revision.version).collect())
}

fn revisions(
    world: &World,
    principal: &Principal,
    request: &ListSandboxPoliciesRequest,
) -> Result<Vec<SandboxPolicyRevision>, Refusal> {
    Ok(query::policy::list(&world.state, principal, request)?.revisions)
}

fn of(name: &str) -> ListSandboxPoliciesRequest {
    ListSandboxPoliciesRequest { name: name.to_owned(), ..ListSandboxPoliciesRequest::default() }
}

fn status_of(name: &str, version: u32) -> GetSandboxPolicyStatusRequest {
    GetSandboxPolicyStatusRequest { name: name.to_owned(), version, ..GetSandboxPolicyStatusRequest::default() }
}

#[test]
fn pr_1_versions_count_from_one_in_each_scope() {
    let mut world = with_policy("a.example.com");
    world.ok(&sandbox("t", &[], None));
    assert_eq!(world.ok(&update_policy("s", policy("b.example.com"))).version, 2);
    assert_eq!(world.ok(&update_policy("t", policy("b.example.com"))).version, 1);
    assert_eq!(world.ok(&global_policy(policy("g.example.com"))).version, 1);
    let stored = &world.revisions("s")[1].stored;
    assert_eq!((stored.version, stored.created_at_ms > 0, stored.loaded_at_ms), (2, true, None));
    assert_eq!(world.revisions("s")[1].policy, policy("b.example.com"));
    assert_eq!(stored.policy_hash, openshell_policy::hash::policy_hash(&policy("b.example.com")));
}

#[test]
fn pr_2_a_new_revision_is_pending_and_supersedes_all_but_the_failed() {
    let mut world = with_policy("a.example.com");
    for (host, reported) in
        [("b", Some(PolicyStatus::Failed)), ("c", Some(PolicyStatus::Loaded)), ("d", None), ("e", None)]
    {
        let version = world.ok(&update_policy("s", policy(&format!("{host}.example.com")))).version;
        if let Some(status) = reported {
            world.report("s", version, status, "x");
        }
    }
    let words: Vec<&str> = world.revisions("s").iter().map(|revision| revision.stored.status.as_str()).collect();
    assert_eq!(words, ["superseded", "failed", "superseded", "superseded", "pending"]);
}

#[test]
fn pr_3_a_revision_its_annotations_and_the_baseline_are_one_entry() {
    let mut world = World::new();
    world.ok(&sandbox("s", &[], None));
    let entries = world.log.len();
    let request = UpdateConfigRequest { expected_resource_version: 1, ..annotated("a.example.com", &[("a", "1")]) };
    let stale = UpdateConfigRequest { expected_resource_version: 2, ..request.clone() };
    world.refused(Code::Aborted, &stale);
    world.ok(&request);
    assert_eq!(world.log.len(), entries + 1);
    let stored = world.stored_sandbox("s");
    assert_eq!(stored.spec.as_ref().expect("a spec").policy, Some(policy("a.example.com")));
    assert_eq!(stored.metadata.as_ref().expect("metadata").annotations, map(&[("a", "1")]));
    assert_eq!((world.revisions("s").len(), world.sandbox_version("s")), (1, 2), "one version for both");
    // Between decision and entry the sandbox went away: nothing is left behind.
    let late = draft(world.decide(&annotated("b.example.com", &[("b", "2")])));
    world.write::<openshell_proto::v1::Sandbox>(&Key::sandbox("default", "s"), None);
    let before = world.state.digest();
    assert!(matches!(world.commit(late).outcome, Outcome::GuardFailed { .. }));
    assert_eq!(world.state.digest(), before);
}

#[test]
fn pr_4_an_expected_version_serves_many_updates_without_annotations() {
    let mut world = with_policy("a.example.com");
    for host in ["b", "c", "d"] {
        let request = update_policy("s", policy(&format!("{host}.example.com")));
        world.ok(&UpdateConfigRequest { expected_resource_version: 1, ..request });
    }
    world.ok(&annotated("e.example.com", &[("a", "1")]));
    let request = update_policy("s", policy("f.example.com"));
    world.refused(Code::Aborted, &UpdateConfigRequest { expected_resource_version: 1, ..request });
}

#[test]
fn pr_5_a_revision_has_the_annotations_of_its_request_and_the_sandbox_all() {
    let mut world = with_policy("a.example.com");
    world.ok(&annotated("b.example.com", &[("a", "1"), ("b", "1")]));
    world.ok(&annotated("c.example.com", &[("b", "2")]));
    let answer = world.ok(&annotated("d.example.com", &[]));
    assert_eq!(answer.annotations, map(&[("a", "1"), ("b", "2")]), "nothing removes one");
    let provenance: Vec<_> = world.revisions("s").iter().map(|revision| revision.stored.provenance.clone()).collect();
    assert_eq!(provenance, [map(&[]), map(&[("a", "1"), ("b", "1")]), map(&[("b", "2")]), map(&[])]);
}

#[test]
fn pr_6_one_revision_is_read_by_its_number_or_as_the_latest() {
    let mut world = with_policy("a.example.com");
    world.ok(&update_policy("s", policy("b.example.com")));
    world.report("s", 1, PolicyStatus::Loaded, "");
    let get = |world: &World, request: &GetSandboxPolicyStatusRequest| {
        query::policy::status(&world.state, &world.principal, request)
    };
    for (asked, version, host) in [(0, 2, "b.example.com"), (2, 2, "b.example.com"), (1, 1, "a.example.com")] {
        let answer = get(&world, &status_of("s", asked)).expect("a revision");
        let revision = answer.revision.expect("a revision");
        assert_eq!((revision.version, answer.active_version), (version, 1));
        assert_eq!(revision.policy, Some(policy(host)));
    }
    assert_eq!(get(&world, &status_of("s", 3)).expect_err("none").code, Code::NotFound);
    let global = GetSandboxPolicyStatusRequest { global: true, ..status_of("", 0) };
    assert_eq!(get(&world, &global).expect_err("none").code, Code::NotFound);
    world.ok(&global_policy(policy("g.example.com")));
    let answer = get(&world, &global).expect("a revision");
    assert_eq!((answer.revision.expect("a revision").version, answer.active_version), (1, 0));
}

#[test]
fn pr_6_and_7_the_callers_rights_come_before_what_exists() {
    let mut world = with_policy("a.example.com");
    world.member("default", "uma", WorkspaceRole::User);
    let (member, stranger) = (user("uma", false), user("eve", false));
    let codes = |principal: &Principal, global: bool, workspace: &str, name: &str| {
        let (name, workspace) = (name.to_owned(), workspace.to_owned());
        let listed = ListSandboxPoliciesRequest {
            name: name.clone(),
            global,
            workspace: workspace.clone(),
            ..Default::default()
        };
        let read = GetSandboxPolicyStatusRequest { name, global, workspace, version: 0 };
        let code = |refused: Option<Refusal>| refused.map(|refusal| refusal.code);
        let read = code(query::policy::status(&world.state, principal, &read).err());
        assert_eq!(code(query::policy::list(&world.state, principal, &listed).err()), read);
        read
    };
    assert_eq!(codes(&member, false, "", "s"), None);
    for principal in [&member, &stranger, &Principal::Sandbox { id: world.sandbox_id("s") }] {
        assert_eq!(codes(principal, true, "", ""), Some(Code::PermissionDenied));
    }
    assert_eq!(codes(&stranger, false, "no-such", ""), Some(Code::PermissionDenied));
    assert_eq!(codes(&world.principal, false, "no-such", ""), Some(Code::NotFound));
    assert_eq!(codes(&member, false, "", ""), Some(Code::InvalidArgument));
    assert_eq!(codes(&member, false, "", "no-such"), Some(Code::NotFound));
    assert_eq!(codes(&Principal::Anonymous, false, "", "s"), Some(Code::Unauthenticated));
}

#[test]
fn pr_7_revisions_are_listed_newest_first_without_their_policies() {
    let mut world = with_policy("a.example.com");
    world.ok(&annotated("b.example.com", &[("a", "1")]));
    world.report("s", 2, PolicyStatus::Failed, "x");
    world.ok(&update_policy("s", policy("c.example.com")));
    world.report("s", 3, PolicyStatus::Loaded, "");
    let listed = revisions(&world, &world.principal, &of("s")).expect("a list");
    let versions: Vec<_> = listed.iter().map(|revision| (revision.version, revision.status())).collect();
    assert_eq!(versions, [(3, PolicyStatus::Loaded), (2, PolicyStatus::Failed), (1, PolicyStatus::Superseded)]);
    assert!(listed.iter().all(|revision| revision.policy.is_none()));
    assert_eq!((listed[1].load_error.as_str(), &listed[1].provenance), ("x", &map(&[("a", "1")])));
    assert!(listed[0].loaded_at_ms > listed[0].created_at_ms);
    assert_eq!(listed[2].policy_hash, world.revisions("s")[0].stored.policy_hash);
    world.ok(&sandbox("t", &[], None));
    assert_eq!(list(&world, &world.principal, &of("t")), Ok(Vec::new()));
    let global = ListSandboxPoliciesRequest { global: true, ..of("") };
    assert_eq!(list(&world, &world.principal, &global), Ok(Vec::new()));
    world.ok(&global_policy(policy("g.example.com")));
    world.ok(&global_policy(policy("h.example.com")));
    assert_eq!(list(&world, &world.principal, &global), Ok(vec![2, 1]));
}

#[test]
fn pr_7_a_page_of_revisions_is_fifty_or_what_is_asked_for() {
    let mut world = with_policy("a.example.com");
    for version in 2..=60 {
        world.ok(&update_policy("s", policy(&format!("v{version}.example.com"))));
    }
    let page = |limit, offset| {
        let request = ListSandboxPoliciesRequest { limit, offset, ..of("s") };
        list(&world, &world.principal, &request).expect("a list")
    };
    assert_eq!(page(0, 0), (11..=60).rev().collect::<Vec<_>>());
    assert_eq!(page(0, 50), (1..=10).rev().collect::<Vec<_>>());
    assert_eq!(page(2, 1), [59, 58]);
    assert_eq!(page(5000, 0).len(), 60);
    assert_eq!(page(1, 60), Vec::<u32>::new());
}

#[test]
fn pr_10_the_policy_of_a_creation_is_revision_1_loaded_at_no_time() {
    let mut world = with_policy("a.example.com");
    let stored = &world.revisions("s")[0].stored;
    assert_eq!((stored.version, stored.status.as_str(), stored.loaded_at_ms), (1, "loaded", None));
    let before = world.state.digest();
    world.effective("s");
    assert_eq!(world.state.digest(), before, "a departure: the first read has nothing left to write");
    world.ok(&sandbox("t", &[], None));
    assert_eq!(world.revisions("t").len(), 0);
    assert_eq!(world.effective("t").version, 0);
    assert_eq!(world.ok(&update_policy("t", policy("a.example.com"))).version, 1);
}

#[test]
fn pr_11_the_baseline_never_changes_once_it_is_set() {
    let mut world = with_policy("a.example.com");
    world.ok(&update_policy("s", policy("b.example.com")));
    let baseline = |world: &World, name: &str| -> Option<SandboxPolicy> {
        world.stored_sandbox(name).spec.as_ref().expect("a spec").policy.clone()
    };
    assert_eq!(baseline(&world, "s"), Some(policy("a.example.com")));
    world.ok(&sandbox("t", &[], None));
    for host in ["c.example.com", "d.example.com"] {
        world.ok(&update_policy("t", policy(host)));
        assert_eq!(baseline(&world, "t"), Some(policy("c.example.com")));
    }
    world.ok(&global_policy(policy("g.example.com")));
    world.ok(&UpdateConfigRequest { delete_setting: true, setting_value: None, ..global_setting("policy", true) });
    assert_eq!(baseline(&world, "s"), Some(policy("a.example.com")));
}
