//! Started under whatever conditions: without a gateway, too old, with a credential that expires, from the
//! nodes that it is given.

use openshell_client::methods;
use openshell_proto::datamodel::{ObjectMeta, Provider};
use openshell_proto::v1::UpdateProviderRequest;
use openshell_sync::ChangeKind;
use openshell_tests::{Cluster, Follower, eventually, free_ports};

use super::program::{holds, noted, stands, start};
use super::{LIMIT, PROVIDER, Stage, all_have, one_node};

#[tokio::test]
async fn without_a_gateway_it_runs_from_its_last_good_state_and_follows_the_declared_mode_when_that_is_old() {
    let mut cluster = one_node().await;
    let stage = Stage::open(cluster.api_of_all()).await;
    let follower = stage.followers(1).await.remove(0);
    let notes = stage.folder.path().join("notes");
    let hook = format!("echo $OPENSHELL_SYNC_CHANGE >> {}; test -e $OPENSHELL_SYNC_CONFIG", notes.display());
    let with_hook = ["--on-change", hook.as_str()];
    let mut program = start(&stage, &follower, &cluster, &with_hook);
    stands(&follower, "current", &program).await;
    let config = follower.state_dir.join("current/config.json");
    let credentials = follower.state_dir.join("current/credentials.json");
    let before = (std::fs::read(&config).expect("installed"), std::fs::read(&credentials).expect("installed"));
    assert!(String::from_utf8_lossy(&before.0).contains("a0.example.com"));
    assert!(!String::from_utf8_lossy(&before.0).contains("not-a-real-secret"));
    assert!(String::from_utf8_lossy(&before.1).contains("not-a-real-secret"));
    // As a power failure ends it, not in order.
    program.kill().expect("killed");
    cluster.kill(1);

    let mut program = start(&stage, &follower, &cluster, &with_hook);
    let stale = stands(&follower, "stale", &program).await;
    assert!(stale["as_of_ms"].as_i64().is_some_and(|as_of_ms| as_of_ms > 0), "{stale}");
    assert_eq!(before, (std::fs::read(&config).expect("as it was"), std::fs::read(&credentials).expect("as it was")));
    let restored = eventually("the hook to hear of it", LIMIT, async || (noted(&notes).len() == 2).then_some(()));
    restored.await.unwrap_or_else(|error| panic!("{error}: {}", program.log_text()));
    assert_eq!(noted(&notes), ["installed", "restored"]);
    assert!(program.terminate().expect("it ends").success());

    // Too old: nothing is in force, and nobody finds it where it was.
    let closing = [&with_hook[..], &["--max-age", "1s", "--when-stale", "fail_closed"]].concat();
    let program = start(&stage, &follower, &cluster, &closing);
    stands(&follower, "closed", &program).await;
    assert!(!config.exists() && !credentials.exists());
    let closed = eventually("the hook to hear of it", LIMIT, async || {
        noted(&notes).last().is_some_and(|last| last == "closed").then_some(())
    });
    closed.await.unwrap_or_else(|error| panic!("{error}: {}", program.log_text()));

    cluster.restart_all().await;
    stands(&follower, "current", &program).await;
    let reopened = eventually("what is current to be in force", LIMIT, async || {
        let last = noted(&notes).pop().unwrap_or_default();
        (holds(&follower, "a0.example.com") && ["reopened", "installed"].contains(&last.as_str())).then_some(())
    });
    reopened.await.unwrap_or_else(|error| panic!("{error}: {:?}\n{}", noted(&notes), program.log_text()));
}

#[tokio::test]
async fn a_credential_that_expires_is_dropped_also_while_no_gateway_can_be_reached() {
    let mut cluster = one_node().await;
    let stage = Stage::open(cluster.api_of_all()).await;
    let mut follower = stage.followers(1).await.remove(0);
    let expires_ms = now_ms() + 5_000;
    let request = UpdateProviderRequest {
        provider: Some(Provider {
            metadata: Some(ObjectMeta { name: PROVIDER.to_owned(), ..ObjectMeta::default() }),
            credentials: [("MOVING_TOKEN".to_owned(), "not-a-real-secret".to_owned())].into(),
            ..Provider::default()
        }),
        credential_expires_at_ms: [("MOVING_TOKEN".to_owned(), expires_ms)].into(),
        workspace: stage.scene.workspace.clone(),
    };
    stage.scene.api.call(&methods::UPDATE_PROVIDER, request).await.expect("updated");
    follower.start(&cluster.endpoints(), openshell_client::Tls::None, None).await.expect("it starts");
    let has_token = |follower: &Follower| {
        let status = follower.status();
        status.configuration.as_ref().map(|found| found.environment.environment.contains_key("MOVING_TOKEN"))
    };
    let given = eventually("the credential", LIMIT, async || (has_token(&follower) == Some(true)).then_some(()));
    given.await.expect("it is installed before it expires");
    cluster.kill(1);
    let dropped =
        eventually("the credential to go", LIMIT, async || (has_token(&follower) == Some(false)).then_some(()));
    dropped.await.expect("it is dropped");
    assert!(now_ms() >= expires_ms, "not before its time");
    let credentials = std::fs::read_to_string(follower.state_dir.join("current/credentials.json")).expect("there");
    assert!(!credentials.contains("not-a-real-secret"), "{credentials}");
    let kinds: Vec<ChangeKind> = follower.record().iter().map(|installed| installed.kind).collect();
    assert_eq!(kinds.last(), Some(&ChangeKind::CredentialsExpired), "{kinds:?}");
    follower.stop().await;
}

fn now_ms() -> i64 {
    let elapsed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    i64::try_from(elapsed.as_millis()).expect("not so late")
}

#[tokio::test]
async fn nearer_means_the_own_zone_and_the_members_are_learned_from_any_of_them() {
    let cluster = Cluster::shared().await;
    let mut stage = Stage::open(cluster.api_of_all()).await;
    let mut followers = stage.followers(3).await;
    let [dead] = <[u16; 1]>::try_from(free_ports(1).expect("a port")).expect("one port");
    // One that nobody listens at, and one node that is in none of their zones or is.
    let endpoints = format!("http://127.0.0.1:{dead},{}", cluster.gateway(2).endpoint());
    for (zone, follower) in (1..).zip(&mut followers) {
        let zone = Some(format!("zone-{zone}"));
        follower.start(&endpoints, openshell_client::Tls::None, zone).await.expect("it starts");
    }
    let at = stage.update().await;
    all_have(&followers, &stage.host(), at, LIMIT).await;
    let nodes: Vec<_> = followers.iter().map(|follower| follower.status().node).collect();
    assert_eq!(nodes, [Some(1), Some(2), Some(3)]);
}
