//! Approvals against everything that can race them, ten thousand times: decided on the same state, committed
//! in either order, and decided again when a guard fails, as the leader does. What is applied is what somebody
//! reviewed, which is found out from what the sandbox enforces before and after, without looking at guards.

use std::collections::BTreeSet;

use openshell_proto::log::Kind;
use openshell_proto::sandbox::{NetworkPolicyRule, SandboxPolicy};
use openshell_proto::v1::PolicyChunk;
use openshell_state::access::Principal;
use openshell_state::{Decision, Identifiers, Outcome, State, effective};
use prost::Message;

use crate::drafts::{
    approval, approval_of, clearing, edition, no_global_policy, proposal, rejection, rule, submission, undoing,
};
use crate::support::{
    Decide, Seeded, World, attach, detach, endpoint, global_policy, global_setting, import, policy, policy_of,
    provider, static_profile, update, update_policy,
};

const ROUNDS: u32 = 10_000;
/// After so many rounds everything begins anew, so that states stay small.
const LIFE: u32 = 500;
const HOSTS: [&str; 3] = ["a.example.com", "tool.example.com", "docs.example.com"];

/// A call of a round.
enum Asked {
    /// Somebody approves what they reviewed.
    One(Box<PolicyChunk>),
    /// The same, of several.
    All(Vec<PolicyChunk>),
    /// Something that is done at the same time.
    Rival(Principal, Box<dyn Decide>),
}

impl Asked {
    fn decide(&self, world: &World) -> Decision {
        match self {
            Asked::One(chunk) => world.decide(&approval(chunk)),
            Asked::All(chunks) => world.decide(&approval_of(chunks)),
            Asked::Rival(principal, request) => world.decide_as(principal, &**request),
        }
    }

    fn reviewed(&self) -> &[PolicyChunk] {
        match self {
            Asked::One(chunk) => std::slice::from_ref(&**chunk),
            Asked::All(chunks) => chunks,
            Asked::Rival(..) => &[],
        }
    }
}

/// What became of the rounds.
#[derive(Debug, Default)]
struct Tally {
    /// Chunks that were approved.
    applied: u32,
    /// Approvals that were refused or left out, because something else was reviewed.
    not_applied: u32,
    /// Calls that had to be decided again.
    again: u32,
}

fn furnished() -> World {
    let mut world = World::with_drafts();
    world.ok(&global_setting("providers_v2_enabled", true));
    assert!(world.ok(&import("default", &[static_profile("tool", "tool.example.com")])).imported);
    world.ok(&provider("p", "tool", &["TOOL_KEY"]));
    world.ok(&provider("q", "no-profile", &["OTHER_KEY"]));
    world
}

fn rival(world: &World, random: &Seeded) -> Asked {
    let host = HOSTS[random.choose(3)];
    let name = ["one", "two"][random.choose(2)];
    let provider = ["p", "q"][random.choose(2)];
    let inbox = world.inbox();
    let chosen = (!inbox.is_empty()).then(|| inbox[random.choose(inbox.len())].clone());
    let request: Box<dyn Decide> = match (random.choose(11), chosen) {
        (0, _) => Box::new(update_policy("s", policy_of("r1", endpoint(host, 443)))),
        (1, _) => Box::new(attach("s", provider)),
        (2, _) => Box::new(detach("s", provider)),
        (3, _) => {
            let stored = world.stored_profile("default", "tool").metadata.as_ref().expect("metadata").resource_version;
            Box::new(update(
                "default",
                stored,
                static_profile("tool", ["tool.example.com", "wide.example.com"][random.choose(2)]),
            ))
        }
        (4, _) if random.choose(4) == 0 => Box::new(global_policy(policy("g.example.com"))),
        (4 | 5, _) => Box::new(no_global_policy()),
        (6, Some(chunk)) => Box::new(edition(&chunk, rule(name, host))),
        (7, Some(chunk)) => Box::new(undoing(&chunk)),
        (8, Some(chunk)) => Box::new(rejection(&chunk, "no")),
        (9, _) if random.choose(4) == 0 => Box::new(clearing()),
        _ => {
            let mode = ["mechanistic", "agent_authored"][random.choose(2)];
            let own = Principal::Sandbox { id: world.sandbox_id("s") };
            return Asked::Rival(own, Box::new(submission("s", mode, &[proposal(name, host)])));
        }
    };
    Asked::Rival(world.principal.clone(), request)
}

/// Something that was reviewed, some time ago.
fn approving(reviews: &[Vec<PolicyChunk>], random: &Seeded) -> Option<Asked> {
    let read = reviews.get(random.choose(reviews.len().max(1)))?;
    let chosen = read.get(random.choose(read.len().max(1)))?.clone();
    // Mostly what was read last.
    let newest = reviews.last().filter(|_| random.choose(4) > 0).and_then(|read| read.last());
    let chosen = newest.cloned().unwrap_or(chosen);
    Some(if random.choose(3) == 0 { Asked::All(read.clone()) } else { Asked::One(Box::new(chosen)) })
}

fn enforced(state: &State) -> SandboxPolicy {
    let sandbox = state.sandbox("default", "s").expect("the sandbox").value;
    effective::sandbox_config(state, "default", sandbox).expect("it composes").policy.unwrap_or_default()
}

/// (endpoint, program) of everything that a policy allows; any program is the empty one.
fn grants(policy: &SandboxPolicy) -> BTreeSet<(Vec<u8>, String)> {
    let of = |rule: &NetworkPolicyRule| {
        let mut programs: Vec<String> = rule.binaries.iter().map(|binary| binary.path.clone()).collect();
        if programs.is_empty() {
            programs.push(String::new());
        }
        let pairs = rule.endpoints.iter().flat_map(|endpoint| {
            let bytes = endpoint.encode_to_vec();
            programs.iter().map(move |program| (bytes.clone(), program.clone())).collect::<Vec<_>>()
        });
        pairs.collect::<Vec<_>>()
    };
    policy.network_policies.values().flat_map(of).collect()
}

fn status(state: &State, id: &str) -> Option<String> {
    let sandbox = state.sandbox("default", "s").expect("the sandbox").value.metadata.clone().expect("metadata").id;
    state.draft_chunk("default", &sandbox, id).map(|chunk| chunk.value.stored.status.clone())
}

/// What one entry applied that nobody reviewed, in words; and how many chunks it approved.
fn unreviewed(before: &State, after: &State, asked: &Asked) -> (Vec<String>, u32) {
    let approved = |chunk: &&PolicyChunk| {
        status(before, &chunk.id).is_some_and(|word| word != "approved")
            && status(after, &chunk.id).is_some_and(|word| word == "approved")
    };
    let approved: Vec<&PolicyChunk> = asked.reviewed().iter().filter(approved).collect();
    let mut found = Vec::new();
    if approved.is_empty() {
        return (found, 0);
    }
    let (was, is) = (enforced(before), enforced(after));
    for chunk in &approved {
        if chunk.current_effective_policy.as_ref() != Some(&was) {
            found.push(format!("chunk {} was reviewed on another policy than the one that was enforced", chunk.id));
        }
    }
    if let Asked::One(chunk) = asked
        && chunk.candidate_effective_policy.as_ref() != Some(&is)
    {
        found.push(format!("chunk {} came to something else than what was reviewed", chunk.id));
    }
    let mut allowed = grants(&was);
    for candidate in approved.iter().filter_map(|chunk| chunk.candidate_effective_policy.as_ref()) {
        allowed.extend(grants(candidate));
    }
    found.extend(
        grants(&is).difference(&allowed).map(|(_, program)| format!("{program:?} may do what nobody reviewed")),
    );
    (found, u32::try_from(approved.len()).expect("few"))
}

/// Commits a decision made before, and decides again when a guard fails.
fn commit(
    world: &mut World,
    asked: &Asked,
    decision: Decision,
    without: Option<Kind>,
    tally: &mut Tally,
) -> Vec<String> {
    let before = world.state.clone();
    if let Decision::Transact(mut draft) = decision {
        draft.guards.retain(|key, _| Some(key.kind) != without);
        if world.commit(draft).outcome != Outcome::Installed {
            tally.again += 1;
            if let Decision::Transact(draft) = asked.decide(world) {
                assert_eq!(world.commit(draft).outcome, Outcome::Installed);
            }
        }
    }
    let (found, applied) = unreviewed(&before, &world.state, asked);
    tally.applied += applied;
    tally.not_applied += u32::from(!asked.reviewed().is_empty() && applied == 0);
    found
}

/// All rounds, or those up to the first thing that was applied and not reviewed.
fn race(rounds: u32, without: Option<Kind>) -> (Tally, Vec<String>) {
    let random = Seeded::new(11);
    let (mut tally, mut world, mut reviews) = (Tally::default(), furnished(), Vec::new());
    for round in 0..rounds {
        if round.is_multiple_of(LIFE) {
            (world, reviews) = (furnished(), Vec::new());
        }
        world.time_ms += 10;
        if random.choose(4) > 0 || reviews.is_empty() {
            reviews.push(world.inbox());
            if reviews.len() > 3 {
                reviews.remove(0);
            }
        }
        let calls = [approving(&reviews, &random).unwrap_or_else(|| rival(&world, &random)), rival(&world, &random)];
        let decisions = [calls[0].decide(&world), calls[1].decide(&world)];
        let mut turns: Vec<_> = calls.iter().zip(decisions).collect();
        if random.choose(2) == 1 {
            turns.reverse();
        }
        for (asked, decision) in turns {
            let found = commit(&mut world, asked, decision, without, &mut tally);
            if !found.is_empty() {
                return (tally, found);
            }
        }
        world.log.clear();
    }
    (tally, Vec::new())
}

#[test]
fn approvals_race_everything_ten_thousand_times_and_nothing_is_applied_that_was_not_reviewed() {
    let (tally, found) = race(ROUNDS, None);
    assert_eq!(found, Vec::<String>::new(), "{tally:?}");
    assert!(tally.applied >= ROUNDS / 20, "too little was applied: {tally:?}");
    assert!(tally.not_applied >= ROUNDS / 20, "too little had changed: {tally:?}");
    assert!(tally.again >= ROUNDS / 20, "too few races were close: {tally:?}");
}

#[test]
fn without_one_kind_of_guard_the_same_races_apply_what_nobody_reviewed() {
    for without in [Kind::PolicyRevision, Kind::Sandbox, Kind::GatewaySettings, Kind::ProviderProfile] {
        let (tally, found) = race(ROUNDS, Some(without));
        assert!(!found.is_empty(), "nothing was found without guards of {without:?}: {tally:?}");
    }
}
