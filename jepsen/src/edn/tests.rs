//! Lines, and the exact EDN that becomes of them.

use super::edn;
use crate::history::{Action, Cell, Cells, Edit, Line, Outcome, Position, Stage};
use crate::workload::Workload;

fn cell(version: u64, value: &str) -> Cell {
    Cell { version, value: value.to_owned() }
}

fn invoke(operation: u64, process: u64, time_ns: u64, action: Action) -> Line {
    Line::Invoke { operation, process, time_ns, node: 2, workload: Workload::Register, action }
}

fn returned(operation: u64, time_ns: u64, outcome: Outcome) -> Line {
    Line::Return { operation, time_ns, outcome, at: None, attempts: 1 }
}

fn read(keys: &[&str]) -> Action {
    Action::Read { keys: keys.iter().map(|key| (*key).to_owned()).collect() }
}

fn replace(key: &str, on: u64, value: &str) -> Edit {
    Edit::Replace { key: key.to_owned(), on, value: value.to_owned() }
}

fn create(key: &str, value: &str) -> Edit {
    Edit::Create { key: key.to_owned(), value: value.to_owned() }
}

fn write(edits: &[Edit]) -> Action {
    Action::Write { edits: edits.to_vec() }
}

fn unknown() -> Outcome {
    Outcome::Unknown { why: "deadline".to_owned() }
}

/// What follows the invocation of one call.
fn outcome_of(action: Action, outcome: Outcome) -> String {
    edn(&[invoke(0, 3, 10, action), returned(0, 20, outcome)]).remove(1)
}

#[test]
fn an_update_is_a_compare_and_set_of_version_and_text() {
    let at = Some(Position { epoch: 1, revision: 9021 });
    let outcome = Outcome::Done { versions: [("prof-7".to_owned(), 42)].into() };
    let lines = [
        invoke(5, 3, 1_843_009_112, write(&[replace("prof-7", 41, "c3-19")])),
        Line::Return { operation: 5, time_ns: 1_849_120_001, outcome, at, attempts: 1 },
    ];
    let expected = [
        r#"{:index 0, :time 1843009112, :type :invoke, :process 3, :f :cas, :value ["prof-7" [41 "c3-19"]], :node n2}"#,
        r#"{:index 1, :time 1849120001, :type :ok, :process 3, :f :cas, :value ["prof-7" [41 "c3-19"]], :version 42, :epoch 1, :raft-index 9021, :node n2}"#,
    ];
    assert_eq!(edn(&lines), expected);
}

#[test]
fn what_was_there_at_first_is_written_by_a_client_of_its_own() {
    let object = Line::Object {
        object: "o".to_owned(),
        workload: Workload::Register,
        keys: vec!["k".to_owned(), "l".to_owned()],
        cells: [("k".to_owned(), cell(1, "first"))].into(),
    };
    let lines = [object, invoke(0, 6, 10, read(&["l"])), returned(0, 12, Outcome::Found { cells: Cells::new() })];
    let expected = [
        r#"{:index 0, :time 0, :type :invoke, :process 7, :f :init, :value ["k" [1 "first"]]}"#,
        r#"{:index 1, :time 0, :type :ok, :process 7, :f :init, :value ["k" [1 "first"]]}"#,
        r#"{:index 2, :time 10, :type :invoke, :process 6, :f :read, :value ["l" nil], :node n2}"#,
        r#"{:index 3, :time 12, :type :ok, :process 6, :f :read, :value ["l" :absent], :node n2}"#,
    ];
    assert_eq!(edn(&lines), expected);
}

#[test]
fn a_call_about_several_keys_is_a_transaction() {
    let lines = [
        invoke(0, 1, 5, write(&[create("k", "a"), replace("l", 3, "b"), Edit::Remove { key: "m".to_owned() }])),
        returned(0, 6, Outcome::Done { versions: [("k".to_owned(), 1), ("l".to_owned(), 4)].into() }),
        invoke(1, 1, 7, read(&["k", "l"])),
        returned(1, 8, Outcome::Found { cells: [("l".to_owned(), cell(4, "b"))].into() }),
    ];
    let expected = [
        r#"{:index 0, :time 5, :type :invoke, :process 1, :f :txn, :value [[:create "k" "a"] [:cas "l" [3 "b"]] [:remove "m" nil]], :node n2}"#,
        r#"{:index 1, :time 6, :type :ok, :process 1, :f :txn, :value [[:create "k" "a"] [:cas "l" [3 "b"]] [:remove "m" nil]], :versions {"k" 1, "l" 4}, :node n2}"#,
        r#"{:index 2, :time 7, :type :invoke, :process 1, :f :txn, :value [[:read "k" nil] [:read "l" nil]], :node n2}"#,
        r#"{:index 3, :time 8, :type :ok, :process 1, :f :txn, :value [[:read "k" :absent] [:read "l" [4 "b"]]], :node n2}"#,
    ];
    assert_eq!(edn(&lines), expected);
}

#[test]
fn refusals_fail_and_say_why() {
    let call = || write(&[replace("k", 2, "x")]);
    let start = r#"{:index 1, :time 20, :type :fail, :process 3, :f :cas, :value ["k" [2 "x"]], :error "#;
    let keys = || vec!["k".to_owned()];
    for (outcome, error) in [
        (Outcome::Conflict { key: "k".to_owned(), current: Some(7) }, r#"[:conflict "k" 7]"#),
        (Outcome::Conflict { key: "k".to_owned(), current: None }, r#"[:conflict "k" nil]"#),
        (Outcome::Exists { keys: keys() }, r#"[:exists ["k"]]"#),
        (Outcome::Absent { keys: keys() }, r#"[:absent ["k"]]"#),
        (Outcome::Refused { code: "ABORTED".to_owned(), said: "no".to_owned() }, r#"[:refused "ABORTED" "no"]"#),
        (Outcome::NotDone, ":not-done"),
    ] {
        assert_eq!(outcome_of(call(), outcome), format!("{start}{error}, :node n2}}"));
    }
}

#[test]
fn a_write_in_doubt_is_info_and_a_read_in_doubt_has_failed() {
    let doubt = outcome_of(write(&[create("k", "a")]), unknown());
    let expected = r#"{:index 1, :time 20, :type :info, :process 3, :f :create, :value ["k" "a"], :error [:unknown "deadline"], :node n2}"#;
    assert_eq!(doubt, expected);
    let unanswered = outcome_of(read(&["k"]), unknown());
    assert!(unanswered.contains(":type :fail, :process 3, :f :read, :value [\"k\" nil]"), "{unanswered}");
}

#[test]
fn who_was_left_in_doubt_calls_again_under_another_number() {
    let wrong = || Outcome::Wrong { said: "no such thing".to_owned() };
    let call = |operation, process| invoke(operation, process, operation, write(&[create("k", "a")]));
    let lines = [
        call(0, 1),
        returned(0, 1, wrong()),
        call(2, 1),
        returned(2, 3, unknown()),
        call(4, 1),
        call(5, 2),
        returned(5, 6, Outcome::NotDone),
        call(7, 2),
    ];
    let process =
        |line: &String| line.split(":process ").nth(1).and_then(|rest| rest.split(',').next()).map(str::to_owned);
    let numbers: Vec<String> = edn(&lines).iter().filter_map(process).collect();
    assert_eq!(numbers, ["1", "1", "4", "4", "5", "2", "2", "2"], "3 is who wrote what was there at first");
}

#[test]
fn faults_are_of_the_nemesis() {
    let fault = |stage, said: &str| Line::Fault {
        time_ns: 1_850_000_000,
        number: 4,
        kind: "one_way".to_owned(),
        nodes: vec![1, 3],
        stage,
        said: said.to_owned(),
    };
    let lines = [
        fault(Stage::Installed, "deaf"),
        fault(Stage::Healed, ""),
        Line::Ended { time_ns: 8, node: 2, said: "exit code 70".to_owned() },
        Line::Settled { time_ns: 9 },
    ];
    let expected = [
        r#"{:index 0, :time 1850000000, :type :info, :process :nemesis, :f :one-way, :value {:fault 4, :nodes [n1 n3], :outcome :installed, :said "deaf"}}"#,
        r#"{:index 1, :time 1850000000, :type :info, :process :nemesis, :f :one-way, :value {:fault 4, :nodes [n1 n3], :outcome :healed, :said ""}}"#,
        r#"{:index 2, :time 8, :type :info, :process :nemesis, :f :ended, :value {:nodes [n2], :said "exit code 70"}}"#,
        r#"{:index 3, :time 9, :type :info, :process :nemesis, :f :settled, :value nil}"#,
    ];
    assert_eq!(edn(&lines), expected);
}

#[test]
fn other_workloads_have_functions_of_their_own() {
    let id = || "id-1".to_owned();
    let make = outcome_of(Action::Make { request: id() }, Outcome::Made { name: "calm".to_owned() });
    assert!(make.contains(r#":type :ok, :process 3, :f :make, :value ["id-1" "calm"]"#), "{make}");
    let there = Outcome::There { made: vec![(id(), "calm".to_owned())] };
    let look = outcome_of(Action::Look { request: None }, there);
    assert!(look.contains(r#":f :look, :value [["id-1" "calm"]]"#), "{look}");
    let clear = outcome_of(Action::Clear { request: id(), name: "calm".to_owned() }, Outcome::NotDone);
    assert!(clear.contains(r#":type :fail, :process 3, :f :clear, :value ["id-1" "calm"]"#), "{clear}");
    let call = outcome_of(Action::Call { rpc: "openshell.v1.OpenShell/Health".to_owned() }, Outcome::Answered);
    assert!(call.contains(r#":type :ok, :process 3, :f :call, :value "openshell.v1.OpenShell/Health""#), "{call}");
    let keys = vec!["k".to_owned()];
    let local = Action::ReadLocal { keys, not_before: None };
    let local = outcome_of(local, Outcome::Found { cells: [("k".to_owned(), cell(2, "x"))].into() });
    assert!(local.contains(r#":f :read-local, :value ["k" [2 "x"]]"#), "{local}");
}

#[test]
fn whatever_was_said_stays_one_text_on_one_line() {
    let said = "a \"quote\", a \\ and\nanother line\u{1b}[31m".to_owned();
    let line = outcome_of(write(&[create("k", "a")]), Outcome::Wrong { said });
    assert!(line.contains(r#"[:wrong "a \"quote\", a \\ and\nanother line\u001b[31m"]"#), "{line}");
    assert!(!line.contains('\n'));
}
