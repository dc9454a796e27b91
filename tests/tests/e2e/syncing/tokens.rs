//! What a sandbox authenticates with: wrong, replaced, exchanged, and over.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use openshell_client::parse_endpoints;
use openshell_proto::v1::RefreshSandboxTokenResponse;
use openshell_sync::{ChangeKind, Options, Standing, TokenSource};
use openshell_tests::{Cluster, ClusterOptions, Follower, Relay, eventually};
use tonic::Status;

use super::program::{complains, stands, start};
use super::{LIMIT, Stage, all_have, has, nobody_went_back};

/// How often a token is replaced in time. Each is taken for a minute after its second, for clocks that differ.
const REPLACED_EVERY: Duration = Duration::from_secs(20);

async fn tokens_end_after(seconds: u64) -> Cluster {
    let options = ClusterOptions { nodes: 1, sandbox_token_ttl: seconds, ..ClusterOptions::default() };
    Cluster::start_with(options).await.expect("a cluster of one")
}

/// Starts one with its token in a file.
async fn start_with_file(stage: &Stage, follower: &mut Follower, endpoint: &str) -> PathBuf {
    let path = stage.folder.path().join(format!("{}.token", follower.name));
    std::fs::write(&path, &follower.token).expect("written");
    let endpoints = parse_endpoints(endpoint).expect("a URL");
    let token = TokenSource::File(path.clone());
    let options = Options::new(&follower.id, token, endpoints, follower.state_dir.clone());
    follower.start_with(options).await.expect("it starts");
    path
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
        let refused = complains(&follower, "(", &program).await;
        assert_eq!(refused["standing"], "empty", "{refused}");
        let said = refused["problem"].as_str().expect("text");
        assert!(said.contains("Unauthenticated") || said.contains("PermissionDenied"), "{said}");
        assert!(!follower.state_dir.join("current").exists());
        drop(program);
        std::fs::remove_file(follower.state_dir.join("standing.json")).expect("it is there");
    }
    let program = start(&stage, &follower, &cluster, &[]);
    follower.token = right;
    stage.words(&follower, &cluster);
    stands(&follower, "current", &program).await;
}

#[tokio::test]
async fn a_token_is_exchanged_before_it_expires_and_its_file_is_replaced() {
    let cluster = tokens_end_after(6).await;
    let stage = Stage::open(cluster.api(1)).await;
    let mut follower = stage.followers(1).await.remove(0);
    let path = start_with_file(&stage, &mut follower, &cluster.endpoints()).await;
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

/// A node that gives no new tokens: whoever issues them puts them into the file.
#[tokio::test]
async fn a_stream_ends_with_its_token_and_goes_on_with_the_next_one_in_the_file_while_what_is_installed_stays() {
    let cluster = tokens_end_after(1).await;
    let relay = Relay::to(&cluster.gateway(1).endpoint()).await;
    let refused = Status::unavailable("this node gives no new tokens");
    relay.answer("RefreshSandboxToken", Err::<&RefreshSandboxTokenResponse, _>(refused));
    let mut stage = Stage::open(cluster.api(1)).await;
    let mut both = stage.followers(2).await;
    let mut files = Vec::new();
    for follower in &mut both {
        files.push(start_with_file(&stage, follower, relay.url()).await);
    }
    let before = stage.update().await;
    all_have(&both, &stage.host(), before, LIMIT).await;

    // The second one's token is replaced in time, and nobody refuses it.
    let (over, replaced) = (&both[..1], &both[1..]);
    let mut replaced_at = Instant::now();
    let ended = eventually("the stream to end with its token", LIMIT, async || {
        if replaced_at.elapsed() > REPLACED_EVERY {
            std::fs::write(&files[1], stage.token_of(&replaced[0]).await).expect("written");
            replaced_at = Instant::now();
        }
        both.iter().for_each(keeps_something);
        let told = replaced[0].status().problem.clone();
        assert!(!told.contains("Unauthenticated"), "{told}");
        over[0].status().problem.contains("Unauthenticated").then_some(())
    });
    ended.await.expect("it is told");

    // Without a token, and with one that is another's, nothing is got.
    let missed = stage.host();
    let now = stage.update().await;
    all_have(replaced, &stage.host(), now, LIMIT).await;
    std::fs::write(&files[0], stage.token_of(&replaced[0]).await).expect("written");
    let refused = eventually("the other's token to be refused", LIMIT, async || {
        keeps_something(&over[0]);
        over[0].status().problem.contains("PermissionDenied").then_some(())
    });
    refused.await.expect("it is told");
    nobody_went_back(over, &missed);

    std::fs::write(&files[0], stage.token_of(&over[0]).await).expect("written");
    let again = eventually("it to go on", LIMIT, async || {
        keeps_something(&over[0]);
        has(&over[0], &stage.host(), now).then_some(())
    });
    again.await.expect("it goes on");
    nobody_went_back(&both, &stage.host());
    for follower in &both {
        let kinds: Vec<ChangeKind> = follower.record().iter().map(|installed| installed.kind).collect();
        assert!(kinds.iter().all(|kind| *kind == ChangeKind::Installed), "{}: {kinds:?}", follower.name);
    }
    for follower in &mut both {
        follower.stop().await;
    }
}

/// It has something in force and on disk.
#[track_caller]
fn keeps_something(follower: &Follower) {
    assert!(follower.status().configuration.is_some(), "{} has nothing in force", follower.name);
    assert!(follower.state_dir.join("current/config.json").exists(), "{} has nothing on disk", follower.name);
}
