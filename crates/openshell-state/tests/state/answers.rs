//! Answers that a node keeps: whatever happened in between, one that is given again is what composing it
//! anew would come to. And what an entry ends is what it concerns, no more.

mod concerned;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use openshell_proto::datamodel::{ObjectMeta, Provider};
use openshell_proto::log::Kind;
use openshell_proto::peer::{MintFailure, Minted, SettleRefreshRequest, settle_refresh_request};
use openshell_proto::v1::{
    GetSandboxProviderEnvironmentResponse, ProviderCredentialRefreshStrategy, StoredProviderCredentialRefreshState,
    UpdateProviderRequest,
};
use openshell_state::decide::refresh::Claiming;
use openshell_state::effective::{self, Environment};
use openshell_state::{Answers, Key, Opener, Refusal, State};
use proptest::prelude::Strategy;
use proptest::test_runner::Config;
use proptest::{prop_assert_eq, prop_oneof, proptest};
use prost::Message;

use crate::laws::{self, Operation};
use crate::support::{World, provider, sandbox};

const PLENTY: usize = 64 * 1024 * 1024;
const HOUR_MS: i64 = 3_600_000;

/// Opens everything, shows what it opened, and counts.
#[derive(Default)]
struct Counting(AtomicUsize);

impl Opener for Counting {
    fn open(&self, kind: &str, workspace: &str, name: &str, field: &str, sealed: &str) -> Option<Vec<u8>> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Some(format!("{kind}/{workspace}/{name}/{field} {sealed}").into_bytes())
    }
}

/// One thing that happens, between or beside the calls of a history.
#[derive(Clone, Debug)]
enum Step {
    Call(Operation),
    /// The clock goes on, or back.
    Clock(i64),
    /// A credential of a provider is to expire so much later, or earlier.
    Expiry {
        provider: u8,
        key: u8,
        in_ms: i64,
    },
    /// A refresh state of a provider is written, past every rule.
    Refresh {
        provider: u8,
        key: u8,
        version: u64,
    },
    /// One of the refreshes is claimed by who mints its credential.
    Claim {
        which: u8,
    },
    /// A mint that was claimed comes to an end.
    Settle {
        which: u8,
        minted: bool,
    },
    /// A report about the newest revision of a sandbox's policy, and one about the sandbox itself.
    Report {
        sandbox: u8,
    },
    /// A snapshot replaces the state.
    Install,
    /// Everybody asks, and those who have an older state in hand too.
    Ask,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        12 => laws::operation().prop_map(Step::Call),
        3 => (-2_000..12_000_i64).prop_map(Step::Clock),
        3 => (0..4_u8, 0..3_u8, -3_000..9_000_i64)
            .prop_map(|(provider, key, in_ms)| Step::Expiry { provider, key, in_ms }),
        2 => (0..4_u8, 0..3_u8, 0..3_u64)
            .prop_map(|(provider, key, version)| Step::Refresh { provider, key, version }),
        2 => (0..8_u8).prop_map(|which| Step::Claim { which }),
        2 => (0..8_u8, proptest::bool::ANY).prop_map(|(which, minted)| Step::Settle { which, minted }),
        1 => (0..2_u8).prop_map(|sandbox| Step::Report { sandbox }),
        1 => proptest::strategy::Just(Step::Install),
        12 => proptest::strategy::Just(Step::Ask),
    ];
    proptest::collection::vec(step, 1..80)
}

/// A node: its state, earlier ones that somebody still holds, its clock, and what it keeps.
struct Node {
    world: World,
    earlier: Vec<State>,
    clock_ms: i64,
    kept: [Answers; 2],
}

impl Node {
    fn new() -> Self {
        // One keeps all, the other about one answer in each of its parts.
        let kept = [Answers::new(PLENTY), Answers::new(16 * 4096)];
        Self { world: laws::furnished(), earlier: Vec::new(), clock_ms: 0, kept }
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Call(operation) => {
                self.earlier.push(self.world.state.clone());
                operation.attempt(&mut self.world);
            }
            Step::Clock(by_ms) => self.clock_ms += by_ms,
            Step::Expiry { provider, key, in_ms } => self.expire(&format!("p{provider}"), laws::key(*key), *in_ms),
            Step::Refresh { provider, key, version } => {
                self.refresh(&format!("p{provider}"), laws::key(*key), *version);
            }
            Step::Claim { which } => self.claim(*which),
            Step::Settle { which, minted } => self.settle(*which, *minted),
            Step::Report { sandbox } => self.report(&format!("s{sandbox}")),
            Step::Install => {
                let state = &self.world.state;
                self.world.state = State::from_items(&state.marks(), state.items().map(Ok)).expect("our own items");
            }
            Step::Ask => {}
        }
    }

    fn now_ms(&self, state: &State) -> i64 {
        (self.world.time_ms + self.clock_ms).max(state.last_time_ms())
    }

    fn expire(&mut self, name: &str, key: &str, in_ms: i64) {
        let expiry = self.world.time_ms + self.clock_ms + in_ms;
        let provider = Provider {
            metadata: Some(ObjectMeta { name: name.to_owned(), ..ObjectMeta::default() }),
            credential_expires_at_ms: [(key.to_owned(), expiry)].into(),
            ..Provider::default()
        };
        let request = UpdateProviderRequest { provider: Some(provider), ..UpdateProviderRequest::default() };
        // Refused when there is no such provider, or no such key: then nothing has happened.
        let _ = self.world.call(&request);
    }

    fn refresh(&mut self, name: &str, key: &str, version: u64) {
        let Some(found) = self.world.state.provider("default", name) else { return };
        let id = found.value.metadata.as_ref().expect("metadata").id.clone();
        let refresh = StoredProviderCredentialRefreshState {
            metadata: Some(ObjectMeta {
                id: format!("refresh of {key}"),
                resource_version: version,
                ..ObjectMeta::default()
            }),
            provider_id: id.clone(),
            provider_name: name.to_owned(),
            credential_key: key.to_owned(),
            strategy: ProviderCredentialRefreshStrategy::Oauth2RefreshToken as i32,
            ..StoredProviderCredentialRefreshState::default()
        };
        let record = Key::refresh("default", &id, key);
        self.world.write(&record, (version > 0).then_some(&refresh));
    }

    /// One of the refresh states, if there is any.
    fn refreshed(&self, which: u8) -> Option<StoredProviderCredentialRefreshState> {
        let states: Vec<_> = self.world.state.all_refresh_states().collect();
        states.get(usize::from(which).checked_rem(states.len())?).map(|state| (*state).clone())
    }

    fn claim(&mut self, which: u8) {
        let Some(state) = self.refreshed(which) else { return };
        let claiming = Claiming {
            workspace: "default".to_owned(),
            provider: state.provider_name,
            credential_key: state.credential_key,
            id: format!("claim {}", self.world.state.revision()),
            node: 1,
            term: 1,
            patience_ms: 1_000,
            only_when_due: false,
        };
        // Refused when its provider has gone.
        let _ = self.world.call(&claiming);
    }

    fn settle(&mut self, which: u8, minted: bool) {
        let Some(state) = self.refreshed(which) else { return };
        let Some(claim) = state.claim else { return };
        let result = if minted {
            let value = format!("minted {}", self.world.state.revision());
            settle_refresh_request::Result::Minted(Minted { value, lifetime_seconds: 600, ..Minted::default() })
        } else {
            let message = "the token endpoint does not answer".to_owned();
            settle_refresh_request::Result::Failure(MintFailure { message, ..MintFailure::default() })
        };
        let request = SettleRefreshRequest {
            workspace: "default".to_owned(),
            provider: state.provider_name,
            credential_key: state.credential_key,
            claim: claim.id,
            result: Some(result),
            caller: None,
        };
        // A failure is written and refused.
        let _ = self.world.call(&request);
    }

    fn report(&mut self, name: &str) {
        let Some(found) = self.world.state.sandbox("default", name) else { return };
        let (key, mut reported) = (Key::sandbox("default", name), found.value.clone());
        reported.status.get_or_insert_default().current_policy_version += 1;
        let id = self.world.sandbox_id(name);
        let latest = self.world.state.latest_policy("default", &id).map(|revision| revision.value.stored.clone());
        self.world.write(&key, Some(&reported));
        if let Some(mut revision) = latest {
            let version = u32::try_from(revision.version).expect("a version");
            revision.status = "loaded".to_owned();
            self.world.write(&Key::policy_revision("default", &id, version), Some(&revision));
        }
    }

    /// What every sandbox of every state that somebody holds hears, beside what it should hear.
    fn ask(&self) -> Vec<[Heard; 2]> {
        let states = self.earlier.iter().rev().take(2).chain([&self.world.state]);
        states.flat_map(|state| sandboxes(state).into_iter().flat_map(|key| self.ask_about(state, &key))).collect()
    }

    fn ask_about(&self, state: &State, key: &Key) -> Vec<[Heard; 2]> {
        let sandbox = state.sandbox(&key.workspace, &key.name).expect("an indexed sandbox exists").value;
        let (now_ms, opener) = (self.now_ms(state), Counting::default());
        let config = effective::sandbox_config(state, &key.workspace, sandbox).map(|answer| answer.encode_to_vec());
        let mut heard = Vec::new();
        for kept in &self.kept {
            let again = kept.config(state, (key, sandbox)).map(|bytes| bytes.to_vec());
            heard.push([again, config.clone()]);
            for static_bindings in [true, false] {
                let fresh = Environment::compose(state, &key.workspace, sandbox, now_ms);
                let fresh = fresh.and_then(|environment| environment.answer(&opener, static_bindings));
                let again =
                    kept.environment(state, (key, sandbox), now_ms, |kept| kept.answer(&opener, static_bindings));
                heard.push([again, fresh]);
            }
        }
        heard
    }
}

type Heard = Result<Vec<u8>, Refusal>;

fn sandboxes(state: &State) -> Vec<Key> {
    state.by_creation_everywhere(Kind::Sandbox).map(|(key, _)| key).collect()
}

proptest! {
    #![proptest_config(Config { cases: 96, ..laws::config() })]

    #[test]
    fn what_is_kept_always_equals_a_fresh_composition(steps in steps()) {
        let mut node = Node::new();
        for step in steps {
            node.take(&step);
            if matches!(step, Step::Ask) {
                // Twice: the second time most of it is kept.
                for [again, fresh] in node.ask().into_iter().chain(node.ask()) {
                    prop_assert_eq!(again, fresh);
                }
            }
        }
        for [again, fresh] in node.ask() {
            prop_assert_eq!(again, fresh);
        }
        let bytes: u64 = node.kept[1].usage().iter().map(|usage| usage.bytes).sum();
        assert!(bytes <= 16 * 4096, "{bytes} bytes are kept");
    }
}

/// A sandbox `s` with the providers `lasting` and `passing`, of which the latter's credential expires
/// after an hour.
fn passing() -> World {
    let mut world = World::new();
    world.ok(&provider("lasting", "unknown", &["LASTING_KEY"]));
    let mut request = provider("passing", "unknown", &["PASSING_KEY"]);
    let expiries = [("PASSING_KEY".to_owned(), world.time_ms + HOUR_MS)];
    request.provider.as_mut().expect("a provider").credential_expires_at_ms = expiries.into();
    world.ok(&request);
    world.ok(&sandbox("s", &["lasting", "passing"], None));
    world
}

fn environment(
    world: &World,
    kept: &Answers,
    now_ms: i64,
    opener: &dyn Opener,
) -> Result<BTreeMap<String, String>, Refusal> {
    let key = Key::sandbox("default", "s");
    let found = (&key, world.stored_sandbox("s"));
    let answer = kept.environment(&world.state, found, now_ms, |kept| kept.answer(opener, true))?;
    Ok(GetSandboxProviderEnvironmentResponse::decode(answer.as_slice()).expect("an answer").environment)
}

#[test]
fn time_changes_an_answer_without_an_entry() {
    let (world, kept, opener) = (passing(), Answers::new(PLENTY), Counting::default());
    let start_ms = world.time_ms;
    let ask = |now_ms: i64| {
        let answer = environment(&world, &kept, now_ms, &opener).expect("an environment");
        (answer.into_keys().collect::<Vec<_>>(), kept.usage()[1].missed)
    };
    let (both, one) = (["LASTING_KEY", "PASSING_KEY"].map(str::to_owned).to_vec(), vec!["LASTING_KEY".to_owned()]);
    let until_ms = crate::support::START_MS + 1 + HOUR_MS;
    assert_eq!(ask(start_ms), (both.clone(), 1));
    assert_eq!(ask(until_ms - 2), (both.clone(), 1), "the same answer is given again until then");
    assert_eq!(ask(until_ms + 1), (one.clone(), 2));
    assert_eq!(ask(until_ms + 2 * HOUR_MS), (one, 2), "nothing is left to expire");
    // A clock that is set back must not give what it did not compose.
    assert_eq!(ask(start_ms), (both, 3));
}

#[test]
fn a_state_that_a_snapshot_brought_gives_nothing_that_was_kept_before() {
    let (mut world, kept) = (passing(), Answers::new(PLENTY));
    let key = Key::sandbox("default", "s");
    let ask = |world: &World| {
        kept.config(&world.state, (&key, world.stored_sandbox("s"))).expect("a configuration");
        kept.usage()[0].missed
    };
    assert_eq!([ask(&world), ask(&world)], [1, 1]);
    let since = world.state.unchanged_since(&key);
    world.ok(&sandbox("unrelated", &[], None));
    world.state = State::from_items(&world.state.marks(), world.state.items().map(Ok)).expect("our own items");
    assert!(world.state.unchanged_since(&key) > since);
    assert_eq!([ask(&world), ask(&world)], [2, 2]);
}

#[test]
fn what_is_kept_is_sealed_and_opened_for_each_answer() {
    let (world, kept, opener) = (passing(), Answers::new(PLENTY), Counting::default());
    for _ in 0..3 {
        environment(&world, &kept, world.time_ms, &opener).expect("an environment");
    }
    assert_eq!(opener.0.load(Ordering::SeqCst), 6, "two credentials, three times");
    let shown = format!("{kept:?}");
    // The opener's plaintext names the place; what is kept holds the sealed form, and not that.
    assert!(shown.contains("sealed:") && !shown.contains("provider/default/"), "{shown}");
}

#[test]
fn a_credential_that_does_not_open_is_named_and_not_shown() {
    struct AnotherKey;
    impl Opener for AnotherKey {
        fn open(&self, _: &str, _: &str, _: &str, _: &str, _: &str) -> Option<Vec<u8>> {
            None
        }
    }
    let (world, kept) = (passing(), Answers::new(PLENTY));
    let refusal = environment(&world, &kept, world.time_ms, &AnotherKey).expect_err("another key");
    assert_eq!(refusal.code, openshell_state::Code::Internal);
    crate::support::says(&refusal.message, &["LASTING_KEY", "\"lasting\"", "set it again"]);
    // Who takes no credentials needs none opened.
    let key = Key::sandbox("default", "s");
    let found = (&key, world.stored_sandbox("s"));
    let answer = kept.environment(&world.state, found, world.time_ms, |kept| kept.answer(&AnotherKey, false));
    answer.expect("an environment without credentials");
}
