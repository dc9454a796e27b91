//! What clients were told and cannot have been: durability, request ids, sessions, sandboxes that follow, and
//! those that do not compose.

use super::{is, judged};
use crate::checker::findings::Verdict::{Passed, Unknown, Violated};
use crate::checker::tests::tale::{SECOND, Tale, at, unknown};
use crate::checker::{composition, dedup, durability, session, sync};
use crate::history::{Action, Edit, Line, Outcome};
use crate::workload::Workload;

#[test]
fn an_acknowledged_write_that_is_gone_at_the_end_is_lost() {
    let written = || Tale::new().write("a", 2, "x", 10).settled();
    let check = |tale: Tale| judged(&tale, durability::check);
    is(&check(written().read("a", 2, "x", 11)), Passed, "");
    is(&check(written().read("a", 1, "first", 11)), Violated, "was acknowledged at revision 10");
    is(&check(written().read_all(&["a"], &[], 11)), Violated, "None is there at the end");
    is(&check(written()), Unknown, "not read at the end");
    let removed = || Tale::new().remove("a", 10).settled();
    is(&check(removed().read_all(&["a"], &[], 11)), Passed, "");
    is(&check(removed().read("a", 1, "first", 11)), Violated, "is there at the end");
}

#[test]
fn a_write_in_doubt_may_have_replaced_what_was_acknowledged() {
    let doubtful = Tale::new().write("a", 2, "x", 10).doubt("a", 3, "y").settled();
    is(&judged(&doubtful.read("a", 3, "y", 11), durability::check), Passed, "");
    let nothing = Tale::new().settled().read("a", 1, "first", 9);
    is(&judged(&nothing, durability::check), Unknown, "0 acknowledged writes");
}

#[test]
fn a_write_in_doubt_explains_only_what_it_can_have_left() {
    let check = |tale: Tale| judged(&tale, durability::check);
    let ends = |tale: Tale, version, value| check(tale.settled().read("a", version, value, 20));
    let earlier = || Tale::new().doubt("a", 2, "y").write("a", 2, "x", 10).write("a", 3, "z", 11);
    is(&ends(earlier(), 3, "z"), Passed, "");
    is(&ends(earlier(), 2, "y"), Violated, "is there at the end");
    is(&ends(Tale::new().write("a", 2, "x", 10).doubt("a", 3, "y"), 4, "y"), Violated, "is there at the end");
    // A version is there again only when the key was made again.
    let remove = |tale: Tale| {
        let edits = vec![Edit::Remove { key: "a".to_owned() }];
        tale.ask(Action::Write { edits }, unknown(), None)
    };
    is(&ends(remove(earlier()), 2, "y"), Violated, "is there at the end");
    is(&ends(remove(earlier()).doubt("a", 1, "new"), 1, "new"), Passed, "");
    is(&ends(remove(earlier()).doubt("a", 1, "new"), 2, "y"), Passed, "");
    is(&check(remove(earlier()).settled().read_all(&["a"], &[], 20)), Passed, "");
}

#[test]
fn a_write_in_doubt_does_not_live_for_ever() {
    let removed = |seconds: u64| Tale::new().doubt("a", 1, "new").pass(seconds * SECOND).remove("a", 10).settled();
    let check = |tale: Tale| judged(&tale.read("a", 1, "new", 20), durability::check);
    is(&check(removed(60)), Passed, "");
    is(&check(removed(130)), Violated, "is there at the end");
}

fn make(tale: Tale, node: u64, outcome: Outcome) -> Tale {
    tale.ask_by(node, node, Action::Make { request: "id".to_owned() }, outcome, Some(9))
}

fn made(name: &str) -> Outcome {
    Outcome::Made { name: name.to_owned() }
}

/// Ids enough that were answered by two nodes, and what they made was removed.
fn others() -> Tale {
    (0..5).fold(Tale::default(), |tale, number| {
        let (request, name) = (format!("other-{number}"), "other".to_owned());
        let make = |tale: Tale, node| {
            let action = Action::Make { request: request.clone() };
            tale.ask_by(node, node, action, Outcome::Made { name: name.clone() }, Some(9))
        };
        let action = Action::Clear { request: request.clone(), name: name.clone() };
        make(make(tale, 1), 2).ask(action, Outcome::Answered, Some(9))
    })
}

fn clear(tale: Tale, outcome: Outcome) -> Tale {
    let action = Action::Clear { request: "id".to_owned(), name: "one".to_owned() };
    tale.ask(action, outcome, Some(9))
}

fn look(tale: Tale, request: Option<&str>, names: &[&str]) -> Tale {
    let made = names.iter().map(|name| ("id".to_owned(), (*name).to_owned())).collect();
    tale.ask(Action::Look { request: request.map(str::to_owned) }, Outcome::There { made }, Some(9))
}

#[test]
fn a_request_id_with_two_effects_or_two_answers_is_found() {
    let check = |tale: Tale| judged(&tale, dedup::check);
    let sent = || make(make(others(), 1, unknown()), 2, made("one"));
    is(&check(look(look(sent(), Some("id"), &["one"]), None, &["one"])), Passed, "");
    let hardly = make(make(Tale::default(), 1, made("one")), 2, made("one"));
    is(&check(look(hardly, None, &["one"])), Unknown, "1 request ids answered by several nodes");
    is(&check(look(make(sent(), 3, made("other")), None, &["one"])), Violated, "several answers");
    is(&check(look(sent(), None, &["one", "other"])), Violated, "more than once");
    is(&check(look(look(sent(), Some("id"), &[]), None, &[])), Violated, "is not there");
    is(&check(sent()), Unknown, "nobody looked at the end");
}

#[test]
fn what_was_answered_is_there_at_the_end_even_if_nobody_looked_for_it_before() {
    let check = |tale: Tale| judged(&tale, dedup::check);
    let sent = || make(others(), 2, made("one"));
    is(&check(look(sent(), None, &["one"])), Passed, "");
    is(&check(look(sent(), None, &[])), Violated, "what id made was acknowledged");
    is(&check(look(clear(sent(), Outcome::NotDone), None, &[])), Violated, "what id made was acknowledged");
    is(&check(look(clear(sent(), unknown()), None, &[])), Passed, "");
}

#[test]
fn an_effect_of_attempts_that_had_none_is_found() {
    let check = |tale: Tale| judged(&tale, dedup::check);
    let refused =
        Outcome::Refused { code: "FailedPrecondition".to_owned(), said: "request id: it is too old".to_owned() };
    let in_vain = || make(make(others(), 1, Outcome::NotDone), 2, refused.clone());
    is(&check(look(in_vain(), None, &[])), Passed, "");
    is(&check(look(in_vain(), None, &["one"])), Violated, "none of its 2 attempts had one");
    is(&check(look(make(in_vain(), 3, unknown()), None, &["one"])), Passed, "");
}

#[test]
fn a_request_id_that_is_taken_for_another_requests_is_found() {
    let wrong = Outcome::Wrong { said: "request id: it was used for another request".to_owned() };
    is(&judged(&look(make(others(), 1, wrong), None, &[]), dedup::check), Violated, "used for another request");
}

#[test]
fn an_effect_after_what_it_made_was_removed_is_a_second_one() {
    let cleared = |outcome| clear(look(make(others(), 1, made("one")), Some("id"), &["one"]), outcome);
    is(&judged(&look(cleared(Outcome::Answered), None, &[]), dedup::check), Passed, "");
    is(&judged(&look(cleared(Outcome::Answered), None, &["other"]), dedup::check), Violated, "again after");
    is(&judged(&look(cleared(unknown()), None, &["one"]), dedup::check), Passed, "");
}

#[test]
fn a_session_that_goes_back_is_found() {
    let read = |tale: Tale, seen: &[(&str, u64, &str)], not_before, revision| {
        (0..20).fold(tale, |tale, _| tale.read_local("a", seen, not_before, revision))
    };
    let written = || Tale::new().write("a", 2, "x", 10);
    let check = |tale: Tale| judged(&tale, session::check);
    is(&check(read(written(), &[("a", 2, "x")], 10, 10)), Passed, "");
    is(&check(read(written(), &[("a", 1, "first")], 10, 12)), Violated, "was read after");
    is(&check(read(written(), &[("a", 2, "x")], 12, 11)), Violated, "was answered to who asked for");
    is(&check(read(written(), &[], 10, 10)), Violated, "nothing was read after");
    is(&check(read(written(), &[("a", 1, "first")], 9, 9)), Passed, "");
    is(&check(written().read_local("a", &[("a", 2, "x")], 10, 10)), Unknown, "1 reads");
    let action = Action::ReadLocal { keys: vec!["a".to_owned()], not_before: Some(at(10)) };
    let refused = Outcome::Refused { code: "FailedPrecondition".to_owned(), said: "it lies ahead".to_owned() };
    is(&check(written().ask(action, refused, Some(9))), Violated, "no such position");
}

fn installed(tale: Tale, revision: u64, value: &str) -> Tale {
    let (time_ns, sandbox) = (tale.now_ns(), "box".to_owned());
    let (kind, key, value) = ("installed".to_owned(), "a".to_owned(), value.to_owned());
    tale.line(Line::Installed { sandbox, time_ns, kind, at: Some(at(revision)), key, value })
}

#[test]
fn a_sandbox_that_goes_back_or_stops_short_is_found() {
    let check = |tale: Tale| judged(&tale.of(Workload::Sync), sync::check);
    let written = || Tale::new().write("a", 2, "x", 10).write("a", 3, "y", 12);
    let ends = |tale: Tale| tale.settled().read("a", 3, "y", 12);
    is(&check(ends(installed(installed(written(), 9, "first"), 12, "y"))), Passed, "");
    is(&check(ends(installed(installed(written(), 12, "y"), 10, "x"))), Violated, "went back from Some");
    is(&check(ends(installed(installed(written(), 12, "y"), 13, "x"))), Violated, "went back from \"y\"");
    is(&check(ends(installed(installed(written(), 9, "first"), 10, "x"))), Violated, "in the end");
    is(&check(ends(installed(installed(written(), 9, "first"), 12, "z"))), Violated, "which nobody wrote");
    is(&check(installed(installed(written(), 9, "first"), 12, "y")), Unknown, "not read at the end");
    is(&check(ends(written())), Unknown, "0 configurations");
}

#[test]
fn what_other_workloads_write_is_no_matter_of_sandboxes() {
    let check = |tale: Tale, others: &str| {
        judged(&tale.settled().read("a", 3, "y", 12).of(Workload::Sync).write("b", 2, others, 14), sync::check)
    };
    let written = || installed(Tale::new().write("a", 2, "x", 10).write("a", 3, "y", 12), 10, "x");
    is(&check(installed(written(), 12, "y"), "x"), Passed, "");
    is(&check(installed(installed(written(), 11, "z"), 12, "y"), "z"), Violated, "which nobody wrote");
}

#[test]
fn a_sandbox_that_puts_nothing_into_force_is_missed() {
    let written = installed(Tale::new().write("a", 2, "x", 10), 9, "first");
    let ended = installed(written, 10, "x").settled().read("a", 2, "x", 10).of(Workload::Sync);
    let check = |tale: Tale| judged(&tale, sync::check);
    let follows = |is_done| ended.clone().follows(Workload::Sync, "box", is_done);
    is(&check(follows(true)), Passed, "");
    is(&check(follows(false)), Unknown, "box did not come to the end");
    is(&check(follows(true).follows(Workload::Sync, "silent", false)), Unknown, "nothing was heard of silent");
}

#[test]
fn a_sandbox_that_does_not_compose_is_found() {
    let compose =
        |tale: Tale, outcome| tale.ask(Action::Call { rpc: "GetSandboxConfig box".to_owned() }, outcome, Some(9));
    let check = |tale: Tale| judged(&tale, composition::check);
    let refused = || Outcome::Refused { code: "FailedPrecondition".to_owned(), said: "ambiguous".to_owned() };
    is(&check(compose(Tale::new().settled(), Outcome::Answered)), Passed, "");
    is(&check(compose(compose(Tale::new(), refused()).settled(), Outcome::Answered)), Violated, "was refused with");
    let wrong = Outcome::Wrong { said: "the policy is ambiguous".to_owned() };
    is(&check(compose(Tale::new().settled(), wrong)), Violated, "is ambiguous");
    is(&check(compose(Tale::new().settled(), unknown())), Unknown, "not answered at the end");
    is(&check(compose(compose(Tale::new().settled(), unknown()), Outcome::Answered)), Passed, "");
    let box_at = |tale: Tale, node, outcome| {
        tale.ask_by(node, node, Action::Call { rpc: "GetSandboxConfig box".to_owned() }, outcome, Some(9))
    };
    let one_silent = box_at(box_at(Tale::new().settled(), 1, Outcome::Answered), 2, Outcome::NotDone);
    is(&check(one_silent), Unknown, "not answered at the end by node 2");
    is(&check(Tale::new().settled()), Unknown, "0 composed at the end");
    let other = Action::Call { rpc: "openshell.v1.OpenShell/CreateSandbox".to_owned() };
    is(&check(compose(Tale::new().ask(other, refused(), Some(9)).settled(), Outcome::Answered)), Passed, "");
}
