//! 200 sandboxes while gateways are killed, paused and cut off, and profiles change: nobody goes back,
//! nobody misses the last change, everybody is current soon after, and has its last good configuration
//! in between.

use std::time::Duration;

use openshell_client::Tls;
use openshell_sync::Position;
use openshell_tests::{Cluster, Cut, Follower, Network, SyncProcess, eventually};
use tokio::time::Instant;

use super::{LIMIT, PROVIDER, Stage, all_have, has, nobody_went_back};
use crate::partition::apart;

const SANDBOXES: usize = 200;
/// From the end of a fault until everybody is current (issue: 3 s).
const CURRENT_MAX: Duration = Duration::from_secs(3);
/// How long profiles change while a fault lasts.
const FAULT: Duration = Duration::from_secs(8);

/// A cluster, those who follow it, and one more that the program keeps current.
struct Trial {
    cluster: Cluster,
    stage: Stage,
    followers: Vec<Follower>,
    program: Option<(SyncProcess, Follower)>,
}

impl Trial {
    async fn begin(cluster: Cluster, tls: Tls) -> Self {
        let mut stage = Stage::open(cluster.api_of_all()).await;
        let mut followers = stage.followers(SANDBOXES).await;
        for (number, follower) in (0_u64..).zip(&mut followers) {
            // A third of them stand beside each node.
            let zone = format!("zone-{}", number % 3 + 1);
            follower.start(&cluster.endpoints(), tls.clone(), Some(zone)).await.expect("it starts");
        }
        let program = match tls {
            Tls::None => {
                let policy = openshell_tests::policy_allowing("docs.example.com");
                let id = stage.scene.create_sandbox("program", &[PROVIDER], policy).await;
                let own = Follower::new(&stage.scene, "program", &id, stage.folder.path()).await.expect("a token");
                let words = stage.words(&own, &cluster);
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                Some((SyncProcess::start(&stage.folder, &words).expect("it starts"), own))
            }
            Tls::Bundle { .. } | Tls::System | Tls::Insecure => None,
        };
        let first = stage.update().await;
        all_have(&followers, &stage.host(), first, LIMIT).await;
        Self { cluster, stage, followers, program }
    }

    /// Changes the profile for a while, while everybody has something on disk and in force.
    async fn change(&mut self) -> Position {
        let until = Instant::now() + FAULT;
        let mut last = None;
        while Instant::now() < until {
            last = Some(self.stage.update().await);
            for follower in &self.followers {
                assert!(follower.status().configuration.is_some(), "{} has nothing in force", follower.name);
                let path = follower.state_dir.join("current/config.json");
                assert!(path.exists(), "{} has nothing on disk", follower.name);
            }
        }
        last.expect("at least one change")
    }

    /// Everybody has the last change within the limit after the fault's end, and one that comes now.
    async fn end(mut self, last: Position) {
        all_have(&self.followers, &self.stage.host(), last, CURRENT_MAX).await;
        let now = self.stage.update().await;
        let host = self.stage.host();
        all_have(&self.followers, &host, now, LIMIT).await;
        nobody_went_back(&self.followers, &host);
        if let Some((mut program, own)) = self.program.take() {
            let path = own.state_dir.join("current/config.json");
            let found = eventually("the program to have the newest", LIMIT, async || {
                std::fs::read_to_string(&path).ok()?.contains(&host).then_some(())
            });
            found.await.unwrap_or_else(|error| panic!("{error}: {}", program.log_text()));
            assert!(program.terminate().expect("it ends").success(), "{}", program.log_text());
        }
        for follower in &mut self.followers {
            follower.stop().await;
        }
    }

    /// How many follow a node.
    fn on(&self, node: u64) -> usize {
        self.followers.iter().filter(|follower| follower.status().node == Some(node)).count()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_is_killed_under_200_sandboxes() {
    let mut trial = Trial::begin(Cluster::start().await, Tls::None).await;
    for victim in [trial.cluster.leader().await, trial.cluster.followers().await[0]] {
        assert!(trial.on(victim) >= SANDBOXES / 4, "they follow the node beside them: {}", trial.on(victim));
        trial.cluster.kill(victim);
        // Those who lost their node are current again before it comes back.
        let at = trial.stage.update().await;
        all_have(&trial.followers, &trial.stage.host(), at, LIMIT).await;
        trial.change().await;
        assert_eq!(trial.on(victim), 0);
        trial.cluster.restart(victim).await;
    }
    let last = trial.stage.update().await;
    trial.end(last).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_is_paused_under_200_sandboxes() {
    let mut trial = Trial::begin(Cluster::start().await, Tls::None).await;
    let victim = trial.cluster.followers().await[0];
    assert!(trial.on(victim) >= SANDBOXES / 4, "they follow the node beside them: {}", trial.on(victim));
    trial.cluster.gateway(victim).pause().expect("it is paused");
    let last = trial.change().await;
    trial.cluster.gateway(victim).resume().expect("it goes on");
    trial.end(last).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_gateways_are_paused_and_nobody_loses_what_it_has() {
    let trial = Trial::begin(Cluster::start().await, Tls::None).await;
    let (position, host) = (trial.followers[0].status().position.expect("a position"), trial.stage.host());
    for gateway in trial.cluster.gateways() {
        gateway.pause().expect("it is paused");
    }
    let stale = eventually("everybody to know that it may be stale", LIMIT, async || {
        let is_stale = |follower: &Follower| follower.status().standing.as_str() == "stale";
        trial.followers.iter().all(is_stale).then_some(())
    });
    stale.await.expect("stale");
    for follower in &trial.followers {
        assert!(follower.status().configuration.is_some() && !has(follower, &host, position));
    }
    for gateway in trial.cluster.gateways() {
        gateway.resume().expect("it goes on");
    }
    trial.end(position).await;
}

/// With a network of their own, clients use TLS.
async fn with_network() -> Option<Trial> {
    let cluster = apart().await?;
    let tls = cluster.certificate("sync", &[]);
    Some(Trial::begin(cluster, tls).await)
}

fn network(trial: &Trial) -> &Network {
    trial.cluster.network().expect("a network of its own")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_is_cut_off_from_everybody_under_200_sandboxes() {
    let Some(mut trial) = with_network().await else { return };
    let victim = trial.cluster.leader().await;
    network(&trial).cut(&Cut::Gone(vec![victim])).expect("the network can be cut");
    let last = trial.change().await;
    assert!(network(&trial).heal().expect("the network can be healed") > 0, "the cut was felt");
    trial.end(last).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sandboxes_leave_a_gateway_that_has_not_heard_of_its_cluster() {
    let Some(mut trial) = with_network().await else { return };
    let victim = trial.cluster.followers().await[0];
    network(&trial).cut(&Cut::Apart(vec![victim])).expect("the network can be cut");
    let last = trial.change().await;
    let left =
        eventually("nobody to follow a node that is behind", LIMIT, async || (trial.on(victim) == 0).then_some(()));
    left.await.expect("they moved");
    all_have(&trial.followers, &trial.stage.host(), last, LIMIT).await;
    assert!(network(&trial).heal().expect("the network can be healed") > 0, "the cut was felt");
    trial.end(last).await;
}

#[tokio::test]
async fn a_gateway_that_stops_in_order_is_left_without_a_gap() {
    let mut cluster = Cluster::start().await;
    let mut stage = Stage::open(cluster.api_of_all()).await;
    let mut followers = stage.followers(3).await;
    for follower in &mut followers {
        follower.start(&cluster.endpoints(), Tls::None, Some("zone-2".to_owned())).await.expect("it starts");
    }
    let at = stage.update().await;
    all_have(&followers, &stage.host(), at, LIMIT).await;
    assert!(followers.iter().all(|follower| follower.status().node == Some(2)), "the node beside them");
    assert!(cluster.gateway_mut(2).terminate(LIMIT).await.expect("it ends").success());
    let at = stage.update().await;
    all_have(&followers, &stage.host(), at, LIMIT).await;
    nobody_went_back(&followers, &stage.host());
}
