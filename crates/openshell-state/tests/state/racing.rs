//! Of two racing decisions that rely on each other at most one commits. Whether they do is
//! judged without looking at guards: by deciding the second again on what the first left, and by
//! what a state must never look like.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use openshell_policy::{ambiguity, layering};
use openshell_proto::datamodel::{ObjectMeta, Provider, WorkspacePhase};
use openshell_proto::log::Kind;
use openshell_proto::sandbox::SandboxPolicy;
use openshell_proto::v1::{ProviderProfile, Sandbox};
use openshell_providers::{provider_type, token_grant};
use openshell_state::{Decision, Key, Outcome, Record, State, Value};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::laws::{self, Operation};
use crate::support::{World, transaction};

/// What no state may look like, in words. Knows nothing of guards and uses no rule of the crate.
pub(crate) fn violations(state: &State) -> Vec<String> {
    let mut found = Vec::new();
    for kind in [Kind::Sandbox, Kind::Provider, Kind::ProviderProfile, Kind::WorkspaceMember] {
        for (key, _) in state.by_creation_everywhere(kind) {
            if !key.workspace.is_empty() && state.workspace(&key.workspace).is_none() {
                found.push(format!("{key}: workspace {:?} does not exist", key.workspace));
            }
        }
    }
    for (key, record) in state.by_creation_everywhere(Kind::Sandbox) {
        let Value::Sandbox(sandbox) = &record.value else { panic!("{key} is no sandbox") };
        found.extend(sandbox_violations(state, &key, sandbox));
    }
    for (key, _) in state.by_creation_everywhere(Kind::Workspace) {
        let members = state.by_creation(Kind::WorkspaceMember, &key.name).count();
        if members > 1000 {
            found.push(format!("{key} has {members} members"));
        }
    }
    found
}

fn sandbox_violations(state: &State, key: &Key, sandbox: &Sandbox) -> Vec<String> {
    let mut found = Vec::new();
    let listed = sandbox.spec.as_ref().map_or(&[][..], |spec| &spec.providers);
    if listed.iter().collect::<BTreeSet<_>>().len() != listed.len() {
        found.push(format!("{key} lists a provider twice"));
    }
    let mut owners: BTreeMap<&str, &str> = BTreeMap::new();
    let (mut grants, mut layers) = (Vec::new(), Vec::new());
    for name in listed {
        let Some(provider) = state.provider(&key.workspace, name) else {
            found.push(format!("{key}: provider {name:?} does not exist"));
            continue;
        };
        for variable in provider.value.credential_handles.keys() {
            if owners.insert(variable, name).is_some_and(|owner| owner != name) {
                found.push(format!("{key}: two providers offer {variable}"));
            }
        }
        if let Some(profile) = profile_of(state, provider.value) {
            grants.extend(token_grant::bindings(name, profile));
            layers.push(layering::Layer { rule: openshell_providers::layer(name, profile) });
        }
    }
    if let Some(tie) = token_grant::first_ambiguity(&grants) {
        found.push(format!("{key}: ambiguous token grants: {tie}"));
    }
    let metadata = sandbox.metadata.as_ref().expect("sandboxes have metadata");
    let revisions: Vec<_> = state.policy_revisions(&key.workspace, &metadata.id).collect();
    // The newest without a gap; beside them at most the one that the sandbox enforces.
    let versions: Vec<i64> = revisions.iter().map(|revision| revision.value.stored.version).collect();
    let gaps = versions.windows(2).filter(|pair| pair[0] != pair[1] + 1).count();
    let current = sandbox.status.as_ref().map_or(0, |status| i64::from(status.current_policy_version));
    if gaps > usize::from(versions.last() == Some(&current)) || versions.len() > 201 {
        found.push(format!("{key}: policy revisions {versions:?}, of which {current} is current"));
    }
    let base = match revisions.first() {
        Some(latest) => latest.value.policy.clone(),
        None => sandbox.spec.as_ref().and_then(|spec| spec.policy.clone()).unwrap_or_default(),
    };
    if base.network_policies.keys().any(|key| key.starts_with("_provider_")) {
        found.push(format!("{key}: a stored policy holds a provider's rule"));
    }
    let policy: SandboxPolicy = if composes(state) { layering::compose(base, layers) } else { base };
    if !ambiguity::conflicts(&policy).is_empty() {
        found.push(format!("{key}: ambiguous endpoints"));
    }
    found
}

/// Workspace scope before platform scope for a provider that names its workspace; built-in first; nothing
/// where the one that is found is left out.
fn profile_of<'a>(state: &'a State, provider: &Provider) -> Option<&'a ProviderProfile> {
    let id = provider_type::profile_id(&provider.r#type);
    let own = (!provider.profile_workspace.is_empty()).then(|| state.profile(&provider.profile_workspace, &id));
    let stored = state.builtin_profile(&id).or(own.flatten()).or_else(|| state.profile("", &id))?;
    stored.value.profile.as_ref().filter(|_| stored.value.invalid_reason.is_empty())
}

fn composes(state: &State) -> bool {
    let Some(settings) = state.gateway_settings() else { return false };
    // A bool setting that is true, as protobuf encodes it.
    let on = settings.value.values.get("providers_v2_enabled").is_some_and(|bytes| *bytes == [0x10, 1]);
    on && !settings.value.values.contains_key("policy")
}

/// What no step may do: skip or repeat a version, take a profile away from under an attached
/// provider, or put something into a workspace that is being deleted.
pub(crate) fn missteps(before: &State, after: &State) -> Vec<String> {
    let mut found = Vec::new();
    for kind in [Kind::Sandbox, Kind::Provider, Kind::ProviderProfile, Kind::Workspace, Kind::WorkspaceMember] {
        for (key, record) in after.by_creation_everywhere(kind) {
            let old = before.record(&key);
            let (was, is) = (old.map_or(0, |old| version(old)), version(record));
            let same = old.is_some_and(|old| old.revision == record.revision);
            if is != was + u64::from(!same) {
                found.push(format!("{key} went from version {was} to {is}"));
            }
            if old.is_none() && terminating(before, &key.workspace) {
                found.push(format!("{key} was made in a workspace that is being deleted"));
            }
        }
    }
    for (key, record) in before.by_creation_everywhere(Kind::Sandbox) {
        let Value::Sandbox(sandbox) = &record.value else { panic!("{key} is no sandbox") };
        for name in sandbox.spec.iter().flat_map(|spec| &spec.providers) {
            let Some(provider) = before.provider(&key.workspace, name) else { continue };
            let listed = after.sandboxes_listing(&key.workspace, name).any(|sandbox| *sandbox == key.name);
            if listed && profile_of(before, provider.value).is_some() && profile_of(after, provider.value).is_none() {
                found.push(format!("{key}: the profile of provider {name:?} was deleted"));
            }
        }
    }
    found
}

fn terminating(state: &State, workspace: &str) -> bool {
    let phase = state.workspace(workspace).and_then(|entry| entry.value.status.as_ref().map(|status| status.phase()));
    phase == Some(WorkspacePhase::Terminating)
}

fn version(record: &Record) -> u64 {
    let metadata: Option<&ObjectMeta> = match &record.value {
        Value::Workspace(value) => value.metadata.as_ref(),
        Value::Profile(value) => value.metadata.as_ref(),
        Value::Provider(value) => value.metadata.as_ref(),
        Value::Sandbox(value) => value.metadata.as_ref(),
        Value::Member(value) => value.metadata.as_ref(),
        other => panic!("{other:?} has no version here"),
    };
    metadata.map_or(0, |metadata| metadata.resource_version)
}

/// How many pairs there were, and what became of them.
#[derive(Debug, Default)]
struct Tally {
    pairs: u32,
    /// The second would be decided differently after the first.
    relying: u32,
    /// Applied without guards, the second would leave or take a forbidden state or step.
    harmful: u32,
    /// A guard failed.
    failed: u32,
    /// A guard failed although the second would be decided alike.
    needless: u32,
}

fn race(world: &World, first: &Operation, second: &Operation, tally: &mut Tally) {
    let decide = |world: &World, seed, operation: &Operation| world.decide_seeded(seed, &*operation.request());
    let (Decision::Transact(won), Decision::Transact(late)) = (decide(world, 1, first), decide(world, 2, second))
    else {
        return;
    };
    let mut between = world.clone();
    assert_eq!(between.commit(won).outcome, Outcome::Installed);
    let again = decide(&between, 2, second);
    let alike = match &again {
        Decision::Transact(again) => {
            again.writes == late.writes && again.reply == late.reply && again.touches == late.touches
        }
        Decision::Refuse(_) | Decision::Answer(_) => false,
    };
    let unguarded = openshell_state::Draft { guards: BTreeMap::new(), ..late.clone() };
    let mut harmed = between.clone();
    assert_eq!(harmed.commit(unguarded).outcome, Outcome::Installed);
    let harm = [violations(&harmed.state), missteps(&between.state, &harmed.state)].concat();
    let mut end = between.clone();
    let failed = matches!(end.commit(late).outcome, Outcome::GuardFailed { .. });
    tally.pairs += 1;
    tally.relying += u32::from(!alike);
    tally.harmful += u32::from(!harm.is_empty());
    tally.failed += u32::from(failed);
    tally.needless += u32::from(failed && alike);
    assert!(failed || alike, "both committed, but after the first the second would be decided as {again:?}");
    assert!(failed || harm.is_empty(), "both committed: {harm:?}");
    assert_eq!(violations(&end.state), Vec::<String>::new());
    assert_eq!(missteps(&between.state, &end.state), Vec::<String>::new());
}

#[test]
fn of_two_racing_decisions_that_rely_on_each_other_at_most_one_commits() {
    let config = Config { cases: 300, ..laws::config() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let tally = RefCell::new(Tally::default());
    let formed = laws::furnished();
    runner
        .run(&(laws::history(0..20), laws::history(2..16)), |(history, racers)| {
            let mut world = formed.clone();
            for operation in &history {
                operation.attempt(&mut world);
            }
            prop_assert_clean(&world);
            let racers: Vec<_> = racers.into_iter().filter(Operation::meets_others).collect();
            for (at, first) in racers.iter().enumerate() {
                for second in racers.iter().skip(at + 1) {
                    race(&world, first, second, &mut tally.borrow_mut());
                    race(&world, second, first, &mut tally.borrow_mut());
                }
            }
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
    let tally = tally.into_inner();
    assert!(tally.pairs >= 1_000, "{tally:?}");
    assert!(tally.relying * 5 >= tally.pairs, "fewer than a fifth of the pairs conflict: {tally:?}");
    assert!(tally.harmful * 20 >= tally.pairs, "too few pairs could do harm: {tally:?}");
    // Guards are about records, verdicts about what is in them: some fail for nothing.
    assert!(tally.needless * 3 <= tally.failed * 2, "guards fail where nothing was relied on: {tally:?}");
}

fn prop_assert_clean(world: &World) {
    assert_eq!(violations(&world.state), Vec::<String>::new());
}

#[test]
fn sixty_four_updates_of_disjoint_profiles_never_conflict() {
    use crate::support::{draft, import, provider, sandbox, static_profile, update};
    let mut world = World::composing();
    for number in 0..64 {
        let (id, host) = (format!("tool-{number}"), format!("h{number}.example.com"));
        assert!(world.ok(&import("default", &[static_profile(&id, &host)])).imported);
        world.ok(&provider(&format!("p{number}"), &id, &["KEY"]));
        world.ok(&sandbox(&format!("s{number}"), &[&format!("p{number}")], None));
    }
    let decided: Vec<_> = (0..64)
        .map(|number| {
            let changed = static_profile(&format!("tool-{number}"), &format!("n{number}.example.com"));
            draft(world.decide(&update("default", 1, changed)))
        })
        .collect();
    for late in decided {
        let applied = world.apply(transaction(late.into_transaction(Default::default())));
        assert_eq!(applied.outcome, Outcome::Installed);
    }
}
