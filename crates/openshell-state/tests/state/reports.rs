//! What sandboxes report: rules PR-8 and PR-9, SR-43, and the scenarios of `config.md` about reports, by
//! number.

use openshell_proto::log::Kind;
use openshell_proto::v1::{DeleteSandboxRequest, PolicyStatus, ReportMainProcessExitRequest, Sandbox, SandboxPhase};
use openshell_state::access::Principal;
use openshell_state::{Code, Decision, Key, Outcome, Value};
use proptest::test_runner::Config;
use proptest::{prop_assert, proptest};

use crate::laws::{config, history, remembered};
use crate::lifecycle::{at, phase_of, ready_condition};
use crate::support::{World, draft, policy, report, sandbox, update_policy, user};

const FAILED: PolicyStatus = PolicyStatus::Failed;
const LOADED: PolicyStatus = PolicyStatus::Loaded;

/// Sandbox `s` with revisions 1 to `latest` of its policy.
fn with_revisions(latest: u32) -> World {
    let mut world = World::new();
    world.ok(&sandbox("s", &[], Some(policy("v1.example.com"))));
    for version in 2..=latest {
        let answer = world.ok(&update_policy("s", policy(&format!("v{version}.example.com"))));
        assert_eq!(answer.version, version);
    }
    world
}

/// The status words of the revisions, oldest first.
fn words(world: &World) -> Vec<&str> {
    world.revisions("s").iter().map(|revision| revision.stored.status.as_str()).collect()
}

fn current(world: &World) -> u32 {
    world.stored_sandbox("s").status.as_ref().expect("a status").current_policy_version
}

#[test]
fn pr_8_a_loaded_revision_supersedes_what_is_below_it_and_is_current() {
    let mut world = with_revisions(3);
    world.report("s", 2, FAILED, "no such binary");
    let version = world.sandbox_version("s");
    world.report("s", 3, LOADED, "is not looked at");
    assert_eq!(words(&world), ["superseded", "failed", "loaded"], "what failed is not superseded (PR-2)");
    let stored = &world.revisions("s")[2].stored;
    assert_eq!((stored.loaded_at_ms, &stored.load_error), (Some(world.time_ms), &None));
    assert_eq!((current(&world), world.sandbox_version("s")), (3, version + 1));
}

#[test]
fn pr_8_a_failed_revision_keeps_its_error_and_changes_nothing_else() {
    let mut world = with_revisions(2);
    world.report("s", 2, LOADED, "");
    let version = world.sandbox_version("s");
    world.report("s", 2, FAILED, "x");
    let stored = &world.revisions("s")[1].stored;
    assert_eq!((stored.load_error.as_deref(), stored.loaded_at_ms), (Some("x"), None));
    assert_eq!((current(&world), world.sandbox_version("s")), (2, version));
    world.report("s", 2, FAILED, "");
    assert_eq!(world.revisions("s")[1].stored.load_error, None);
    world.report("s", 2, LOADED, "");
    assert_eq!((words(&world)[1], world.sandbox_version("s")), ("loaded", version + 1), "and who watches is woken");
}

#[test]
fn pr_8_checks_come_in_order() {
    let mut world = with_revisions(1);
    world.ok(&sandbox("t", &[], None));
    let (own, other) = (world.sandbox_id("s"), world.sandbox_id("t"));
    world.as_sandbox("s", |world| {
        for foreign in [&*other, "random", ""] {
            world.refused(Code::PermissionDenied, &report(foreign, 0, LOADED, ""));
        }
        world.refused(Code::InvalidArgument, &report(&own, 0, PolicyStatus::Pending, ""));
        for status in [PolicyStatus::Pending, PolicyStatus::Superseded, PolicyStatus::Unspecified] {
            world.refused(Code::InvalidArgument, &report(&own, 99, status, ""));
        }
        world.refused(Code::NotFound, &report(&own, 99, LOADED, ""));
        world.refused(Code::NotFound, &report(&own, 99, FAILED, "x"));
    });
    for (principal, code) in
        [(user("eve", true), Code::PermissionDenied), (Principal::Anonymous, Code::Unauthenticated)]
    {
        match world.decide_as(&principal, &report(&own, 1, LOADED, "")) {
            Decision::Refuse(refusal) => assert_eq!(refusal.code, code),
            other => panic!("{other:?}"),
        }
    }
    let deleted = report(&own, 1, LOADED, "");
    world.ok(&DeleteSandboxRequest { name: "s".to_owned(), ..DeleteSandboxRequest::default() });
    world.principal = Principal::Sandbox { id: own };
    world.refused(Code::NotFound, &deleted);
}

#[test]
fn pr_8_an_earlier_revision_may_be_loaded_again() {
    let mut world = with_revisions(3);
    world.report("s", 3, LOADED, "");
    world.report("s", 1, LOADED, "");
    assert_eq!(words(&world), ["loaded", "superseded", "superseded"], "a departure: one is loaded at a time");
    assert_eq!(current(&world), 1);
    world.report("s", 3, LOADED, "");
    assert_eq!((words(&world), current(&world)), (vec!["superseded", "superseded", "loaded"], 3));
    world.ok(&update_policy("s", policy("v4.example.com")));
    world.report("s", 2, LOADED, "");
    assert_eq!(words(&world)[3], "pending", "what nobody has loaded yet still is to be");
}

#[test]
fn a_sandbox_cannot_make_its_policy_too_large_to_replace() {
    let mut world = with_revisions(20);
    for version in (1..=20).rev() {
        world.report("s", version, LOADED, "");
    }
    let next = draft(world.decide(&update_policy("s", policy("next.example.com"))));
    assert!(next.writes.len() <= 3, "the new one, and what it supersedes: {}", next.writes.len());
}

proptest! {
    #![proptest_config(Config { cases: 48, ..config() })]

    #[test]
    fn of_a_sandboxs_revisions_only_the_current_one_is_loaded_and_only_the_latest_pending(history in history(1..60)) {
        let world = remembered(&history);
        for (key, record) in world.state.by_creation_everywhere(Kind::Sandbox) {
            let sandbox = match &record.value {
                Value::Sandbox(sandbox) => sandbox,
                other => panic!("{key} holds {other:?}"),
            };
            let id = &sandbox.metadata.as_ref().expect("metadata").id;
            let current = sandbox.status.as_ref().expect("a status").current_policy_version;
            let mut revisions = world.state.policy_revisions(&key.workspace, id);
            let loaded = revisions.find(|revision| revision.value.stored.status == "loaded");
            let loaded = loaded.map(|revision| revision.value.stored.version);
            prop_assert!(loaded.is_none_or(|loaded| loaded == i64::from(current.max(1))), "{loaded:?} is, not {current}");
            let revisions = world.state.policy_revisions(&key.workspace, id);
            let words: Vec<&str> = revisions.map(|revision| revision.value.stored.status.as_str()).collect();
            prop_assert!(words.iter().filter(|word| **word == "loaded").count() <= 1, "{words:?}");
            prop_assert!(words.iter().skip(1).all(|word| *word != "pending"), "{words:?}");
            prop_assert!(current as usize <= words.len(), "{current} of {words:?}");
        }
    }
}

#[test]
fn pr_9_what_a_failed_revision_superseded_stays_superseded_and_current() {
    let mut world = with_revisions(1);
    world.report("s", 1, LOADED, "");
    world.ok(&update_policy("s", policy("v2.example.com")));
    assert_eq!(words(&world), ["superseded", "pending"], "before anybody confirmed it");
    world.report("s", 2, FAILED, "x");
    assert_eq!((words(&world), current(&world)), (vec!["superseded", "failed"], 1));
    world.ok(&update_policy("s", policy("v3.example.com")));
    assert_eq!(words(&world), ["superseded", "failed", "pending"]);
}

#[test]
fn config_scenario_36_reports_about_a_revision() {
    let mut world = with_revisions(2);
    world.report("s", 2, LOADED, "");
    assert_eq!((words(&world)[1], current(&world)), ("loaded", 2));
    world.report("s", 2, FAILED, "x");
    assert_eq!((words(&world)[1], current(&world)), ("failed", 2));
    assert_eq!(world.revisions("s")[1].stored.load_error.as_deref(), Some("x"));
}

#[test]
fn config_scenario_37_reports_that_are_refused() {
    let mut world = with_revisions(1);
    let own = world.sandbox_id("s");
    world.as_sandbox("s", |world| {
        world.refused(Code::InvalidArgument, &report(&own, 0, LOADED, ""));
        world.refused(Code::InvalidArgument, &report(&own, 1, PolicyStatus::Pending, ""));
        world.refused(Code::NotFound, &report(&own, 99, LOADED, ""));
        world.refused(Code::PermissionDenied, &report("another", 1, LOADED, ""));
    });
}

#[test]
fn config_scenario_102_the_same_report_twice() {
    let mut world = with_revisions(2);
    for (status, error) in [(FAILED, "x"), (LOADED, "")] {
        world.report("s", 2, status, error);
        let (digest, entries) = (world.state.digest(), world.log.len());
        world.report("s", 2, status, error);
        assert_eq!((world.state.digest(), world.log.len()), (digest, entries), "{status:?}");
    }
}

#[test]
fn an_endless_error_is_kept_in_part() {
    let mut world = with_revisions(1);
    world.report("s", 1, FAILED, &format!("x{}", "ä".repeat(100_000)));
    let kept = world.revisions("s")[0].stored.load_error.as_ref().expect("an error").len();
    assert_eq!(kept, 8191, "up to the last letter that fits");
}

#[test]
fn c_27_a_report_beside_another_change_of_the_sandbox_takes_effect_whole() {
    let mut world = with_revisions(2);
    let own = Principal::Sandbox { id: world.sandbox_id("s") };
    let request = report(&world.sandbox_id("s"), 2, LOADED, "");
    let late = draft(world.decide_as(&own, &request));
    let mut labelled = world.stored_sandbox("s").clone();
    labelled.metadata.as_mut().expect("metadata").resource_version += 1;
    world.write(&Key::sandbox("default", "s"), Some(&labelled));
    let before = world.state.digest();
    assert!(matches!(world.commit(late).outcome, Outcome::GuardFailed { .. }));
    assert_eq!(world.state.digest(), before, "no half of it");
    world.report("s", 2, LOADED, "");
    assert_eq!((current(&world), world.sandbox_version("s")), (2, 3), "decided again, without an ABORTED");
}

fn exit(sandbox_id: &str, instance_id: &str, exit_code: i32) -> ReportMainProcessExitRequest {
    let (sandbox_id, instance_id) = (sandbox_id.to_owned(), instance_id.to_owned());
    ReportMainProcessExitRequest { sandbox_id, instance_id, exit_code }
}

/// Reports it as sandbox `s`; what is stored then.
fn exited(world: &mut World, instance_id: &str, exit_code: i32) -> Sandbox {
    let request = exit(&world.sandbox_id("s"), instance_id, exit_code);
    world.as_sandbox("s", |world| world.ok(&request));
    world.stored_sandbox("s").clone()
}

#[test]
fn sr_43_the_exit_of_the_main_process_is_an_error_whatever_its_code() {
    for exit_code in [0, 1, -9] {
        let mut world = at(SandboxPhase::Ready);
        let version = world.sandbox_version("s");
        let status = exited(&mut world, "one", exit_code).status.expect("a status");
        assert_eq!((status.phase(), status.exit_code), (SandboxPhase::Error, Some(exit_code)));
        assert_eq!(ready_condition(&world), ("False".to_owned(), "MainProcessExited".to_owned()));
        assert_eq!(world.sandbox_version("s"), version + 1);
        let entries = world.log.len();
        exited(&mut world, "one", exit_code);
        assert_eq!(world.log.len(), entries, "a duplicate changes nothing");
    }
}

#[test]
fn sr_43_a_report_about_the_past_is_acknowledged() {
    for phase in [SandboxPhase::Deleting, SandboxPhase::Stopping, SandboxPhase::Stopped] {
        let mut world = at(phase);
        let before = world.stored_sandbox("s").clone();
        assert_eq!(exited(&mut world, "one", 1), before, "{phase:?}");
    }
    let mut world = at(SandboxPhase::Ready);
    let request = exit(&world.sandbox_id("s"), "one", 1);
    world.principal = Principal::Sandbox { id: world.sandbox_id("s") };
    world.write::<Sandbox>(&Key::sandbox("default", "s"), None);
    let before = world.state.digest();
    world.ok(&request);
    assert_eq!(world.state.digest(), before, "the sandbox is gone");
}

#[test]
fn sr_43_a_report_names_the_sandbox_itself_and_an_instance() {
    let mut world = at(SandboxPhase::Ready);
    let own = world.sandbox_id("s");
    world.as_sandbox("s", |world| {
        world.refused(Code::InvalidArgument, &exit("", "one", 1));
        world.refused(Code::InvalidArgument, &exit(&own, "", 1));
        world.refused(Code::PermissionDenied, &exit("another", "one", 1));
    });
    world.refused(Code::PermissionDenied, &exit(&own, "one", 1));
    assert_eq!(phase_of(&world), SandboxPhase::Ready);
}

#[test]
fn config_scenario_27_the_exit_of_another_instance() {
    let mut world = at(SandboxPhase::Ready);
    let before = world.stored_sandbox("s").clone();
    assert_eq!(exited(&mut world, "two", 0), before);
    let status = exited(&mut world, "one", 0).status.expect("a status");
    assert_eq!((status.phase(), status.exit_code), (SandboxPhase::Error, Some(0)));
}
