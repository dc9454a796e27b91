//! `ApproveAllDraftChunks`: DC-8.

use openshell_proto::v1::{ApproveAllDraftChunksRequest, DraftChunkApproval, PolicyChunk};
use openshell_state::Code;

use crate::drafts::{approval, approval_of, proposal, rejection};
use crate::support::{World, global_policy, policy, says, update_policy};

fn all() -> ApproveAllDraftChunksRequest {
    approval_of(&[])
}

fn three(world: &mut World) -> Vec<PolicyChunk> {
    let noted = PolicyChunk { security_notes: "look".to_owned(), ..proposal("c", "c.example.com") };
    world.submit("agent_authored", &[proposal("a", "a.example.com"), proposal("b", "b.example.com"), noted]);
    let mut chunks = world.inbox();
    chunks.sort_by(|left, right| left.rule_name.cmp(&right.rule_name));
    chunks
}

#[test]
fn dc_8_all_accepted_ones_go_into_one_revision_of_one_entry() {
    let mut world = World::with_drafts();
    let chunks = three(&mut world);
    let entries = world.log.len();
    let answer = world.ok(&ApproveAllDraftChunksRequest { include_security_flagged: true, ..approval_of(&chunks) });
    assert_eq!((answer.chunks_approved, answer.chunks_skipped, answer.policy_version), (3, 0, 2));
    assert_eq!((world.log.len(), world.revisions("s").len()), (entries + 1, 2));
    assert_eq!(answer.policy_hash, world.revisions("s")[1].stored.policy_hash);
    assert_eq!(world.rules("s"), ["a", "b", "c", "r1"]);
    assert!(world.inbox().iter().all(|chunk| chunk.status == "approved"));
}

#[test]
fn dc_8_security_flagged_ones_are_skipped_unless_asked_for() {
    let mut world = World::with_drafts();
    let chunks = three(&mut world);
    let answer = world.ok(&approval_of(&chunks));
    assert_eq!((answer.chunks_approved, answer.chunks_skipped), (2, 1));
    assert_eq!(world.rules("s"), ["a", "b", "r1"]);
    let left: Vec<_> = world.inbox().into_iter().filter(|chunk| chunk.status == "pending").collect();
    assert_eq!(left.len(), 1);
    // It was reviewed on another policy, so that it is evaluated again for another review.
    let asked = ApproveAllDraftChunksRequest { include_security_flagged: true, ..approval_of(&left) };
    let answer = world.ok(&asked);
    assert_eq!((answer.chunks_approved, answer.chunks_skipped, answer.policy_version), (0, 1, 2));
    let left = [world.chunk(&left[0].id)];
    let answer = world.ok(&ApproveAllDraftChunksRequest { include_security_flagged: true, ..approval_of(&left) });
    assert_eq!((answer.chunks_approved, answer.chunks_skipped), (1, 0));
}

#[test]
fn dc_8_nothing_pending_is_refused() {
    let mut world = World::with_drafts();
    says(&world.refused(Code::FailedPrecondition, &all()), &["pending"]);
    let chunk = world.propose("agent_authored", proposal("a", "a.example.com"));
    world.ok(&rejection(&chunk, ""));
    world.refused(Code::FailedPrecondition, &all());
    world.ok(&global_policy(policy("g.example.com")));
    says(&world.refused(Code::FailedPrecondition, &all()), &["managed globally"]);
    world.refused(Code::InvalidArgument, &ApproveAllDraftChunksRequest { name: String::new(), ..all() });
}

#[test]
fn dc_8_each_listed_chunk_must_be_pending() {
    let mut world = World::with_drafts();
    let chunks = three(&mut world);
    world.ok(&rejection(&chunks[0], ""));
    says(&world.refused(Code::FailedPrecondition, &approval_of(&chunks)), &[&chunks[0].id, "rejected"]);
    let unknown = PolicyChunk { id: "unknown".to_owned(), ..chunks[1].clone() };
    let listed = [chunks[1].clone(), unknown];
    says(&world.refused(Code::FailedPrecondition, &approval_of(&listed)), &["unknown"]);
    let twice = [chunks[1].clone(), chunks[1].clone()];
    world.refused(Code::InvalidArgument, &approval_of(&twice));
    assert_eq!(world.rules("s"), ["r1"]);
    let answer = world.ok(&approval_of(&chunks[1..2]));
    assert_eq!((answer.chunks_approved, answer.chunks_skipped), (1, 0), "only what is listed");
    assert_eq!(world.rules("s").len(), 2);
}

#[test]
fn dc_8_what_was_reviewed_otherwise_is_skipped_and_counted() {
    let mut world = World::with_drafts();
    let chunks = three(&mut world);
    let mut asked = approval_of(&chunks[..2]);
    asked.approvals[0] = DraftChunkApproval { review_token: "other".to_owned(), ..asked.approvals[0].clone() };
    let answer = world.ok(&asked);
    assert_eq!((answer.chunks_approved, answer.chunks_skipped), (1, 1));
    assert_eq!(world.chunk(&chunks[0].id).status, "pending");
}

#[test]
fn dc_8_without_a_list_only_what_still_is_as_it_was_evaluated_is_taken() {
    let mut world = World::with_drafts();
    three(&mut world);
    world.ok(&update_policy("s", policy("elsewhere.example.com")));
    let fresh = world.propose("agent_authored", proposal("d", "d.example.com"));
    let answer = world.ok(&ApproveAllDraftChunksRequest { include_security_flagged: true, ..all() });
    assert_eq!((answer.chunks_approved, answer.chunks_skipped), (1, 3));
    assert_eq!(world.chunk(&fresh.id).status, "approved");
    assert_eq!(world.rules("s"), ["d", "r1"]);
}

#[test]
fn dc_8_of_two_that_contradict_each_other_the_second_is_skipped() {
    let mut world = World::with_drafts();
    let mut open = proposal("b", "a.example.com");
    let rule = open.proposed_rule.as_mut().expect("a rule");
    rule.endpoints[0].tls = "skip".to_owned();
    rule.endpoints[0].path = "/other".to_owned();
    rule.binaries[0].path = "/usr/bin/git".to_owned();
    world.submit("agent_authored", &[proposal("a", "a.example.com"), open]);
    let chunks = world.inbox();
    assert!(chunks.iter().all(|chunk| chunk.review_token.len() == 64), "each alone can be applied");
    let answer = world.ok(&approval_of(&chunks));
    assert_eq!((answer.chunks_approved, answer.chunks_skipped), (1, 1));
    assert_eq!(world.rules("s").len(), 2);
}

#[test]
fn dc_8_when_nothing_is_accepted_the_policy_stays() {
    let mut world = World::with_drafts();
    let chunk = world.propose("agent_authored", proposal("a", "a.example.com"));
    world.ok(&update_policy("s", policy("elsewhere.example.com")));
    let answer = world.ok(&approval_of(std::slice::from_ref(&chunk)));
    assert_eq!((answer.chunks_approved, answer.chunks_skipped, answer.policy_version), (0, 1, 2));
    assert_eq!(answer.policy_hash, world.revisions("s")[1].stored.policy_hash);
    world.ok(&approval(&world.chunk(&chunk.id)));
}
