//! What lines amount to, and that they read back as they were written.

use super::{Action, Cells, Edit, Line, Outcome, Position, Story};
use crate::workload::Workload;

fn object(name: &str, keys: &[&str]) -> Line {
    let keys = keys.iter().map(|key| (*key).to_owned()).collect();
    Line::Object { object: name.to_owned(), workload: Workload::Register, keys, cells: Cells::new() }
}

fn invoke(operation: u64, time_ns: u64, action: Action) -> Line {
    Line::Invoke { operation, process: 0, time_ns, node: 1, workload: Workload::Register, action }
}

fn create(key: &str) -> Action {
    Action::Write { edits: vec![Edit::Create { key: key.to_owned(), value: "a".to_owned() }] }
}

fn returned(operation: u64, time_ns: u64) -> Line {
    Line::Return { operation, time_ns, outcome: Outcome::NotDone, at: None, attempts: 1 }
}

#[test]
fn a_call_without_a_return_is_in_doubt() {
    let lines = [object("o", &["k"]), invoke(0, 5, create("k"))];
    let story = Story::of(&lines).expect("a history");
    let operation = story.objects["o"].operations[0];
    assert!(matches!(operation.outcome, Outcome::Unknown { .. }));
    assert_eq!(operation.returned_ns, u64::MAX);
}

#[test]
fn a_read_of_several_objects_is_one_of_each() {
    let keys = ["k", "l", "m"].map(str::to_owned).to_vec();
    let lines = [object("o", &["k", "l"]), object("p", &["m"]), invoke(0, 5, Action::Read { keys }), returned(0, 6)];
    let story = Story::of(&lines).expect("a history");
    assert_eq!((story.objects["o"].operations.len(), story.objects["p"].operations.len()), (1, 1));
    assert_eq!(story.operations.len(), 1);
}

#[test]
fn a_history_that_contradicts_itself_is_none() {
    let call = || [object("o", &["k"]), invoke(1, 5, create("k"))];
    let with = |more: Line| {
        let mut lines = call().to_vec();
        lines.push(more);
        Story::of(&lines).map(|story| story.operations.len())
    };
    assert!(with(returned(1, 6)).is_ok());
    assert!(with(returned(2, 6)).is_err(), "a return without a call");
    assert!(with(returned(1, 4)).is_err(), "a return before its call");
    assert!(with(invoke(1, 7, create("k"))).is_err(), "a number that is used twice");
    assert!(with(invoke(2, 7, create("l"))).is_err(), "a key that belongs to no object");
    assert!(with(object("p", &["k"])).is_err(), "a key of two objects");
    let edits = ["k", "m"].map(|key| Edit::Remove { key: key.to_owned() }).to_vec();
    let lines = [object("o", &["k"]), object("p", &["m"]), invoke(0, 5, Action::Write { edits })];
    assert!(Story::of(&lines).is_err(), "a write of several objects");
}

#[test]
fn a_line_reads_back_as_it_was_written() {
    let outcome = Outcome::Conflict { key: "k".to_owned(), current: Some(4) };
    let at = Some(Position { epoch: 1, revision: 8 });
    let line = Line::Return { operation: 3, time_ns: 9, outcome: outcome.clone(), at, attempts: 2 };
    let text = serde_json::to_string(&line).expect("a line is JSON");
    let start = r#"{"type":"return","operation":3,"time_ns":9,"outcome":{"conflict":{"key":"k","current":4}}"#;
    assert_eq!(text, format!(r#"{start},"at":{{"epoch":1,"revision":8}},"attempts":2}}"#));
    assert_eq!(serde_json::from_str::<Line>(&text).expect("a line"), line);
    let without = Line::Return { operation: 3, time_ns: 9, outcome, at: None, attempts: 1 };
    assert_eq!(serde_json::to_string(&without).expect("a line is JSON"), format!("{start}}}"));
}
