//! Scenarios 101 and 103: what a supervisor is answered that asks again and again.

use std::time::Duration;

use futures::future::join_all;
use openshell_client::{CallError, methods};
use openshell_proto::sandbox::{GetSandboxConfigRequest, GetSandboxConfigResponse};
use openshell_proto::v1::{PolicyStatus, ReportPolicyStatusRequest};
use openshell_tests::{Api, Cluster, eventually};
use tonic::Code;

use super::furnished::id;
use super::{Stage, policy};
use crate::rpc::Calls;

/// How long a supervisor waits between two questions.
const INTERVAL: Duration = Duration::from_secs(10);
const LIMIT: Duration = Duration::from_secs(60);

async fn config(own: &Api, id: &str) -> Result<GetSandboxConfigResponse, CallError> {
    let request = GetSandboxConfigRequest { sandbox_id: id.to_owned() };
    Ok(own.call(&methods::GET_SANDBOX_CONFIG, request).await?.message)
}

/// Asks until the version is answered. All who ask have had the one before.
async fn polled(own: &Api, id: &str, version: u32) -> GetSandboxConfigResponse {
    let there = eventually("the update", INTERVAL, async || {
        let answer = config(own, id).await.expect("it is answered");
        assert!(answer.version + 1 >= version, "version {} after {}", answer.version, version - 1);
        (answer.version == version).then_some(answer)
    });
    there.await.expect("it is there within an interval")
}

fn unavailable(error: &CallError) -> bool {
    let (CallError::NotDone { status, .. } | CallError::Unknown { status, .. }) = error else { return false };
    status.code() == Code::Unavailable
}

#[tokio::test]
async fn config_scenario_101_an_update_is_seen_on_every_node_and_never_goes_back() {
    let cluster = Cluster::shared().await;
    let first = Stage::open(cluster.follower_api().await).await;
    let sandbox = first.made("s", Some(policy("v1.example.com"))).await;
    let stages: Vec<_> = cluster.ids().map(|node| Stage { scene: first.scene.through(cluster.api(node)) }).collect();
    let supervisors = join_all(stages.iter().map(|stage| stage.as_sandbox(&sandbox))).await;
    for (version, writer) in (2..).zip(stages.iter().chain(&stages)) {
        let update = writer.set_policy("s", policy(&format!("v{version}.example.com")));
        let written = writer.ok(&update).await;
        assert_eq!(written.version, version);
        let seen = join_all(supervisors.iter().map(|own| polled(own, id(&sandbox), version))).await;
        assert!(seen.iter().all(|answer| answer.policy_hash == written.policy_hash), "{seen:?}");
    }
}

#[tokio::test]
async fn config_scenario_103_without_a_leader_a_supervisor_keeps_its_state_and_goes_on_by_itself() {
    let mut cluster = Cluster::start().await;
    let node = cluster.followers().await[0];
    let user = Stage::open(cluster.api(node)).await;
    let sandbox = user.made("s", Some(policy("a.example.com"))).await;
    let own = user.as_sandbox(&sandbox).await.once();
    let before = config(&own, id(&sandbox)).await.expect("its configuration");
    for other in cluster.ids().filter(|other| *other != node) {
        cluster.kill(other);
    }
    let report = ReportPolicyStatusRequest {
        sandbox_id: id(&sandbox).to_owned(),
        version: 1,
        status: PolicyStatus::Loaded.into(),
        load_error: String::new(),
    };
    let refused = own.call(&methods::REPORT_POLICY_STATUS, report.clone()).await.expect_err("there is no majority");
    assert!(unavailable(&refused), "{refused:?}");
    let refused = config(&own.linearizable(), id(&sandbox)).await.expect_err("there is no majority");
    assert!(unavailable(&refused), "{refused:?}");
    assert_eq!(config(&own, id(&sandbox)).await.expect("what the node has"), before);
    cluster.restart_all().await;
    // The same supervisor with the same token and connection, which only asks again.
    let again = eventually("the report to be taken", LIMIT, async || {
        own.call(&methods::REPORT_POLICY_STATUS, report.clone()).await.ok()
    });
    again.await.expect("it is taken");
    let after = config(&own.linearizable(), id(&sandbox)).await.expect("its configuration");
    assert_eq!(after.policy_hash, before.policy_hash);
}
