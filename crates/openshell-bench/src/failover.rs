//! From the loss of the leader to the next acknowledged update, asked for without pause through a
//! node that lives on. The leader is lost by `kill -9`, or by a network that does not reach it.

use std::time::Instant;

use anyhow::Context;
use clap::ValueEnum;
use openshell_tests::{Cluster, ClusterOptions, Cut, Scene, profile};

use crate::times::{READY_MAX, Times};

/// How the leader is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Loss {
    /// `kill -9`: the connections to it break at once.
    Kill,
    /// Neither nodes nor clients reach it, and nobody is told. Needs root, `ip` and `nft`.
    Partition,
}

/// Loses the leader so often, and says how long each loss was felt.
pub(crate) async fn measure(runs: u16, loss: Loss) -> anyhow::Result<String> {
    let options =
        ClusterOptions { snapshot_after_entries: 10_000, log_entries_kept: 10_000, ..ClusterOptions::default() };
    let mut cluster = match loss {
        Loss::Kill => Cluster::start_with(options).await?,
        Loss::Partition => Cluster::start_apart(options).await?,
    };
    let scene = Scene::open(cluster.api_of_all()).await;
    scene.import(profile("failover", &["a.example.com"])).await;
    let mut times = Times::default();
    for run in 1..=runs {
        let leader = cluster.leader().await;
        let survivor = cluster.ids().find(|id| *id != leader).expect("three nodes");
        let scene = scene.through(cluster.api(survivor));
        // The connection stands before the loss, as a client's would.
        let mut stored = scene.profile("failover").await;
        stored.display_name = format!("run {run}");
        let begin = Instant::now();
        lose(&mut cluster, leader, loss)?;
        scene.update(stored).await;
        times.add(begin.elapsed());
        match loss {
            Loss::Kill => cluster.gateway_mut(leader).start()?,
            Loss::Partition => drop(cluster.network().context("a network of its own")?.heal()?),
        }
        cluster.ready(READY_MAX).await?;
    }
    let what = match loss {
        Loss::Kill => "kill -9",
        Loss::Partition => "partition",
    };
    Ok(times.line(&format!("{what} of the leader to the next acknowledged update")))
}

fn lose(cluster: &mut Cluster, leader: u64, loss: Loss) -> anyhow::Result<()> {
    match loss {
        Loss::Kill => cluster.gateway_mut(leader).kill(),
        Loss::Partition => cluster.network().context("a network of its own")?.cut(&Cut::Gone(vec![leader])),
    }
}
