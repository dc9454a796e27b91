//! A gateway that has the released API only.

use openshell_client::Tls;
use openshell_tests::{Cluster, Relay, eventually};

use super::{LIMIT, Stage, all_have, nobody_went_back};

#[tokio::test]
async fn where_there_is_no_stream_it_polls() {
    let cluster = Cluster::shared().await;
    let mut stage = Stage::open(cluster.api_of_all()).await;
    let mut followers = stage.followers(1).await;
    let relay = Relay::to_the_released_api(&cluster.gateway(3).endpoint()).await;
    followers[0].start(relay.url(), Tls::None, None).await.expect("it starts");
    for _ in 0..2 {
        let at = stage.update().await;
        all_have(&followers, &stage.host(), at, LIMIT).await;
    }
    nobody_went_back(&followers, &stage.host());
    let calls = relay.take_calls();
    for call in ["GetMembers", "Follow", "GetSandboxConfig", "GetSandboxProviderEnvironment", "ReportPolicyStatus"] {
        assert!(calls.iter().any(|name| name == call), "{call} in {calls:?}");
    }
    assert!(!calls.iter().any(|name| name == "Report"), "there is no session: {calls:?}");
    let status = followers[0].status();
    assert_eq!((status.node, status.problem.as_str()), (Some(3), ""));
    // When nothing changes, nothing is installed again.
    let installed = followers[0].record().len();
    let polled = eventually("two more polls", LIMIT, async || {
        let polls = relay.take_calls();
        polls.iter().any(|name| name == "GetSandboxConfig").then_some(())
    });
    polled.await.expect("it polls");
    assert_eq!(followers[0].record().len(), installed);
    followers[0].stop().await;
}
