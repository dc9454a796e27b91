//! What a sandbox may store, and that no secret is among it.

use openshell_proto::sandbox::NetworkBinary;
use openshell_proto::v1::{PolicyChunk, StoredDraftChunk};
use openshell_state::{Code, Key};
use prost::Message;

use crate::drafts::{approval, approval_of, clearing, edition, mode, proposal, rejection, rule, submission, undoing};
use crate::support::{
    World, attach, credential, endpoint, import, policy_of, provider, says, static_profile, update_policy,
};

const SECRET: &str = "hunter2-hunter2";

/// The sum of the encoded chunks of the sandbox `s`.
fn stored_bytes(world: &World) -> usize {
    world.state.draft_chunks("default", &world.sandbox_id("s")).map(|chunk| chunk.value.stored.encoded_len()).sum()
}

/// Proposals about as many hosts, numbered from `first`.
fn proposals(first: usize, count: usize) -> Vec<PolicyChunk> {
    (first..first + count).map(|number| proposal(&format!("r{number}"), &format!("h{number}.example.com"))).collect()
}

#[test]
fn an_inbox_takes_128_pending_chunks_and_no_more() {
    let mut world = World::with_drafts();
    for batch in 0..2 {
        assert_eq!(world.submit("agent_authored", &proposals(64 * batch, 64)).accepted_chunks, 64);
    }
    let one_more = submission("s", "agent_authored", &proposals(128, 1));
    let digest = world.state.digest();
    let refusal = world.ask_as_sandbox("s", &one_more).expect_err("it is full");
    assert_eq!((refusal.code, world.state.digest()), (Code::ResourceExhausted, digest));
    says(&refusal.message, &["draft inbox is full", "128"]);
    // A repetition takes no room, and neither does a newer proposal about the same once it is decided.
    world.ok(&rejection(&world.inbox()[0], ""));
    world.ask_as_sandbox("s", &one_more).expect("there is room again");
    assert_eq!(world.ok(&clearing()).chunks_cleared, 128);
    assert_eq!(world.submit("mechanistic", &proposals(0, 64)).accepted_chunks, 64);
}

#[test]
fn one_submission_has_64_proposals_at_most() {
    let mut world = World::with_drafts();
    let refusal = world.ask_as_sandbox("s", &submission("s", "", &proposals(0, 65))).expect_err("too many");
    assert_eq!(refusal.code, Code::ResourceExhausted);
    says(&refusal.message, &["65", "64"]);
}

#[test]
fn a_sandbox_that_proposes_without_end_drives_out_what_was_rejected_and_never_what_was_approved() {
    let mut world = World::with_drafts();
    let kept = world.propose("agent_authored", proposal("kept", "kept.example.com"));
    world.ok(&approval(&kept));
    let said = world.propose("agent_authored", proposal("said", "said.example.com"));
    world.ok(&rejection(&said, "no"));
    for _ in 0..10 {
        // Each rejects the one before it, which is about the same.
        world.submit("agent_authored", &vec![proposal("again", "again.example.com"); 64]);
        assert!(world.inbox().len() <= 256, "{}", world.inbox().len());
    }
    assert!(world.inbox().iter().all(|chunk| chunk.id != said.id), "the one decided longest ago went");
    assert_eq!(world.chunk(&kept.id).status, "approved");
    world.ok(&undoing(&kept));
}

#[test]
fn large_policies_are_kept_by_their_hashes_only() {
    let mut world = World::with_drafts();
    let mut large = crate::support::policy("docs.example.com");
    let endpoints = (0..2000).map(|number| endpoint(&format!("host-{number:04}.example.com"), 443));
    large.network_policies.get_mut("r1").expect("the rule").endpoints = endpoints.collect();
    world.ok(&update_policy("s", large));
    let chunk = world.propose("agent_authored", proposal("api", "api.example.com"));
    assert_eq!((&chunk.current_effective_policy, &chunk.candidate_effective_policy), (&None, &None));
    assert_eq!(chunk.current_effective_policy_hash, world.enforced_hash());
    assert!(stored_bytes(&world) < 2048);
    world.ok(&approval(&chunk));
    assert_eq!(world.enforced_hash(), chunk.candidate_effective_policy_hash);
}

#[test]
fn an_inbox_holds_3_mib_at_most_of_which_half_may_be_pending() {
    let mut world = World::with_drafts();
    let mut policy = crate::support::policy("docs.example.com");
    let endpoints = (0..700).map(|number| endpoint(&format!("host-{number:04}.example.com"), 443));
    policy.network_policies.get_mut("r1").expect("the rule").endpoints = endpoints.collect();
    world.ok(&update_policy("s", policy));
    for number in 0..64 {
        let answer = world.submit("agent_authored", &proposals(number, 1));
        assert_eq!(answer.accepted_chunks, 1);
        assert!(stored_bytes(&world) <= 3 * 1024 * 1024 / 2);
    }
    let copies = world.inbox().iter().filter(|chunk| chunk.current_effective_policy.is_some()).count();
    assert!((10..64).contains(&copies), "{copies}: those for which there is no room are kept by their hashes");
    // A chunk that grows while it is evaluated again finds no room for its copies, and keeps the hashes.
    let chunk = world.inbox().pop().expect("a chunk");
    let id = world.sandbox_id("s");
    let mut padded = world.state.draft_chunk("default", &id, &chunk.id).expect("stored").value.stored.clone();
    padded.rationale = "x".repeat(3 * 1024 * 1024 / 2);
    world.write(&Key::draft_chunk("default", &id, &chunk.id), Some(&padded));
    world.ok(&update_policy("s", crate::support::policy("other.example.com")));
    world.refused_with_a_change(Code::FailedPrecondition, &approval(&chunk));
    let again = world.chunk(&chunk.id);
    assert_eq!((again.current_effective_policy, again.current_effective_policy_hash), (None, world.enforced_hash()));
}

#[test]
fn no_secret_is_stored_with_a_proposal() {
    let mut world = World::with_drafts();
    let mut profile = static_profile("tool", "tool.example.com");
    profile.credentials = vec![credential("token", "TOOL_KEY")];
    world.ok(&import("default", &[profile]));
    let mut created = provider("p", "tool", &["TOOL_KEY"]);
    created.provider.as_mut().expect("a provider").credentials.insert("TOOL_KEY".to_owned(), SECRET.to_owned());
    world.ok(&created);
    world.ok(&attach("s", "p"));
    let mut told = submission("s", "mechanistic", &[proposal("tool", "tool.example.com")]);
    let denial = openshell_proto::v1::DenialSummary {
        sample_cmdlines: vec![format!("curl -H {SECRET}")],
        ..openshell_proto::v1::DenialSummary::default()
    };
    told.summaries = vec![denial];
    world.ask_as_sandbox("s", &told).expect("taken");
    let chunk = world.inbox().pop().expect("a chunk");
    world.ok(&approval(&chunk));
    world.ok(&undoing(&chunk));
    let holds = |bytes: &[u8]| bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes());
    for (index, command) in &world.log {
        assert!(!holds(&command.encode_to_vec()), "entry {index}");
    }
    for (key, record) in world.state.by_creation_everywhere(openshell_proto::log::Kind::DraftChunk) {
        assert!(!holds(&record.bytes), "{key}");
    }
}

#[test]
fn a_chunk_of_another_build_without_our_fields_is_read() {
    let mut world = World::with_drafts();
    let id = world.sandbox_id("s");
    let stored = StoredDraftChunk {
        id: "c".to_owned(),
        sandbox_id: id.clone(),
        status: "pending".to_owned(),
        rule_name: "api".to_owned(),
        proposed_rule: rule("api", "api.example.com").encode_to_vec(),
        ..StoredDraftChunk::default()
    };
    world.write(&Key::draft_chunk("default", &id, "c"), Some(&stored));
    let chunk = world.chunk("c");
    world.refused_with_a_change(Code::FailedPrecondition, &approval(&chunk));
    world.ok(&approval(&world.chunk("c")));
}

#[test]
fn what_is_kept_of_a_failure_is_8_kib_at_most() {
    let mut world = World::with_drafts();
    let mut proposed = proposal("many", "*.com");
    let endpoints = (0..600).map(|number| endpoint(&format!("*.{}{number}", "c".repeat(40)), 443));
    proposed.proposed_rule.as_mut().expect("a rule").endpoints = endpoints.collect();
    let kept = world.propose("mechanistic", proposed);
    assert_eq!(kept.application_error.len(), 8192);
}

#[test]
fn one_call_evaluates_so_much_and_the_rest_is_sent_separately_or_skipped() {
    let mut world = World::with_drafts();
    let mut large = crate::support::policy("docs.example.com");
    let endpoints = (0..2000).map(|number| endpoint(&format!("host-{number:04}.example.com"), 443));
    large.network_policies.get_mut("r1").expect("the rule").endpoints = endpoints.collect();
    world.ok(&update_policy("s", large));
    let answer = world.submit("agent_authored", &proposals(0, 40));
    assert_eq!((answer.accepted_chunks, answer.rejected_chunks), (32, 8));
    says(&answer.rejection_reasons[0], &["send it separately"]);
    assert_eq!(world.submit("agent_authored", &proposals(32, 8)).accepted_chunks, 8);
    let answer = world.ok(&approval_of(&[]));
    assert_eq!((answer.chunks_approved, answer.chunks_skipped), (32, 8));
}

#[test]
fn many_proposals_on_a_policy_of_some_size_are_kept_by_their_hashes_when_room_is_short() {
    let mut world = World::with_drafts();
    let mut policy = crate::support::policy("docs.example.com");
    let endpoints = (0..700).map(|number| endpoint(&format!("host-{number:04}.example.com"), 443));
    policy.network_policies.get_mut("r1").expect("the rule").endpoints = endpoints.collect();
    world.ok(&update_policy("s", policy));
    assert_eq!(world.submit("agent_authored", &proposals(0, 64)).accepted_chunks, 64);
    assert!(world.inbox().iter().all(|chunk| chunk.current_effective_policy.is_none()));
}

#[test]
fn an_edit_that_the_inbox_has_no_room_for_is_refused() {
    let mut world = World::with_drafts();
    let chunk = world.propose("agent_authored", proposal("api", "api.example.com"));
    let id = world.sandbox_id("s");
    let other = world.propose("agent_authored", proposal("other", "other.example.com"));
    let mut padded = world.state.draft_chunk("default", &id, &other.id).expect("stored").value.stored.clone();
    padded.rationale = "x".repeat(3 * 1024 * 1024 - 40_000);
    world.write(&Key::draft_chunk("default", &id, &other.id), Some(&padded));
    let mut wide = rule("api", "api.example.com");
    wide.endpoints = (0..1000).map(|number| endpoint(&format!("host-{number:04}.example.com"), 443)).collect();
    says(&world.refused(Code::ResourceExhausted, &edition(&chunk, wide)), &["draft inbox is full"]);
}

/// The sandbox `s` with two chunks, and an inbox that has room for so many bytes more, what is kept free for decisions
/// not counted.
fn nearly_full(room: usize) -> (World, PolicyChunk, PolicyChunk) {
    let mut world = World::with_drafts();
    let chunk = world.propose("agent_authored", proposal("api", "api.example.com"));
    let other = world.propose("agent_authored", proposal("other", "other.example.com"));
    let id = world.sandbox_id("s");
    let mut padded = world.state.draft_chunk("default", &id, &other.id).expect("stored").value.stored.clone();
    let kept_free = 2 * 64 + 8;
    padded.rationale = "x".repeat(3 * 1024 * 1024 - stored_bytes(&world) - kept_free - room);
    world.write(&Key::draft_chunk("default", &id, &other.id), Some(&padded));
    let other = world.chunk(&other.id);
    (world, chunk, other)
}

#[test]
fn a_reason_that_the_inbox_has_no_room_for_is_refused_and_none_always_has_room() {
    let (mut world, chunk, other) = nearly_full(4096);
    let reason = "x".repeat(8192);
    // Its copies of the policies make room for a reason of some length, of this length they do not.
    let text = world.refused(Code::ResourceExhausted, &rejection(&chunk, &reason));
    says(&text, &["draft inbox is full", "without a reason"]);
    assert!(stored_bytes(&world) <= 3 * 1024 * 1024);
    world.ok(&rejection(&chunk, ""));
    world.ok(&rejection(&other, ""));
    assert!(stored_bytes(&world) <= 3 * 1024 * 1024, "{}", stored_bytes(&world));
    // Of one that holds more than it may, as an older program left it, something can still be taken.
    let (mut world, chunk, other) = nearly_full(0);
    let id = world.sandbox_id("s");
    let mut more = world.state.draft_chunk("default", &id, &other.id).expect("stored").value.stored.clone();
    more.rationale.push_str(&"x".repeat(100_000));
    world.write(&Key::draft_chunk("default", &id, &other.id), Some(&more));
    let before = stored_bytes(&world);
    world.refused(Code::ResourceExhausted, &rejection(&chunk, &reason));
    world.ok(&rejection(&chunk, ""));
    assert!(stored_bytes(&world) <= before + 64);
    world.ok(&rejection(&other, ""));
    world.submit("agent_authored", &proposals(0, 1));
    assert!(stored_bytes(&world) <= 3 * 1024 * 1024, "what was rejected went");
}

#[test]
fn an_approval_that_the_inbox_has_no_room_for_is_refused_and_goes_in_once_something_is_rejected() {
    let mut wide = proposal("wide", "wide.example.com");
    let program = |at| NetworkBinary { path: format!("/usr/bin/program-{at:04}-{}", "p".repeat(40)), harness: false };
    wide.proposed_rule.as_mut().expect("a rule").binaries = (0..400).map(program).collect();
    let mut world = World::with_drafts();
    let chunk = world.propose("agent_authored", wide);
    let other = world.propose("agent_authored", proposal("other", "other.example.com"));
    let id = world.sandbox_id("s");
    // Both by their hashes, so that no copies make room.
    let stored = |world: &World, chunk: &PolicyChunk| {
        let mut stored = world.state.draft_chunk("default", &id, &chunk.id).expect("stored").value.stored.clone();
        (stored.current_effective_policy, stored.candidate_effective_policy) = (None, None);
        stored
    };
    let (one, mut padded) = (stored(&world, &chunk), stored(&world, &other));
    padded.rationale = "x".repeat(3 * 1024 * 1024 - one.encoded_len() - padded.encoded_len() - 4096);
    world.write(&Key::draft_chunk("default", &id, &chunk.id), Some(&one));
    world.write(&Key::draft_chunk("default", &id, &other.id), Some(&padded));
    let chunk = world.chunk(&chunk.id);
    let revisions = world.revisions("s").len();
    says(&world.refused(Code::ResourceExhausted, &approval(&chunk)), &["draft inbox is full"]);
    says(&world.refused(Code::ResourceExhausted, &approval_of(std::slice::from_ref(&chunk))), &["draft inbox is full"]);
    assert_eq!(world.revisions("s").len(), revisions, "nothing went into the policy");
    world.ok(&rejection(&world.chunk(&other.id), ""));
    world.ok(&approval(&chunk));
    assert_eq!(world.chunk(&chunk.id).status, "approved");
    assert!(stored_bytes(&world) <= 3 * 1024 * 1024);
}

/// The rule `big` of the sandbox `s`.
fn big(world: &World) -> openshell_proto::sandbox::NetworkPolicyRule {
    world.revisions("s").last().expect("a revision").policy.network_policies["big"].clone()
}

#[test]
fn dc_5_and_8_sixty_approvals_into_one_large_rule_are_taken_without_what_it_was_before_each() {
    for automatic in [false, true] {
        let mut world = World::with_drafts();
        let mut large = policy_of("big", endpoint("docs.example.com", 443));
        let endpoints = (0..740).map(|number| endpoint(&format!("{number:0>40}.example.com"), 443));
        large.network_policies.get_mut("big").expect("the rule").endpoints = endpoints.collect();
        world.ok(&update_policy("s", large));
        let before = big(&world).encoded_len();
        assert!((3 * 1024 * 1024 / 60..60 * 1024).contains(&before), "{before}");
        if automatic {
            world.ok(&mode("s", "auto"));
        }
        let into_big = |number: usize| proposal("big", &format!("h{number}.example.com"));
        let proposals: Vec<_> = (0..60).map(into_big).collect();
        assert_eq!(world.submit("agent_authored", &proposals).accepted_chunks, 60);
        if !automatic {
            let answer = world.ok(&approval_of(&[]));
            assert_eq!((answer.chunks_approved, answer.chunks_skipped), (60, 0));
        }
        let chunks = world.inbox();
        assert!(chunks.len() == 60 && chunks.iter().all(|chunk| chunk.status == "approved"));
        assert_eq!(big(&world).endpoints.len(), 800);
        assert!(stored_bytes(&world) <= 3 * 1024 * 1024, "{}", stored_bytes(&world));
        // What is not kept is not put back, and these brought no program that could be taken out.
        says(&world.refused(Code::FailedPrecondition, &undoing(&chunks[0])), &["added no binary"]);
        assert_eq!(big(&world).endpoints.len(), 800);
    }
}

#[test]
fn a_submission_into_an_inbox_that_is_full_of_what_was_decided_is_told_so() {
    let mut world = World::with_drafts();
    let chunk = world.propose("mechanistic", proposal("api", "api.example.com"));
    world.ok(&approval(&chunk));
    let id = world.sandbox_id("s");
    let mut padded = world.state.draft_chunk("default", &id, &chunk.id).expect("stored").value.stored.clone();
    padded.rationale = "x".repeat(3 * 1024 * 1024);
    world.write(&Key::draft_chunk("default", &id, &chunk.id), Some(&padded));
    // A repetition keeps the chunk that it counts for from going.
    let again = submission("s", "mechanistic", &[proposal("api", "api.example.com")]);
    let refusal = world.ask_as_sandbox("s", &again).expect_err("it is full");
    assert_eq!(refusal.code, Code::ResourceExhausted);
    says(&refusal.message, &["draft inbox is full", "would hold 1 chunks", "3145728 bytes", "fewer proposals"]);
    assert!(!refusal.message.contains("would be pending"), "{}", refusal.message);
}
