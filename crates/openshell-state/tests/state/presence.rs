//! Sandboxes that are connected and those that are gone, as the cluster records it (`config.md` SR-41).

use openshell_proto::peer::RecordPresenceRequest;
use openshell_proto::v1::{DeleteSandboxRequest, SandboxPhase};
use openshell_state::decide::presence;
use openshell_state::{Call, Decision, Key, Outcome, Stamp};

use crate::lifecycle::{at, phase_of, ready_condition};
use crate::support::{Seeded, World, sandbox};

fn decided(world: &World, connected: &[&str], disconnected: &[&str]) -> Decision {
    let seeded = Seeded::new(1);
    let stamp = Stamp { time_ms: world.time_ms + 1, identifiers: &seeded, sealer: &seeded };
    let ids = |names: &[&str]| names.iter().map(|name| world.sandbox_id(name)).collect();
    let request = RecordPresenceRequest { connected: ids(connected), disconnected: ids(disconnected) };
    presence::record(Call { state: &world.state, principal: &world.principal, stamp }, &request)
}

/// Whether it writes something, which is then applied.
fn records(world: &mut World, connected: &[&str], disconnected: &[&str]) -> bool {
    match decided(world, connected, disconnected) {
        Decision::Transact(draft) => world.commit(draft).outcome == Outcome::Installed,
        Decision::Answer(_) => false,
        Decision::Refuse(refusal) => panic!("{}", refusal.message),
    }
}

#[test]
fn sr_41_who_is_connected_is_ready_and_who_is_gone_is_provisioning_and_once_is_enough() {
    let mut world = at(SandboxPhase::Provisioning);
    assert!(records(&mut world, &["s"], &[]));
    assert_eq!(phase_of(&world), SandboxPhase::Ready);
    assert_eq!(ready_condition(&world), ("True".to_owned(), "DependenciesReady".to_owned()));
    assert!(!records(&mut world, &["s"], &[]), "one that went to another node writes nothing");
    let status = world.stored_sandbox("s").status.clone().expect("a status");
    assert_eq!(status.main_process_instance_id, "one", "whose main process runs is not known by this");
    assert!(records(&mut world, &[], &["s"]));
    assert_eq!(phase_of(&world), SandboxPhase::Provisioning);
    assert_eq!(ready_condition(&world), ("False".to_owned(), "DependenciesNotReady".to_owned()));
    assert!(!records(&mut world, &[], &["s"]));
}

#[test]
fn sr_41_who_is_stopped_failed_or_going_does_not_become_ready_and_who_starts_does() {
    for phase in [SandboxPhase::Deleting, SandboxPhase::Error, SandboxPhase::Stopping, SandboxPhase::Stopped] {
        let mut world = at(phase);
        assert!(!records(&mut world, &["s"], &["s"]), "{phase:?}");
    }
    let mut world = at(SandboxPhase::Starting);
    assert!(!records(&mut world, &[], &["s"]));
    assert!(records(&mut world, &["s"], &[]));
    assert_eq!(phase_of(&world), SandboxPhase::Ready);
}

#[test]
fn many_go_into_one_entry_which_has_its_bound_and_who_is_deleted_is_passed_over() {
    let mut world = World::new();
    let large = |name: &str| {
        let mut request = sandbox(name, &[], None);
        request.annotations = (0..25).map(|number| (format!("note-{number}"), "x".repeat(8192))).collect();
        request
    };
    let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
    for name in names {
        world.ok(&large(name));
    }
    let mut entries = 0;
    while records(&mut world, &names, &[]) {
        entries += 1;
    }
    assert_eq!(entries, 2, "1 MiB and one more go into one");
    for name in names {
        let status = world.stored_sandbox(name).status.clone().expect("a status");
        assert_eq!(status.phase(), SandboxPhase::Ready, "{name}");
    }
    let id = world.sandbox_id("a");
    world.ok(&DeleteSandboxRequest { name: "a".to_owned(), ..DeleteSandboxRequest::default() });
    let seeded = Seeded::new(1);
    let stamp = Stamp { time_ms: world.time_ms, identifiers: &seeded, sealer: &seeded };
    let request = RecordPresenceRequest { disconnected: vec![id], ..RecordPresenceRequest::default() };
    let call = Call { state: &world.state, principal: &world.principal, stamp };
    assert!(matches!(presence::record(call, &request), Decision::Answer(_)));
}

#[test]
fn a_record_that_changed_meanwhile_is_decided_again() {
    let mut world = at(SandboxPhase::Provisioning);
    let Decision::Transact(draft) = decided(&world, &["s"], &[]) else { panic!("it is written") };
    let mut stopped = world.stored_sandbox("s").clone();
    stopped.status.as_mut().expect("a status").set_phase(SandboxPhase::Stopped);
    world.write(&Key::sandbox("default", "s"), Some(&stopped));
    assert_ne!(world.commit(draft).outcome, Outcome::Installed);
    assert_eq!(phase_of(&world), SandboxPhase::Stopped);
}
