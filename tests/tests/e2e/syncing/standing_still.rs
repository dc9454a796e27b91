//! Sandboxes that stand still: their processes are stopped, live on and keep their connections. Nobody waits
//! for them, nothing is kept for them, and they go on when they can.

use std::time::{Duration, Instant};

use openshell_proto::v1::SandboxPhase;
use openshell_tests::{Cluster, SyncProcess, eventually, large_policy};
use prost::Message;

use super::program::{comes_to_hold, start};
use super::{LIMIT, Stage, one_node};
use crate::sync::phase_of;
use crate::sync::phases::becomes;

const SANDBOXES: usize = 8;
/// What the node may need more while they do not read. One message of each is a fortieth of it; the rest is for
/// what an allocator keeps and for the store.
const BYTES_MAX: u64 = 64 * 1024 * 1024;
/// The grace is 30 s, and who is well is heard of every 3 s or so.
const STILL_READY: Duration = Duration::from_secs(20);

#[tokio::test]
async fn sandboxes_that_stop_reading_are_cut_off_with_bounded_memory_and_recover() {
    let cluster = one_node().await;
    let mut stage = Stage::open(cluster.api_of_all()).await;
    let policy = large_policy("docs.example.com");
    let followers = stage.followers_with(SANDBOXES, &policy).await;
    let programs: Vec<SyncProcess> = followers.iter().map(|follower| start(&stage, follower, &cluster, &[])).collect();
    // So that what a node needs in any case is not counted.
    for _ in 0..10 {
        stage.update().await;
    }
    for (follower, program) in followers.iter().zip(&programs) {
        comes_to_hold(follower, &stage.host(), program).await;
    }
    let gateway = cluster.gateway(1);
    let before = gateway.resident_bytes().expect("it runs");
    for program in &programs {
        program.pause().expect("it is paused");
    }
    let (mut most, mut unread) = (before, 0);
    let cut_off = eventually("all of them to be cut off", LIMIT, async || {
        stage.update().await;
        unread += SANDBOXES * policy.encoded_len();
        most = most.max(gateway.resident_bytes().expect("it runs"));
        let cut_off = gateway.metric("openshell_sync_cut_off").await?;
        // As much has changed as would be far beyond the bound if it were kept for them.
        (cut_off == SANDBOXES as f64 && unread as u64 > 4 * BYTES_MAX).then_some(())
    });
    cut_off.await.expect("they are cut off");
    assert_eq!(gateway.metric("openshell_sync_sessions").await, Some(0.0));
    let grown = most.saturating_sub(before);
    assert!(grown < BYTES_MAX, "{grown} bytes more than {before}, while {unread} bytes were not read");

    for program in &programs {
        program.resume().expect("it goes on");
    }
    stage.update().await;
    for (follower, program) in followers.iter().zip(&programs) {
        comes_to_hold(follower, &stage.host(), program).await;
    }
}

#[tokio::test]
async fn sr_41_a_sandbox_whose_process_is_stopped_is_not_ready_after_the_grace_and_is_again_when_it_goes_on() {
    let cluster = Cluster::shared().await;
    let stage = Stage::open(cluster.api_of_all()).await;
    let follower = stage.followers(1).await.remove(0);
    let program = start(&stage, &follower, &cluster, &[]);
    becomes(&stage.scene, &follower.name, SandboxPhase::Ready).await;
    program.pause().expect("it is paused");
    let stopped = Instant::now();
    let outlasted = eventually("most of the grace to be over", LIMIT, async || {
        let phase = phase_of(&stage.scene, &follower.name).await;
        let is_over = stopped.elapsed() > STILL_READY;
        assert!(is_over || phase == SandboxPhase::Ready, "{phase:?} after {:?}", stopped.elapsed());
        is_over.then_some(())
    });
    outlasted.await.expect("time passes");
    becomes(&stage.scene, &follower.name, SandboxPhase::Provisioning).await;
    program.resume().expect("it goes on");
    becomes(&stage.scene, &follower.name, SandboxPhase::Ready).await;
}
