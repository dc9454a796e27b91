//! How many policy revisions are kept, and that what a change of a policy costs does not grow with how many came
//! before it: departures from rules PR-1 and PR-7 of `config.md`.

use openshell_proto::sandbox::{NetworkEndpoint, SandboxPolicy};
use openshell_proto::v1::{
    DeleteSandboxRequest, GetSandboxPolicyStatusRequest, ListSandboxPoliciesRequest, PolicyStatus, StoredPolicyRevision,
};
use openshell_state::{Code, Draft, Key, Outcome, query};
use prost::Message;

use crate::support::{World, draft, endpoint, global_policy, map, policy, report, sandbox, update_policy};

const KEPT: usize = 200;
const BYTES_MAX: usize = 8 * 1024 * 1024;

fn host(version: u32) -> String {
    format!("v{version}.example.com")
}

/// Sandbox `s` after `latest` revisions of its policy.
fn after(latest: u32) -> World {
    let mut world = World::new();
    world.ok(&sandbox("s", &[], Some(policy(&host(1)))));
    advance(&mut world, 2, latest);
    world
}

fn advance(world: &mut World, first: u32, latest: u32) {
    for version in first..=latest {
        assert_eq!(world.ok(&update_policy("s", policy(&host(version)))).version, version);
    }
}

fn versions(world: &World) -> Vec<i64> {
    world.revisions("s").iter().map(|revision| revision.stored.version).collect()
}

/// The gateway's own, newest first.
fn global_revisions(world: &World) -> Vec<&StoredPolicyRevision> {
    world.state.policy_revisions("", "__global__").map(|entry| &entry.value.stored).collect()
}

/// A policy of about 250 KiB, another one for each number.
fn large(number: u32) -> SandboxPolicy {
    let hosts = (0..62).map(|at| NetworkEndpoint {
        path: format!("/{}", "p".repeat(4000)),
        ..endpoint(&format!("h{at}.v{number}.example.com"), 443)
    });
    let mut policy = policy(&host(number));
    policy.network_policies.values_mut().for_each(|rule| rule.endpoints.extend(hosts.clone()));
    policy
}

fn next(world: &World) -> Draft {
    draft(world.decide(&update_policy("s", policy("next.example.com"))))
}

/// How much a draft looks at, writes, and takes in the log.
fn size(draft: Draft) -> (usize, usize, usize) {
    let (guards, writes) = (draft.guards.len(), draft.writes.len());
    (guards, writes, draft.into_transaction(Default::default()).encoded_len())
}

#[test]
fn pr_1_the_newest_two_hundred_revisions_are_kept_and_numbers_go_on() {
    let mut world = after(200);
    assert_eq!(versions(&world), (1..=200).collect::<Vec<_>>());
    advance(&mut world, 201, 450);
    assert_eq!(versions(&world), (251..=450).collect::<Vec<_>>());
    let list = ListSandboxPoliciesRequest { name: "s".to_owned(), limit: 1000, ..Default::default() };
    let listed = query::policy::list(&world.state, &world.principal, &list).expect("a list").revisions;
    assert_eq!((listed.len(), listed[0].version), (KEPT, 450));
    let one = |version| GetSandboxPolicyStatusRequest { name: "s".to_owned(), version, ..Default::default() };
    let read = |version| query::policy::status(&world.state, &world.principal, &one(version));
    assert_eq!(read(250).expect_err("it is gone").code, Code::NotFound);
    assert!(read(251).is_ok());
    for version in 1..=250 {
        world.ok(&global_policy(policy(&host(version))));
    }
    let kept: Vec<i64> = global_revisions(&world).iter().map(|stored| stored.version).collect();
    assert_eq!(kept, (51..=250).rev().collect::<Vec<_>>());
}

#[test]
fn pr_1_what_the_sandbox_enforces_is_kept_however_old() {
    let mut world = after(5);
    world.report("s", 3, PolicyStatus::Loaded, "");
    advance(&mut world, 6, 300);
    assert_eq!(versions(&world), [3].into_iter().chain(101..=300).collect::<Vec<_>>());
    assert_eq!(world.revisions("s")[0].stored.status, "superseded");
    // It may be said again, and is then let go once another has taken its place.
    world.report("s", 3, PolicyStatus::Loaded, "");
    assert_eq!(world.revisions("s")[0].stored.status, "loaded");
    world.report("s", 300, PolicyStatus::Loaded, "");
    advance(&mut world, 301, 301);
    assert_eq!(versions(&world), (102..=301).collect::<Vec<_>>());
    let gone = report(&world.sandbox_id("s"), 3, PolicyStatus::Loaded, "");
    world.as_sandbox("s", |world| world.refused(Code::NotFound, &gone));
}

#[test]
fn a_thousand_revisions_do_not_make_the_next_one_dearer() {
    let mut world = after(KEPT as u32 + 1);
    world.report("s", 150, PolicyStatus::Loaded, "");
    let before = size(next(&world));
    advance(&mut world, KEPT as u32 + 2, 1000);
    world.report("s", 850, PolicyStatus::Loaded, "");
    // This one lets go of what was current before, too.
    advance(&mut world, 1001, 1001);
    world.report("s", 850, PolicyStatus::Loaded, "");
    let (guards, writes, bytes) = size(next(&world));
    assert_eq!((guards, writes), (before.0, before.1), "what it looks at and what it writes");
    assert!(bytes <= before.2 + 64, "{bytes} bytes, where {} were enough", before.2);
    assert_eq!(writes, 4, "the new one, the latest, the current one, and the oldest, which goes");
    let deletion = DeleteSandboxRequest { name: "s".to_owned(), ..Default::default() };
    let (_, writes, bytes) = size(draft(world.decide(&deletion)));
    assert!(writes <= KEPT + 2 && bytes < 64 * 1024, "{writes} writes, {bytes} bytes");
}

#[test]
fn more_than_that_of_an_older_program_goes_in_parts() {
    let mut world = after(1);
    let id = world.sandbox_id("s");
    let first = world.revisions("s")[0].stored.clone();
    for version in 2..=1500_u32 {
        let status = if version == 1500 { "pending" } else { "superseded" };
        let stored = StoredPolicyRevision { version: version.into(), status: status.to_owned(), ..first.clone() };
        world.write(&Key::policy_revision("default", &id, version), Some(&stored));
    }
    let superseded = StoredPolicyRevision { status: "superseded".to_owned(), ..first };
    world.write(&Key::policy_revision("default", &id, 1), Some(&superseded));
    advance(&mut world, 1501, 1501);
    assert_eq!(versions(&world), (1001..=1501).collect::<Vec<_>>(), "a thousand at once");
    advance(&mut world, 1502, 1502);
    assert_eq!(versions(&world), (1303..=1502).collect::<Vec<_>>());
}

#[test]
fn a_report_between_decision_and_entry_keeps_what_it_reports() {
    let mut world = after(KEPT as u32);
    let late = next(&world);
    assert_eq!(late.writes.len(), 3, "the first revision would go");
    world.report("s", 1, PolicyStatus::Loaded, "");
    assert!(matches!(world.commit(late).outcome, Outcome::GuardFailed { .. }));
    advance(&mut world, KEPT as u32 + 1, KEPT as u32 + 1);
    assert_eq!(versions(&world)[0], 1);
}

#[test]
fn pr_1_large_revisions_are_kept_by_their_bytes_and_small_ones_by_number_again() {
    let mut world = after(3);
    world.report("s", 2, PolicyStatus::Loaded, "");
    let bytes =
        |world: &World| world.revisions("s").iter().map(|revision| revision.stored.encoded_len()).sum::<usize>();
    for version in 4..=60 {
        assert_eq!(world.ok(&update_policy("s", large(version))).version, version);
        let beside = world.revisions("s")[0].stored.encoded_len();
        assert!(bytes(&world) <= BYTES_MAX + beside, "{} bytes after revision {version}", bytes(&world));
    }
    let one = world.revisions("s").last().expect("the newest").stored.encoded_len();
    let kept = i64::try_from(BYTES_MAX / one).expect("a few");
    assert!((20..50).contains(&kept), "{kept} of {one} bytes");
    // The one that is enforced, and then the newest without a gap.
    assert_eq!(versions(&world), [2].into_iter().chain(61 - kept..=60).collect::<Vec<_>>());
    // They go one by one as small ones come, since these take next to nothing, and are numbered on.
    advance(&mut world, 61, 260);
    assert_eq!(versions(&world), [2].into_iter().chain(61..=260).collect::<Vec<_>>());
    for version in 1..=60 {
        assert_eq!(world.ok(&global_policy(large(version))).version, version);
    }
    let kept: Vec<i64> = global_revisions(&world).iter().map(|stored| stored.version).collect();
    let bytes = global_revisions(&world).iter().map(|stored| stored.encoded_len()).sum::<usize>();
    assert!(kept[0] == 60 && kept.len() < 50 && bytes <= BYTES_MAX, "{kept:?} with {bytes} bytes");
}

#[test]
fn a_revision_that_fills_all_the_bytes_is_kept_as_long_as_it_is_one_of_the_newest_two() {
    let mut world = after(4);
    world.report("s", 2, PolicyStatus::Loaded, "");
    // As no program writes it, so that one is enough.
    let provenance = map(&[("k", &"v".repeat(BYTES_MAX))]);
    let huge = StoredPolicyRevision { provenance, ..world.revisions("s")[3].stored.clone() };
    world.write(&Key::policy_revision("default", &world.sandbox_id("s"), 4), Some(&huge));
    advance(&mut world, 5, 5);
    assert_eq!(versions(&world), [2, 4, 5]);
    advance(&mut world, 6, 6);
    assert_eq!(versions(&world), [2, 5, 6]);
}
