//! A hook that fails or takes its time, of the real program: the last good one stays, and what came last is
//! taken next.

use std::time::Instant;

use openshell_client::methods;
use openshell_proto::sync::{RolloutRow, RolloutState};
use openshell_proto::v1::{GetSandboxPolicyStatusRequest, PolicyStatus, SandboxPolicyRevision};
use openshell_sync::ChangeKind;
use openshell_tests::{Cluster, CommandLine, Follower, SyncProcess, eventually};
use serde_json::Value;

use super::program::{Steered, call, comes_to_hold, complains, holds, stands, start};
use super::{LIMIT, Stage};
use crate::sync::rollouts::{rollout, row};

/// What the command says when it fails.
const REASON: &str = "there is an obstacle";

#[tokio::test]
async fn a_hook_that_fails_leaves_the_last_good_one_and_is_told_upward_until_it_succeeds() {
    let cluster = Cluster::shared().await;
    let mut stage = Stage::open(cluster.api_of_all()).await;
    let follower = stage.followers(1).await.remove(0);
    let hook = Steered::new(&stage, &follower);
    let program = start(&stage, &follower, &cluster, &["--zone", "zone-3", "--on-change", &hook.command()]);
    assert_eq!(stands(&follower, "current", &program).await["node"], 3, "the node beside it");
    loaded(&stage, &follower.name, 1, PolicyStatus::Loaded).await;
    let failing = call(ChangeKind::Installed, "a1.example.com");
    hook.fail(&failing);
    let revision = stage.update().await.revision;
    complains(&follower, REASON, &program).await;
    assert!(holds(&follower, "a0.example.com"), "the last good one stays");
    let failed = loaded(&stage, &follower.name, 1, PolicyStatus::Loaded).await;
    assert_eq!(failed.load_error, "", "the policy of its own is as it was");

    // A node that does not hold the session says why.
    let person = CommandLine::new().with_variable("OPENSHELL_WORKSPACE", &stage.scene.workspace);
    let (elsewhere, revision) = (cluster.gateway(1).endpoint(), revision.to_string());
    let words = ["rollout", "status", "--revision", &revision];
    let told = eventually("the failure to be told through another node", LIMIT, async || {
        let shown = person.run(&elsewhere, &[&words[..], &["-o", "json"]].concat()).await;
        let document: Value = serde_json::from_str(shown.success()).expect("JSON");
        Some(document["sandboxes"][0].clone()).filter(|row| row["state"] == "failed")
    });
    let told = told.await.unwrap_or_else(|error| panic!("{error}: {}", program.log_text()));
    assert_eq!((&told["sandbox"], &told["node"]), (&follower.name.as_str().into(), &3.into()), "{told}");
    assert!(told["reason"].as_str().is_some_and(|reason| reason.contains(REASON)), "{told}");
    assert!(told["applied_revision"].as_u64().is_some_and(|has| has > 0 && has.to_string() != revision), "{told}");
    let shown = person.run(&elsewhere, &words).await;
    let line = shown.success().lines().find(|line| line.contains(&follower.name)).expect("a row").to_owned();
    assert!(line.contains(" failed ") && line.contains(REASON), "{line}");

    hook.mend(&failing);
    comes_to_hold(&follower, &stage.host(), &program).await;
}

/// The record of a policy of the sandbox's own, once its status is this one.
async fn loaded(stage: &Stage, sandbox: &str, version: u32, status: PolicyStatus) -> SandboxPolicyRevision {
    let found = eventually("the policy's status", LIMIT, async || {
        let request = GetSandboxPolicyStatusRequest {
            name: sandbox.to_owned(),
            workspace: stage.scene.workspace.clone(),
            version,
            ..GetSandboxPolicyStatusRequest::default()
        };
        let answer = stage.scene.api.call(&methods::GET_SANDBOX_POLICY_STATUS, request).await.ok()?;
        answer.message.revision.filter(|revision| revision.status() == status)
    });
    found.await.expect("the policy's status")
}

#[tokio::test]
async fn changes_that_come_while_the_hook_is_busy_with_what_was_restored_are_taken_next_in_their_newest_form() {
    tokio::join!(changes_while_busy(ChangeKind::Restored, false), changes_while_busy(ChangeKind::Restored, true));
}

#[tokio::test]
async fn changes_that_come_while_the_hook_is_busy_with_another_one_are_taken_next_in_their_newest_form() {
    tokio::join!(changes_while_busy(ChangeKind::Installed, false), changes_while_busy(ChangeKind::Installed, true));
}

/// The hook takes its time with a change of this kind, and fails then or not. Two more come meanwhile.
async fn changes_while_busy(kind: ChangeKind, fails: bool) {
    let cluster = Cluster::shared().await;
    let mut stage = Stage::open(cluster.api_of_all()).await;
    let follower = stage.followers(1).await.remove(0);
    let hook = Steered::new(&stage, &follower);
    let command = hook.command();
    let more = ["--on-change", &command, "--on-change-timeout", "10m"];
    let mut program = start(&stage, &follower, &cluster, &more);
    stands(&follower, "current", &program).await;
    let before = "a0.example.com";
    let mut expected = vec![call(ChangeKind::Installed, before)];

    let is_restored = kind == ChangeKind::Restored;
    let busy = call(kind, if is_restored { before } else { "a1.example.com" });
    hook.hold(&busy);
    if is_restored {
        program.kill().expect("killed");
        program = start(&stage, &follower, &cluster, &more);
    } else {
        stage.update().await;
    }
    hook.is_called(&busy, &program).await;
    stage.update().await;
    let revision = stage.update().await.revision;
    let (newest, next) = (stage.host(), call(ChangeKind::Installed, &stage.host()));
    hook.hold(&next);
    heard_since_it_was_sent(&stage, &follower, revision, &program).await;
    assert!(holds(&follower, before), "the last good one stays while the hook is busy");
    if fails {
        hook.fail(&busy);
    }

    hook.release(&busy);
    hook.is_called(&next, &program).await;
    expected.extend([busy, next.clone()]);
    assert_eq!(hook.calls(), expected, "what was between them is passed over, and what failed is not tried again");
    if fails {
        complains(&follower, REASON, &program).await;
    }
    let good = if is_restored || fails { before } else { "a1.example.com" };
    assert!(holds(&follower, good), "{good} stays while the newest is tried");
    if !(is_restored && fails) {
        // What a hook has refused after a start is on disk, and not said to be in force.
        let reported = eventually("the last good one to be reported", LIMIT, async || {
            let row = how_far(&stage, &follower, revision).await;
            (row.applied_revision > 0 && row.state() == RolloutState::Sent).then_some(row.applied_revision)
        });
        let reported = reported.await.unwrap_or_else(|error| panic!("{error}: {}", program.log_text()));
        assert!(reported < revision, "{reported} and {revision}");
    }

    hook.release(&next);
    comes_to_hold(&follower, &newest, &program).await;
    let applied = eventually("the newest to be reported", LIMIT, async || {
        (how_far(&stage, &follower, revision).await.state() == RolloutState::Applied).then_some(())
    });
    applied.await.unwrap_or_else(|error| panic!("{error}: {}", program.log_text()));
}

/// Waits until a change was sent and the sandbox was heard of after that: it has it. It is not in force.
async fn heard_since_it_was_sent(stage: &Stage, follower: &Follower, revision: u64, program: &SyncProcess) {
    let mut sent_at = None;
    let heard = eventually("the sandbox to be heard of after it was sent the newest", LIMIT, async || {
        let row = how_far(stage, follower, revision).await;
        assert_ne!(row.state(), RolloutState::Applied, "the hook is busy: {row:?}");
        if row.sent_revision < revision {
            return None;
        }
        let sent_at: Instant = *sent_at.get_or_insert_with(Instant::now);
        let heard_ms = row.last_seen_ms?;
        (u128::from(heard_ms) < sent_at.elapsed().as_millis()).then_some(())
    });
    heard.await.unwrap_or_else(|error| panic!("{error}: {}", program.log_text()));
}

async fn how_far(stage: &Stage, follower: &Follower, revision: u64) -> RolloutRow {
    row(&rollout(&stage.scene, revision, 0).await, &follower.name).clone()
}
