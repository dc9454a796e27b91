//! `SubmitPolicyAnalysis`: DC-1 to DC-5.

use openshell_policy::findings;
use openshell_proto::log::Kind;
use openshell_proto::sandbox::NetworkCredentialBinding;
use openshell_proto::v1::{NetworkActivitySummary, PolicyChunk, SubmitPolicyAnalysisRequest};
use openshell_state::access::Principal;
use openshell_state::{Code, Decision};

use crate::drafts::{approval, edition, mode, proposal, rule, submission};
use crate::support::{
    World, credential, endpoint, global_policy, import, policy, provider, sandbox, says, static_profile, user,
};

#[test]
fn dc_1_what_is_stored_of_a_proposal() {
    let mut world = World::with_drafts();
    let mut proposed = proposal("api", "API.Example.com");
    proposed.security_notes = "reads a secret".to_owned();
    let stored =
        PolicyChunk { confidence: 7.0, hit_count: 1000, first_seen_ms: 5, last_seen_ms: 9, ..proposed.clone() };
    let chunk = world.propose("agent_authored", stored);
    assert_eq!((chunk.confidence, chunk.hit_count, chunk.first_seen_ms, chunk.last_seen_ms), (1.0, 100, 5, 9));
    assert_eq!(
        (chunk.status.as_str(), chunk.rule_name.as_str(), chunk.binary.as_str()),
        ("pending", "api", "/usr/bin/curl")
    );
    assert_eq!(
        (chunk.rationale.as_str(), chunk.security_notes.as_str()),
        ("API.Example.com was denied", "reads a secret")
    );
    assert_eq!(chunk.proposed_rule, proposed.proposed_rule, "as it was sent");
    assert_eq!(chunk.current_effective_policy, world.effective("s").policy);
    assert_eq!(chunk.current_effective_policy_hash, world.enforced_hash());
    let candidate = chunk.candidate_effective_policy.expect("a copy");
    assert_eq!(chunk.candidate_effective_policy_hash, openshell_policy::hash::policy_hash(&candidate));
    assert!(candidate.network_policies.contains_key("api"));
    assert_eq!(chunk.review_token.len(), 64);
    assert_eq!(chunk.validation_result, findings::NOTHING);
    let id = world.sandbox_id("s");
    let record = world.state.draft_chunk("default", &id, &chunk.id).expect("stored").value;
    assert_eq!(
        (record.stored.host.as_str(), record.stored.port, record.stored.draft_version),
        ("api.example.com", 443, 1)
    );

    for (confidence, kept) in [(-1.0, 0.0), (f32::NAN, 0.0), (0.25, 0.25)] {
        let chunk = world.propose("agent_authored", PolicyChunk { confidence, hit_count: -3, ..proposed.clone() });
        assert_eq!((chunk.confidence, chunk.hit_count), (kept, 1));
        assert_eq!(
            (chunk.first_seen_ms, chunk.last_seen_ms),
            (world.time_ms, world.time_ms),
            "now when it says nothing"
        );
    }
}

#[test]
fn dc_2_who_may_submit_and_where() {
    let mut world = World::with_drafts();
    world.ok(&sandbox("other", &[], None));
    let own = Principal::Sandbox { id: world.sandbox_id("s") };
    let proposals = [proposal("api", "api.example.com")];
    let code = |world: &mut World, principal: &Principal, request: &SubmitPolicyAnalysisRequest| {
        let refusal = world.as_principal(principal.clone(), request).expect_err("refused");
        (refusal.code, refusal.message)
    };
    let mut elsewhere = submission("", "mechanistic", &proposals);
    elsewhere.workspace = "nowhere".to_owned();
    assert_eq!(code(&mut world, &own, &elsewhere).0, Code::NotFound, "the workspace comes first");
    assert_eq!(code(&mut world, &own, &submission("", "", &proposals)).0, Code::InvalidArgument);
    let foreign = code(&mut world, &own, &submission("other", "", &proposals));
    let missing = code(&mut world, &own, &submission("third", "", &proposals));
    assert_eq!((foreign.0, missing.0), (Code::PermissionDenied, Code::PermissionDenied));
    assert_eq!(foreign.1.replace("other", "third"), missing.1, "nobody learns whether a sandbox exists");
    let mine = submission("s", "", &proposals);
    assert_eq!(code(&mut world, &user("root", true), &mine).0, Code::PermissionDenied);
    let nobody = code(&mut world, &Principal::Anonymous, &mine);
    assert_eq!(nobody.0, Code::Unauthenticated);
    says(&nobody.1, &["missing principal"]);
    assert_eq!(world.state.by_creation_everywhere(Kind::DraftChunk).count(), 0);
}

#[test]
fn dc_2_activity_alone_is_answered_and_nothing_is_written() {
    let world = World::with_drafts();
    let told = SubmitPolicyAnalysisRequest {
        network_activity_summaries: vec![NetworkActivitySummary { network_activity_count: 4, ..Default::default() }],
        ..submission("s", "mechanistic", &[])
    };
    let own = Principal::Sandbox { id: world.sandbox_id("s") };
    let Decision::Answer(answer) = world.decide_as(&own, &told) else { panic!("an entry for nothing") };
    assert!(answer.is_empty(), "an empty response");
}

#[test]
fn dc_2_what_is_wrong_with_one_proposal_is_counted_and_the_others_are_taken() {
    let mut world = World::with_drafts();
    let good = proposal("good", "api.example.com");
    let nameless = PolicyChunk { rule_name: " ".to_owned(), ..good.clone() };
    let reserved = PolicyChunk { rule_name: "_provider_x".to_owned(), ..good.clone() };
    let empty = PolicyChunk { rule_name: "empty".to_owned(), proposed_rule: None, ..good.clone() };
    let mut blocked = proposal("blocked", "169.254.169.254");
    blocked.rationale = "metadata".to_owned();
    let wordy = PolicyChunk { rule_name: "wordy".to_owned(), rationale: "x".repeat(8193), ..good.clone() };
    let answer = world.submit("agent_authored", &[nameless, reserved, empty, blocked.clone(), good, wordy]);
    assert_eq!((answer.accepted_chunks, answer.rejected_chunks), (1, 5));
    assert_eq!(answer.accepted_chunk_ids.len(), 1);
    let expected = [
        "rule_name is missing",
        "reserved '_provider_' prefix",
        "proposed_rule is missing",
        "cannot be applied",
        "rationale has 8193 bytes",
    ];
    for (reason, words) in answer.rejection_reasons.iter().zip(expected) {
        says(reason, &[words]);
    }
    assert_eq!(world.inbox().len(), 1);
    // What follows from denials is kept, with why it cannot be applied, so that people can edit it.
    let kept = world.propose("mechanistic", blocked);
    assert_eq!((kept.status.as_str(), kept.review_token.as_str()), ("pending", ""));
    says(&kept.application_error, &["169.254.169.254"]);
    let fine = rule("blocked", "fine.example.com");
    world.ok(&edition(&kept, fine));
    let edited = world.chunk(&kept.id);
    assert_eq!((edited.review_token.len(), edited.application_error.as_str()), (64, ""));
}

#[test]
fn dc_2_marks_that_only_the_gateway_sets_are_not_believed() {
    let mut world = World::with_drafts();
    let mut proposed = proposal("api", "api.example.com");
    proposed.proposed_rule.as_mut().expect("a rule").endpoints[0].provider_credentialed = true;
    proposed.proposed_rule.as_mut().expect("a rule").endpoints[0].advisor_proposed = true;
    proposed.validation_result = findings::NOTHING.to_owned();
    proposed.review_token = "mine".to_owned();
    let chunk = world.propose("agent_authored", proposed);
    let endpoint = &chunk.proposed_rule.expect("a rule").endpoints[0];
    assert!(!endpoint.provider_credentialed && endpoint.advisor_proposed);
    assert_ne!(chunk.review_token, "mine");
}

#[test]
fn dc_3_a_repeated_mechanistic_proposal_adds_its_hits_to_the_first() {
    let mut world = World::with_drafts();
    let first = world.propose("mechanistic", PolicyChunk { hit_count: 3, ..proposal("api", "api.example.com") });
    let again = PolicyChunk { hit_count: 4, rationale: "other".to_owned(), ..proposal("api-2", "API.example.com") };
    let answer = world.submit("mechanistic", &[again.clone(), again]);
    assert_eq!(answer.accepted_chunk_ids, [first.id.clone(), first.id.clone()]);
    let [chunk] = &world.inbox()[..] else { panic!("one row") };
    assert_eq!((chunk.hit_count, chunk.rule_name.as_str(), &chunk.rationale), (11, "api", &first.rationale));
    assert_eq!((chunk.first_seen_ms, chunk.last_seen_ms), (first.first_seen_ms, world.time_ms));
    assert_eq!(chunk.review_token, first.review_token, "what was reviewed is what is there");
    // Another host, port or program is another proposal.
    let mut other = proposal("api", "api.example.com");
    other.proposed_rule.as_mut().expect("a rule").binaries[0].path = "/usr/bin/git".to_owned();
    world.propose("mechanistic", other);
    let mut port = proposal("api", "api.example.com");
    port.proposed_rule.as_mut().expect("a rule").endpoints[0].port = 8443;
    world.propose("mechanistic", port);
    assert_eq!(world.inbox().len(), 3);
}

#[test]
fn dc_3_a_repetition_never_brings_an_edited_rule_back() {
    let mut world = World::with_drafts();
    let first = world.propose("mechanistic", proposal("api", "api.example.com"));
    let edited = rule("api", "only-this.example.com");
    world.ok(&edition(&first, edited.clone()));
    let token = world.chunk(&first.id).review_token;
    let again = world.propose("mechanistic", proposal("api", "api.example.com"));
    assert_eq!((again.id, again.hit_count, again.proposed_rule), (first.id, 2, Some(edited)));
    assert_eq!(again.review_token, token);
}

#[test]
fn dc_3_in_other_modes_every_submission_is_a_row_of_its_own() {
    let mut world = World::with_drafts();
    for mode in ["agent_authored", "", "another"] {
        let (one, two) = (proposal("api", "api.example.com"), proposal("api", "api.example.com"));
        let answer = world.submit(mode, &[one, two]);
        assert_ne!(answer.accepted_chunk_ids[0], answer.accepted_chunk_ids[1]);
    }
    let chunks = world.inbox();
    assert_eq!((chunks.len(), chunks.iter().filter(|chunk| chunk.status == "pending").count()), (6, 1));
}

#[test]
fn dc_4_a_newer_proposal_rejects_the_pending_ones_about_the_same() {
    let mut world = World::with_drafts();
    let denied = world.propose("mechanistic", proposal("api", "api.example.com"));
    let elsewhere = world.propose("mechanistic", proposal("other", "other.example.com"));
    let newer = world.propose("agent_authored", proposal("better", "api.example.com"));
    let older = world.chunk(&denied.id);
    assert_eq!((older.status.as_str(), older.decided_at_ms), ("rejected", world.time_ms));
    says(&older.rejection_reason, &["automatic", &newer.id]);
    assert_eq!((newer.status.as_str(), world.chunk(&elsewhere.id).status.as_str()), ("pending", "pending"));
    // A repetition is not newer: it counts for the row that was rejected.
    let again = world.propose("mechanistic", proposal("api", "api.example.com"));
    assert_eq!((again.id, again.status.as_str(), again.hit_count), (denied.id, "rejected", 2));
    assert_eq!(world.chunk(&newer.id).status, "pending");
}

#[test]
fn dc_4_a_mechanistic_proposal_gives_way_to_an_approved_one_of_an_agent() {
    let mut world = World::with_drafts();
    let agents = world.propose("agent_authored", proposal("api", "api.example.com"));
    world.ok(&approval(&agents));
    let late = world.propose("mechanistic", proposal("late", "api.example.com"));
    assert_eq!(late.status, "rejected");
    says(&late.rejection_reason, &["automatic", &agents.id]);
    // An approved one that followed from denials itself stands in nobody's way.
    let denied = world.propose("mechanistic", proposal("db", "db.example.com"));
    world.ok(&approval(&denied));
    let agents = world.propose("agent_authored", proposal("db-2", "db.example.com"));
    assert_eq!(agents.status, "pending");
}

/// Whether a proposal goes into the policy by itself in this world.
fn goes_in(world: &mut World, proposed: PolicyChunk) -> bool {
    let before = world.revisions("s").len();
    let chunk = world.propose("agent_authored", proposed);
    let automatic = chunk.status == "approved";
    assert_eq!(world.revisions("s").len(), before + usize::from(automatic));
    automatic
}

#[test]
fn dc_5_by_themselves_go_in_only_proposals_in_the_mode_auto_the_global_word_first() {
    let mut world = World::with_drafts();
    assert!(!goes_in(&mut world, proposal("a", "a.example.com")), "unset is manual");
    world.ok(&mode("s", "auto"));
    assert!(goes_in(&mut world, proposal("b", "b.example.com")));
    assert!(world.rules("s").contains(&"b".to_owned()));
    world.ok(&mode("", "manual"));
    assert!(!goes_in(&mut world, proposal("c", "c.example.com")), "the global value wins");
    world.ok(&mode("", "auto"));
    assert!(goes_in(&mut world, proposal("d", "d.example.com")));
}

#[test]
fn dc_5_notes_findings_and_a_global_policy_keep_a_proposal_pending() {
    let mut world = World::with_drafts();
    let mut profile = static_profile("tool", "tool.example.com");
    profile.credentials = vec![credential("token", "TOOL_KEY")];
    world.ok(&import("default", &[profile]));
    world.ok(&provider("p", "tool", &["TOOL_KEY"]));
    world.ok(&crate::support::attach("s", "p"));
    world.ok(&mode("s", "auto"));
    let noted = PolicyChunk { security_notes: "look".to_owned(), ..proposal("noted", "noted.example.com") };
    assert!(!goes_in(&mut world, noted));
    assert!(!goes_in(&mut world, proposal("tool", "tool.example.com")), "it uses credentials");
    let found = world.inbox().into_iter().find(|chunk| chunk.rule_name == "tool").expect("it is there");
    says(&found.validation_result, &["prover: 1 new finding", "tool.example.com:443"]);
    // What the sandbox says of itself is not believed.
    let claimed =
        PolicyChunk { validation_result: findings::NOTHING.to_owned(), ..proposal("own", "tool.example.com") };
    assert!(!goes_in(&mut world, claimed));
    world.ok(&global_policy(policy("g.example.com")));
    assert!(!goes_in(&mut world, proposal("late", "late.example.com")));
}

#[test]
fn dc_5_failure_leaves_the_proposal_pending_or_out() {
    let mut world = World::with_drafts();
    world.ok(&mode("s", "auto"));
    let mut bound = proposal("bound", "bound.example.com");
    bound.proposed_rule.as_mut().expect("a rule").endpoints[0].credential_binding =
        Some(NetworkCredentialBinding { provider: "nobody".to_owned() });
    let kept = world.propose("mechanistic", bound);
    assert_eq!(kept.status, "pending");
    says(&kept.application_error, &["not attached"]);
    assert_eq!(world.revisions("s").len(), 1);
}

#[test]
fn dc_5_several_go_in_together_and_those_left_are_evaluated_on_the_result() {
    let mut world = World::with_drafts();
    world.ok(&mode("s", "auto"));
    let noted = PolicyChunk { security_notes: "look".to_owned(), ..proposal("noted", "noted.example.com") };
    let before = world.log.len();
    let answer =
        world.submit("agent_authored", &[noted, proposal("a", "a.example.com"), proposal("b", "b.example.com")]);
    assert_eq!((answer.accepted_chunks, world.log.len()), (3, before + 1), "one entry");
    assert_eq!(world.revisions("s").len(), 2, "one revision");
    assert_eq!(world.rules("s"), ["a", "b", "r1"]);
    let left = world.inbox().into_iter().find(|chunk| chunk.status == "pending").expect("one is left");
    assert_eq!(left.current_effective_policy_hash, world.enforced_hash());
    world.ok(&approval(&left));
    assert_eq!(world.rules("s"), ["a", "b", "noted", "r1"]);
}

#[test]
fn dc_5_a_rule_with_addresses_of_its_own_needs_somebody() {
    let mut world = World::with_drafts();
    world.ok(&mode("s", "auto"));
    let mut inner = proposal("inner", "inner.example.com");
    let mut opened = endpoint("inner.example.com", 443);
    opened.allowed_ips = vec!["10.0.0.0/8".to_owned()];
    inner.proposed_rule.as_mut().expect("a rule").endpoints = vec![opened];
    assert!(!goes_in(&mut world, inner));
}

/// The sandbox `s` lists a provider whose profile has no endpoints; a proposal that binds it.
fn binding(world: &mut World) -> PolicyChunk {
    let credentials = vec![credential("b", "B_KEY")];
    let profile = openshell_proto::v1::ProviderProfile { credentials, ..crate::support::minimal("bare") };
    assert!(world.ok(&import("default", &[profile])).imported);
    world.ok(&provider("p", "bare", &["B_KEY"]));
    world.ok(&crate::support::attach("s", "p"));
    world.ok(&mode("s", "auto"));
    let mut bound = proposal("bound", "mine.example.com");
    bound.proposed_rule.as_mut().expect("a rule").endpoints[0].credential_binding =
        Some(NetworkCredentialBinding { provider: "p".to_owned() });
    bound
}

#[test]
fn dc_5_a_rule_that_binds_a_providers_credentials_needs_somebody() {
    let mut world = World::with_drafts();
    let bound = binding(&mut world);
    assert!(!goes_in(&mut world, bound));
    says(&world.inbox()[0].validation_result, &["mine.example.com:443 uses credentials"]);
}

#[test]
fn dc_5_a_proposal_cannot_bind_a_provider_whose_profile_is_left_out() {
    let mut world = World::with_drafts();
    let bound = binding(&mut world);
    crate::invalid_profiles::spoil(&mut world, "default", "bare");
    let kept = world.propose("mechanistic", bound);
    assert_eq!((kept.status.as_str(), world.revisions("s").len()), ("pending", 1));
    says(&kept.application_error, &["has no profile"]);
}
