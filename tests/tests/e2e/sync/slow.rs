//! A consumer that stops reading.

use std::time::Duration;

use openshell_client::methods;
use openshell_proto::v1::UpdateConfigRequest;
use openshell_tests::{Cluster, ClusterOptions, Scene, bool_setting, eventually, large_policy};
use tonic::Code;

use super::{LIMIT, supervised};

/// What a client of ours lets wait for it, and more.
const UPDATES: u32 = 60;

#[tokio::test]
async fn who_reads_nothing_is_cut_off_holds_one_message_and_can_come_back() {
    let options = ClusterOptions { nodes: 1, ..ClusterOptions::default() };
    let cluster = Cluster::start_with(options).await.expect("a cluster of one");
    let scene = Scene::open(cluster.api(1)).await;
    let id = scene.create_sandbox("box", &[], large_policy("docs.example.com")).await;
    let sandbox = supervised(&scene, "box", id).await;
    let access = cluster.gateway(1).access();
    let mut following = sandbox.follow(&access).await;
    following.configuration().await;
    // Nobody reads from here on.
    let mut on = false;
    let mut set = async || {
        on = !on;
        let request = UpdateConfigRequest {
            name: "box".to_owned(),
            workspace: scene.workspace.clone(),
            setting_key: "ocsf_json_enabled".to_owned(),
            setting_value: Some(bool_setting(on)),
            ..UpdateConfigRequest::default()
        };
        scene.api.call(&methods::UPDATE_CONFIG, request).await.expect("the setting is accepted");
    };
    for _ in 0..UPDATES {
        set().await;
    }
    let gateway = cluster.gateway(1);
    let cut_off = eventually("the stream to be cut off", LIMIT, async || {
        set().await;
        (gateway.metric("openshell_sync_cut_off").await? == 1.0).then_some(())
    });
    cut_off.await.expect("it is cut off");
    assert_eq!(gateway.metric("openshell_sync_sessions").await, Some(0.0));
    let sent = gateway.metric("openshell_sync_messages").await.expect("a number");
    assert!(sent < f64::from(UPDATES), "{sent} configurations were made for nobody");
    let end = tokio::time::timeout(Duration::from_secs(30), following.end()).await.expect("the end is said");
    assert_eq!(end.code(), Code::ResourceExhausted, "{end}");
    let mut again = sandbox.follow(&access).await;
    assert!(again.apply().await.config.is_some());
}
