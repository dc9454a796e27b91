//! Reading sandboxes, attaching providers to them and detaching: SR-25 to SR-35.

use openshell_proto::datamodel::Provider;
use openshell_proto::sandbox::NetworkCredentialBinding;
use openshell_proto::v1::{
    AttachSandboxProviderRequest, CreateSandboxRequest, GetSandboxRequest, ListSandboxProvidersRequest,
    ListSandboxesRequest, Sandbox,
};
use openshell_state::access::Principal;
use openshell_state::{Code, Key, Refusal, query};

use super::{code, plain, providers, tool};
use crate::support::{
    World, attach, credential, detach, endpoint, import, map, minimal, policy, policy_of, provider, sandbox, says,
    update_policy, user,
};

#[test]
fn sr_25_a_name_is_asked_for_before_rights_workspace_and_record() {
    let mut world = World::new();
    world.ok(&sandbox("s", &[], None));
    let get = |principal: &Principal, name: &str, workspace: &str| {
        let request = GetSandboxRequest { name: name.to_owned(), workspace: workspace.to_owned() };
        query::sandbox::get(&world.state, principal, &request).map(drop).map_err(|refusal| refusal.code)
    };
    let (admin, stranger) = (&world.principal, user("eve", false));
    assert_eq!(get(&stranger, "", "no-such"), Err(Code::InvalidArgument));
    assert_eq!(get(&stranger, "s", "no-such"), Err(Code::PermissionDenied));
    assert_eq!(get(admin, "s", "no-such"), Err(Code::NotFound));
    assert_eq!(get(admin, "t", ""), Err(Code::NotFound));
    assert_eq!(get(admin, "s", ""), Ok(()));
}

fn listed(world: &World, request: ListSandboxesRequest) -> Result<Vec<String>, Refusal> {
    let listed = query::sandbox::list(&world.state, &world.principal, &request)?.sandboxes;
    let place = |sandbox: Sandbox| {
        let metadata = sandbox.metadata.expect("metadata");
        format!("{}/{}", metadata.workspace, metadata.name)
    };
    Ok(listed.into_iter().map(place).collect())
}

#[test]
fn sr_26_lists_are_selected_ordered_and_paged() {
    let mut world = World::new();
    world.workspace("other");
    for (name, workspace) in [("b", ""), ("a", "other"), ("a", "")] {
        let labels = map(&[("k", "v"), ("e", "")]);
        world.ok(&CreateSandboxRequest { labels, workspace: workspace.to_owned(), ..sandbox(name, &[], None) });
    }
    world.ok(&sandbox("plain", &[], None));
    let selected = |selector: &str| {
        listed(&world, ListSandboxesRequest { label_selector: selector.to_owned(), ..Default::default() })
    };
    for right in ["k=v", "k=v,", ",,k=v,e=", "e="] {
        assert_eq!(selected(right).expect(right), ["default/b", "default/a"], "{right}");
    }
    let long = (0..65).map(|at| format!("k{at}=v")).collect::<Vec<_>>().join(",");
    for wrong in ["k", "=v", "k=v,k", "-k=v", "k=-v", &*long] {
        assert_eq!(selected(wrong).expect_err(wrong).code, Code::InvalidArgument);
    }
    let everywhere = ListSandboxesRequest { all_workspaces: true, ..Default::default() };
    assert_eq!(
        listed(&world, everywhere.clone()).expect("all"),
        ["default/b", "other/a", "default/a", "default/plain"]
    );
    let page = ListSandboxesRequest { limit: 2, offset: 1, ..everywhere };
    assert_eq!(listed(&world, page).expect("a page"), ["other/a", "default/a"]);
}

#[test]
fn sr_27_the_providers_of_a_sandbox_are_shown_in_order_without_their_secrets() {
    let mut world = World::new();
    providers(&mut world, &["q", "p"]);
    world.ok(&sandbox("s", &["q", "p"], None));
    let list = |name: &str, workspace: &str| {
        let request = ListSandboxProvidersRequest { sandbox_name: name.to_owned(), workspace: workspace.to_owned() };
        query::sandbox::providers(&world.state, &world.principal, &request).map_err(|refusal| refusal.code)
    };
    let shown = list("s", "").expect("a list").providers;
    assert_eq!(
        shown.iter().map(|provider| &provider.credentials).collect::<Vec<_>>(),
        [&map(&[("Q_KEY", "REDACTED")]), &map(&[("P_KEY", "REDACTED")])]
    );
    assert!(shown.iter().all(|provider| provider.credential_handles.is_empty()));
    assert_eq!(list("", "no-such").expect_err("no workspace"), Code::NotFound);
    assert_eq!(list("", "").expect_err("no name"), Code::InvalidArgument);
    assert_eq!(list("t", "").expect_err("no sandbox"), Code::NotFound);
}

#[test]
fn sr_28_an_attachment_is_checked_in_order() {
    let mut world = World::new();
    providers(&mut world, &["p"]);
    let stranger = user("eve", false);
    assert_eq!(code(&world, &stranger, &attach("", "")), Some(Code::PermissionDenied));
    let elsewhere = AttachSandboxProviderRequest { workspace: "no-such".to_owned(), ..attach("", "") };
    world.refused(Code::NotFound, &elsewhere);
    world.refused(Code::InvalidArgument, &attach("", ""));
    world.refused(Code::InvalidArgument, &attach("", &"p".repeat(254)));
    world.refused(Code::FailedPrecondition, &attach("", &"p".repeat(253)));
    world.refused(Code::FailedPrecondition, &attach("", "nope"));
    world.refused(Code::InvalidArgument, &attach("", "p"));
    world.refused(Code::NotFound, &attach("s", "p"));
}

#[test]
fn sr_29_thirty_two_providers_are_enough() {
    let mut world = World::new();
    let names: Vec<String> = (0..33).map(|number| format!("p{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    providers(&mut world, &names);
    world.ok(&sandbox("s", &names[..31], None));
    assert!(world.ok(&attach("s", "p31")).attached);
    says(&world.refused(Code::InvalidArgument, &attach("s", "p32")), &["32"]);
    assert!(!world.ok(&attach("s", "p0")).attached);
}

#[test]
fn sr_30_the_whole_specification_is_judged_with_the_new_list() {
    let mut world = World::new();
    providers(&mut world, &["p"]);
    world.ok(&provider("same", "no-profile", &["P_KEY"]));
    world.ok(&sandbox("s", &["p"], None));
    says(&world.refused(Code::FailedPrecondition, &attach("s", "same")), &["P_KEY"]);
    let mut stored = world.stored_sandbox("s").clone();
    stored.spec.as_mut().expect("a spec").log_level = "l".repeat(33);
    world.write(&Key::sandbox("default", "s"), Some(&stored));
    says(&world.refused(Code::InvalidArgument, &attach("s", "p")), &["spec.log_level"]);
}

#[test]
fn sr_32_credentials_are_inspected_by_the_latest_revision() {
    let mut world = World::new();
    tool(&mut world);
    world.ok(&sandbox("s", &[], Some(policy("a.example.com"))));
    world.ok(&update_policy("s", plain()));
    world.refused(Code::FailedPrecondition, &attach("s", "p"));
    world.ok(&sandbox("t", &[], Some(plain())));
    world.ok(&update_policy("t", policy("a.example.com")));
    assert!(world.ok(&attach("t", "p")).attached, "a departure: the specification's policy is not enforced");
}

#[test]
fn sr_33_an_attachment_is_written_whether_or_not_it_is_new() {
    let mut world = World::new();
    providers(&mut world, &["p", "q"]);
    world.ok(&sandbox("s", &["p"], None));
    let mut repeated = world.stored_sandbox("s").clone();
    repeated.spec.as_mut().expect("a spec").providers = ["p", "q", "p"].map(str::to_owned).to_vec();
    world.write(&Key::sandbox("default", "s"), Some(&repeated));
    let mut request = attach("s", "q");
    request.expected_resource_version = 9;
    world.refused(Code::Aborted, &request);
    request.expected_resource_version = 1;
    let answer = world.ok(&request);
    assert!(!answer.attached);
    assert_eq!(world.listed("s"), ["p", "q"], "and what was listed twice is not any more");
    assert_eq!(answer.sandbox.as_ref(), Some(world.stored_sandbox("s")));
    assert_eq!(world.sandbox_version("s"), 2);
}

#[test]
fn sr_34_a_detachment_is_checked_in_order_and_needs_no_provider() {
    let mut world = World::new();
    providers(&mut world, &["p"]);
    world.ok(&sandbox("s", &["p"], None));
    assert_eq!(code(&world, &user("eve", false), &detach("", "")), Some(Code::PermissionDenied));
    world.refused(Code::InvalidArgument, &detach("", ""));
    world.refused(Code::InvalidArgument, &detach("", &"p".repeat(254)));
    world.refused(Code::InvalidArgument, &detach("", "gone"));
    world.refused(Code::NotFound, &detach("t", "gone"));
    world.write::<Provider>(&Key::provider("default", "p"), None);
    assert!(world.ok(&detach("s", "p")).detached);
}

#[test]
fn sr_34_what_is_left_has_to_compose_but_not_to_be_inspected() {
    let mut world = World::new();
    tool(&mut world);
    let mut keyed = minimal("keyed");
    keyed.credentials = vec![credential("k", "Q_KEY")];
    assert!(world.ok(&import("default", &[keyed])).imported);
    world.ok(&provider("q", "keyed", &["Q_KEY"]));
    let mut bound = endpoint("a.example.com", 443);
    bound.credential_binding = Some(NetworkCredentialBinding { provider: "q".to_owned() });
    world.ok(&sandbox("s", &["p", "q"], Some(policy_of("r1", bound))));
    says(&world.refused(Code::FailedPrecondition, &detach("s", "q")), &["not attached"]);
    world.ok(&sandbox("t", &["p", "q"], Some(policy("a.example.com"))));
    world.as_sandbox("t", |world| world.ok(&update_policy("t", plain())));
    assert!(world.ok(&detach("t", "q")).detached, "though p's credentials go uninspected");
}

#[test]
fn sr_35_a_detachment_removes_every_occurrence_and_is_written_in_any_case() {
    let mut world = World::new();
    providers(&mut world, &["p", "q", "r"]);
    world.ok(&sandbox("s", &[], None));
    let mut repeated = world.stored_sandbox("s").clone();
    repeated.spec.as_mut().expect("a spec").providers = ["p", "q", "p", "q"].map(str::to_owned).to_vec();
    world.write(&Key::sandbox("default", "s"), Some(&repeated));
    let nothing = world.ok(&detach("s", "r"));
    assert!(!nothing.detached);
    assert_eq!((world.listed("s").len(), world.sandbox_version("s")), (4, 2), "nothing was removed");
    let mut request = detach("s", "p");
    request.expected_resource_version = 1;
    world.refused(Code::Aborted, &request);
    request.expected_resource_version = 2;
    assert!(world.ok(&request).detached);
    assert_eq!((world.listed("s"), world.sandbox_version("s")), (vec!["q".to_owned()], 3));
}
