//! What nodes cannot be: of two minds at one revision, back in an earlier term, broken;
//! and runs that saw too little.

use super::{is, judged};
use crate::checker::findings::Verdict::{Passed, Unknown, Violated};
use crate::checker::tests::tale::{SECOND, Tale, at, unknown};
use crate::checker::{Required, agreement, coverage, crash, environment, membership, raft, suspicious};
use crate::history::{Action, Line, Outcome, Stage, Topic};
use crate::workload::{CREDENTIAL, Workload};

impl Tale {
    fn fact(self, topic: Topic, node: u64, revision: u64, values: &[(&str, &str)]) -> Self {
        let values = values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let (time_ns, subject) = (self.now_ns(), "state".to_owned());
        self.line(Line::Fact { time_ns, node, topic, subject, at: at(revision), values })
    }

    /// Two nodes that say the same at thirty revisions.
    fn agreeing(self, topic: Topic, values: &[(&str, &str)]) -> Self {
        (10..40).fold(self, |tale, revision| tale.fact(topic, 1, revision, values).fact(topic, 2, revision, values))
    }

    fn raft(self, process: u32, term: u64, leader: u64, committed: u64, applied: u64) -> Self {
        self.voted(process, (term, term), leader, committed, applied)
    }

    /// The same with the term on disk, which may be an earlier one.
    fn voted(self, process: u32, (term, saved): (u64, u64), leader: u64, committed: u64, applied: u64) -> Self {
        let time_ns = self.now_ns();
        self.line(Line::Raft { time_ns, node: 1, process, term, saved, leader, committed, applied })
    }

    fn members(self, member: u64, revision: u64, voters: &[u64]) -> Self {
        let (time_ns, voters) = (self.now_ns(), voters.to_vec());
        self.line(Line::Members { time_ns, node: 1, member, at: at(revision), voters })
    }

    /// Node 2 is replaced by member 4; of what is done in which state, nothing when it begins.
    fn replaced(self, revision: Option<u64>) -> Self {
        let time_ns = self.now_ns();
        self.line(Line::Replaced { time_ns, node: 2, old: 2, new: 4, at: revision.map(at) })
    }

    fn steady(self, samples: u64) -> Self {
        (0..samples).fold(self, |tale, number| tale.raft(1, 5, 2, 10 + number, 10 + number))
    }

    fn fault(self, number: u64, kind: &str, stage: Stage) -> Self {
        self.hit(number, kind, &[1], stage)
    }

    /// So many writes, a tenth of a second apart.
    pub(super) fn flow(self, from: u64, count: u64) -> Self {
        let write = |tale: Self, number| tale.pass(SECOND / 10).write("a", number, &format!("v{number}"), 10 + number);
        (from..from + count).fold(self, write)
    }

    fn log(self, node: u64, suspicious: Vec<String>) -> Self {
        self.line(Line::Log { node, lines: 10, suspicious })
    }

    fn resources(self, megabytes: u64, descriptors: u64) -> Self {
        let (time_ns, resident_bytes) = (self.now_ns(), megabytes * 1024 * 1024);
        self.line(Line::Resources { time_ns, node: 1, process: 7, resident_bytes, descriptors })
    }
}

#[test]
fn nodes_that_differ_at_one_revision_are_found() {
    for topic in [Topic::Digest, Topic::Environment] {
        let check = |tale: Tale| judged(&tale, |story| agreement::check(story, topic));
        let agreeing = || Tale::new().agreeing(topic, &[("digest", "ab")]);
        is(&check(agreeing()), Passed, "");
        is(
            &check(agreeing().fact(topic, 3, 12, &[("digest", "cd")])),
            Violated,
            "digest is ab on node 1, and cd on node 3",
        );
        is(&check(agreeing().fact(topic, 3, 99, &[("digest", "cd")])), Passed, "");
        is(&check(Tale::new().fact(topic, 1, 9, &[("digest", "ab")])), Unknown, "0 positions compared");
        let same = |tale: Tale, node| tale.fact(topic, node, 9, &[("digest", "ab")]);
        let idle = (0..30).fold(Tale::new(), |tale, _| same(same(tale, 1), 2));
        is(&check(idle), Unknown, "1 positions compared");
        let hurt = agreeing().pass(SECOND).fault(0, "kill", Stage::Installed).fact(topic, 3, 12, &[("digest", "ab")]);
        assert_eq!(check(hurt).counts["positions compared during faults"], 1);
    }
}

#[test]
fn an_environment_that_ends_old_is_found() {
    let update = |tale: Tale, value: &str, outcome, revision| {
        tale.ask(Action::Call { rpc: format!("openshell.v1.OpenShell/UpdateProvider {value}") }, outcome, revision)
    };
    let first =
        || update(Tale::new().agreeing(Topic::Environment, &[("digest", "ab")]), "old", Outcome::Answered, Some(40));
    let written = || update(first(), "new", Outcome::Answered, Some(41)).settled();
    let asked = |tale: Tale, outcome| {
        let rpc = "openshell.v1.OpenShell/GetSandboxProviderEnvironment".to_owned();
        tale.ask(Action::Call { rpc }, outcome, Some(42)).of(Workload::Environment)
    };
    let said = |tale: Tale, value| tale.fact(Topic::Environment, 1, 42, &[(CREDENTIAL, value)]);
    let check = |tale: Tale| judged(&tale, environment::check);
    is(&check(asked(said(written(), "new"), Outcome::Answered)), Passed, "");
    is(&check(asked(said(written(), "old"), Outcome::Answered)), Violated, "gives \"old\" in the end");
    is(&check(asked(written(), unknown())), Unknown, "was not read at the end from node 1");
    is(&check(said(written(), "new").of(Workload::Environment)), Unknown, "0 nodes asked at the end");
    let doubtful = || update(first(), "new", unknown(), None).settled();
    is(&check(asked(said(doubtful(), "new"), Outcome::Answered)), Passed, "");
    is(&check(asked(said(doubtful(), "old"), Outcome::Answered)), Passed, "");
}

#[test]
fn pages_that_do_not_fit_together_are_found() {
    let check = |tale: Tale| judged(&tale, |story| agreement::check(story, Topic::List));
    let agreeing = || Tale::new().agreeing(Topic::List, &[("0", "a 1"), ("1", "b 1"), ("2", "")]);
    is(&check(agreeing()), Passed, "");
    let page = |values: &[(&str, &str)]| agreeing().fact(Topic::List, 3, 50, values);
    is(&check(page(&[("0", "a 1"), ("1", "a 1")])), Violated, "a stands at index 0, and a at index 1");
    is(&check(page(&[("0", "b 1"), ("1", "a 1")])), Violated, "b stands at index 0");
    is(&check(page(&[("0", ""), ("1", "a 1")])), Violated, "stands at index 0");
    is(&check(agreeing().fact(Topic::List, 3, 12, &[("1", "c 1")])), Violated, "1 is b 1 on node 1");
}

#[test]
fn a_node_that_goes_back_is_found() {
    let check = |tale: Tale| judged(&tale, |story| raft::check(story, 1));
    let steady = || Tale::new().steady(30);
    is(&check(steady().raft(1, 6, 3, 40, 40)), Passed, "");
    is(&check(steady().raft(1, 4, 2, 50, 50)), Violated, "the term went back from 5 to 4");
    is(&check(steady().raft(2, 4, 2, 50, 50)), Violated, "term 5 was on disk, and it came back in term 4");
    is(&check(steady().voted(2, (4, 5), 2, 50, 50)), Violated, "term 5 was on disk, and it came back in term 4");
    is(&check(steady().voted(1, (6, 4), 2, 50, 50)), Violated, "term 5 was on disk, and then one in term 4");
    is(&check(steady().voted(2, (6, 4), 2, 50, 50)), Violated, "term 5 was on disk, and then one in term 4");
    // Raft tells of a term once it is through with what came with it, which may be one more vote.
    is(&check(steady().voted(1, (5, 6), 2, 50, 50).voted(1, (5, 6), 2, 50, 50)), Passed, "");
    // What it had in mind it may forget when it ends, and only then.
    let thinking = || steady().voted(1, (6, 5), 0, 50, 50);
    is(&check(thinking().raft(2, 5, 2, 50, 50)), Passed, "");
    is(&check(thinking().raft(1, 5, 2, 50, 50)), Violated, "the term went back from 6 to 5");
    is(&check(steady().raft(1, 5, 1, 50, 50)), Violated, "node 2 led, and then node 1");
    is(&check(steady().raft(1, 5, 2, 50, 20)), Violated, "what is applied went back");
    is(&check(steady().raft(1, 5, 2, 20, 39)), Violated, "then only 20 was known");
    // Raft had not said anything since it applied the last, until it did.
    let silent = || steady().raft(1, 5, 2, 39, 41).raft(1, 5, 2, 39, 41);
    is(&check(silent().raft(1, 5, 2, 41, 41)), Passed, "");
    is(&check(silent().raft(1, 5, 2, 40, 41)), Violated, "41 was applied, and then only 40 was known");
    is(&check(silent().raft(1, 6, 3, 39, 41)), Violated, "41 was applied, and then only 39 was known");
    is(&check(steady().raft(2, 5, 0, 0, 12)), Passed, "");
    is(&check(Tale::new().steady(3)), Unknown, "3 samples");
    assert_eq!(check(steady().raft(1, 6, 3, 40, 40)).counts["leader changes"], 1);
}

#[test]
fn a_node_that_does_not_say_how_it_stands_is_missed() {
    let check = |tale: Tale, nodes| judged(&tale, |story| raft::check(story, nodes));
    let steady = || Tale::new().steady(30);
    is(&check(steady(), 2), Unknown, "node 2 never said how it stands");
    let lacking = |times: u64| {
        let line = || Line::Unmeasured { time_ns: 5, node: 1, lacks: vec!["openshell_raft_term".to_owned()] };
        (0..times).fold(steady(), |tale, _| tale.line(line()))
    };
    is(&check(lacking(3), 1), Passed, "");
    is(&check(lacking(31), 1), Unknown, "node 1 lacked a gauge 31 times");
    is(&check(steady().replaced(None), 2), Passed, "");
    is(&check(steady().replaced(None).replaced(Some(30)), 2), Unknown, "node 4 never said how it stands");
}

#[test]
fn voters_that_may_not_be_are_found() {
    let check = |tale: Tale| judged(&tale, membership::check);
    let first = || (0..30).fold(Tale::new(), |tale, _| tale.members(1, 10, &[1, 2, 3]));
    is(&check(first().members(4, 0, &[])), Passed, "");
    is(&check(Tale::new().members(1, 10, &[1, 2, 3])), Unknown, "answers prove too little");
    is(&check(first().members(1, 11, &[1, 2])), Violated, "there were 3 voters at first");
    is(&check(first().members(1, 11, &[1, 3, 4])), Violated, "nobody brought it in");
    let changing = || first().replaced(None).members(1, 20, &[1, 2, 3, 4]);
    // What is not committed may be undone.
    is(&check(changing().members(1, 21, &[1, 2, 3])), Passed, "");
    let done = || changing().replaced(Some(30)).members(1, 30, &[1, 3, 4]).pass(3 * SECOND);
    is(&check(done().members(1, 40, &[1, 3, 4])), Passed, "");
    is(&check(done().members(3, 29, &[1, 2, 3])), Passed, "");
    is(&check(done().members(1, 40, &[1, 2, 3])), Violated, "member 2 was replaced before");
    // Killed while its disk stood still, it knows less than it did, and then it hears of it again.
    let killed = || done().members(1, 29, &[1, 2, 3]).members(1, 20, &[1, 2, 3, 4]);
    is(&check(killed().members(1, 40, &[1, 3, 4])), Passed, "");
    let again = || killed().members(1, 40, &[1, 3, 4]).pass(3 * SECOND);
    is(&check(again().members(1, 41, &[1, 2, 3])), Violated, "member 2 was replaced before");
    is(&check(done().members(1, 40, &[1, 2, 3, 4])), Violated, "there were 3 voters at first");
}

#[test]
fn a_broken_process_is_found() {
    let check = |tale: Tale| judged(&tale, |story| crash::check(story, 1));
    let sound = || Tale::new().log(1, Vec::new());
    is(&check(sound()), Passed, "");
    let ended = Line::Ended { time_ns: 5, node: 1, said: "signal 6".to_owned() };
    is(&check(sound().line(ended)), Violated, "ended by itself: signal 6");
    is(&check(sound().log(1, vec!["thread main panicked at x.rs".to_owned()])), Violated, "panicked at");
    is(&check(Tale::new()), Unknown, "of 1 nodes' logs, 0 were read");
    let grown = |megabytes: u64, descriptors| {
        (0..100).fold(sound(), |tale, number| tale.resources(100 + number * megabytes, 50 + number * descriptors))
    };
    is(&check(grown(1, 1)), Passed, "");
    is(&check(grown(20, 1)), Violated, "bytes");
    is(&check(grown(1, 20)), Violated, "descriptors");
}

#[test]
fn a_log_is_read_for_what_only_a_broken_program_says() {
    let log = "INFO all is well\nthread 'main' panicked at src/x.rs:1\nthread 'main' panicked at a trap\n";
    assert_eq!(suspicious(log, &["a trap"]), ["thread 'main' panicked at src/x.rs:1"]);
    assert_eq!(suspicious("INFO all is well", &[]), Vec::<String>::new());
}

#[test]
fn a_run_that_saw_too_little_proves_nothing() {
    let required = [Required { kind: "kill".to_owned(), least: 1 }];
    let check = |tale: Tale| judged(&tale, |story| coverage::check(story, &[Workload::Register], &required, 10));
    let seen = |tale: Tale| tale.remove("b", 500).write("b", 1, "again", 501).read("b", 1, "again", 501);
    let killed = |tale: Tale| tale.fault(0, "kill", Stage::Installed).fault(0, "kill", Stage::Healed);
    is(&check(seen(killed(Tale::new().flow(2, 20)))), Passed, "");
    is(&check(seen(Tale::new().flow(2, 20))), Unknown, "kill was felt 0 times");
    is(&check(seen(killed(Tale::new()).flow(2, 20))), Unknown, "kill was felt 0 times");
    is(&check(killed(Tale::new().flow(2, 20))), Unknown, "register: no removal");
    is(&check(seen(killed(Tale::new().flow(2, 5)))), Unknown, "acknowledged changes prove too little");
    let skipped = Tale::new().flow(2, 20).fault(0, "kill", Stage::Skipped);
    is(&check(seen(skipped)), Unknown, "kill was felt 0 times");
}

#[test]
fn of_a_group_any_fault_counts() {
    let required = [Required::any_of(&["pause", "kill"])];
    let check = |tale: Tale| judged(&tale, |story| coverage::check(story, &[], &required, 0));
    let hit = |kind: &str| Tale::new().flow(2, 20).fault(0, kind, Stage::Installed).fault(0, kind, Stage::Healed);
    is(&check(hit("kill")), Passed, "");
    is(&check(hit("isolate")), Unknown, "pause or kill was felt 0 times");
}

#[test]
fn a_method_that_nobody_answered_is_named() {
    let check = |tale: Tale| judged(&tale, |story| coverage::check(story, &[Workload::Mixed], &[], 0));
    is(&check(Tale::new()), Unknown, "mixed: openshell.v1.OpenShell/CreateSandbox was never answered");
}
