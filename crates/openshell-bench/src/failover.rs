//! From the loss of the leader to the next acknowledged update, asked for without pause by a client
//! of a node that lives on, or by one that asks the lost leader first and knows the others. The
//! leader is lost by `kill -9`, or by a network that does not reach it.

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
    /// No node reaches it, and nobody is told. Needs root, `ip` and `nft`.
    Partition,
}

/// Whom the client knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum From {
    /// One node that lives on. In a partition no client reaches the leader either.
    Survivor,
    /// All nodes, and asks the lost leader first, which it still reaches in a partition.
    Isolated,
}

/// Loses the leader so often, and says how long each loss was felt.
pub(crate) async fn measure(runs: u16, loss: Loss, from: From) -> anyhow::Result<String> {
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
        let scene = scene.through(match from {
            From::Survivor => cluster.api(survivor),
            From::Isolated => cluster.api_of_all_from(leader),
        });
        // The connection stands before the loss, as a client's would.
        let mut stored = scene.profile("failover").await;
        stored.display_name = format!("run {run}");
        let begin = Instant::now();
        lose(&mut cluster, leader, loss, from)?;
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
    let whose = match from {
        From::Survivor => "a client of one survivor",
        From::Isolated => "a client of all nodes that asks the lost one first",
    };
    Ok(times.line(&format!("{what} of the leader to the next acknowledged update of {whose}")))
}

fn lose(cluster: &mut Cluster, leader: u64, loss: Loss, from: From) -> anyhow::Result<()> {
    let cut = match (loss, from) {
        (Loss::Kill, From::Survivor | From::Isolated) => return cluster.gateway_mut(leader).kill(),
        (Loss::Partition, From::Survivor) => Cut::Gone(vec![leader]),
        (Loss::Partition, From::Isolated) => Cut::Apart(vec![leader]),
    };
    cluster.network().context("a network of its own")?.cut(&cut)
}
