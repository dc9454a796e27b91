//! Calls are held through an election: nodes are restarted one at a time under clients that never
//! retry, and no call fails.
#![expect(clippy::print_stdout, reason = "figures of the trials, and what to repeat them with")]

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::BoxFuture;
use openshell_client::CallError;
use openshell_proto::v1::ProviderProfile;
use openshell_tests::{Api, Cluster, Scene, eventually, profile};
use tokio::sync::watch;
use tokio::task::JoinSet;

const CLIENTS: u64 = 6;
const LIMIT: Duration = Duration::from_secs(120);

/// What all clients saw.
#[derive(Default)]
struct Log {
    /// When each write was acknowledged.
    acknowledged: Vec<Instant>,
    reads: u64,
    failures: Vec<String>,
}

/// A client that sends each call once. A node that accepts no connection was sent nothing, so the
/// call goes to the next one; any other failure is a failed call.
struct Client {
    scene: Scene,
    nodes: Vec<Api>,
    home: usize,
    log: Arc<Mutex<Log>>,
}

impl Client {
    async fn send<T>(&mut self, call: impl Fn(Scene) -> BoxFuture<'static, Result<T, CallError>>) -> Option<T> {
        let mut refused = Vec::new();
        for _ in 0..self.nodes.len() {
            match call(self.scene.through(self.nodes[self.home].once())).await {
                Ok(answer) => return Some(answer),
                Err(CallError::Unreachable(failures)) => {
                    refused.push(format!("{failures:?}"));
                    self.home = (self.home + 1) % self.nodes.len();
                }
                Err(error) => {
                    self.fail(format!("{error:?}"));
                    return None;
                }
            }
        }
        self.fail(refused.join("; "));
        None
    }

    fn fail(&self, failure: String) {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).failures.push(failure);
    }

    /// Writes and reads its own profile in turn until told to stop, or until a call fails.
    async fn work(mut self, mut stored: ProviderProfile, stop: watch::Receiver<bool>) {
        let mut write = 0;
        while !*stop.borrow() {
            write += 1;
            stored.display_name = format!("Write {write}");
            let edited = stored.clone();
            let update = |scene: Scene| {
                let edited = edited.clone();
                async move { scene.try_update(edited).await }.boxed()
            };
            let Some(answer) = self.send(update).await else { return };
            assert!(answer.message.updated, "{:?}", answer.message.diagnostics);
            let updated = answer.message.profile.expect("an accepted update has the profile");
            assert_eq!(updated.resource_version, stored.resource_version + 1, "no write is done twice");
            stored = updated;
            self.log.lock().unwrap_or_else(PoisonError::into_inner).acknowledged.push(Instant::now());
            let id = stored.id.clone();
            let read = |scene: Scene| {
                let id = id.clone();
                async move { scene.through(scene.api.linearizable()).try_profile(&id).await }.boxed()
            };
            let Some(read) = self.send(read).await else { return };
            assert_eq!(read.resource_version, stored.resource_version, "a read sees the write before it");
            self.log.lock().unwrap_or_else(PoisonError::into_inner).reads += 1;
        }
    }
}

#[tokio::test]
async fn a_rolling_restart_fails_no_call_of_clients_that_never_retry() {
    let mut cluster = Cluster::start().await;
    let scene = Scene::open(cluster.api(1)).await;
    let log = Arc::new(Mutex::new(Log::default()));
    let (stopping, stop) = watch::channel(false);
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        let stored = scene.import(profile(&format!("profile-{number}"), &["a.example.com"])).await;
        let nodes: Vec<Api> = cluster.ids().map(|id| cluster.api(id)).collect();
        let home = usize::try_from(number).expect("small") % nodes.len();
        let client = Client { scene: scene.clone(), nodes, home, log: Arc::clone(&log) };
        clients.spawn(client.work(stored, stop.clone()));
    }
    let seen = |log: &Mutex<Log>| log.lock().unwrap_or_else(PoisonError::into_inner).acknowledged.len();
    let more = async |what: &str, count: usize| {
        let enough = eventually(what, LIMIT, async || (seen(&log) >= count).then_some(())).await;
        enough.unwrap_or_else(|error| panic!("{error}: {:?}", log.lock().expect("not poisoned").failures));
    };
    for node in 1..=3 {
        more("writes before a restart", seen(&log) + 50).await;
        let led = cluster.leader().await == node;
        let from = Instant::now();
        let status = cluster.gateway_mut(node).terminate(LIMIT).await.expect("it ends");
        assert!(status.success(), "{status}");
        more("writes without the node", seen(&log) + 10).await;
        cluster.restart(node).await;
        more("writes after a restart", seen(&log) + 10).await;
        let pause = longest_gap(&log.lock().expect("not poisoned").acknowledged, from);
        println!("rolling restart: node {node}, leader {led}, longest pause of writes {} ms", pause.as_millis());
    }
    stopping.send(true).expect("clients listen");
    while let Some(client) = clients.join_next().await {
        client.expect("no client meets a wrong answer");
    }
    let log = log.lock().expect("not poisoned");
    let (writes, reads) = (log.acknowledged.len(), log.reads);
    println!("rolling restart: {writes} writes and {reads} reads, {} failed calls", log.failures.len());
    assert_eq!(log.failures, Vec::<String>::new());
}

/// The longest time between two acknowledgements from `from` on.
fn longest_gap(acknowledged: &[Instant], from: Instant) -> Duration {
    let mut since: Vec<Instant> = acknowledged.iter().copied().filter(|at| *at >= from).collect();
    since.push(from);
    since.sort_unstable();
    since.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
}
