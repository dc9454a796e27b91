//! What a stream brings, to whom, and from where it goes on.

use openshell_client::methods;
use openshell_proto::cluster::GetMembersRequest;
use openshell_proto::sync::FollowRequest;
use openshell_proto::v1::{
    DeleteSandboxRequest, GetSandboxProviderEnvironmentRequest, PolicyStatus, ReportPolicyStatusRequest,
    UpdateConfigRequest,
};
use openshell_tests::{Cluster, ClusterOptions, Scene, eventually, layered_hosts, policy_allowing, profile};
use tonic::Code;

use super::{Consumer, LIMIT, SyncPosition, follower, opened, position, supervised};

/// What a consumer has after a configuration.
fn installed(configuration: &openshell_proto::sync::Configuration) -> FollowRequest {
    FollowRequest {
        installed: configuration.position,
        config_revision: configuration.config.as_ref().expect("a configuration").config_revision,
        provider_env_revision: configuration.environment.as_ref().expect("an environment").provider_env_revision,
        ..FollowRequest::default()
    }
}

#[tokio::test]
async fn who_shows_the_wrong_token_gets_nothing() {
    let cluster = Cluster::shared().await;
    let scene = Scene::open(cluster.api(1)).await;
    let mut boxes = Vec::new();
    for name in ["own", "other"] {
        let id = scene.create_sandbox(name, &[], policy_allowing("docs.example.com")).await;
        boxes.push(supervised(&scene, name, id).await);
    }
    let access = cluster.gateway(2).access();
    let asked = |id: &str| FollowRequest { sandbox_id: id.to_owned(), ..FollowRequest::default() };
    let forged = format!("{}AAAA", &boxes[0].token[..boxes[0].token.len() - 4]);
    for (api, id, code) in [
        (access.bearer(&boxes[0].token), &boxes[1].id, Code::PermissionDenied),
        (access.bearer(&forged), &boxes[0].id, Code::Unauthenticated),
        (access.api(), &boxes[0].id, Code::PermissionDenied),
    ] {
        let refused = opened(&api, asked(id)).await.expect_err("it is refused");
        assert_eq!(refused.code(), code, "{refused}");
    }
    // Nor may anybody report for another one.
    let mut own = boxes[0].follow(&access).await;
    let sent = position(own.configuration().await.position);
    own.sandbox = boxes[1].clone();
    assert_eq!(own.report(sent, "").await, Err(Code::PermissionDenied));
}

#[tokio::test]
async fn a_change_arrives_through_a_follower_where_it_concerns_somebody_and_nowhere_else() {
    let cluster = Cluster::shared().await;
    let scene = Scene::open(cluster.api_of_all()).await;
    let stored = scene.import(profile("acme", &["a.example.com"])).await;
    scene.create_provider("main", "acme").await;
    let user = scene.create_sandbox("user", &["main"], policy_allowing("docs.example.com")).await;
    let other = scene.create_sandbox("other", &[], policy_allowing("docs.example.com")).await;
    let (user, other) = (supervised(&scene, "user", user).await, supervised(&scene, "other", other).await);
    let node = follower(&cluster).await;
    let access = cluster.gateway(node).access();
    let mut following = user.follow(&access).await;
    let mut beside = other.follow(&access).await;
    assert_eq!((following.session.node, following.session.zone.as_str()), (node, &*format!("zone-{node}")));
    let whole = following.configuration().await;
    beside.configuration().await;
    let own = access.bearer(&user.token);
    let config = scene.through(own.clone()).config(&user.id).await.message;
    assert_eq!(whole.config.as_ref(), Some(&config), "what a poll would answer");
    let request =
        GetSandboxProviderEnvironmentRequest { sandbox_id: user.id.clone(), supports_static_credential_bindings: true };
    let environment = own.call(&methods::GET_SANDBOX_PROVIDER_ENVIRONMENT, request).await.expect("its own").message;
    assert_eq!(whole.environment.as_ref(), Some(&environment));
    assert_eq!(environment.environment["ACME_TOKEN"], "not-a-real-secret");

    let mut edited = stored;
    edited.endpoints[0].host = "b.example.com".to_owned();
    let revision = scene.update(edited).await.seen.revision.expect("a revision");
    let changed = following.configuration().await;
    assert!(position(changed.position).revision >= revision);
    let policy = changed.config.and_then(|config| config.policy).expect("a policy");
    assert_eq!(layered_hosts(&policy, "main"), ["b.example.com"]);
    let heartbeat = beside.quiet_through(revision).await;
    assert!(heartbeat.age_ms < 60_000);

    scene.detach("user", "main").await;
    let detached = following.configuration().await;
    assert!(layered_hosts(&detached.config.and_then(|config| config.policy).expect("a policy"), "main").is_empty());
    assert!(detached.environment.expect("an environment").environment.is_empty());
    let request = DeleteSandboxRequest { name: "user".to_owned(), workspace: scene.workspace.clone() };
    scene.api.call(&methods::DELETE_SANDBOX, request).await.expect("deleted");
    assert_eq!(following.end().await.code(), Code::NotFound);
}

#[tokio::test]
async fn a_stream_goes_on_at_another_node_and_brings_what_is_new() {
    let cluster = Cluster::shared().await;
    let scene = Scene::open(cluster.api_of_all()).await;
    let id = scene.create_sandbox("box", &[], policy_allowing("docs.example.com")).await;
    let sandbox = supervised(&scene, "box", id).await;
    let through = async |node: u64, request: FollowRequest| -> Consumer {
        sandbox.resume(&cluster.gateway(node).access(), request).await
    };
    let request = UpdateConfigRequest {
        name: "box".to_owned(),
        workspace: scene.workspace.clone(),
        policy: Some(policy_allowing("more.example.com")),
        ..UpdateConfigRequest::default()
    };
    scene.api.call(&methods::UPDATE_CONFIG, request).await.expect("another policy");
    let mut first = sandbox.follow(&cluster.gateway(1).access()).await;
    let whole = first.apply().await;
    let has = installed(&whole);
    // The policy waits to be loaded: whoever resumes has to hear its version.
    assert!(!through(2, has.clone()).await.configuration().await.unchanged);
    let request = ReportPolicyStatusRequest {
        sandbox_id: sandbox.id.clone(),
        version: 2,
        status: PolicyStatus::Loaded as i32,
        ..ReportPolicyStatusRequest::default()
    };
    first.api.call(&methods::REPORT_POLICY_STATUS, request).await.expect("reported");
    // The other node hears of the report a little later.
    let resumed = eventually("what it has to be unchanged", LIMIT, async || {
        let resumed = through(2, has.clone()).await.configuration().await;
        resumed.unchanged.then_some(resumed)
    });
    let resumed = resumed.await.expect("the report arrives");
    assert!(resumed.config.is_none() && resumed.environment.is_none());
    assert!(position(resumed.position).revision >= position(has.installed).revision);
    // Positions that are none of this cluster's are passed over.
    let SyncPosition { epoch, revision } = position(has.installed);
    for foreign in [SyncPosition { epoch: epoch + 1, revision }, SyncPosition { epoch, revision: revision + 1_000_000 }]
    {
        let request = FollowRequest { installed: Some(foreign), ..has.clone() };
        assert!(through(3, request).await.configuration().await.config.is_some(), "{foreign:?}");
    }
}

#[tokio::test]
async fn a_newer_stream_ends_the_older_one_and_its_reports() {
    let cluster = Cluster::shared().await;
    let scene = Scene::open(cluster.api(1)).await;
    let id = scene.create_sandbox("box", &[], policy_allowing("docs.example.com")).await;
    let sandbox = supervised(&scene, "box", id).await;
    let access = cluster.gateway(1).access();
    let mut older = sandbox.follow(&access).await;
    let sent = position(older.apply().await.position);
    let mut newer = sandbox.follow(&access).await;
    newer.apply().await;
    assert_eq!(older.report(sent, "").await, Err(Code::FailedPrecondition));
    assert_eq!(older.end().await.code(), Code::Aborted);
    let ahead = SyncPosition { revision: sent.revision + 1_000_000, ..sent };
    assert_eq!(newer.report(ahead, "").await, Err(Code::InvalidArgument));
}

#[tokio::test]
async fn a_sandbox_learns_where_the_nodes_are() {
    let cluster = Cluster::shared().await;
    let scene = Scene::open(cluster.api(1)).await;
    let id = scene.create_sandbox("box", &[], policy_allowing("docs.example.com")).await;
    let sandbox = supervised(&scene, "box", id).await;
    for api in [cluster.gateway(2).access().bearer(&sandbox.token), cluster.api(2)] {
        let members = api.call(&methods::GET_MEMBERS, GetMembersRequest {}).await.expect("answered").message;
        assert_eq!((members.node, members.epoch), (2, 1));
        let shown = members.members.iter().map(|member| (member.client_address.clone(), member.zone.clone()));
        let expected = cluster.gateways().iter().map(|node| (node.endpoint(), format!("zone-{}", node.id())));
        assert_eq!(shown.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
        assert!(members.members.iter().all(|member| member.voter));
    }
}

#[tokio::test]
async fn a_node_that_stops_sends_its_streams_elsewhere() {
    let cluster = Cluster::start_with(ClusterOptions::default()).await.expect("it starts");
    let scene = Scene::open(cluster.api(1)).await;
    let id = scene.create_sandbox("box", &[], policy_allowing("docs.example.com")).await;
    let sandbox = supervised(&scene, "box", id).await;
    let node = follower(&cluster).await;
    let mut following = sandbox.follow(&cluster.gateway(node).access()).await;
    following.apply().await;
    cluster.gateway(node).ask_to_stop().expect("it can be asked to stop");
    assert_eq!(following.end().await.code(), Code::Unavailable);
}
