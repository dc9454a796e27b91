//! The update of a profile against everything that can race it, ten thousand times: decided on the same
//! state, committed in either order, and decided again when a guard fails, as the leader does. No state
//! that comes of it may be ambiguous, which is found out without looking at guards.

use openshell_proto::log::Kind;
use openshell_proto::v1::ProviderProfile;
use openshell_state::{Decision, Identifiers, Outcome};

use crate::racing::violations;
use crate::support::{
    Decide, Seeded, World, attach, detach, endpoint, global_setting, import, policy_of, provider, sandbox, token_grant,
    update, update_policy, update_provider,
};

const ROUNDS: u32 = 10_000;
const SANDBOXES: [&str; 3] = ["s1", "s2", "s3"];

/// What became of the rounds.
#[derive(Debug, Default)]
struct Tally {
    /// Both were decided to change something.
    both: u32,
    /// The second had to be decided again.
    again: u32,
    /// And was refused then.
    refused: u32,
}

/// A profile whose token grants tie with those of its like, or whose endpoint contradicts a policy, or
/// neither.
fn variant(id: &str, choice: usize) -> ProviderProfile {
    let mut profile = token_grant(id, "api.example.com", ["/v1/**", "/v2/**", "/v1/admin/**"][choice % 3]);
    if choice >= 3 {
        let mut plain = endpoint("docs.example.com", 443);
        if choice >= 5 {
            plain.tls = "skip".to_owned();
            plain.allow_uninspected_credentials = true;
        }
        profile.endpoints.push(plain);
    }
    profile
}

fn furnished() -> World {
    let mut world = World::composing();
    assert!(world.ok(&import("default", &[variant("mine", 0), variant("other", 1)])).imported);
    world.ok(&provider("a", "mine", &["KEY_A"]));
    world.ok(&provider("b", "other", &["KEY_B"]));
    world.ok(&provider("c", "mine", &["KEY_C"]));
    world.ok(&sandbox("s1", &["a"], Some(policy_of("r1", endpoint("docs.example.com", 443)))));
    world.ok(&sandbox("s2", &["a", "b"], None));
    world.ok(&sandbox("s3", &[], None));
    world
}

fn updated(world: &World, id: &str, choice: usize) -> Box<dyn Decide> {
    let version = world.stored_profile("default", id).metadata.as_ref().expect("metadata").resource_version;
    Box::new(update("default", version, variant(id, choice)))
}

/// Something that is done to the same sandboxes at the same time.
fn rival(world: &World, random: &Seeded) -> Box<dyn Decide> {
    let sandbox = SANDBOXES[random.choose(3)];
    let provider = ["a", "b", "c"][random.choose(3)];
    match random.choose(7) {
        0 | 1 => Box::new(attach(sandbox, provider)),
        2 => Box::new(detach(sandbox, provider)),
        3 => updated(world, "other", random.choose(6)),
        4 => {
            let host = ["docs.example.com", "www.example.com"][random.choose(2)];
            Box::new(update_policy(sandbox, policy_of("r1", endpoint(host, 443))))
        }
        5 => {
            let value = ["", "v"][random.choose(2)];
            Box::new(update_provider(provider, &[(["KEY_A", "KEY_B"][random.choose(2)], value)], &[]))
        }
        _ => Box::new(global_setting("providers_v2_enabled", random.choose(3) > 0)),
    }
}

/// Commits a decision made before; decides again when a guard fails. Whether that had to be, and whether it
/// changed nothing then.
fn commit(world: &mut World, request: &dyn Decide, decision: Decision, without: Option<Kind>) -> (bool, bool) {
    let Decision::Transact(mut draft) = decision else { return (false, false) };
    draft.guards.retain(|key, _| Some(key.kind) != without);
    if world.commit(draft).outcome == Outcome::Installed {
        return (false, false);
    }
    match world.decide(request) {
        Decision::Transact(draft) => {
            assert_eq!(world.commit(draft).outcome, Outcome::Installed);
            (true, false)
        }
        Decision::Refuse(_) | Decision::Answer(_) => (true, true),
    }
}

/// All rounds, or those up to the first state that may not be, with what is wrong in it.
fn race(rounds: u32, without: Option<Kind>) -> (Tally, Vec<String>) {
    let (mut world, random) = (furnished(), Seeded::new(7));
    let mut tally = Tally::default();
    for _ in 0..rounds {
        let requests = [updated(&world, "mine", random.choose(6)), rival(&world, &random)];
        let decisions = [world.decide_seeded(1, &*requests[0]), world.decide_seeded(2, &*requests[1])];
        let both = decisions.iter().all(|decision| matches!(decision, Decision::Transact(_)));
        let mut turns: Vec<_> = requests.iter().zip(decisions).collect();
        if random.choose(2) == 1 {
            turns.reverse();
        }
        for (request, decision) in turns {
            let (again, refused) = commit(&mut world, &**request, decision, without);
            tally.again += u32::from(again);
            tally.refused += u32::from(refused);
            let found = violations(&world.state);
            if !found.is_empty() {
                return (tally, found);
            }
        }
        tally.both += u32::from(both);
    }
    (tally, Vec::new())
}

#[test]
fn a_profile_update_races_everything_ten_thousand_times_and_nothing_ends_ambiguous() {
    let (tally, found) = race(ROUNDS, None);
    assert_eq!(found, Vec::<String>::new(), "{tally:?}");
    assert!(tally.both * 5 >= ROUNDS, "too few rounds were races: {tally:?}");
    assert!(tally.again * 5 >= tally.both, "too few races were close: {tally:?}");
    assert!(tally.refused >= 100, "in too few races the loser had to be refused: {tally:?}");
}

#[test]
fn without_one_kind_of_guard_the_same_races_end_ambiguous() {
    for without in [Kind::FenceProfileUsers, Kind::ProviderProfile] {
        let (tally, found) = race(ROUNDS, Some(without));
        assert!(!found.is_empty(), "nothing was found without guards of {without:?}: {tally:?}");
    }
}
