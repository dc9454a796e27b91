//! `GetDraftPolicy` and `GetDraftHistory` (DC-7, DC-11), what a watch shows, and what else there is of an
//! inbox: it goes with its sandbox.

use openshell_proto::cluster::watch_event::Object;
use openshell_proto::cluster::{WatchKind, WatchRequest};
use openshell_proto::log::Kind;
use openshell_proto::v1::{
    DeleteSandboxRequest, DeleteWorkspaceRequest, GetDraftHistoryRequest, GetDraftPolicyRequest,
    GetDraftPolicyResponse, WorkspaceRole,
};
use openshell_state::access::Principal;
use openshell_state::query::watch::Interest;
use openshell_state::{Code, Key, Outcome, Refusal, query};

use crate::drafts::{approval, clearing, proposal, rejection, submission, undoing};
use crate::support::{World, draft, sandbox, says, user};

fn asked(name: &str) -> GetDraftPolicyRequest {
    GetDraftPolicyRequest { name: name.to_owned(), ..GetDraftPolicyRequest::default() }
}

fn read(
    world: &World,
    principal: &Principal,
    request: &GetDraftPolicyRequest,
) -> Result<GetDraftPolicyResponse, Refusal> {
    query::draft::get(&world.state, principal, request)
}

#[test]
fn dc_11_the_inbox_by_status_with_its_version_and_the_time_of_the_newest() {
    let mut world = World::with_drafts();
    let empty = read(&world, &world.principal, &asked("s")).expect("an empty inbox");
    assert_eq!(empty, GetDraftPolicyResponse::default());
    let first = world.propose("agent_authored", proposal("a", "a.example.com"));
    let second = world.propose("agent_authored", proposal("b", "b.example.com"));
    let newest_ms = world.time_ms;
    world.ok(&rejection(&first, "no"));
    let all = read(&world, &world.principal, &asked("s")).expect("the inbox");
    assert_eq!((all.draft_version, all.last_analyzed_at_ms), (2, newest_ms));
    let ids: Vec<_> = all.chunks.iter().map(|chunk| &chunk.id).collect();
    assert_eq!(ids, [&first.id, &second.id], "in the order in which they came");
    for (filter, expected) in [("pending", vec![&second.id]), ("rejected", vec![&first.id]), ("Pending", vec![])] {
        let filtered = GetDraftPolicyRequest { status_filter: filter.to_owned(), ..asked("s") };
        let found = read(&world, &world.principal, &filtered).expect("the inbox");
        assert_eq!(found.chunks.iter().map(|chunk| &chunk.id).collect::<Vec<_>>(), expected, "{filter}");
        assert_eq!((found.draft_version, found.last_analyzed_at_ms), (2, newest_ms), "of everything that is stored");
    }
}

#[test]
fn dc_11_for_members_and_for_the_sandbox_itself() {
    let mut world = World::with_drafts();
    world.ok(&sandbox("other", &[], None));
    world.member("default", "mia", WorkspaceRole::User);
    world.propose("agent_authored", proposal("a", "a.example.com"));
    let own = Principal::Sandbox { id: world.sandbox_id("s") };
    for principal in [&own, &user("mia", false)] {
        assert_eq!(read(&world, principal, &asked("s")).expect("it is theirs").chunks.len(), 1);
    }
    let code = |principal: &Principal, request: &GetDraftPolicyRequest| {
        read(&world, principal, request).expect_err("refused").code
    };
    assert_eq!(code(&own, &asked("other")), Code::PermissionDenied);
    assert_eq!(code(&own, &asked("absent")), Code::PermissionDenied);
    assert_eq!(code(&own, &asked("")), Code::InvalidArgument);
    assert_eq!(code(&user("eve", false), &asked("s")), Code::PermissionDenied);
    assert_eq!(code(&user("mia", false), &asked("absent")), Code::NotFound);
    assert_eq!(code(&Principal::Anonymous, &asked("s")), Code::Unauthenticated);
    let nowhere = GetDraftPolicyRequest { workspace: "nowhere".to_owned(), ..asked("s") };
    assert_eq!(code(&own, &nowhere), Code::NotFound);
}

#[test]
fn dc_7_history_has_what_was_proposed_and_decided_by_time() {
    let mut world = World::with_drafts();
    let one = world.propose("agent_authored", proposal("a", "a.example.com"));
    let two = world.propose("mechanistic", proposal("b", "b.example.com"));
    world.ok(&rejection(&two, "no need"));
    world.ok(&approval(&one));
    let asked = GetDraftHistoryRequest { name: "s".to_owned(), ..GetDraftHistoryRequest::default() };
    let history =
        |world: &World| query::draft::history(&world.state, &world.principal, &asked).expect("a history").entries;
    let entries = history(&world);
    let told: Vec<_> = entries.iter().map(|entry| (entry.event_type.as_str(), &entry.chunk_id)).collect();
    assert_eq!(told, [("proposed", &one.id), ("proposed", &two.id), ("rejected", &two.id), ("approved", &one.id)]);
    assert!(entries.is_sorted_by_key(|entry| entry.timestamp_ms));
    says(&entries[2].description, &["\"b\"", "no need"]);
    world.ok(&undoing(&one));
    assert_eq!(history(&world).len(), 3, "it is not decided any more");
    let own = Principal::Sandbox { id: world.sandbox_id("s") };
    let refusal = query::draft::history(&world.state, &own, &asked).expect_err("for users");
    assert_eq!(refusal.code, Code::PermissionDenied);
}

#[test]
fn sr_38_an_inbox_goes_with_its_sandbox() {
    let mut world = World::with_drafts();
    let chunk = world.propose("agent_authored", proposal("a", "a.example.com"));
    world.propose("agent_authored", proposal("b", "b.example.com"));
    let id = world.sandbox_id("s");
    let own = Principal::Sandbox { id: id.clone() };
    let late = draft(world.decide_as(&own, &submission("s", "", &[proposal("c", "c.example.com")])));
    let deletion = DeleteSandboxRequest { name: "s".to_owned(), ..DeleteSandboxRequest::default() };
    let outrun = draft(world.decide(&deletion));
    world.ok(&approval(&chunk));
    assert!(matches!(world.commit(outrun).outcome, Outcome::GuardFailed { .. }), "the inbox changed meanwhile");
    world.ok(&deletion);
    assert!(matches!(world.commit(late).outcome, Outcome::GuardFailed { .. }), "the sandbox is gone");
    for kind in [Kind::DraftChunk, Kind::DraftInbox, Kind::PolicyRevision] {
        assert_eq!(world.state.by_creation_everywhere(kind).count(), 0, "{kind:?}");
    }
    let again = world.as_principal(own, &submission("s", "", &[])).expect_err("its token reaches nothing");
    assert_eq!(again.code, Code::PermissionDenied);
    world.ok(&sandbox("s", &[], None));
    assert_eq!(world.inbox(), []);
}

#[test]
fn ws_5_chunks_keep_a_workspace() {
    let mut world = World::new();
    world.workspace("team");
    // No call leaves a chunk without its sandbox; another build might.
    let stray = openshell_proto::v1::StoredDraftChunk { id: "c".to_owned(), ..Default::default() };
    world.write(&Key::draft_chunk("team", "gone", "c"), Some(&stray));
    let deletion = DeleteWorkspaceRequest { name: "team".to_owned() };
    let text = world.refused_with_a_change(Code::FailedPrecondition, &deletion);
    says(&text, &["still contains resources", "draft policy chunks"]);
}

#[test]
fn a_watch_shows_chunks_to_members_as_they_are_read() {
    let mut world = World::with_drafts();
    world.member("default", "mia", WorkspaceRole::User);
    let chunk = world.propose("agent_authored", proposal("a", "a.example.com"));
    let request = WatchRequest { kinds: vec![WatchKind::DraftChunk as i32], ..WatchRequest::default() };
    let interest = Interest::read(&world.state, &user("mia", false), &request).expect("she may watch");
    let (events, _) = interest.page(&world.state, None, usize::MAX);
    let [event] = &events[..] else { panic!("one event and not {events:?}") };
    assert_eq!(event.name, format!("{}/{}", world.sandbox_id("s"), chunk.id));
    assert_eq!(event.object, Some(Object::DraftChunk(chunk)));
    let key = Key::draft_inbox("default", &world.sandbox_id("s"));
    assert!(!interest.covers(&key), "what guards an inbox is no public noun");
    world.ok(&clearing());
    assert!(interest.page(&world.state, None, usize::MAX).0.is_empty());
}

#[test]
fn how_an_inbox_stands_for_who_saw_it_before() {
    let mut world = World::with_drafts();
    let id = world.sandbox_id("s");
    let chunk = world.propose("agent_authored", proposal("a", "a.example.com"));
    let seen = world.state.revision();
    world.propose("agent_authored", proposal("b", "b.example.com"));
    world.ok(&approval(&chunk));
    let standing = query::draft::standing(&world.state, "default", &id, seen);
    assert_eq!((standing.draft_version, standing.pending, standing.new), (2, 1, 1));
    assert_eq!(query::draft::standing(&world.state, "default", &id, 0).new, 2);
    assert_eq!(query::draft::standing(&world.state, "default", "other", 0), query::draft::Standing::default());
}
