//! Clusters that fall silent: without a fault, while a minority is hurt, and after all that.

use super::{is, judged};
use crate::checker::findings::Finding;
use crate::checker::findings::Verdict::{Passed, Unknown, Violated};
use crate::checker::tests::tale::{SECOND, Tale, unknown};
use crate::checker::windows::windows;
use crate::checker::{Limits, availability};
use crate::history::{Action, Outcome, Stage};
use crate::workload::LAST_WRITE;

/// Of three nodes.
fn check(tale: &Tale) -> Finding {
    judged(tale, |story| availability::check(story, Limits::default(), 3))
}

impl Tale {
    /// These faults are there for so long, all at once.
    fn hurt(self, faults: &[(&str, &[u64])], lasts_ns: u64) -> Self {
        let each = |tale: Self, stage| {
            (0..).zip(faults).fold(tale, |tale, (number, (kind, nodes))| tale.hit(number, kind, nodes, stage))
        };
        each(each(self, Stage::Installed).pass(lasts_ns), Stage::Healed)
    }

    /// The last write through a node.
    fn writes_last(self, node: u64, outcome: Outcome) -> Self {
        self.ask_by(1_000 + node, node, Action::Call { rpc: LAST_WRITE.to_owned() }, outcome, None)
    }

    fn written_last(self, nodes: &[u64]) -> Self {
        nodes.iter().fold(self, |tale, node| tale.writes_last(*node, Outcome::Answered))
    }
}

/// Twelve seconds in which everything is well.
fn well() -> Tale {
    Tale::new().flow(2, 120)
}

#[test]
fn silence_without_a_fault_is_found() {
    is(&check(&well()), Passed, "");
    is(&check(&well().pass(12 * SECOND).flow(122, 20)), Violated, "without a fault, no write");
    let failing = (0..20).fold(Tale::new().flow(2, 100), |tale, _| tale.doubt("b", 2, "never"));
    is(&check(&failing.flow(102, 1)), Violated, "calls were answered");
    is(&check(&Tale::new().flow(2, 50)), Unknown, "50 calls without a fault prove too little");
}

#[test]
fn silence_before_the_first_and_after_the_last_write_counts() {
    let late = Tale::new().read("a", 1, "first", 9).pass(12 * SECOND).flow(2, 120);
    is(&check(&late), Violated, "without a fault, no write");
    is(&check(&well().pass(12 * SECOND).doubt("b", 2, "x")), Violated, "without a fault, no write");
    // When everything is whole again, nobody works any more.
    let whole = well().settled().written_last(&[1, 2, 3]).pass(12 * SECOND).read("a", 121, "v121", 131);
    is(&check(&whole), Passed, "");
    // Who only reads is not kept waiting.
    let reading = Tale::new().read("a", 1, "first", 9).pass(12 * SECOND).read("a", 1, "first", 9);
    is(&check(&reading), Unknown, "0 acknowledged writes");
}

#[test]
fn silence_while_a_minority_is_hurt_is_found() {
    let is_heard = |faults: &[(&str, &[u64])], verdict| {
        let said = if verdict == Violated { "no more than a minority was hurt" } else { "" };
        is(&check(&well().hurt(faults, 16 * SECOND).flow(122, 20)), verdict, said);
    };
    is(&check(&well().hurt(&[("kill", &[1])], 12 * SECOND).flow(122, 20)), Passed, "");
    is_heard(&[("kill", &[1])], Violated);
    is_heard(&[("kill", &[1]), ("pause", &[2])], Passed);
    is_heard(&[("kill", &[1]), ("deaf", &[1])], Violated);
    // The smaller side is lost, whichever side is named.
    is_heard(&[("halves", &[1, 2]), ("kill", &[3])], Violated);
    is_heard(&[("halves", &[1, 2]), ("kill", &[1])], Passed);
    is_heard(&[("bridge", &[1, 2, 3])], Passed);
    is_heard(&[("rolling", &[1, 2, 3])], Violated);
    is_heard(&[("rolling", &[1, 2, 3]), ("kill", &[1])], Passed);
    is_heard(&[("transfer", &[1]), ("kill", &[2])], Violated);
    // Of a kind that nobody knows, anything may be true.
    is_heard(&[("meteor", &[1])], Passed);
}

#[test]
fn who_was_hurt_more_has_the_time_of_a_recovery() {
    let left = |lasts_ns: u64| {
        let both = well().hit(0, "kill", &[1], Stage::Installed).hit(1, "kill", &[2], Stage::Installed);
        let one = both.pass(SECOND).hit(1, "kill", &[2], Stage::Healed).pass(lasts_ns);
        one.hit(0, "kill", &[1], Stage::Healed).flow(122, 20)
    };
    is(&check(&left(30 * SECOND)), Passed, "");
    is(&check(&left(40 * SECOND)), Violated, "no more than a minority was hurt");
}

#[test]
fn after_the_last_fault_writes_go_on() {
    let hurt = || well().hurt(&[("kill", &[1])], 12 * SECOND);
    is(&check(&hurt().flow(122, 20)), Passed, "");
    assert_eq!(check(&hurt().flow(122, 20)).counts["ms of the longest gap at kill"], 12_100);
    is(&check(&hurt().pass(40 * SECOND).flow(122, 20)), Violated, "after the last fault took 40.1 s");
    is(&check(&hurt().pass(40 * SECOND).doubt("b", 2, "x")), Violated, "s after the last fault, no write");
    is(&check(&hurt()), Unknown, "no write was acknowledged after the last fault");
    // It is healed when the clients have stopped.
    is(&check(&hurt().settled().written_last(&[1, 2, 3])), Passed, "");
}

#[test]
fn a_node_that_takes_no_write_in_the_end_is_found() {
    is(&check(&well().settled().written_last(&[1, 2, 3])), Passed, "");
    is(&check(&well().settled().written_last(&[1, 2])), Unknown, "nobody wrote through node 3");
    let silent = || well().settled().written_last(&[1, 2]).writes_last(3, unknown());
    is(&check(&silent()), Violated, "node 3 acknowledged no write");
    is(&check(&silent().written_last(&[3])), Passed, "");
    is(&check(&well().written_last(&[1, 2, 3]).settled()), Unknown, "nobody wrote through node 1");
}

#[test]
fn a_fault_that_was_not_felt_after_all_is_none_that_was() {
    let installed = || Tale::new().hit(0, "delay", &[1], Stage::Begun).hit(0, "delay", &[1], Stage::Installed);
    let healed = |tale: Tale| tale.pass(SECOND).hit(0, "delay", &[1], Stage::Healed);
    let are_felt = |tale: Tale| windows(&tale.lines).iter().map(|window| window.is_felt).collect::<Vec<bool>>();
    assert_eq!(are_felt(healed(installed())), [true]);
    assert_eq!(are_felt(healed(installed().hit(0, "delay", &[1], Stage::Indeterminate))), [false]);
}
