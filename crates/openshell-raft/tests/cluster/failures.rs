//! Leaders that go, nodes that lag or are cut off, disks that break.

use std::sync::Arc;
use std::time::Duration;

use openshell_proto::log::reply;
use openshell_proto::peer::{ForwardRequest, forward_response};
use openshell_raft::{Consistency, Timings, Unavailable};
use openshell_store::disk::Disk;
use openshell_store::disk::simulated::SimulatedDisk;
use tokio::time::{Instant, timeout};

use crate::asked::Echo;
use crate::harness::{Nodes, OpenDisk, PATIENCE, Setup, simulated, soon, until};
use crate::rules::{bump, call, insist, new_id, version};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_leader_goes_another_takes_over_with_everything_acknowledged() {
    let mut nodes = Nodes::formed(3).await;
    for _ in 0..5 {
        insist(&nodes, call(Some(new_id())), bump("a")).await;
    }
    let gone = nodes.leader().await.node();
    nodes.stop(gone).await;
    let answered = insist(&nodes, call(Some(new_id())), bump("a")).await;
    assert_eq!(version(&answered.state, "a"), 6);
    nodes.start(gone).await.expect("started");
    nodes.all_ready().await;
    let state = nodes.node(gone).read(Consistency::Linearizable, soon()).await.expect("read");
    assert_eq!(version(&state, "a"), 6);
    nodes.agree().await;
}

/// With these nobody is elected because a time has passed, as long as a test lasts.
fn without_elections() -> Setup {
    let timings = Timings { heartbeat_ms: 200, election_min_ms: 200_000, election_max_ms: 300_000, ..Timings::lan() };
    Setup { timings, ..Setup::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_whose_process_is_gone_is_succeeded_before_its_lease_ends() {
    let mut nodes = Nodes::formed_as(3, without_elections(), |_| simulated()).await;
    for turn in 1..=2 {
        insist(&nodes, call(Some(new_id())), bump("a")).await;
        let gone = nodes.leader().await.node();
        nodes.stop(gone).await;
        let answered = insist(&nodes, call(Some(new_id())), bump("a")).await;
        assert_eq!(version(&answered.state, "a"), 2 * turn);
        nodes.start(gone).await.expect("started");
        nodes.all_ready().await;
    }
    nodes.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_were_all_started_anew_wait_for_no_lease() {
    let mut nodes = Nodes::formed_as(3, without_elections(), |_| simulated()).await;
    insist(&nodes, call(Some(new_id())), bump("a")).await;
    for node in 1..=3 {
        nodes.stop(node).await;
    }
    for node in 1..=3 {
        nodes.start(node).await.expect("started");
    }
    nodes.all_ready().await;
    let answered = insist(&nodes, call(Some(new_id())), bump("a")).await;
    assert_eq!(version(&answered.state, "a"), 2);
    nodes.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_hands_over_before_it_stops() {
    let nodes = Nodes::formed(3).await;
    let old = nodes.leader().await;
    let mut leader = old.watch_leader();
    old.hand_over(soon()).await;
    assert!(!old.is_leader());
    let new = leader.wait_for(|leader| leader.is_some_and(|leader| leader != old.node())).await.expect("watched");
    assert_ne!(*new, Some(old.node()));
    drop(new);
    insist(&nodes, call(Some(new_id())), bump("a")).await.reply.expect("done");
    // A follower has nothing to hand over.
    old.hand_over(soon()).await;
    nodes.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_is_cut_off_keeps_its_state_and_grows_old() {
    let nodes = Nodes::formed(3).await;
    insist(&nodes, call(None), bump("a")).await;
    let follower = nodes.follower().await;
    let follower_id = follower.node();
    until("the follower has it", || (version(&follower.state(), "a") == 1).then_some(())).await;
    nodes.switches.cut(follower_id);
    until("its age grows", || (follower.age_ms() > 4_000).then_some(())).await;
    assert_eq!(version(&follower.state(), "a"), 1);
    let local = follower.read(Consistency::Local, soon()).await.expect("always");
    assert_eq!(version(&local, "a"), 1);
    let reason = follower.ready().expect_err("not ready");
    assert!(reason.contains("ms old") || reason.contains("no leader"), "{reason}");
    let short = Instant::now() + Duration::from_millis(500);
    let read = follower.read(Consistency::Linearizable, short).await;
    assert!(matches!(read, Err(Unavailable::NotDone { .. })));
    // The others go on, and a write that it missed is there once it is back.
    insist(&nodes, call(None), bump("a")).await;
    nodes.switches.heal(follower_id);
    let state = follower.read(Consistency::Linearizable, soon()).await.expect("read");
    assert_eq!(version(&state, "a"), 2);
    until("it is fresh again", || follower.ready().ok()).await;
    assert!(follower.age_ms() < 4_000);
    nodes.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_that_waits_ends_when_its_node_stops() {
    let mut nodes = Nodes::formed(3).await;
    let follower = nodes.follower().await.node();
    nodes.switches.cut(follower);
    let node = nodes.node(follower).clone();
    // It was found by seed 7 of the simulation: the read went round without a pause, beyond its deadline as well.
    let reading = tokio::spawn(async move { node.read(Consistency::Linearizable, soon()).await });
    nodes.stop(follower).await;
    let read = timeout(PATIENCE / 2, reading).await.expect("it ends long before its deadline").expect("it runs");
    assert!(matches!(read, Err(Unavailable::NotDone { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_cut_off_decides_nothing_and_answers_no_linearizable_read() {
    let nodes = Nodes::formed(3).await;
    let old = nodes.leader().await.clone();
    nodes.switches.cut(old.node());
    let new = nodes.leader_but(old.node()).await;
    // Its lease may lapse on a busy machine; one id, so that it takes effect once.
    let id = new_id();
    while new.decide(call(Some(id)), bump("a")).await.is_err() {}
    let short = || Instant::now() + Duration::from_secs(1);
    let stale = old.read(Consistency::Linearizable, short()).await;
    assert!(matches!(stale, Err(Unavailable::NotDone { .. })), "{:?}", stale.map(|state| state.revision()));
    let mut late = call(None);
    late.deadline = short();
    old.decide(late, bump("a")).await.expect_err("cut off");
    nodes.switches.heal(old.node());
    let state = old.read(Consistency::Linearizable, soon()).await.expect("read");
    assert_eq!(version(&state, "a"), 1);
    nodes.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_lags_far_behind_catches_up_by_a_snapshot() {
    // Entries are purged some time after the snapshot that holds them.
    const ENOUGH: u64 = 20_000;
    let setup = Setup { snapshot_after_entries: 20, log_entries_kept: 2, ..Setup::default() };
    let mut nodes = Nodes::formed_as(3, setup, |_| simulated()).await;
    let lagging = nodes.follower().await.node();
    let seen = nodes.node(lagging).gauges().last_log_index;
    nodes.stop(lagging).await;
    let mut writes = 0;
    // Whoever leads when the node comes back has lost the entries that it misses.
    while nodes.running.values().any(|node| node.gauges().purged <= seen + 1) {
        insist(&nodes, call(Some(new_id())), bump("a")).await;
        writes += 1;
        assert!(writes < ENOUGH, "nothing is purged");
    }
    nodes.start(lagging).await.expect("started");
    let node = nodes.node(lagging);
    let mut installs = node.watch_installs();
    let state = node.read(Consistency::Linearizable, soon()).await.expect("read");
    assert_eq!(version(&state, "a"), writes);
    assert!(*installs.borrow_and_update() > 0, "it came by entries");
    nodes.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_is_passed_on_once_and_doubt_is_told_apart() {
    let mut nodes = Nodes::formed(3).await;
    let request = || ForwardRequest { request: b"hello".to_vec(), ..ForwardRequest::default() };
    let leader = nodes.leader().await.node();
    let follower = if leader == 1 { 2 } else { 1 };
    let early = nodes.node(follower).forward(leader, request(), soon()).await.expect("an answer");
    assert_eq!(early.outcome(), forward_response::Outcome::NotDone);
    nodes.node(leader).set_call_handler(Arc::new(Echo));
    let answer = nodes.node(follower).forward(leader, request(), soon()).await.expect("an answer");
    assert_eq!(answer.reply.and_then(|reply| reply.outcome), Some(reply::Outcome::Message(b"hello".to_vec())));
    // Nobody is there: it certainly was not done.
    nodes.stop(leader).await;
    let mut outcome = nodes.node(follower).forward(leader, request(), soon()).await;
    // Those that find the old connections breaking may not say so.
    for _ in 0..20 {
        if !matches!(outcome, Err(Unavailable::Unknown { .. })) {
            break;
        }
        outcome = nodes.node(follower).forward(leader, request(), soon()).await;
    }
    assert!(matches!(outcome, Err(Unavailable::NotDone { .. })), "{outcome:?}");
    assert!(matches!(nodes.node(follower).forward(9, request(), soon()).await, Err(Unavailable::NotDone { .. })));
}

/// That of a node, of which each has one.
fn disk_of(disks: &[SimulatedDisk], node: u64) -> SimulatedDisk {
    disks[usize::try_from(node - 1).expect("small")].clone()
}

/// Nodes on these disks, which the test has its hands on.
fn on(disks: &[SimulatedDisk]) -> impl Fn(u64) -> OpenDisk {
    |node| {
        let disk = disk_of(disks, node);
        Arc::new(move || Some(Arc::new(disk.clone()) as Arc<dyn Disk>))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_disk_ends_the_node_and_not_the_cluster() {
    let disks: Vec<SimulatedDisk> = (0..3).map(|_| SimulatedDisk::new()).collect();
    let mut nodes = Nodes::formed_as(3, Setup::default(), on(&disks)).await;
    let broken = nodes.leader().await.node();
    disk_of(&disks, broken).fail("the disk is gone");
    // The writes of the broken leader end in doubt or are repeated elsewhere; one takes effect.
    let outcome = nodes.node(broken).decide(call(Some(new_id())), bump("a")).await;
    assert!(!matches!(outcome, Ok(ref answered) if answered.reply.is_err()), "{outcome:?}");
    let fault = nodes.fault(broken).await;
    assert!(fault.contains("the disk is gone") || fault.contains("storage"), "{fault}");
    nodes.stop(broken).await;
    insist(&nodes, call(Some(new_id())), bump("a")).await.reply.expect("done");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_whose_disk_stands_still_goes_on_with_those_of_the_others_until_too_much_waits_for_its_own() {
    const ENOUGH: u64 = 2_000;
    let disks: Vec<SimulatedDisk> = (0..3).map(|_| SimulatedDisk::new()).collect();
    let disk = |node| disk_of(&disks, node);
    let setup = Setup { queue_bytes: Some(16 * 1024), ..Setup::default() };
    let nodes = Nodes::formed_as(3, setup, on(&disks)).await;
    let (mut writes, mut unanswered) = (0, 0);
    let old = loop {
        let old = nodes.leader().await.clone();
        disk(old.node()).hold_syncs(true);
        loop {
            let mut next = call(Some(new_id()));
            next.deadline = Instant::now() + PATIENCE / 4;
            match old.decide(next, bump("a")).await {
                Ok(_) if writes < ENOUGH => writes += 1,
                _ => break,
            }
        }
        unanswered += 1;
        // Raft waits for room, and has heard of nobody else. Otherwise another was elected for another reason.
        if old.is_leader() {
            break old;
        }
        disk(old.node()).hold_syncs(false);
    };
    let is_succeeded = timeout(PATIENCE / 4, nodes.leader_but(old.node())).await.is_ok();
    // Before anything is said: a node whose disk stands still does not end either.
    disk(old.node()).hold_syncs(false);
    assert!(writes > 1, "the others' disks do not do");
    assert!(writes < ENOUGH, "{writes} writes wait for the disk, and the node takes more");
    assert!(is_succeeded, "the others elect nobody");
    let new = nodes.leader_but(old.node()).await;
    let state = new.read(Consistency::Linearizable, soon()).await.expect("read");
    // What was not answered may have taken effect.
    assert!((writes..=writes + unanswered).contains(&version(&state, "a")));
    nodes.agree().await;
}

#[cfg(feature = "rocksdb")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_on_rocksdb_forms_decides_fails_over_and_comes_back() {
    use openshell_store::disk::rocks::RocksDisk;
    let folder = tempfile::tempdir().expect("a folder");
    let open = |node: u64| -> OpenDisk {
        let path = folder.path().join(node.to_string());
        Arc::new(move || RocksDisk::open(&path).ok().map(|disk| Arc::new(disk) as Arc<dyn Disk>))
    };
    let mut nodes = Nodes::formed_as(3, Setup::default(), open).await;
    for _ in 0..20 {
        insist(&nodes, call(Some(new_id())), bump("a")).await;
    }
    let gone = nodes.leader().await.node();
    nodes.stop(gone).await;
    insist(&nodes, call(Some(new_id())), bump("a")).await;
    nodes.start(gone).await.expect("started");
    nodes.all_ready().await;
    nodes.agree().await;
    for node in 1..=3 {
        nodes.stop(node).await;
    }
    for node in 1..=3 {
        nodes.start(node).await.expect("started");
    }
    nodes.all_ready().await;
    for node in nodes.running.values() {
        let state = node.read(Consistency::Linearizable, soon()).await.expect("read");
        assert_eq!(version(&state, "a"), 21);
    }
    nodes.agree().await;
}
