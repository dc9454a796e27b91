//! Reject, undo, edit, clear: DC-7.

use openshell_proto::sandbox::NetworkEndpoint;
use openshell_proto::v1::{EditDraftChunkRequest, RejectDraftChunkRequest, WorkspaceRole};
use openshell_state::{Code, Decision};

use crate::drafts::taking_back::extended;
use crate::drafts::{approval, clearing, edition, no_global_policy, proposal, rejection, rule, undoing};
use crate::support::{World, global_policy, policy, sandbox, says, user};

#[test]
fn dc_7_a_pending_chunk_is_rejected_with_a_reason() {
    let mut world = World::with_drafts();
    let chunk = world.propose("agent_authored", proposal("api", "api.example.com"));
    let revisions = world.revisions("s").len();
    world.ok(&rejection(&chunk, "not here"));
    let rejected = world.chunk(&chunk.id);
    assert_eq!((rejected.status.as_str(), rejected.rejection_reason.as_str()), ("rejected", "not here"));
    assert_eq!((rejected.decided_at_ms, world.revisions("s").len()), (world.time_ms, revisions));
    says(&world.refused(Code::FailedPrecondition, &rejection(&chunk, "again")), &["is rejected"]);
}

#[test]
fn dc_7_an_approved_chunk_is_rejected_out_of_the_policy() {
    let mut world = World::with_drafts();
    let chunk = world.propose("agent_authored", proposal("api", "api.example.com"));
    world.ok(&approval(&chunk));
    world.ok(&global_policy(policy("g.example.com")));
    says(&world.refused(Code::FailedPrecondition, &rejection(&chunk, "")), &["managed globally"]);
    world.ok(&no_global_policy());
    world.ok(&rejection(&chunk, "regretted"));
    assert_eq!(world.rules("s"), ["r1"], "with its last program the rule went");
    let rejected = world.chunk(&chunk.id);
    assert_eq!((rejected.status.as_str(), rejected.rejection_reason.as_str()), ("rejected", "regretted"));
    assert_eq!(rejected.current_effective_policy_hash, world.enforced_hash(), "it can be reviewed again at once");
    world.ok(&approval(&rejected));
}

#[test]
fn dc_7_undo_takes_an_approved_chunk_back_to_pending() {
    let mut world = World::with_drafts();
    let chunk = world.propose("agent_authored", proposal("api", "api.example.com"));
    says(&world.refused(Code::FailedPrecondition, &undoing(&chunk)), &["is pending", "approved"]);
    world.ok(&approval(&chunk));
    let answer = world.ok(&undoing(&chunk));
    let latest = world.revisions("s").pop().expect("a revision").stored.clone();
    assert_eq!((answer.policy_version, answer.policy_hash), (3, latest.policy_hash));
    let pending = world.chunk(&chunk.id);
    assert_eq!((pending.status.as_str(), pending.decided_at_ms, pending.rejection_reason.as_str()), ("pending", 0, ""));
    assert_eq!(world.rules("s"), ["r1"]);
    assert_eq!(pending.review_token, chunk.review_token, "everything is as it was when it was reviewed");
    world.ok(&approval(&pending));
    world.ok(&global_policy(policy("g.example.com")));
    says(&world.refused(Code::FailedPrecondition, &undoing(&chunk)), &["managed globally"]);
}

#[test]
fn dc_7_undo_removes_every_program_that_was_added() {
    let mut world = World::with_drafts();
    let mut proposed = proposal("api", "api.example.com");
    let second = openshell_proto::sandbox::NetworkBinary { path: "/usr/bin/git".to_owned(), harness: false };
    proposed.proposed_rule.as_mut().expect("a rule").binaries.push(second);
    let chunk = world.propose("agent_authored", proposed);
    world.ok(&approval(&chunk));
    world.ok(&undoing(&chunk));
    assert_eq!(world.rules("s"), ["r1"]);
}

#[test]
fn dc_7_a_rule_for_any_program_is_taken_back_while_it_is_as_it_was_approved() {
    let mut world = World::with_drafts();
    let mut proposed = proposal("any", "api.example.com");
    proposed.proposed_rule.as_mut().expect("a rule").binaries.clear();
    let chunk = world.propose("agent_authored", proposed);
    world.ok(&approval(&chunk));
    world.ok(&undoing(&chunk));
    assert_eq!(world.rules("s"), ["r1"]);
    world.ok(&approval(&world.chunk(&chunk.id)));
    world.ok(&extended(&world, "any"));
    for text in [
        world.refused(Code::FailedPrecondition, &undoing(&chunk)),
        world.refused(Code::FailedPrecondition, &rejection(&chunk, "")),
    ] {
        says(&text, &["any binary"]);
    }
}

#[test]
fn dc_7_an_edit_gives_a_pending_chunk_another_rule_and_another_token() {
    let mut world = World::with_drafts();
    let chunk = world.propose("agent_authored", proposal("api", "api.example.com"));
    let mut narrow = rule("api", "api.example.com");
    narrow.endpoints[0].path = "/v1/**".to_owned();
    narrow.binaries[0].path = "/usr/bin/git".to_owned();
    world.ok(&edition(&chunk, narrow.clone()));
    let edited = world.chunk(&chunk.id);
    assert_eq!((edited.proposed_rule, edited.binary.as_str()), (Some(narrow), "/usr/bin/git"));
    assert_ne!(edited.review_token, chunk.review_token);
    says(&world.refused(Code::FailedPrecondition, &approval(&chunk)), &["review_token"]);
    let edited = world.chunk(&chunk.id);
    world.ok(&approval(&edited));
    assert_eq!(world.enforced_hash(), edited.candidate_effective_policy_hash);
    for decided in [edited.clone(), chunk] {
        let asked = edition(&decided, rule("api", "other.example.com"));
        says(&world.refused(Code::FailedPrecondition, &asked), &["is approved", "pending"]);
    }
    world.ok(&rejection(&edited, ""));
    world.refused(Code::FailedPrecondition, &edition(&edited, rule("api", "other.example.com")));
}

#[test]
fn dc_7_an_edit_that_cannot_be_applied_is_refused_and_changes_nothing() {
    let mut world = World::with_drafts();
    let chunk = world.propose("agent_authored", proposal("api", "api.example.com"));
    world.refused(
        Code::InvalidArgument,
        &EditDraftChunkRequest { proposed_rule: None, ..edition(&chunk, rule("a", "a")) },
    );
    world.refused(Code::InvalidArgument, &edition(&chunk, rule("api", "localhost")));
    world.refused(Code::InvalidArgument, &edition(&chunk, rule("api", "*.com")));
    let mut large = rule("api", "api.example.com");
    large.endpoints = vec![NetworkEndpoint { path: "/".repeat(70_000), ..large.endpoints[0].clone() }];
    says(&world.refused(Code::InvalidArgument, &edition(&chunk, large)), &["proposed_rule", "65536"]);
    world.ok(&approval(&chunk));
}

#[test]
fn dc_7_clear_deletes_everything_that_is_pending() {
    let mut world = World::with_drafts();
    let approved = world.propose("agent_authored", proposal("a", "a.example.com"));
    world.ok(&approval(&approved));
    let rejected = world.propose("agent_authored", proposal("b", "b.example.com"));
    world.ok(&rejection(&rejected, ""));
    world.propose("agent_authored", proposal("c", "c.example.com"));
    world.propose("mechanistic", proposal("d", "d.example.com"));
    world.ok(&global_policy(policy("g.example.com")));
    assert_eq!(world.ok(&clearing()).chunks_cleared, 2);
    let left: Vec<_> = world.inbox().into_iter().map(|chunk| chunk.id).collect();
    assert_eq!(left.len(), 2);
    assert!(left.contains(&approved.id) && left.contains(&rejected.id));
    assert!(matches!(world.decide(&clearing()), Decision::Answer(_)), "nothing to clear, no entry");
}

#[test]
fn dc_7_who_may_decide_and_about_what() {
    let mut world = World::with_drafts();
    let chunk = world.propose("agent_authored", proposal("api", "api.example.com"));
    world.member("default", "mia", WorkspaceRole::User);
    world.ok(&sandbox("other", &[], None));
    macro_rules! each {
        ($($request:expr),*) => {
            $({
                let asked = $request;
                let refusal = world.as_principal(user("mia", false), &asked).expect_err("she is no admin");
                assert_eq!(refusal.code, Code::PermissionDenied);
                let own = world.ask_as_sandbox("s", &asked).expect_err("these are for users");
                assert_eq!(own.code, Code::PermissionDenied);
                let mut nameless = asked.clone();
                nameless.name = String::new();
                world.refused(Code::InvalidArgument, &nameless);
                let mut nowhere = asked.clone();
                nowhere.workspace = "nowhere".to_owned();
                world.refused(Code::NotFound, &nowhere);
                let mut absent = asked;
                absent.name = "absent".to_owned();
                world.refused(Code::NotFound, &absent);
            })*
        };
    }
    let edited = edition(&chunk, rule("api", "api.example.com"));
    each!(approval(&chunk), rejection(&chunk, ""), undoing(&chunk), edited.clone(), clearing());
    macro_rules! with_id {
        ($($request:expr),*) => {
            $({
                let mut foreign = $request;
                foreign.name = "other".to_owned();
                world.refused(Code::NotFound, &foreign);
                foreign.chunk_id = String::new();
                world.refused(Code::InvalidArgument, &foreign);
            })*
        };
    }
    with_id!(approval(&chunk), rejection(&chunk, ""), undoing(&chunk), edited);
    let wordy = RejectDraftChunkRequest { reason: "x".repeat(8193), ..rejection(&chunk, "") };
    says(&world.refused(Code::InvalidArgument, &wordy), &["reason"]);
}
