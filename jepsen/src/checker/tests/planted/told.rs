//! What nodes said of themselves, refused to the end, or never did when they were asked.

use super::{is, judged};
use crate::checker::findings::Verdict::{Passed, Unknown, Violated};
use crate::checker::tests::tale::{Tale, found, unknown};
use crate::checker::{coverage, crash, last_reads, suspicious};
use crate::history::{Action, Outcome};
use crate::workload::Workload;

const CREATE: &str = "openshell.v1.OpenShell/CreateSandbox";

fn call(rpc: &str) -> Action {
    Action::Call { rpc: rpc.to_owned() }
}

fn refused() -> Outcome {
    Outcome::Refused { code: "FailedPrecondition".to_owned(), said: "not now".to_owned() }
}

#[test]
fn a_node_that_says_that_it_is_broken_is_found() {
    let check = |tale: Tale| judged(&tale, |story| crash::check(story, 0));
    is(&check(Tale::new().ask(call(CREATE), unknown(), None)), Passed, "");
    let broken = Outcome::broken("Internal: the state contradicts itself");
    is(&check(Tale::new().ask(call(CREATE), broken, None)), Violated, "Internal: the state contradicts itself");
}

#[test]
fn what_no_node_could_read_is_told_by_the_log() {
    let log = "ERROR a decision wrote what no node could read, and was not proposed rpc=x";
    assert_eq!(suspicious(log, &[]), [log]);
}

#[test]
fn a_node_that_does_not_answer_the_last_reads_is_found() {
    let check = |tale: Tale| judged(&tale, last_reads::check);
    let read = |tale: Tale, node, outcome| {
        tale.ask_by(node, node, Action::Read { keys: vec!["a".to_owned()] }, outcome, Some(9))
    };
    let seen = || found(&[("a", 1, "first")]);
    let settled = || read(Tale::new().settled(), 1, seen());
    is(&check(settled()), Passed, "");
    is(&check(read(settled(), 2, refused())), Violated, "node 2 refuses to the end to say a");
    is(&check(read(settled(), 2, unknown())), Unknown, "node 2 did not say a at the end");
    is(&check(read(read(settled(), 2, unknown()), 2, seen())), Passed, "");
    is(&check(read(Tale::new(), 2, refused()).settled()), Passed, "");
}

#[test]
fn a_method_that_is_refused_every_time_was_not_tested() {
    let check =
        |tale: Tale| judged(&tale.of(Workload::Mixed), |story| coverage::check(story, &[Workload::Mixed], &[], 0));
    let asked = |rpc: &str, times: u64| (0..times).fold(Tale::new(), |tale, _| tale.ask(call(rpc), refused(), None));
    let is_named = |tale: Tale, rpc: &str| check(tale).said.iter().any(|said| said.contains(rpc));
    is(&check(asked(CREATE, 40)), Unknown, "CreateSandbox was refused 40 times");
    assert!(!is_named(asked(CREATE, 39), CREATE), "a short run does not come that far");
    assert!(!is_named(asked(CREATE, 40).ask(call(CREATE), Outcome::Answered, None), CREATE));
    let never = "openshell.v1.OpenShell/ExposeService";
    assert!(!is_named(asked(never, 40), never), "it cannot succeed here");
}
