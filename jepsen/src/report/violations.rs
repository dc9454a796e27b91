//! What a search could not explain, made ready for its timeline: the few calls that have no order together, how far an
//! order came, and why none of the others could be next. The checker chose and judged; nothing is judged here.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::faults::Band;
use super::latency::Kind;
use super::timeline::{self, Drawn, Role};
use crate::checker::Evidence;
use crate::history::{Action, Cell, Edit, Object, Operation, Outcome, Story};

/// The timeline of one object; an error in words when the history does not have what the evidence speaks of.
pub(super) fn timeline(story: &Story<'_>, evidence: &Evidence, bands: &[Band]) -> Result<String, String> {
    let object = story.objects.get(evidence.object.as_str());
    let object = object.ok_or_else(|| format!("the history has no {}", evidence.object))?;
    let calls = calls(object, evidence);
    match calls.is_empty() {
        true => Err(format!("the history has none of the calls about {}", evidence.object)),
        false => Ok(timeline::draw(&calls, bands)),
    }
}

fn calls(object: &Object<'_>, evidence: &Evidence) -> Vec<Drawn> {
    let by_number: BTreeMap<u64, &Operation<'_>> = object.operations.iter().map(|one| (one.number, one)).collect();
    let order = evidence.order.iter().filter_map(|number| by_number.get(number));
    let known = order.fold(Known::new(), |known, operation| after(known, operation));
    let deadline = evidence.blocked.and_then(|number| by_number.get(&number)).map_or(u64::MAX, |one| one.returned_ns);
    let drawn = |number: &u64| {
        let operation = by_number.get(number)?;
        let role = match evidence.order.iter().position(|placed| placed == number) {
            Some(place) => Role::Placed(place + 1),
            None if evidence.blocked == Some(*number) => Role::Blocking,
            None => Role::Open,
        };
        // Only what was called before the blocking call returned could have come before it.
        let is_candidate = !matches!(role, Role::Placed(_)) && operation.invoked_ns < deadline;
        let kind = Kind::of(operation.outcome);
        Some(Drawn {
            process: operation.process,
            invoked_ns: operation.invoked_ns,
            returned_ns: Some(operation.returned_ns).filter(|returned| *returned < u64::MAX && kind != Kind::Info),
            kind,
            label: label(operation, object.keys),
            role,
            why_not: is_candidate.then(|| obstacle(&known, operation)).flatten(),
        })
    };
    evidence.operations.iter().filter_map(drawn).collect()
}

/// What is under the keys that are known of: evidence begins in the middle of a history.
type Known = BTreeMap<String, Option<Cell>>;

/// What is known after a call that has its place in an order.
fn after(mut known: Known, operation: &Operation<'_>) -> Known {
    match (operation.action, operation.outcome) {
        (Action::Read { keys } | Action::ReadLocal { keys, .. }, Outcome::Found { cells }) => {
            known.extend(keys.iter().map(|key| (key.clone(), cells.get(key).cloned())));
        }
        (Action::Write { edits }, Outcome::Done { .. } | Outcome::Unknown { .. }) => {
            known.extend(edits.iter().map(|edit| (edit.key().to_owned(), made(edit))));
        }
        _ => {}
    }
    known
}

fn made(edit: &Edit) -> Option<Cell> {
    let (version, value) = match edit {
        Edit::Create { value, .. } => (1, value),
        Edit::Replace { on, value, .. } => (on + 1, value),
        Edit::Remove { .. } => return None,
    };
    Some(Cell { version, value: value.clone() })
}

/// Why a call cannot take effect, or be answered so, on what is known to be there.
fn obstacle(known: &Known, operation: &Operation<'_>) -> Option<String> {
    match (operation.action, operation.outcome) {
        (Action::Read { keys } | Action::ReadLocal { keys, .. }, Outcome::Found { cells }) => {
            keys.iter().find_map(|key| {
                let (saw, there) = (cells.get(key), known.get(key)?.as_ref());
                (saw != there).then(|| format!("saw {}, where there is {}", cell(saw), cell(there)))
            })
        }
        (Action::Write { edits }, Outcome::Done { .. } | Outcome::Unknown { .. }) => edits.iter().find_map(|edit| {
            let there = known.get(edit.key())?.as_ref();
            let fits = match edit {
                Edit::Create { .. } => there.is_none(),
                Edit::Replace { on, .. } => there.is_some_and(|cell| cell.version == *on),
                Edit::Remove { .. } => there.is_some(),
            };
            (!fits).then(|| format!("cannot be done to {}", cell(there)))
        }),
        (Action::Write { .. }, Outcome::Conflict { key, current: Some(current) }) => {
            let there = known.get(key)?.as_ref();
            let differs = there.is_none_or(|cell| cell.version != *current);
            differs.then(|| format!("heard of version {current}, where there is {}", cell(there)))
        }
        (_, Outcome::Wrong { said }) => Some(format!("was told: {said}")),
        _ => None,
    }
}

fn cell(cell: Option<&Cell>) -> String {
    cell.map_or_else(|| "nothing".to_owned(), |cell| format!("{} {:?}", cell.version, cell.value))
}

/// A call and its answer in a few words, as far as they are about these keys.
fn label(operation: &Operation<'_>, own: &[String]) -> String {
    let mut label = match operation.action {
        Action::Read { .. } => "read".to_owned(),
        Action::ReadLocal { .. } => "read locally".to_owned(),
        Action::Write { edits } => edits.iter().map(words).collect::<Vec<_>>().join(", "),
        Action::Make { .. } => "make".to_owned(),
        Action::Look { .. } => "look".to_owned(),
        Action::Clear { name, .. } => format!("clear {name}"),
        Action::Call { rpc } => rpc.clone(),
    };
    match (operation.action, operation.outcome) {
        (Action::Read { keys } | Action::ReadLocal { keys, .. }, Outcome::Found { cells }) => {
            for key in keys.iter().filter(|key| own.contains(key)) {
                let _ = write!(label, " {key}: {}", cell(cells.get(key)));
            }
        }
        (_, Outcome::Conflict { current: Some(current), .. }) => {
            let _ = write!(label, ": conflict with {current}");
        }
        (_, Outcome::Conflict { current: None, .. }) => label.push_str(": conflict"),
        (_, Outcome::Exists { .. }) => label.push_str(": exists"),
        (_, Outcome::Absent { .. }) => label.push_str(": absent"),
        (_, Outcome::Wrong { .. }) => label.push_str(": wrong"),
        (_, Outcome::Unknown { .. }) => label.push_str(": unknown"),
        _ => {}
    }
    label
}

fn words(edit: &Edit) -> String {
    match edit {
        Edit::Create { key, value } => format!("create {key} {value:?}"),
        Edit::Replace { key, on, value } => format!("write {key} on {on} {value:?}"),
        Edit::Remove { key } => format!("remove {key}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Cells, Line};
    use crate::workload::Workload;

    fn found(version: u64, value: &str) -> Outcome {
        Outcome::Found { cells: [("k".to_owned(), Cell { version, value: value.to_owned() })].into() }
    }

    /// Create, replace, and a read that sees the state before the replacement.
    fn lines() -> Vec<Line> {
        let object = Line::Object {
            object: "k".to_owned(),
            workload: Workload::Register,
            keys: vec!["k".to_owned()],
            cells: Cells::new(),
        };
        let key = || "k".to_owned();
        let create = Action::Write { edits: vec![Edit::Create { key: key(), value: "a".to_owned() }] };
        let replace = Action::Write { edits: vec![Edit::Replace { key: key(), on: 1, value: "b".to_owned() }] };
        let done = |version| Outcome::Done { versions: [(key(), version)].into() };
        let read = Action::Read { keys: vec![key()] };
        let mut lines = vec![object];
        for (operation, (action, outcome)) in
            [(create, done(1)), (replace, done(2)), (read, found(1, "a"))].into_iter().enumerate()
        {
            let (operation, workload) = (operation as u64, Workload::Register);
            let (process, time_ns, node) = (operation, operation * 10, 1);
            lines.push(Line::Invoke { operation, process, time_ns, node, workload, action });
            lines.push(Line::Return { operation, time_ns: time_ns + 5, outcome, at: None, attempts: 1 });
        }
        lines
    }

    fn evidence() -> Evidence {
        Evidence { object: "k".to_owned(), operations: vec![0, 1, 2], order: vec![0, 1], blocked: Some(2) }
    }

    #[test]
    fn a_stale_read_is_drawn_as_what_blocks_with_the_reason() {
        let lines = lines();
        let story = Story::of(&lines).expect("a history");
        let calls = calls(&story.objects["k"], &evidence());
        let roles: Vec<Role> = calls.iter().map(|call| call.role).collect();
        assert_eq!(roles, [Role::Placed(1), Role::Placed(2), Role::Blocking]);
        let labels: Vec<&str> = calls.iter().map(|call| call.label.as_str()).collect();
        assert_eq!(labels, ["create k \"a\"", "write k on 1 \"b\"", "read k: 1 \"a\""]);
        assert_eq!(calls[2].why_not.as_deref(), Some("saw 1 \"a\", where there is 2 \"b\""));
        let drawn = timeline(&story, &evidence(), &[]).expect("a timeline");
        assert!(drawn.contains("where there is 2 &quot;b&quot;"), "{drawn}");
    }

    #[test]
    fn of_a_read_of_everything_only_what_is_about_the_object_is_told() {
        let action = Action::Read { keys: ["j", "k"].map(str::to_owned).to_vec() };
        let outcome = found(3, "x");
        let lines = lines();
        let story = Story::of(&lines).expect("a history");
        let read = Operation { action: &action, outcome: &outcome, ..story.operations[2] };
        assert_eq!(label(&read, &["k".to_owned()]), "read k: 3 \"x\"");
    }

    #[test]
    fn evidence_of_another_history_is_said_to_be_so() {
        let lines = lines();
        let story = Story::of(&lines).expect("a history");
        let other = Evidence { object: "m".to_owned(), ..evidence() };
        assert_eq!(timeline(&story, &other, &[]), Err("the history has no m".to_owned()));
        let other = Evidence { operations: vec![17], ..evidence() };
        assert!(timeline(&story, &other, &[]).is_err());
    }

    #[test]
    fn what_could_not_come_next_says_what_is_in_its_way_as_far_as_it_is_known() {
        let known = |version| Known::from([("k".to_owned(), Some(Cell { version, value: "x".to_owned() }))]);
        let nothing = Known::from([("k".to_owned(), None)]);
        let lines = lines();
        let story = Story::of(&lines).expect("a history");
        let [create, replace, read] = [0, 1, 2].map(|index| story.operations[index]);
        assert_eq!(obstacle(&known(4), &create).as_deref(), Some("cannot be done to 4 \"x\""));
        assert_eq!(obstacle(&known(4), &replace).as_deref(), Some("cannot be done to 4 \"x\""));
        assert_eq!(obstacle(&known(1), &replace), None);
        assert_eq!(obstacle(&nothing, &read).as_deref(), Some("saw 1 \"a\", where there is nothing"));
        assert_eq!(obstacle(&Known::new(), &read), None, "nothing is known of the key");
    }
}
