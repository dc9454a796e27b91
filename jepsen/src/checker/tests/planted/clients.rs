//! What clients were told and cannot have been: durability, request ids, sessions, sandboxes that follow, and
//! those that do not compose.

use super::is;
use crate::checker::findings::Finding;
use crate::checker::findings::Verdict::{Passed, Unknown, Violated};
use crate::checker::tests::tale::{Tale, at, unknown};
use crate::checker::{composition, dedup, durability, session, sync};
use crate::history::{Action, Line, Outcome, Story};

fn judged(tale: &Tale, check: fn(&Story<'_>) -> Finding) -> Finding {
    check(&Story::of(&tale.lines).expect("a history"))
}

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

fn make(tale: Tale, node: u64, outcome: Outcome) -> Tale {
    tale.ask_by(node, node, Action::Make { request: "id".to_owned() }, outcome, Some(9))
}

fn made(name: &str) -> Outcome {
    Outcome::Made { name: name.to_owned() }
}

fn look(tale: Tale, request: Option<&str>, names: &[&str]) -> Tale {
    let made = names.iter().map(|name| ("id".to_owned(), (*name).to_owned())).collect();
    tale.ask(Action::Look { request: request.map(str::to_owned) }, Outcome::There { made }, Some(9))
}

#[test]
fn a_request_id_with_two_effects_or_two_answers_is_found() {
    let check = |tale: Tale| judged(&tale, dedup::check);
    let sent = || make(make(Tale::default(), 1, unknown()), 2, made("one"));
    is(&check(look(look(sent(), Some("id"), &["one"]), None, &["one"])), Passed, "");
    is(&check(look(make(sent(), 3, made("other")), None, &["one"])), Violated, "several answers");
    is(&check(look(sent(), None, &["one", "other"])), Violated, "more than once");
    is(&check(look(look(sent(), Some("id"), &[]), None, &[])), Violated, "is not there");
    is(&check(sent()), Unknown, "nobody looked at the end");
}

#[test]
fn an_effect_after_what_it_made_was_removed_is_a_second_one() {
    let clear = |tale: Tale, outcome| {
        let action = Action::Clear { request: "id".to_owned(), name: "one".to_owned() };
        tale.ask(action, outcome, Some(9))
    };
    let cleared = |outcome| clear(look(make(Tale::default(), 1, made("one")), Some("id"), &["one"]), outcome);
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
    let check = |tale: Tale| judged(&tale, sync::check);
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
    is(&check(Tale::new().settled()), Unknown, "0 composed at the end");
    let other = Action::Call { rpc: "openshell.v1.OpenShell/CreateSandbox".to_owned() };
    is(&check(compose(Tale::new().ask(other, refused(), Some(9)).settled(), Outcome::Answered)), Passed, "");
}
