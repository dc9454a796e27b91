//! An approval binds to what was reviewed, whatever happens between the review and the entry: for each
//! thing that a review depends on, a change between decision and entry stops the entry; and without the
//! guard that names it, the change would slip in.

use openshell_proto::log::Kind;
use openshell_proto::v1::PolicyChunk;
use openshell_state::{Code, Decision, Key, Outcome};

use crate::drafts::{approval, approval_of, edition, mode, proposal, rule, submission};
use crate::support::{
    Decide, World, attach, credential, detach, draft, global_policy, global_setting, import, policy, provider,
    static_profile, update, update_policy,
};

/// A world with a provider that composes, and one more; a chunk that was reviewed.
fn reviewed() -> (World, PolicyChunk) {
    let mut world = World::with_drafts();
    world.ok(&global_setting("providers_v2_enabled", true));
    let mut tool = static_profile("tool", "tool.example.com");
    tool.credentials = vec![credential("token", "TOOL_KEY")];
    world.ok(&import("default", &[tool, static_profile("more", "more.example.com")]));
    world.ok(&provider("p", "tool", &["TOOL_KEY"]));
    world.ok(&provider("q", "more", &["MORE_KEY"]));
    world.ok(&attach("s", "p"));
    let chunk = world.propose("agent_authored", proposal("api", "api.example.com"));
    (world, chunk)
}

/// Decided before the change, the approval does not commit after it, and is refused when it is decided
/// again; without guards of this kind it would commit, on another policy than the one that was reviewed.
fn slips_in_without(kind: Kind, change: impl Fn(&mut World)) {
    for all in [false, true] {
        let (mut world, chunk) = reviewed();
        let asked: Box<dyn Decide> =
            if all { Box::new(approval_of(std::slice::from_ref(&chunk))) } else { Box::new(approval(&chunk)) };
        let late = draft(world.decide(&*asked));
        change(&mut world);
        assert_ne!(world.enforced_hash(), chunk.current_effective_policy_hash, "nothing that was reviewed changes");
        let mut unguarded = late.clone();
        unguarded.guards.retain(|key, _| key.kind != kind);
        assert!(unguarded.guards.len() < late.guards.len(), "nothing of {kind:?} is guarded");
        let mut harmed = world.clone();
        assert_eq!(harmed.commit(unguarded).outcome, Outcome::Installed, "something else guards it too");
        assert!(matches!(world.commit(late).outcome, Outcome::GuardFailed { key } if key.kind == kind));
        match world.decide(&*asked) {
            Decision::Transact(draft) if all => {
                assert!(!draft.writes.iter().any(is_revision), "nothing is applied");
            }
            Decision::Transact(draft) => {
                assert_eq!(draft.reply.expect_err("refused").code, Code::FailedPrecondition);
            }
            Decision::Refuse(refusal) => assert_eq!(refusal.code, Code::FailedPrecondition),
            Decision::Answer(_) => panic!("nothing is approved silently"),
        }
    }
}

fn is_revision(write: &openshell_proto::log::Write) -> bool {
    write.key.as_ref().is_some_and(|key| key.kind() == Kind::PolicyRevision)
}

#[test]
fn dc_6_approve_against_a_policy_update() {
    slips_in_without(Kind::PolicyRevision, |world| {
        world.ok(&update_policy("s", policy("elsewhere.example.com")));
    });
}

#[test]
fn dc_6_approve_against_an_attachment_and_a_detachment() {
    slips_in_without(Kind::Sandbox, |world| {
        world.ok(&attach("s", "q"));
    });
    slips_in_without(Kind::Sandbox, |world| {
        world.ok(&detach("s", "p"));
    });
}

#[test]
fn dc_6_approve_against_an_update_of_a_providers_profile() {
    slips_in_without(Kind::ProviderProfile, |world| {
        let mut other = static_profile("tool", "wider.example.com");
        other.credentials = vec![credential("token", "TOOL_KEY")];
        assert!(world.ok(&update("default", 1, other)).updated);
    });
}

#[test]
fn dc_6_approve_against_a_global_policy_and_the_switch_of_composition() {
    slips_in_without(Kind::GatewaySettings, |world| {
        world.ok(&global_policy(policy("g.example.com")));
    });
    slips_in_without(Kind::GatewaySettings, |world| {
        world.ok(&global_setting("providers_v2_enabled", false));
    });
}

#[test]
fn dc_6_approve_against_an_edit() {
    let (mut world, chunk) = reviewed();
    let late = draft(world.decide(&approval(&chunk)));
    world.ok(&edition(&chunk, rule("api", "wider.example.com")));
    let mut unguarded = late.clone();
    unguarded.guards.remove(&Key::draft_inbox("default", &world.sandbox_id("s")));
    let mut harmed = world.clone();
    assert_eq!(harmed.commit(unguarded).outcome, Outcome::Installed, "the edit would be lost");
    assert!(matches!(world.commit(late).outcome, Outcome::GuardFailed { key } if key.kind == Kind::DraftInbox));
    world.refused(Code::FailedPrecondition, &approval(&chunk));
}

#[test]
fn dc_5_a_submission_against_the_approval_mode() {
    let mut world = World::with_drafts();
    world.ok(&mode("s", "auto"));
    let own = openshell_state::access::Principal::Sandbox { id: world.sandbox_id("s") };
    let submitted = submission("s", "agent_authored", &[proposal("api", "api.example.com")]);
    let late = draft(world.decide_as(&own, &submitted));
    assert!(late.writes.iter().any(is_revision), "it would go in by itself");
    world.ok(&mode("s", "manual"));
    assert!(matches!(world.commit(late).outcome, Outcome::GuardFailed { key } if key.kind == Kind::SandboxSettings));
}

#[test]
fn dc_3_two_submissions_at_once_make_one_row() {
    let mut world = World::with_drafts();
    let own = openshell_state::access::Principal::Sandbox { id: world.sandbox_id("s") };
    let submitted = submission("s", "mechanistic", &[proposal("api", "api.example.com")]);
    let (one, two) = (draft(world.decide_as(&own, &submitted)), draft(world.decide_as(&own, &submitted)));
    assert_eq!(world.commit(one).outcome, Outcome::Installed);
    assert!(matches!(world.commit(two).outcome, Outcome::GuardFailed { .. }));
    world.ask_as_sandbox("s", &submitted).expect("decided again");
    let [chunk] = &world.inbox()[..] else { panic!("one row") };
    assert_eq!(chunk.hit_count, 2);
}
