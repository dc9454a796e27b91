//! Who is missed, and for how long.

use openshell_proto::v1::{CreateSandboxRequest, Sandbox, SandboxSpec};
use openshell_state::{Call, Decision, Stamp, decide};

use super::*;
use crate::identifiers::RandomIdentifiers;
use crate::sandbox::tokens::tests::{START_MS, formed, secrets};

const GRACE: Duration = Duration::from_secs(30);

/// Applies what a rule decides.
fn decided(state: &State, rule: impl Fn(Call<'_>) -> Decision) -> State {
    let (identifiers, sealer) = (RandomIdentifiers::from_os(), secrets());
    let stamp = Stamp { time_ms: START_MS, identifiers: &identifiers, sealer: &*sealer };
    let decision = rule(Call { state, principal: &Principal::Cluster, stamp });
    let Decision::Transact(draft) = decision else { panic!("no transaction but {decision:?}") };
    let origin = openshell_proto::log::Origin { time_ms: START_MS, ..Default::default() };
    let transaction = openshell_proto::log::command::Kind::Transaction(draft.into_transaction(origin));
    let mut state = state.clone();
    let command = openshell_proto::log::Command { kind: Some(transaction) };
    state.apply(state.revision() + 1, &command).expect("our own entries are known");
    state
}

fn id_of(state: &State, name: &str) -> String {
    let sandbox: &Sandbox = state.sandbox("default", name).expect("it was made").value;
    sandbox.metadata.as_ref().expect("metadata").id.clone()
}

/// Two sandboxes that are ready, and a third that is not.
fn ready_ones() -> (State, [String; 2]) {
    let mut state = formed("one", &secrets());
    for name in ["a", "b", "c"] {
        let spec = Some(SandboxSpec::default());
        let request = CreateSandboxRequest { name: name.to_owned(), spec, ..CreateSandboxRequest::default() };
        state = decided(&state, |call| decide::sandbox::create(call, &request).into());
    }
    let ids = ["a", "b"].map(|name| id_of(&state, name));
    let request = RecordPresenceRequest { connected: ids.to_vec(), ..RecordPresenceRequest::default() };
    (decided(&state, |call| presence::record(call, &request)), ids)
}

fn said(node: u64, connected: &[&String]) -> BTreeMap<u64, Said> {
    let connected = connected.iter().map(|id| (*id).clone()).collect();
    BTreeMap::from([(node, Said { known: ReadPresenceRequest::default(), connected })])
}

#[test]
fn sr_41_who_is_on_no_node_for_the_whole_grace_is_gone_and_nobody_else() {
    let (state, [a, b]) = ready_ones();
    let begin = Instant::now();
    let mut absences = Absences { said: said(1, &[&a]), ..Absences::default() };
    assert!(absences.look(&state, begin, GRACE).is_empty());
    assert_eq!(absences.missed.keys().collect::<Vec<_>>(), [&b], "who is not ready is not missed");
    assert!(absences.look(&state, begin + GRACE - Duration::from_millis(1), GRACE).is_empty());
    assert_eq!(absences.look(&state, begin + GRACE, GRACE), std::slice::from_ref(&b));
    // It comes back, and goes again.
    (absences.said, absences.looked_at) = (said(2, &[&a, &b]), None);
    assert!(absences.look(&state, begin + GRACE, GRACE).is_empty());
    (absences.said, absences.looked_at) = (said(2, &[&a]), None);
    let again = begin + 2 * GRACE;
    assert!(absences.look(&state, again, GRACE).is_empty(), "its time begins anew");
    assert_eq!(absences.look(&state, again + GRACE, GRACE), std::slice::from_ref(&b));
    let request = RecordPresenceRequest { disconnected: vec![b], ..RecordPresenceRequest::default() };
    let state = decided(&state, |call| presence::record(call, &request));
    assert!(absences.look(&state, again + GRACE, GRACE).is_empty(), "its record says so");
}
