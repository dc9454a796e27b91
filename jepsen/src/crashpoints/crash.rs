//! One crash: a cluster, a node that falls at a point, its next start, and what must hold then.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use anyhow::{Context, ensure};
use futures::future::join_all;
use nix::sys::signal::Signal;
use openshell_chaos::Point;
use openshell_client::methods;
use openshell_proto::cluster::ReplaceNodeRequest;
use openshell_proto::v1::{
    ConfigureProviderRefreshRequest, ProviderCredentialRefresh, ProviderCredentialRefreshStrategy as Strategy,
    RotateProviderCredentialRequest,
};
use openshell_tests::{Cluster, ClusterOptions, Issuer, eventually, profile};

use super::approach::Approach;
use crate::ledger::Ledger;

const LIMIT: Duration = Duration::from_secs(60);
/// Snapshots come often, and little of the log stays behind them.
const SNAPSHOT_EVERY: u64 = 50;
const LOG_KEPT: u64 = 20;
/// So many updates leave a node that missed them nothing to catch up from but a snapshot of several pieces.
const FAR_BEHIND: u64 = 170;
/// A node may have so many entries more than it has applied.
const NOT_APPLIED_MAX: f64 = 20.0;
/// The node that takes a member's place.
const NEWCOMER: u64 = 4;
const KEY: &str = "ACME_TOKEN";

struct Crash {
    cluster: Cluster,
    ledger: Ledger,
}

/// Brings a node of a new cluster to a point and has it end there; then everything must be as if it had not.
///
/// # Errors
/// What was not, or why the node could not be brought there; with the ends of the logs.
pub(super) async fn crash(point: Point, round: u64) -> anyhow::Result<()> {
    let options =
        ClusterOptions { snapshot_after_entries: SNAPSHOT_EVERY, log_entries_kept: LOG_KEPT, ..Default::default() };
    let mut cluster = Cluster::trapped(options, point.name())?;
    let approach = Approach::to(point, round);
    if let Approach::Forming(victim) = approach {
        forming(&mut cluster, victim).await.with_context(|| cluster.logs(20))?;
    } else {
        cluster.bring_up().await?;
    }
    let ledger = Ledger::open(cluster.api_of_all()).await.with_context(|| cluster.logs(20))?;
    let mut crash = Crash { cluster, ledger };
    let outcome = crash.go(approach).await;
    outcome.with_context(|| crash.cluster.logs(20))
}

/// A node falls while the cluster forms, and comes back.
async fn forming(cluster: &mut Cluster, victim: u64) -> anyhow::Result<()> {
    cluster.set_trap(victim)?;
    for id in cluster.ids() {
        cluster.gateway_mut(id).start()?;
    }
    eventually("the node to fall", LIMIT, async || cluster.gateway_mut(victim).exit_status()).await?;
    fell_there(cluster, victim)?;
    cluster.take_trap_away(victim);
    cluster.bring_up().await
}

/// It ended because of its trap and of nothing else.
fn fell_there(cluster: &mut Cluster, victim: u64) -> anyhow::Result<()> {
    let status = cluster.gateway_mut(victim).exit_status().context("the node has not ended")?;
    let aborted = status.signal() == Some(Signal::SIGABRT as i32);
    ensure!(aborted && cluster.has_sprung(victim), "node {victim} ended with {status}, not by its trap");
    Ok(())
}

impl Crash {
    async fn go(&mut self, approach: Approach) -> anyhow::Result<()> {
        let leader = self.leader().await?;
        let follower = self.cluster.ids().find(|id| *id != leader).context("a cluster has followers")?;
        match approach {
            Approach::Forming(_) => return self.holds().await,
            Approach::Leading => self.falls_while_writing(leader).await?,
            Approach::Following => self.falls_while_writing(follower).await?,
            Approach::Voting => {
                self.cluster.set_trap(follower)?;
                self.cluster.gateway_mut(leader).kill()?;
                let victim = self.cluster.gateway_mut(follower);
                eventually("the node to fall", LIMIT, async || victim.exit_status()).await?;
                fell_there(&mut self.cluster, follower)?;
                return self.comes_back(follower).await;
            }
            Approach::Conflicting => self.conflicting(leader).await?,
            Approach::CatchingUp => {
                self.far_behind(follower).await?;
                self.cluster.set_trap(follower)?;
                self.cluster.gateway_mut(follower).start()?;
                self.falls_while_writing(follower).await?;
            }
            Approach::HelpingUp => {
                self.far_behind(follower).await?;
                self.cluster.set_trap(leader)?;
                self.cluster.gateway_mut(follower).start()?;
                self.falls_while_writing(leader).await?;
            }
            Approach::Replacing => return self.replacing(leader, follower).await,
            Approach::Minting => self.minting(leader).await?,
        }
        let victim = if matches!(approach, Approach::Following | Approach::CatchingUp) { follower } else { leader };
        // Two of three go on without it.
        self.ledger.write_all(1).await.context("the others did not go on")?;
        self.comes_back(victim).await
    }

    async fn leader(&self) -> anyhow::Result<u64> {
        Ok(eventually("a leader", LIMIT, async || self.cluster.leadership().await).await?.leader)
    }

    /// Updates go on until the node has fallen.
    async fn falls_while_writing(&mut self, victim: u64) -> anyhow::Result<()> {
        self.cluster.set_trap(victim)?;
        let limit = tokio::time::Instant::now() + LIMIT;
        while self.cluster.gateway_mut(victim).exit_status().is_none() {
            ensure!(tokio::time::Instant::now() < limit, "node {victim} did not pass the point within {LIMIT:?}");
            self.ledger.write().await?;
        }
        fell_there(&mut self.cluster, victim)
    }

    /// A node goes, and misses more than the others keep: entries are purged some time after the snapshot that holds them.
    async fn far_behind(&mut self, node: u64) -> anyhow::Result<()> {
        let last = self.cluster.gateway(node).metric("openshell_raft_applied_revision").await;
        let last = last.context("what the node has is not on its page")?;
        self.cluster.gateway_mut(node).kill()?;
        self.ledger.write_all(FAR_BEHIND).await?;
        let others: Vec<u64> = self.cluster.ids().filter(|id| *id != node).collect();
        let limit = tokio::time::Instant::now() + LIMIT;
        for id in others {
            while self.cluster.gateway(id).metric("openshell_raft_purged_revision").await
                <= Some(last + NOT_APPLIED_MAX)
            {
                ensure!(tokio::time::Instant::now() < limit, "node {id} still has what node {node} lacks");
                self.ledger.write_all(1).await?;
            }
        }
        Ok(())
    }

    /// The leader takes entries that nobody else gets, and comes back to others that went on.
    async fn conflicting(&mut self, victim: u64) -> anyhow::Result<()> {
        let others: Vec<u64> = self.cluster.ids().filter(|id| *id != victim).collect();
        for other in &others {
            self.cluster.gateway_mut(*other).kill()?;
        }
        let alone = self.ledger.scene.through(self.cluster.api(victim).once().deadline(Duration::from_secs(1)));
        let lost = (0..8).map(|number| {
            let lost = profile(&format!("lost-{number}"), &["b.example.com"]);
            alone.try_import(vec![lost])
        });
        let answers = join_all(lost).await;
        ensure!(answers.iter().all(Result::is_err), "a leader alone acknowledged a write");
        self.cluster.gateway_mut(victim).kill()?;
        for other in &others {
            self.cluster.gateway_mut(*other).start()?;
        }
        self.ledger.write_all(3).await?;
        self.cluster.set_trap(victim)?;
        self.cluster.gateway_mut(victim).start()?;
        self.falls_while_writing(victim).await
    }

    /// A member is replaced in spite of a leader that falls meanwhile.
    async fn replacing(&mut self, victim: u64, old: u64) -> anyhow::Result<()> {
        self.cluster.start_newcomer(NEWCOMER).await?;
        self.cluster.set_trap(victim)?;
        let api = self.cluster.api_of_all();
        let request = ReplaceNodeRequest { old, new: NEWCOMER };
        eventually("the node to fall", LIMIT, async || {
            // What is answered does not matter as long as the leader lives.
            drop(api.call(&methods::REPLACE_NODE, request).await);
            self.cluster.gateway_mut(victim).exit_status()
        })
        .await?;
        fell_there(&mut self.cluster, victim)?;
        self.cluster.take_trap_away(victim);
        self.cluster.gateway_mut(victim).start()?;
        eventually("the member to be replaced", LIMIT, async || {
            api.call(&methods::REPLACE_NODE, request).await.ok().filter(|answer| answer.message.done)
        })
        .await?;
        self.cluster.take_out(old).kill()?;
        self.holds().await
    }

    /// The leader falls while it mints.
    async fn minting(&mut self, victim: u64) -> anyhow::Result<()> {
        let (issuer, scene) = (Issuer::start().await, self.ledger.scene.clone());
        let mut minted = profile("acme", &["a.example.com"]);
        minted.credentials[0].refresh = Some(ProviderCredentialRefresh {
            strategy: Strategy::Oauth2RefreshToken as i32,
            token_url: issuer.url().to_owned(),
            ..ProviderCredentialRefresh::default()
        });
        scene.import(minted).await;
        scene.create_provider("main", "acme").await;
        let material = [("client_id", "me"), ("refresh_token", "first"), ("client_secret", "s")];
        let configure = ConfigureProviderRefreshRequest {
            provider: "main".to_owned(),
            credential_key: KEY.to_owned(),
            strategy: Strategy::Oauth2RefreshToken as i32,
            material: material.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            workspace: scene.workspace.clone(),
            ..ConfigureProviderRefreshRequest::default()
        };
        scene.api.call(&methods::CONFIGURE_PROVIDER_REFRESH, configure).await?;
        self.cluster.set_trap(victim)?;
        let rotate = RotateProviderCredentialRequest {
            provider: "main".to_owned(),
            credential_key: KEY.to_owned(),
            workspace: scene.workspace.clone(),
        };
        // Whether it comes true is not asked: nobody mints for a while after a leader that fell.
        let rotating = tokio::spawn(async move { scene.api.call(&methods::ROTATE_PROVIDER_CREDENTIAL, rotate).await });
        let node = self.cluster.gateway_mut(victim);
        let fallen = eventually("the node to fall", LIMIT, async || node.exit_status()).await;
        rotating.abort();
        fallen?;
        fell_there(&mut self.cluster, victim)
    }

    /// The node that fell is started again.
    async fn comes_back(&mut self, victim: u64) -> anyhow::Result<()> {
        self.cluster.take_trap_away(victim);
        self.holds().await
    }

    /// All nodes are ready, have what was acknowledged, and are equal.
    async fn holds(&mut self) -> anyhow::Result<()> {
        self.cluster.bring_up().await?;
        self.ledger.write_all(3).await?;
        for id in self.cluster.ids() {
            self.ledger.check(&self.cluster.api(id)).await.with_context(|| format!("read through node {id}"))?;
        }
        let digests = self.cluster.digests_at_rest(LIMIT).await?;
        ensure!(digests.iter().all(|one| one.digest == digests[0].digest), "the nodes differ: {digests:?}");
        Ok(())
    }
}
