//! Who is missed, and for how long.

use openshell_proto::peer::SilentSandbox;
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

const SECOND: Duration = Duration::from_secs(1);

/// What a node says: who is connected to it, and who is not but was heard of so many seconds ago.
fn said(connected: &[&String], silent: &[(&String, u64)]) -> Presence {
    let silent = silent.iter().map(|(id, ago_s)| SilentSandbox { sandbox_id: (*id).clone(), heard_ms: ago_s * 1_000 });
    Presence {
        sandbox_ids: connected.iter().map(|id| (*id).clone()).collect(),
        silent: silent.collect(),
        ..Presence::default()
    }
}

#[test]
fn sr_41_who_is_on_no_node_for_the_whole_grace_is_gone_and_nobody_else() {
    let (state, [a, b]) = ready_ones();
    let begin = Instant::now();
    let mut absences = Absences::default();
    absences.told(1, said(&[&a], &[]), begin);
    assert!(absences.look(&state, begin, GRACE).is_empty());
    assert_eq!(absences.missed.keys().collect::<Vec<_>>(), [&b], "who is not ready is not missed");
    assert!(absences.look(&state, begin + GRACE - Duration::from_millis(1), GRACE).is_empty());
    assert_eq!(absences.look(&state, begin + GRACE, GRACE), std::slice::from_ref(&b));
    // It comes back, and goes again.
    absences.told(2, said(&[&a, &b], &[]), begin + GRACE);
    assert!(absences.look(&state, begin + GRACE, GRACE).is_empty());
    let again = begin + 2 * GRACE;
    absences.told(2, said(&[&a], &[]), again);
    assert!(absences.look(&state, again, GRACE).is_empty(), "its time begins anew");
    assert_eq!(absences.look(&state, again + GRACE, GRACE), std::slice::from_ref(&b));
    let request = RecordPresenceRequest { disconnected: vec![b], ..RecordPresenceRequest::default() };
    let state = decided(&state, |call| presence::record(call, &request));
    assert!(absences.look(&state, again + GRACE, GRACE).is_empty(), "its record says so");
}

#[test]
fn sr_41_the_grace_counts_from_what_was_last_heard_not_from_when_that_was_noticed() {
    let (state, [a, b]) = ready_ones();
    let begin = Instant::now();
    let mut absences = Absences::default();
    absences.told(1, said(&[&a, &b], &[]), begin);
    assert!(absences.look(&state, begin, GRACE).is_empty());
    // Its stream goes on, or has ended: it was last heard of twelve seconds ago.
    let noticed = begin + 20 * SECOND;
    absences.told(1, said(&[&a], &[(&b, 12)]), noticed);
    assert!(absences.look(&state, noticed + 17 * SECOND, GRACE).is_empty());
    assert_eq!(absences.look(&state, noticed + 18 * SECOND, GRACE), std::slice::from_ref(&b));
    // In time, through another node, for no more than a moment between two looks.
    absences.told(2, said(&[], &[(&b, 1)]), noticed + 17 * SECOND);
    assert!(absences.look(&state, noticed + 45 * SECOND, GRACE).is_empty(), "it was heard of since");
    assert_eq!(absences.look(&state, noticed + 46 * SECOND, GRACE), std::slice::from_ref(&b));
}

#[test]
fn sr_41_what_another_node_remembers_shortens_nobodys_grace() {
    let (state, [a, b]) = ready_ones();
    let begin = Instant::now();
    let mut absences = Absences::default();
    // Who has just come to lead knows of nobody for how long he was somewhere else.
    absences.told(1, said(&[&a], &[(&b, 29)]), begin);
    assert!(absences.look(&state, begin + 29 * SECOND, GRACE).is_empty());
    // It went from node 1 to node 2 long ago, and that one is lost, and so is the one of the other.
    absences.told(2, said(&[&b], &[]), begin + 29 * SECOND);
    assert!(absences.look(&state, begin + 29 * SECOND, GRACE).is_empty());
    let lost = begin + 60 * SECOND;
    absences.lost(2, lost);
    absences.told(1, said(&[], &[(&a, 3), (&b, 29)]), lost);
    assert!(absences.look(&state, lost, GRACE).is_empty());
    assert_eq!(absences.look(&state, lost + 27 * SECOND, GRACE), std::slice::from_ref(&a));
    let mut both = absences.look(&state, lost + 30 * SECOND, GRACE);
    both.sort();
    let mut expected = [a, b];
    expected.sort();
    assert_eq!(both, expected);
}
