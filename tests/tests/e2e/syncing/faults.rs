//! 200 sandboxes while gateways are killed, paused and cut off, and profiles change: nobody goes back,
//! nobody misses the last change, everybody is current soon after, and has its last good configuration
//! in between.

use std::collections::BTreeSet;
use std::time::Duration;

use openshell_client::Tls;
use openshell_sync::Position;
use openshell_tests::{Cluster, Cut, Follower, Network, SyncProcess, eventually};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::Instant;

use super::program::{comes_to_hold, start};
use super::{
    LIMIT, PROVIDER, Stage, all_are, all_have, has, is_current_elsewhere, nobody_went_back, start_beside_the_nodes,
};
use crate::partition::apart;

const SANDBOXES: usize = 200;
/// So many follow a node that is hurt at least, or it is no trial: a third, but for those who found another one a little faster
/// on a machine that has much to do.
const LOSERS_MIN: usize = 25;
/// From the end of a fault until everybody is current (issue: 3 s). A node that is dead is no fault any more:
/// the others go on.
const CURRENT_MAX: Duration = Duration::from_secs(3);
/// A node that says nothing for so long is given up (`docs/sandboxes/sync.mdx`). Before, nobody can know.
const SILENCE: Duration = Duration::from_secs(5);
/// How long profiles change while a fault lasts.
const FAULT: Duration = Duration::from_secs(8);

/// One crowd at a time: two of them would wait for each other's processor, and not for their gateways.
static ROOM: Mutex<()> = Mutex::const_new(());

/// A cluster, those who follow it, and one more that the program keeps current.
struct Trial {
    cluster: Cluster,
    stage: Stage,
    followers: Vec<Follower>,
    program: Option<(SyncProcess, Follower)>,
    _room: MutexGuard<'static, ()>,
}

impl Trial {
    async fn begin(cluster: Cluster, tls: Tls) -> Self {
        let room = ROOM.lock().await;
        let mut stage = Stage::open_for_a_crowd(cluster.api_of_all()).await;
        let mut followers = stage.followers(SANDBOXES).await;
        start_beside_the_nodes(&mut followers, &cluster, &tls).await;
        let program = match tls {
            Tls::None => {
                let policy = openshell_tests::policy_allowing("docs.example.com");
                let id = stage.scene.create_sandbox("program", &[PROVIDER], policy).await;
                let own = Follower::new(&stage.scene, "program", &id, stage.folder.path()).await.expect("a token");
                Some((start(&stage, &own, &cluster, &[]), own))
            }
            Tls::Bundle { .. } | Tls::System | Tls::Insecure => None,
        };
        let first = stage.update().await;
        all_have(&followers, &stage.host(), first, LIMIT).await;
        Self { cluster, stage, followers, program, _room: room }
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
            comes_to_hold(&own, &host, &program).await;
            assert!(program.terminate().expect("it ends").success(), "{}", program.log_text());
        }
        for follower in &mut self.followers {
            follower.stop().await;
        }
    }

    /// Kills a node under a change. Within the limit of its death everybody is current at another one, and what
    /// was acknowledged since is everywhere within the limit of that.
    async fn kill(&mut self, victim: u64) {
        assert!(self.on(victim).len() >= LOSERS_MIN, "many follow the node beside them");
        let before = self.stage.update().await;
        all_have(&self.followers, &self.stage.host(), before, LIMIT).await;
        self.cluster.kill(victim);
        let found = all_are(&self.followers, "every sandbox to be current at another node", CURRENT_MAX, |follower| {
            is_current_elsewhere(follower, victim, before)
        });
        let (changed, ()) = tokio::join!(self.stage.update(), found);
        all_have(&self.followers, &self.stage.host(), changed, CURRENT_MAX).await;
    }

    /// Pauses a node while profiles change. Those who follow another one are current within the limit once there
    /// is a leader, those who followed it once they can know that it is gone, and everybody when it goes on.
    async fn pause(mut self, victim: u64) {
        let lost = self.on(victim);
        assert!(lost.len() >= LOSERS_MIN, "many follow the node beside them: {}", lost.len());
        // Whoever makes the changes does not wait for the one that is paused.
        let asked = self.cluster.ids().find(|id| *id != victim).expect("another node");
        self.stage.scene = self.stage.scene.through(self.cluster.api_of_all_from(asked));
        self.cluster.gateway(victim).pause().expect("it is paused");
        let noticed = Instant::now() + SILENCE;
        // Acknowledged: the others have a leader.
        let changed = self.stage.update().await;
        let host = self.stage.host();
        let late = noticed.max(Instant::now()) + CURRENT_MAX;
        all_are(&self.followers, "those of other nodes to have the newest", CURRENT_MAX, |follower| {
            lost.contains(&follower.name) || has(follower, &host, changed)
        })
        .await;
        all_have(&self.followers, &host, changed, late.saturating_duration_since(Instant::now())).await;
        let last = self.change().await;
        assert!(self.on(victim).is_empty(), "nobody follows it");
        self.cluster.gateway(victim).resume().expect("it goes on");
        self.end(last).await;
    }

    /// Who follows a node, by name.
    fn on(&self, node: u64) -> BTreeSet<String> {
        let theirs = self.followers.iter().filter(|follower| follower.status().node == Some(node));
        theirs.map(|follower| follower.name.clone()).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_is_killed_under_200_sandboxes() {
    let mut trial = Trial::begin(Cluster::start().await, Tls::None).await;
    for victim in [trial.cluster.leader().await, trial.cluster.followers().await[0]] {
        trial.kill(victim).await;
        trial.change().await;
        assert!(trial.on(victim).is_empty(), "nobody follows it");
        trial.cluster.restart(victim).await;
    }
    let last = trial.stage.update().await;
    trial.end(last).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_is_paused_under_200_sandboxes() {
    let trial = Trial::begin(Cluster::start().await, Tls::None).await;
    let victim = trial.cluster.followers().await[0];
    trial.pause(victim).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gateway_that_leads_is_paused_under_200_sandboxes() {
    let trial = Trial::begin(Cluster::start().await, Tls::None).await;
    let victim = trial.cluster.leader().await;
    trial.pause(victim).await;
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
        eventually("nobody to follow a node that is behind", LIMIT, async || trial.on(victim).is_empty().then_some(()));
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
