//! The update of a profile against everything that can race it, ten thousand times: decided on the same
//! state, committed in either order, and decided again when a guard fails, as the leader does. No state
//! that comes of it may be ambiguous, which is found out without looking at guards.

use std::collections::BTreeMap;

use openshell_proto::log::Kind;
use openshell_proto::peer::{MintFailure, Minted, SettleRefreshRequest, settle_refresh_request};
use openshell_proto::v1::{
    ConfigureProviderRefreshRequest, ProviderCredentialRefresh, ProviderCredentialRefreshStrategy as Strategy,
    ProviderProfile, ProviderProfileCredential,
};
use openshell_state::decide::refresh::Claiming;
use openshell_state::{Decision, Identifiers, Outcome};

use crate::drafts::{Deciding, Proposing};
use crate::racing::violations;
use crate::support::{
    Decide, Seeded, World, add_rule, attach, credential, detach, endpoint, global_setting, import, map, merge,
    policy_of, provider, remove_rule, sandbox, token_grant, update, update_policy, update_provider,
};

const ROUNDS: u32 = 10_000;
const SANDBOXES: [&str; 3] = ["s1", "s2", "s3"];
/// The key that is minted for provider `a`.
const MINTED: &str = "MINTED_KEY";

/// What became of the rounds.
#[derive(Debug, Default)]
struct Tally {
    /// Both were decided to change something.
    both: u32,
    /// The second had to be decided again.
    again: u32,
    /// And was refused then.
    refused: u32,
    /// Of each kind of rival: rounds in which both were decided to change something, and those of them in which one
    /// had to be decided again.
    rivals: BTreeMap<&'static str, (u32, u32)>,
}

/// A profile whose token grants tie with those of its like, or whose endpoint contradicts a policy, or
/// neither.
fn variant(id: &str, choice: usize) -> ProviderProfile {
    let mut profile = token_grant(id, "api.example.com", ["/v1/**", "/v2/**", "/v1/admin/**"][choice % 3]);
    if id == "mine" {
        let refresh = ProviderCredentialRefresh {
            strategy: Strategy::Oauth2ClientCredentials as i32,
            token_url: "https://auth.example.com/token".to_owned(),
            ..ProviderCredentialRefresh::default()
        };
        let minted =
            ProviderProfileCredential { refresh: Some(refresh), required: false, ..credential("minted", MINTED) };
        profile.credentials.push(minted);
    }
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
    world.ok(&ConfigureProviderRefreshRequest {
        provider: "a".to_owned(),
        credential_key: MINTED.to_owned(),
        strategy: Strategy::Oauth2ClientCredentials as i32,
        material: map(&[("client_id", "me"), ("client_secret", "secret")]),
        ..ConfigureProviderRefreshRequest::default()
    });
    world.ok(&sandbox("s1", &["a"], Some(policy_of("r1", endpoint("docs.example.com", 443)))));
    world.ok(&sandbox("s2", &["a", "b"], None));
    world.ok(&sandbox("s3", &[], None));
    world
}

fn updated(world: &World, id: &str, choice: usize) -> Box<dyn Decide> {
    let version = world.stored_profile("default", id).metadata.as_ref().expect("metadata").resource_version;
    Box::new(update("default", version, variant(id, choice)))
}

/// Something that is done to the same sandboxes at the same time, and what kind of thing it is.
fn rival(world: &World, random: &Seeded) -> (&'static str, Box<dyn Decide>) {
    let sandbox = SANDBOXES[random.choose(3)];
    let provider = ["a", "b", "c"][random.choose(3)];
    let host = ["docs.example.com", "www.example.com"][random.choose(2)];
    match random.choose(13) {
        0..=2 => ("attachment", Box::new(attach(sandbox, provider))),
        3 => ("detachment", Box::new(detach(sandbox, provider))),
        4 => ("profile", updated(world, "other", random.choose(6))),
        5 => ("policy", Box::new(update_policy(sandbox, policy_of("r1", endpoint(host, 443))))),
        6 => {
            let value = ["", "v"][random.choose(2)];
            let key = ["KEY_A", "KEY_B", MINTED][random.choose(3)];
            ("provider", Box::new(update_provider(provider, &[(key, value)], &[])))
        }
        7 => ("setting", Box::new(global_setting("providers_v2_enabled", random.choose(3) > 0))),
        8 | 9 => {
            let added = add_rule(["r1", "r2"][random.choose(2)], endpoint(host, 443));
            let operations = [vec![remove_rule("r2"), added.clone()], vec![added]];
            ("merge", Box::new(merge(sandbox, &operations[random.choose(2)])))
        }
        10 => {
            let rule = policy_of("proposed", endpoint(host, 443)).network_policies.remove("proposed");
            let (sandbox, mechanistic) = (sandbox.to_owned(), random.choose(2) == 1);
            ("proposal", Box::new(Proposing { sandbox, rule: rule.expect("the rule"), mechanistic }))
        }
        11 => {
            // Approve, approve all, reject, undo: by their numbers in `Deciding`.
            let verdict = [0, 0, 5, 2, 3][random.choose(5)];
            ("approval", Box::new(Deciding { sandbox: sandbox.to_owned(), verdict }))
        }
        _ => minting(world, random),
    }
}

/// The next entry of a mint: its claim, or what the issuer said.
fn minting(world: &World, random: &Seeded) -> (&'static str, Box<dyn Decide>) {
    let id = world.stored_provider("a").metadata.as_ref().expect("metadata").id.clone();
    let claimed = world.state.refresh_states("default", &id).find_map(|state| state.value.claim.clone());
    let (provider, credential_key) = ("a".to_owned(), MINTED.to_owned());
    let Some(claim) = claimed else {
        let id = random.uuid();
        let (node, term, patience_ms, only_when_due) = (1, 1, i64::MAX / 2, false);
        let workspace = String::new();
        let claiming = Claiming { workspace, provider, credential_key, id, node, term, patience_ms, only_when_due };
        return ("claim", Box::new(claiming));
    };
    let result = match random.choose(4) {
        0 => settle_refresh_request::Result::Failure(MintFailure { code: 14, ..MintFailure::default() }),
        _ => settle_refresh_request::Result::Minted(Minted {
            value: random.uuid(),
            lifetime_seconds: 600,
            refresh_token: String::new(),
        }),
    };
    let workspace = "default".to_owned();
    let settlement = SettleRefreshRequest {
        workspace,
        provider,
        credential_key,
        claim: claim.id,
        result: Some(result),
        caller: None,
    };
    ("settlement", Box::new(settlement))
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
    for round in 0..rounds {
        world.time_ms += 1;
        let (kind, rival) = rival(&world, &random);
        let requests = [updated(&world, "mine", random.choose(6)), rival];
        // Far enough apart that no identifier comes twice.
        let seed = (1 << 32) + u64::from(round) * 4096;
        let decisions = [world.decide_seeded(seed, &*requests[0]), world.decide_seeded(seed + 2048, &*requests[1])];
        let before = tally.again;
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
        let of_kind = tally.rivals.entry(kind).or_default();
        of_kind.0 += u32::from(both);
        of_kind.1 += u32::from(both && tally.again > before);
        world.log.clear();
    }
    (tally, Vec::new())
}

#[test]
fn a_profile_update_races_everything_ten_thousand_times_and_nothing_ends_ambiguous() {
    let (tally, found) = race(ROUNDS, None);
    assert_eq!(found, Vec::<String>::new(), "{tally:?}");
    assert!(tally.both * 5 >= ROUNDS, "too few rounds were races: {tally:?}");
    assert!(tally.again * 5 >= tally.both, "too few races were close: {tally:?}");
    assert!(tally.refused >= 50, "in too few races the loser had to be refused: {tally:?}");
    for kind in ["attachment", "policy", "merge", "approval", "settlement"] {
        let (both, again) = tally.rivals[kind];
        assert!(both >= 100 && again >= 20, "too few races with a {kind} were close: {tally:?}");
    }
}

#[test]
fn without_one_kind_of_guard_the_same_races_end_ambiguous() {
    for without in [Kind::FenceProfileUsers, Kind::ProviderProfile] {
        let (tally, found) = race(ROUNDS, Some(without));
        assert!(!found.is_empty(), "nothing was found without guards of {without:?}: {tally:?}");
    }
}
