//! Delete, stop and start of a sandbox's record: rules SR-36 to SR-41 and the scenarios about them. No driver
//! sets a phase, so the tests write it.

use openshell_proto::v1::{
    DeleteSandboxRequest, Sandbox, SandboxPhase, SandboxStatus, StartSandboxRequest, StopSandboxRequest,
};
use openshell_state::{Code, Decision, Key, phase};

use crate::support::{World, policy, sandbox, says, setting, update_policy, user};

/// Every phase but that of a record which says none.
const PHASES: [SandboxPhase; 8] = [
    SandboxPhase::Provisioning,
    SandboxPhase::Ready,
    SandboxPhase::Error,
    SandboxPhase::Deleting,
    SandboxPhase::Unknown,
    SandboxPhase::Stopping,
    SandboxPhase::Stopped,
    SandboxPhase::Starting,
];

/// Sandbox `s`, whose main process is the instance `one`, in this phase.
pub(crate) fn at(phase: SandboxPhase) -> World {
    let mut world = World::new();
    world.ok(&sandbox("s", &[], None));
    let before = world.stored_sandbox("s").clone();
    let connected = phase::connected(&before.status.clone().expect("a status"), "one", world.time_ms);
    let mut status = connected.expect("it becomes ready");
    status.set_phase(phase);
    world.write(&Key::sandbox("default", "s"), Some(&Sandbox { status: Some(status), ..before }));
    world
}

pub(crate) fn phase_of(world: &World) -> SandboxPhase {
    status(world).phase()
}

fn status(world: &World) -> SandboxStatus {
    world.stored_sandbox("s").status.clone().expect("a status")
}

/// Status and reason of the condition `Ready`.
pub(crate) fn ready_condition(world: &World) -> (String, String) {
    let conditions = status(world).conditions;
    assert_eq!(conditions.len(), 1, "{conditions:?}");
    (conditions[0].status.clone(), conditions[0].reason.clone())
}

fn stop(name: &str) -> StopSandboxRequest {
    StopSandboxRequest { name: name.to_owned(), ..StopSandboxRequest::default() }
}

fn start(name: &str) -> StartSandboxRequest {
    StartSandboxRequest { name: name.to_owned(), ..StartSandboxRequest::default() }
}

fn delete(name: &str) -> DeleteSandboxRequest {
    DeleteSandboxRequest { name: name.to_owned(), ..DeleteSandboxRequest::default() }
}

#[test]
fn sr_36_delete_stop_and_start_check_in_one_order() {
    let mut world = at(SandboxPhase::Ready);
    let stranger = user("eve", false);
    let codes = |world: &World, principal, name: &str, workspace: &str| {
        let (name, workspace) = (name.to_owned(), workspace.to_owned());
        let decisions = [
            world.decide_as(principal, &DeleteSandboxRequest { name: name.clone(), workspace: workspace.clone() }),
            world.decide_as(principal, &StopSandboxRequest { name: name.clone(), workspace: workspace.clone() }),
            world.decide_as(principal, &StartSandboxRequest { name, workspace }),
        ];
        decisions.map(|decision| match decision {
            Decision::Refuse(refusal) => Some(refusal.code),
            Decision::Answer(_) | Decision::Transact(_) => None,
        })
    };
    let admin = world.principal.clone();
    assert_eq!(codes(&world, &stranger, "", "no-such"), [Some(Code::InvalidArgument); 3]);
    assert_eq!(codes(&world, &stranger, "s", "no-such"), [Some(Code::PermissionDenied); 3]);
    assert_eq!(codes(&world, &stranger, "s", ""), [Some(Code::PermissionDenied); 3]);
    assert_eq!(codes(&world, &admin, "s", "no-such"), [Some(Code::NotFound); 3]);
    assert_eq!(codes(&world, &admin, "no-such", ""), [Some(Code::NotFound); 3]);
    world.member("default", "uma", openshell_proto::v1::WorkspaceRole::User);
    assert_eq!(codes(&world, &user("uma", false), "s", ""), [None; 3]);
}

#[test]
fn sr_36_in_a_workspace_that_is_being_deleted_all_three_go_on() {
    let mut world = World::new();
    world.workspace("team");
    let mut made = sandbox("s", &[], None);
    made.workspace = "team".to_owned();
    world.ok(&made);
    let mut stored = world.state.sandbox("team", "s").expect("it exists").value.clone();
    stored.status.as_mut().expect("a status").set_phase(SandboxPhase::Ready);
    world.write(&Key::sandbox("team", "s"), Some(&stored));
    let going = openshell_proto::v1::DeleteWorkspaceRequest { name: "team".to_owned() };
    world.call(&going).expect_err("it holds a sandbox");
    let team = || "team".to_owned();
    world.ok(&StopSandboxRequest { workspace: team(), ..stop("s") });
    world.ok(&StartSandboxRequest { workspace: team(), ..start("s") });
    assert!(world.ok(&DeleteSandboxRequest { workspace: team(), ..delete("s") }).deleted);
}

#[test]
fn sr_37_a_sandbox_is_deleted_in_any_phase_at_once() {
    for phase in PHASES {
        let mut world = at(phase);
        assert!(world.ok(&delete("s")).deleted, "{phase:?}");
        assert!(world.state.sandbox("default", "s").is_none(), "a departure: there is no driver to wait for");
    }
}

#[test]
fn sr_38_with_a_sandbox_goes_all_that_is_its_own() {
    let mut world = World::new();
    world.ok(&sandbox("t", &[], Some(policy("a.example.com"))));
    world.ok(&setting("t", "ocsf_json_enabled", true));
    let before = world.state.record_count();
    world.ok(&sandbox("s", &[], Some(policy("a.example.com"))));
    world.ok(&update_policy("s", policy("b.example.com")));
    world.ok(&setting("s", "ocsf_json_enabled", true));
    assert_eq!(world.state.record_count(), before + 4);
    assert!(world.ok(&delete("s")).deleted);
    assert_eq!(world.state.record_count(), before, "the record, its settings and two revisions");
    assert!(world.state.sandbox_settings("default", "t").is_some() && world.revisions("t").len() == 1);
    world.ok(&sandbox("s", &[], None));
    assert!(world.state.sandbox_settings("default", "s").is_none() && world.revisions("s").is_empty());
}

#[test]
fn sr_39_a_stop_is_one_entry_that_keeps_the_instance_and_forgets_the_exit() {
    for phase in [SandboxPhase::Ready, SandboxPhase::Stopping] {
        let mut world = at(phase);
        let mut failed = world.stored_sandbox("s").clone();
        failed.status.as_mut().expect("a status").exit_code = Some(3);
        world.write(&Key::sandbox("default", "s"), Some(&failed));
        let (entries, version) = (world.log.len(), world.sandbox_version("s"));
        let answered = world.ok(&stop("s")).sandbox.expect("the record");
        assert_eq!(answered, *world.stored_sandbox("s"));
        assert_eq!((world.log.len(), world.sandbox_version("s")), (entries + 1, version + 1));
        let status = status(&world);
        assert_eq!((status.phase(), status.exit_code), (SandboxPhase::Stopped, None));
        assert_eq!(status.main_process_instance_id, "one");
        assert_eq!(ready_condition(&world), ("False".to_owned(), "Stopped".to_owned()));
    }
}

#[test]
fn sr_39_what_is_stopped_is_answered_as_it_is_and_what_does_not_run_is_refused() {
    let mut world = at(SandboxPhase::Stopped);
    let entries = world.log.len();
    assert_eq!(world.ok(&stop("s")).sandbox.as_ref(), Some(world.stored_sandbox("s")));
    assert_eq!(world.log.len(), entries);
    let allowed = [SandboxPhase::Ready, SandboxPhase::Stopping, SandboxPhase::Stopped];
    for phase in PHASES.into_iter().filter(|phase| !allowed.contains(phase)) {
        let text = at(phase).refused(Code::FailedPrecondition, &stop("s"));
        says(&text, &["\"s\"", phase.as_str_name().trim_start_matches("SANDBOX_PHASE_")]);
    }
}

#[test]
fn sr_40_a_start_is_written_and_waits_for_the_supervisor() {
    let mut world = at(SandboxPhase::Stopped);
    let answered = world.ok(&start("s")).sandbox.expect("the record");
    assert_eq!(
        (answered.status.expect("a status").phase(), phase_of(&world)),
        (SandboxPhase::Starting, SandboxPhase::Starting)
    );
    assert_eq!(ready_condition(&world), ("False".to_owned(), "Starting".to_owned()));
    let entries = world.log.len();
    assert_eq!(world.ok(&start("s")).sandbox.as_ref(), Some(world.stored_sandbox("s")));
    assert_eq!(world.log.len(), entries, "it is starting already");
    let connected = phase::connected(&status(&world), "two", world.time_ms).expect("it becomes ready");
    assert_eq!((connected.phase(), connected.main_process_instance_id.as_str()), (SandboxPhase::Ready, "two"));
}

#[test]
fn sr_40_what_runs_is_answered_as_it_is_and_what_is_not_stopped_is_refused() {
    let mut world = at(SandboxPhase::Ready);
    let entries = world.log.len();
    assert_eq!(world.ok(&start("s")).sandbox.as_ref(), Some(world.stored_sandbox("s")));
    assert_eq!(world.log.len(), entries);
    let allowed = [SandboxPhase::Ready, SandboxPhase::Starting, SandboxPhase::Stopped];
    for phase in PHASES.into_iter().filter(|phase| !allowed.contains(phase)) {
        says(&at(phase).refused(Code::FailedPrecondition, &start("s")), &["\"s\""]);
    }
}

#[test]
fn sr_41_a_connected_supervisor_makes_ready_what_is_to_run() {
    for before in PHASES {
        let world = at(before);
        let failed = SandboxStatus { exit_code: Some(1), ..status(&world) };
        let after = phase::connected(&failed, "two", world.time_ms);
        let ignored = [SandboxPhase::Deleting, SandboxPhase::Error, SandboxPhase::Stopping, SandboxPhase::Stopped];
        if ignored.contains(&before) {
            assert_eq!(after, None, "{before:?}");
            continue;
        }
        let after = after.unwrap_or_else(|| panic!("{before:?} does not become ready"));
        assert_eq!((after.phase(), after.exit_code), (SandboxPhase::Ready, None));
        assert_eq!(after.main_process_instance_id, "two");
        assert_eq!((&*after.conditions[0].status, &*after.conditions[0].reason), ("True", "DependenciesReady"));
        assert_eq!(phase::connected(&after, "two", world.time_ms + 1), None, "again is nothing new");
    }
}

#[test]
fn sr_41_what_was_ready_is_provisioning_without_its_supervisor() {
    for before in PHASES {
        let world = at(before);
        match phase::disconnected(&status(&world), world.time_ms) {
            Some(after) => {
                assert_eq!((before, after.phase()), (SandboxPhase::Ready, SandboxPhase::Provisioning));
                let condition = &after.conditions[0];
                assert_eq!((&*condition.status, &*condition.reason), ("False", "DependenciesNotReady"));
            }
            None => assert_ne!(before, SandboxPhase::Ready),
        }
    }
}

#[test]
fn a_condition_tells_since_when_it_is_true_or_false() {
    let mut world = at(SandboxPhase::Ready);
    let since = |world: &World| status(world).conditions[0].last_transition_time.clone();
    assert_eq!(since(&world), "2023-11-14T22:13:20Z");
    world.time_ms += 5000;
    world.ok(&stop("s"));
    assert_eq!(since(&world), "2023-11-14T22:13:25Z");
    world.time_ms += 5000;
    world.ok(&start("s"));
    assert_eq!(since(&world), "2023-11-14T22:13:25Z", "it was not ready before either");
}

#[test]
fn config_scenario_25_stop_and_start_by_phase() {
    at(SandboxPhase::Provisioning).refused(Code::FailedPrecondition, &stop("s"));
    let mut world = at(SandboxPhase::Stopped);
    let answered = world.ok(&stop("s")).sandbox.expect("the record");
    assert_eq!(answered.status.expect("a status").phase(), SandboxPhase::Stopped);
    world.ok(&start("s"));
    assert_eq!(phase_of(&world), SandboxPhase::Starting);
    let mut world = at(SandboxPhase::Ready);
    let answered = world.ok(&start("s")).sandbox.expect("the record");
    assert_eq!(answered.status.expect("a status").phase(), SandboxPhase::Ready);
}
