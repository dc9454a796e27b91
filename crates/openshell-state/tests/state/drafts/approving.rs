//! `ApproveDraftChunk`: DC-6, what an approval writes (DC-9), and the token that names what was reviewed
//! (DC-10).

use openshell_policy::hash;
use openshell_proto::log::Kind;
use openshell_proto::v1::{ApproveDraftChunkRequest, WorkspaceRole};
use openshell_state::{Code, Decision};
use sha2::{Digest as _, Sha256};

use crate::drafts::{approval, proposal, rejection, submission, undoing};
use crate::support::{
    World, attach, draft, endpoint, global_policy, policy, policy_of, provider, sandbox, says, update_policy, user,
};

#[test]
fn dc_6_the_order_of_checks() {
    let mut world = World::with_drafts();
    let chunk = world.propose("agent_authored", proposal("api", "api.example.com"));
    let asked = approval(&chunk);
    world.member("default", "mia", WorkspaceRole::User);
    let refusal = world.as_principal(user("mia", false), &asked).expect_err("she is no admin");
    assert_eq!(refusal.code, Code::PermissionDenied);
    let nowhere = ApproveDraftChunkRequest { workspace: "nowhere".to_owned(), name: String::new(), ..asked.clone() };
    world.refused(Code::NotFound, &nowhere);
    world.refused(Code::InvalidArgument, &ApproveDraftChunkRequest { name: String::new(), ..asked.clone() });
    let unnamed = ApproveDraftChunkRequest { chunk_id: String::new(), ..asked.clone() };
    says(&world.refused(Code::InvalidArgument, &unnamed), &["chunk_id"]);
    let missing = ApproveDraftChunkRequest { name: "other".to_owned(), ..asked.clone() };
    world.refused(Code::NotFound, &missing);
    world.refused(Code::NotFound, &ApproveDraftChunkRequest { chunk_id: "other".to_owned(), ..asked.clone() });
    world.ok(&sandbox("other", &[], None));
    says(&world.refused(Code::NotFound, &missing), &[&chunk.id]);
    world.ok(&global_policy(policy("g.example.com")));
    world.refused(Code::InvalidArgument, &unnamed);
    let absent = ApproveDraftChunkRequest { name: "absent".to_owned(), ..asked.clone() };
    says(&world.refused(Code::FailedPrecondition, &absent), &["managed globally"]);
    assert_eq!(world.chunk(&chunk.id).status, "pending");
}

#[test]
fn dc_6_what_was_reviewed_goes_into_the_policy() {
    let mut world = World::with_drafts();
    let chunk = world.propose("agent_authored", proposal("api", "api.example.com"));
    let answer = world.ok(&approval(&chunk));
    let latest = world.revisions("s").pop().expect("a revision").clone();
    assert_eq!((answer.policy_version, &answer.policy_hash), (2, &latest.stored.policy_hash));
    assert_eq!(world.enforced_hash(), chunk.candidate_effective_policy_hash, "exactly what was reviewed");
    let approved = world.chunk(&chunk.id);
    assert_eq!((approved.status.as_str(), approved.decided_at_ms), ("approved", world.time_ms));
    says(&world.refused(Code::FailedPrecondition, &approval(&approved)), &["is approved"]);
}

#[test]
fn dc_6_a_rejected_chunk_may_be_approved_after_all() {
    let mut world = World::with_drafts();
    let chunk = world.propose("agent_authored", proposal("api", "api.example.com"));
    world.ok(&rejection(&chunk, "not now"));
    world.ok(&approval(&chunk));
    let approved = world.chunk(&chunk.id);
    assert_eq!((approved.status.as_str(), approved.rejection_reason.as_str()), ("approved", ""));
}

#[test]
fn dc_6_another_token_than_the_stored_one_is_refused_and_nothing_changes() {
    let mut world = World::with_drafts();
    let chunk = world.propose("agent_authored", proposal("api", "api.example.com"));
    for token in ["", "0", &"0".repeat(64)] {
        let asked = ApproveDraftChunkRequest { review_token: token.to_owned(), ..approval(&chunk) };
        says(&world.refused(Code::FailedPrecondition, &asked), &["review_token"]);
    }
    world.ok(&approval(&chunk));
}

#[test]
fn dc_6_when_what_was_reviewed_has_changed_the_refusal_goes_with_another_evaluation() {
    let mut world = World::with_drafts();
    let chunk = world.propose("agent_authored", proposal("api", "api.example.com"));
    world.ok(&update_policy("s", policy("elsewhere.example.com")));
    says(&world.refused_with_a_change(Code::FailedPrecondition, &approval(&chunk)), &["has changed", "review"]);
    assert_eq!(world.rules("s"), ["r1"], "nothing was applied");
    let again = world.chunk(&chunk.id);
    assert_ne!(again.review_token, chunk.review_token);
    assert_eq!(again.current_effective_policy_hash, world.enforced_hash());
    assert_eq!(again.current_effective_policy, world.effective("s").policy);
    // Whoever still holds the old token is refused without another entry.
    world.refused(Code::FailedPrecondition, &approval(&chunk));
    world.ok(&approval(&again));
    assert_eq!(world.enforced_hash(), again.candidate_effective_policy_hash);
}

#[test]
fn dc_6_a_rule_that_no_longer_merges_is_refused_with_why() {
    let mut world = World::with_drafts();
    let chunk = world.propose("agent_authored", proposal("api", "api.example.com"));
    let mut open = endpoint("api.example.com", 443);
    open.tls = "skip".to_owned();
    open.path = "/other".to_owned();
    world.ok(&update_policy("s", policy_of("r1", open)));
    let text = world.refused_with_a_change(Code::FailedPrecondition, &approval(&chunk));
    says(&text, &["cannot be applied", "ambiguity validation failed"]);
    let stored = world.chunk(&chunk.id);
    assert_eq!((stored.status.as_str(), stored.review_token.as_str()), ("pending", ""));
    says(&stored.application_error, &["ambiguity validation failed"]);
    // No token names it, not even the empty one.
    world.refused(Code::FailedPrecondition, &approval(&stored));
    world.ok(&update_policy("s", policy("docs.example.com")));
    world.refused_with_a_change(Code::FailedPrecondition, &approval(&stored));
    let stored = world.chunk(&chunk.id);
    assert_eq!((stored.application_error.as_str(), stored.review_token.as_str()), ("", chunk.review_token.as_str()));
    world.ok(&approval(&stored));
}

#[test]
fn dc_6_what_is_there_already_needs_no_revision() {
    let mut world = World::with_drafts();
    let chunk = world.propose("agent_authored", proposal("api", "api.example.com"));
    let first = world.ok(&approval(&chunk));
    let same = world.propose("agent_authored", proposal("api", "api.example.com"));
    assert_eq!(same.current_effective_policy_hash, same.candidate_effective_policy_hash);
    let second = world.ok(&approval(&same));
    assert_eq!((second.policy_version, second.policy_hash), (first.policy_version, first.policy_hash));
    assert_eq!((world.revisions("s").len(), world.chunk(&same.id).status.as_str()), (2, "approved"));
}

#[test]
fn dc_6_the_first_rule_of_a_sandbox_without_a_policy_makes_revision_1() {
    let mut world = World::new();
    world.ok(&sandbox("s", &[], None));
    let chunk = world.propose("agent_authored", proposal("api", "api.example.com"));
    assert_eq!((chunk.current_effective_policy_hash.as_str(), &chunk.current_effective_policy), ("", &None));
    assert_eq!(world.ok(&approval(&chunk)).policy_version, 1);
    assert_eq!(world.enforced_hash(), chunk.candidate_effective_policy_hash);
    world.ok(&undoing(&chunk));
    assert_eq!(world.rules("s"), Vec::<String>::new());
}

#[test]
fn dc_6_always_blocked_hosts_are_never_merged() {
    let mut world = World::with_drafts();
    for host in ["localhost", "127.0.0.1", "169.254.169.254", "metadata.google.internal"] {
        let kept = world.propose("mechanistic", proposal("inside", host));
        assert_eq!(kept.review_token, "", "{host}");
        world.refused(Code::FailedPrecondition, &approval(&kept));
    }
}

#[test]
fn dc_9_an_approval_is_one_entry_without_provenance_and_without_the_sandboxs_record() {
    let mut world = World::with_drafts();
    let mut annotated = update_policy("s", policy("a.example.com"));
    annotated.annotations = crate::support::map(&[("ticket", "7")]);
    world.ok(&annotated);
    let chunk = world.propose("agent_authored", proposal("api", "api.example.com"));
    let (entries, version) = (world.log.len(), world.sandbox_version("s"));
    world.ok(&approval(&chunk));
    assert_eq!((world.log.len(), world.sandbox_version("s")), (entries + 1, version));
    let revisions = world.revisions("s");
    let states: Vec<_> =
        revisions.iter().map(|revision| (revision.stored.version, revision.stored.status.as_str())).collect();
    assert_eq!(states, [(1, "superseded"), (2, "superseded"), (3, "pending")]);
    assert!(revisions[2].stored.provenance.is_empty());
    assert!(!revisions[1].stored.provenance.is_empty());
}

#[test]
fn dc_10_the_token_covers_rule_name_rule_both_policies_and_the_credentials() {
    let mut world = World::with_drafts();
    let chunk = world.propose("agent_authored", proposal("api", "api.example.com"));
    let mut hasher = Sha256::new();
    hasher.update(b"openshell-proposal-evaluator-v2\0");
    hasher.update("api");
    hasher.update(hash::rule_bytes(chunk.proposed_rule.as_ref().expect("a rule")));
    hasher.update(&chunk.current_effective_policy_hash);
    hasher.update(&chunk.candidate_effective_policy_hash);
    assert_eq!(chunk.review_token, hex::encode(hasher.finalize()), "no credentials, no fingerprints");
    let other = world.propose("agent_authored", proposal("api-2", "api.example.com"));
    assert_ne!(other.review_token, chunk.review_token);
    // A provider without a profile changes no policy, and what is at stake all the same.
    world.ok(&provider("p", "no-profile", &["KEY"]));
    world.ok(&attach("s", "p"));
    assert_eq!(world.enforced_hash(), other.current_effective_policy_hash);
    world.refused_with_a_change(Code::FailedPrecondition, &approval(&other));
    assert_ne!(world.chunk(&other.id).review_token, other.review_token);
}

#[test]
fn dc_10_a_new_value_of_a_credential_changes_no_review() {
    let mut world = World::with_drafts();
    world.ok(&provider("p", "no-profile", &["KEY"]));
    world.ok(&attach("s", "p"));
    let chunk = world.propose("agent_authored", proposal("api", "api.example.com"));
    world.ok(&crate::support::update_provider("p", &[("KEY", "rotated")], &[]));
    world.ok(&approval(&chunk));
}

#[test]
fn dc_10_an_approval_decided_on_an_older_state_does_not_commit() {
    let mut world = World::with_drafts();
    let chunk = world.propose("agent_authored", proposal("api", "api.example.com"));
    let late = draft(world.decide(&approval(&chunk)));
    assert!(late.guards.keys().any(|key| key.kind == Kind::DraftInbox));
    // A repetition changes nothing that was reviewed; the approval is decided again and stands.
    let again = submission("s", "mechanistic", &[proposal("other", "other.example.com")]);
    world.ask_as_sandbox("s", &again).expect("taken");
    assert!(matches!(world.commit(late).outcome, openshell_state::Outcome::GuardFailed { .. }));
    assert!(matches!(world.decide(&approval(&chunk)), Decision::Transact(_)));
    world.ok(&approval(&chunk));
}
