//! The program, started under whatever conditions: without a gateway, too old, with a wrong token, with a
//! hook that fails.

use std::path::Path;

use openshell_client::methods;
use openshell_proto::datamodel::{ObjectMeta, Provider};
use openshell_proto::v1::{GetSandboxPolicyStatusRequest, PolicyStatus, SandboxPolicyRevision, UpdateProviderRequest};
use openshell_sync::{ChangeKind, Options, Standing, TokenSource};
use openshell_tests::{Cluster, ClusterOptions, Follower, SyncProcess, eventually, free_ports};
use serde_json::Value;

use super::{LIMIT, PROVIDER, Stage, all_have};

async fn one_node() -> Cluster {
    Cluster::start_with(ClusterOptions { nodes: 1, ..ClusterOptions::default() }).await.expect("it starts")
}

fn start(stage: &Stage, follower: &Follower, cluster: &Cluster, more: &[&str]) -> SyncProcess {
    let words = stage.words(follower, cluster);
    let words: Vec<&str> = words.iter().map(String::as_str).chain(more.iter().copied()).collect();
    SyncProcess::start(&stage.folder, &words).expect("it starts")
}

fn json(path: &Path) -> Option<Value> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

/// Waits until `standing.json` says this word, and gives all of it.
async fn stands(follower: &Follower, word: &str, program: &SyncProcess) -> Value {
    let path = follower.state_dir.join("standing.json");
    let what = format!("the standing {word}");
    let said = eventually(&what, LIMIT, async || json(&path).filter(|standing| standing["standing"] == word)).await;
    said.unwrap_or_else(|error| panic!("{error}: {:?}\n{}", json(&path), program.log_text()))
}

/// What the hook noted, a word a call.
fn noted(path: &Path) -> Vec<String> {
    std::fs::read_to_string(path).unwrap_or_default().split_whitespace().map(str::to_owned).collect()
}

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
        let is_there = std::fs::read_to_string(&config).is_ok_and(|config| config.contains("a0.example.com"));
        let last = noted(&notes).pop().unwrap_or_default();
        (is_there && ["reopened", "installed"].contains(&last.as_str())).then_some(())
    });
    reopened.await.unwrap_or_else(|error| panic!("{error}: {:?}\n{}", noted(&notes), program.log_text()));
}

#[tokio::test]
async fn a_wrong_token_gets_nothing_and_a_right_one_in_its_place_is_taken() {
    let cluster = Cluster::shared().await;
    let stage = Stage::open(cluster.api_of_all()).await;
    let mut both = stage.followers(2).await;
    let (other, mut follower) = (both.remove(1), both.remove(0));
    let right = follower.token.clone();
    for wrong in ["no-token".to_owned(), format!("{}AAAA", &right[..right.len() - 4]), other.token.clone()] {
        follower.token = wrong;
        let program = start(&stage, &follower, &cluster, &[]);
        let path = follower.state_dir.join("standing.json");
        let refused = eventually("the refusal to be told", LIMIT, async || {
            json(&path).filter(|said| said["problem"].as_str().is_some_and(|problem| problem.contains("(")))
        });
        let refused = refused.await.unwrap_or_else(|error| panic!("{error}: {}", program.log_text()));
        assert_eq!(refused["standing"], "empty", "{refused}");
        let said = refused["problem"].as_str().expect("text");
        assert!(said.contains("Unauthenticated") || said.contains("PermissionDenied"), "{said}");
        assert!(!follower.state_dir.join("current").exists());
        drop(program);
        std::fs::remove_file(path).expect("it is there");
    }
    let program = start(&stage, &follower, &cluster, &[]);
    follower.token = right;
    stage.words(&follower, &cluster);
    stands(&follower, "current", &program).await;
}

#[tokio::test]
async fn a_hook_that_fails_leaves_the_last_good_one_and_is_told_upward_until_it_succeeds() {
    let cluster = Cluster::shared().await;
    let mut stage = Stage::open(cluster.api_of_all()).await;
    let follower = stage.followers(1).await.remove(0);
    let obstacle = stage.folder.path().join("obstacle");
    let hook = format!("test ! -e {} || {{ echo there is an obstacle >&2; exit 7; }}", obstacle.display());
    let program = start(&stage, &follower, &cluster, &["--on-change", &hook]);
    stands(&follower, "current", &program).await;
    loaded(&stage, &follower.name, 1, PolicyStatus::Loaded).await;
    std::fs::write(&obstacle, "").expect("written");
    stage.update().await;
    let path = follower.state_dir.join("standing.json");
    let told = eventually("the failure to be told", LIMIT, async || {
        json(&path).filter(|said| said["problem"].as_str().is_some_and(|problem| problem.contains("an obstacle")))
    });
    told.await.unwrap_or_else(|error| panic!("{error}: {}", program.log_text()));
    let config = std::fs::read_to_string(follower.state_dir.join("current/config.json")).expect("installed");
    assert!(config.contains("a0.example.com"), "the last good one stays");
    let failed = loaded(&stage, &follower.name, 1, PolicyStatus::Loaded).await;
    assert_eq!(failed.load_error, "", "the policy of its own is as it was");
    std::fs::remove_file(&obstacle).expect("removed");
    let host = stage.host();
    let installed = eventually("the newest to be installed", LIMIT, async || {
        let config = std::fs::read_to_string(follower.state_dir.join("current/config.json")).ok()?;
        config.contains(&host).then_some(())
    });
    installed.await.unwrap_or_else(|error| panic!("{error}: {}", program.log_text()));
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
async fn a_token_is_exchanged_before_it_expires_and_its_file_is_replaced() {
    let mut cluster = one_node().await;
    let log = cluster.file("short.log");
    let mut short = cluster.gateway(1).changed(&[("--sandbox-token-ttl", "6")], log);
    cluster.kill(1);
    short.start().expect("it starts");
    let ready = eventually("the node to be ready", LIMIT, async || {
        short.page("/readyz").await.ok().filter(|(status, _)| *status == 200).map(drop)
    });
    ready.await.expect("ready");
    let stage = Stage::open(short.api()).await;
    let mut follower = stage.followers(1).await.remove(0);
    let path = stage.folder.path().join("short.token");
    std::fs::write(&path, &follower.token).expect("written");
    let endpoints = openshell_client::parse_endpoints(&short.endpoint()).expect("a URL");
    let options = Options::new(&follower.id, TokenSource::File(path.clone()), endpoints, follower.state_dir.clone());
    follower.start_with(options).await.expect("it starts");
    let mut seen = vec![follower.token.clone()];
    // Twice, so that a new one is exchanged, too.
    for _ in 0..2 {
        let renewed = eventually("a new token in the file", LIMIT, async || {
            let text = std::fs::read_to_string(&path).ok()?.trim().to_owned();
            (!text.is_empty() && !seen.contains(&text)).then_some(text)
        });
        seen.push(renewed.await.expect("a new token"));
    }
    let current =
        eventually("it to be current", LIMIT, async || (follower.status().standing == Standing::Current).then_some(()));
    current.await.expect("current");
    follower.stop().await;
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
