//! When an environment that was kept is used again, on states that entries and a clock move.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use openshell_proto::datamodel::{ObjectMeta, Provider};
use openshell_proto::log::{Command, Origin, command};
use openshell_proto::v1::{
    AttachSandboxProviderRequest, CreateProviderRequest, CreateSandboxRequest, SandboxSpec, UpdateProviderRequest,
};
use openshell_state::access::Principal;
use openshell_state::{Call, Decision, Stamp, decide};

use super::*;
use crate::identifiers::RandomIdentifiers;
use crate::sandbox::tokens::tests::{Hands, START_MS, formed, secrets};
use crate::secrets::Secrets;

const HOUR_MS: i64 = 3_600_000;

/// Opens, and counts how often it did.
struct Counting(Arc<Secrets>, AtomicUsize);

impl Opener for Counting {
    fn open(&self, kind: &str, workspace: &str, name: &str, field: &str, sealed: &str) -> Option<Vec<u8>> {
        self.1.fetch_add(1, Ordering::SeqCst);
        self.0.open(kind, workspace, name, field, sealed)
    }
}

/// A node with a sandbox `box` and the providers `lasting` and `passing`, of which the latter's
/// credential expires after an hour.
struct Node {
    state: State,
    secrets: Arc<Secrets>,
    opener: Arc<Counting>,
    clock: Arc<Hands>,
    environments: Environments,
}

fn node(bytes_max: usize) -> Node {
    let secrets = secrets();
    let opener = Arc::new(Counting(Arc::clone(&secrets), AtomicUsize::new(0)));
    let clock = Hands::at(START_MS);
    let environments = Environments::new(Arc::clone(&opener) as _, clock.clone(), bytes_max);
    let mut node = Node { state: formed("one", &secrets), secrets, opener, clock, environments };
    for (name, expires_at_ms) in [("lasting", None), ("passing", Some(START_MS + HOUR_MS))] {
        let key = format!("{}_KEY", name.to_uppercase());
        let provider = Provider {
            metadata: Some(ObjectMeta { name: name.to_owned(), ..ObjectMeta::default() }),
            r#type: "unknown".to_owned(),
            credentials: [(key.clone(), format!("value of {name}"))].into(),
            credential_expires_at_ms: expires_at_ms.map(|expiry| (key, expiry)).into_iter().collect(),
            ..Provider::default()
        };
        let request = CreateProviderRequest { provider: Some(provider), ..CreateProviderRequest::default() };
        node.change(|call| decide::provider::create(call, &request).into());
    }
    node.sandbox("box", &["lasting", "passing"]);
    node
}

impl Node {
    fn change(&mut self, rule: impl FnOnce(Call<'_>) -> Decision) {
        let identifiers = RandomIdentifiers::from_os();
        let stamp = Stamp { time_ms: START_MS, identifiers: &identifiers, sealer: &*self.secrets };
        let decision = rule(Call { state: &self.state, principal: &Principal::Cluster, stamp });
        let Decision::Transact(draft) = decision else { panic!("no transaction but {decision:?}") };
        let origin = Origin { time_ms: START_MS, ..Origin::default() };
        let entry = Command { kind: Some(command::Kind::Transaction(draft.into_transaction(origin))) };
        self.state.apply(self.state.revision() + 1, &entry).expect("our own entries are known");
    }

    fn sandbox(&mut self, name: &str, providers: &[&str]) {
        let providers = providers.iter().map(|name| (*name).to_owned()).collect();
        let spec = Some(SandboxSpec { providers, ..SandboxSpec::default() });
        let request = CreateSandboxRequest { name: name.to_owned(), spec, ..CreateSandboxRequest::default() };
        self.change(|call| decide::sandbox::create(call, &request).into());
    }

    fn keys_of(&self, name: &str, installs: u64) -> Vec<String> {
        let sandbox = self.state.sandbox("default", name).expect("the sandbox exists").value;
        let answer = self.environments.answer(&self.state, installs, ("default", sandbox), true);
        answer.expect("an environment").environment.into_keys().collect()
    }

    fn keys(&self) -> Vec<String> {
        self.keys_of("box", 0)
    }

    /// The environment that is kept for `box`, to see whether it is the same one later.
    fn kept(&self, name: &str) -> Option<Arc<Environment>> {
        let sandbox = self.state.sandbox("default", name).expect("the sandbox exists").value;
        let kept = self.environments.kept.lock().expect("nobody panicked");
        let id = &sandbox.metadata.as_ref().expect("metadata").id;
        kept.by_id.get(id).map(|(_, environment)| Arc::clone(environment))
    }

    fn is_kept(&self, environment: &Arc<Environment>) -> bool {
        self.kept("box").is_some_and(|kept| Arc::ptr_eq(&kept, environment))
    }
}

const PLENTY: usize = 1 << 20;

#[test]
fn time_changes_an_answer_without_an_entry() {
    let node = node(PLENTY);
    assert_eq!(node.keys(), ["LASTING_KEY", "PASSING_KEY"]);
    let first = node.kept("box").expect("it is kept");
    assert_eq!(first.valid_until_ms(), Some(START_MS + HOUR_MS), "the earliest expiry in it");
    let revision = node.state.revision();
    node.clock.set(START_MS + HOUR_MS - 1);
    assert_eq!(node.keys(), ["LASTING_KEY", "PASSING_KEY"]);
    assert!(node.is_kept(&first), "the same answer is used again until then");
    node.clock.set(START_MS + HOUR_MS);
    assert_eq!(node.keys(), ["LASTING_KEY"]);
    assert_eq!(node.kept("box").expect("kept again").valid_until_ms(), None, "nothing is left to expire");
    assert_eq!(node.state.revision(), revision);
    // A clock that is set back must not serve what it did not compose.
    node.clock.set(START_MS);
    assert_eq!(node.keys(), ["LASTING_KEY", "PASSING_KEY"]);
}

#[test]
fn an_entry_that_touches_what_it_depends_on_ends_it_and_no_other() {
    let mut node = node(PLENTY);
    node.sandbox("other", &[]);
    let before = node.keys();
    let first = node.kept("box").expect("it is kept");
    node.sandbox("unrelated", &[]);
    node.keys();
    assert!(node.is_kept(&first), "a sandbox beside it changes nothing");
    let provider = Provider {
        metadata: Some(ObjectMeta { name: "lasting".to_owned(), ..ObjectMeta::default() }),
        credentials: [("ADDED_KEY".to_owned(), "more".to_owned())].into(),
        ..Provider::default()
    };
    let request = UpdateProviderRequest { provider: Some(provider), ..UpdateProviderRequest::default() };
    node.change(|call| decide::provider::update(call, &request).into());
    assert_eq!(node.keys(), ["ADDED_KEY", "LASTING_KEY", "PASSING_KEY"]);
    assert_ne!(before, node.keys());
    assert!(node.keys_of("other", 0).is_empty());
    let request = AttachSandboxProviderRequest {
        sandbox_name: "other".to_owned(),
        provider_name: "passing".to_owned(),
        ..AttachSandboxProviderRequest::default()
    };
    node.change(|call| decide::attachment::attach(call, &request).into());
    assert_eq!(node.keys_of("other", 0), ["PASSING_KEY"]);
}

#[test]
fn a_snapshot_that_replaced_the_state_drops_what_was_kept() {
    let node = node(PLENTY);
    node.keys();
    let first = node.kept("box").expect("it is kept");
    node.keys_of("box", 1);
    assert!(!node.is_kept(&first));
}

#[test]
fn what_is_kept_stays_below_its_bound_and_the_longest_unused_goes_first() {
    let mut node = node(PLENTY);
    node.keys();
    let size = node.kept("box").expect("it is kept").size();
    node.environments.bytes_max = 2 * size + size / 2;
    for name in ["b", "c"] {
        node.sandbox(name, &["lasting", "passing"]);
        node.keys_of(name, 0);
        node.keys();
    }
    let kept = |name| node.kept(name).is_some();
    assert_eq!((kept("box"), kept("b"), kept("c")), (true, false, true));
    let inner = node.environments.kept.lock().expect("nobody panicked");
    assert!(inner.bytes <= node.environments.bytes_max);
    assert_eq!((inner.by_id.len(), inner.by_use.len()), (2, 2));
}

#[test]
fn what_is_kept_is_sealed_and_opened_for_each_answer() {
    let node = node(PLENTY);
    node.keys();
    node.keys();
    assert_eq!(node.opener.1.load(Ordering::SeqCst), 4, "two credentials, twice");
    let kept = format!("{:?}", node.kept("box").expect("it is kept"));
    assert!(!kept.contains("value of"), "{kept}");
}

#[test]
fn a_credential_that_does_not_open_is_named_and_not_shown() {
    let mut node = node(PLENTY);
    node.opener = Arc::new(Counting(Arc::new(Secrets::of(&[9; 32])), AtomicUsize::new(0)));
    node.environments = Environments::new(Arc::clone(&node.opener) as _, node.clock.clone(), PLENTY);
    let sandbox = node.state.sandbox("default", "box").expect("it exists").value;
    let refusal = node.environments.answer(&node.state, 0, ("default", sandbox), true).expect_err("another key");
    assert_eq!(refusal.code, openshell_state::Code::Internal);
    for word in ["LASTING_KEY", "lasting", "set it again"] {
        assert!(refusal.message.contains(word), "{}", refusal.message);
    }
    // Who takes no credentials needs none opened.
    assert!(node.environments.answer(&node.state, 0, ("default", sandbox), false).is_ok());
}
