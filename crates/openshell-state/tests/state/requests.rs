//! The memory of request ids under a flood: its bounds hold, and whatever it forgets is never
//! executed again.

use openshell_proto::log::{Command, Origin, Reply, Transaction, reply};
use openshell_state::{Memory, Outcome, RequestId, State};

use crate::laws::request_id;
use crate::support::{START_MS, transaction};

/// As `openshell-state` bounds its memory.
const COUNT_MAX: usize = 200_000;
const BYTES_MAX: usize = 64 * 1024 * 1024;
const AGE_MAX_MS: i64 = 10 * 60 * 1000;

/// A claim: it remembers a reply and writes nothing.
fn claim(id: &[u8], time_ms: i64, reply_bytes: usize) -> Command {
    let reply = Reply { outcome: Some(reply::Outcome::Message(vec![7; reply_bytes])) };
    let origin = Origin { request_id: id.to_vec(), fingerprint: vec![1; 32], time_ms, ..Origin::default() };
    transaction(Transaction { origin: Some(origin), reply: Some(reply), ..Transaction::default() })
}

fn apply(state: &mut State, command: &Command) -> Outcome {
    state.apply(state.revision() + 1, command).expect("an entry of this build").outcome
}

fn id_of(bytes: &[u8]) -> RequestId {
    RequestId::from_bytes(bytes).expect("an id")
}

/// Every id that took effect is known or expired, and comes to nothing when it is sent again.
fn check_none_is_new(state: &mut State, ids: &[Vec<u8>]) {
    let digest = state.digest();
    for (number, id) in ids.iter().enumerate() {
        assert!(!matches!(state.recall(&id_of(id)), Memory::New), "id {number} is taken for new");
    }
    for id in ids.iter().step_by(997) {
        let again = apply(state, &claim(id, state.last_time_ms(), 1));
        assert!(matches!(again, Outcome::Repeated { .. } | Outcome::Expired), "{again:?}");
    }
    assert_eq!(state.digest(), digest, "a repetition changes nothing");
}

#[test]
fn a_flood_of_ids_keeps_the_bound_on_their_number_and_forgets_none_into_being_new() {
    let mut state = State::empty();
    let mut ids = Vec::new();
    for number in 0..COUNT_MAX as u64 + 10_000 {
        // Callers' clocks differ: ids come out of order, up to a second either way.
        let time_ms = START_MS + (number / 500) as i64;
        let id = request_id(time_ms + (number * 7919 % 2001) as i64 - 1000, number);
        let before = state.recall(&id_of(&id));
        let outcome = apply(&mut state, &claim(&id, time_ms, 8));
        match before {
            Memory::New => assert_eq!(outcome, Outcome::Installed),
            // Younger ones were forgotten already: refused, and not executed.
            Memory::Expired => assert_eq!(outcome, Outcome::Expired),
            Memory::Known(_) => panic!("the id of number {number} is used twice"),
        }
        assert!(state.requests().len() <= COUNT_MAX);
        ids.push(id);
    }
    assert!(state.requests().len() > COUNT_MAX - 1000, "no more is forgotten than must be");
    check_none_is_new(&mut state, &ids);
}

#[test]
fn a_flood_of_large_replies_keeps_the_bound_on_their_bytes() {
    const REPLY_BYTES: usize = 256 * 1024;
    let mut state = State::empty();
    let ids: Vec<_> = (0..600_u64).map(|number| request_id(START_MS + number as i64, number)).collect();
    for (id, time_ms) in ids.iter().zip(START_MS..) {
        assert_eq!(apply(&mut state, &claim(id, time_ms, REPLY_BYTES)), Outcome::Installed);
        assert!(state.requests().len() * REPLY_BYTES <= BYTES_MAX);
    }
    assert!(state.requests().len() * REPLY_BYTES > BYTES_MAX * 9 / 10);
    check_none_is_new(&mut state, &ids);
}

#[test]
fn ids_are_forgotten_by_age_and_stay_expired() {
    let mut state = State::empty();
    let ids: Vec<_> = (0..2_000_u64).map(|number| request_id(START_MS + number as i64, number)).collect();
    for (id, time_ms) in ids.iter().zip(START_MS..) {
        assert_eq!(apply(&mut state, &claim(id, time_ms, 8)), Outcome::Installed);
    }
    let later_ms = START_MS + 1_000 + AGE_MAX_MS;
    assert_eq!(apply(&mut state, &claim(&request_id(later_ms, 1), later_ms, 8)), Outcome::Installed);
    assert_eq!(state.requests().len(), 1_001, "half of them are older than ten minutes, and one came");
    check_none_is_new(&mut state, &ids);
    assert!(state.requests().time_of_new_id(START_MS) > START_MS + 999, "a new id is made after what is forgotten");
}
