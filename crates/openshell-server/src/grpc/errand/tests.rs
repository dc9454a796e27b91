//! What an entry node makes of the leader's answers.

use super::*;
use openshell_proto::log::{Refusal, Reply};

const CLUSTER_MS: i64 = 1_700_000_000_000;

fn errand(replaceable_id: bool) -> Errand {
    Errand::new(ForwardRequest { request_id: vec![1; 16], replaceable_id, ..ForwardRequest::default() })
}

fn mint(time_ms: i64) -> [u8; 16] {
    assert_eq!(time_ms, CLUSTER_MS);
    [2; 16]
}

fn never(_: i64) -> [u8; 16] {
    panic!("the id must be kept")
}

fn refusal(settled: bool, id_time_ms: i64) -> ForwardResponse {
    let refusal = Refusal { message: "no".to_owned(), ..Refusal::default() };
    let reply = Some(Reply { outcome: Some(reply::Outcome::Refusal(refusal)) });
    ForwardResponse { outcome: Outcome::Answered as i32, reply, settled, id_time_ms, ..ForwardResponse::default() }
}

fn unknown() -> Result<ForwardResponse, Unavailable> {
    Err(Unavailable::Unknown { reason: "cut off".to_owned() })
}

#[test]
fn an_id_that_the_node_made_is_never_refused_for_its_time() {
    let not_done =
        ForwardResponse { outcome: Outcome::NotDone as i32, id_time_ms: CLUSTER_MS, ..ForwardResponse::default() };
    for answer in [not_done, refusal(false, CLUSTER_MS)] {
        let mut errand = errand(true);
        let next = errand.note(Ok(answer), mint);
        assert!(matches!(next, Next::Again(Unavailable::NotDone { .. })), "{next:?}");
        assert_eq!(errand.call.request_id, [2; 16]);
        assert!(!errand.call.repeated_attempt, "nothing was tried under the new id");
    }
}

#[test]
fn an_id_of_the_callers_is_refused_for_its_time() {
    let mut errand = errand(false);
    let next = errand.note(Ok(refusal(false, CLUSTER_MS)), never);
    assert!(matches!(next, Next::Answer(_)), "{next:?}");
    assert_eq!(errand.call.request_id, [1; 16]);
}

#[test]
fn an_id_in_doubt_is_kept_and_its_refusal_leaves_the_doubt() {
    let mut errand = errand(true);
    assert!(matches!(errand.note(unknown(), never), Next::Again(Unavailable::Unknown { .. })));
    assert!(errand.call.repeated_attempt);
    let next = errand.note(Ok(refusal(false, CLUSTER_MS)), never);
    assert!(matches!(next, Next::GiveUp(Unavailable::Unknown { .. })), "{next:?}");
}

#[test]
fn a_refusal_that_is_remembered_clears_the_doubt() {
    let mut errand = errand(true);
    errand.note(unknown(), never);
    let next = errand.note(Ok(refusal(true, 0)), never);
    assert!(matches!(next, Next::Answer(ref answer) if answer.settled), "{next:?}");
}

#[test]
fn a_doubt_that_was_never_cleared_is_what_the_caller_hears() {
    let mut errand = errand(true);
    errand.note(unknown(), never);
    let last = Unavailable::NotDone { reason: "no leader".to_owned(), leader_hint: None };
    assert!(matches!(errand.note(Err(last.clone()), never), Next::Again(Unavailable::NotDone { .. })));
    assert!(matches!(errand.unanswered(last), Unavailable::Unknown { .. }));
}
