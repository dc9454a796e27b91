//! From SIGKILL of all nodes, while clients write, to the next acknowledged write; and that nothing that was acknowledged
//! is lost.

use std::time::{Duration, Instant};

use openshell_tests::ClusterOptions;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::figures::{Times, failures};
use super::writers::Writers;
use crate::report::say;
use crate::run::{Equipment, Rig};
use crate::scoreboard::Measured;

const LIMIT: Duration = Duration::from_secs(60);

/// Kills all nodes so often.
///
/// # Errors
/// When it does not come about.
pub(super) async fn measure(rounds: u64, seed: u64) -> anyhow::Result<Vec<Measured>> {
    let equipment = Equipment { apart: false, disks: false, clocks: false };
    let rig = Rig::new(ClusterOptions::default(), equipment).await?;
    let ids: Vec<u64> = rig.nodes.iter().map(|node| node.id).collect();
    let nodes = rig.accesses();
    let mut random = StdRng::seed_from_u64(seed);
    let mut writers = Writers::open(&nodes).await?;
    let (mut times, mut lost) = (Times::default(), 0);
    for round in 0..rounds {
        let working = Duration::from_millis(random.random_range(100..500));
        writers.write_through(&nodes);
        let killed = writers.write_during(async {
            tokio::time::sleep(working).await;
            rig.each(&ids, |machinery, id| machinery.kill(id)).await
        });
        killed.await?;
        let begin = Instant::now();
        rig.each(&ids, |machinery, id| machinery.start(id)).await?;
        writers.one_write().await?;
        times.add(begin.elapsed());
        rig.whole(LIMIT).await?;
        if let Err(error) = writers.check(&nodes).await {
            lost += 1;
            say(&format!("round {round}: {error:#}"));
            writers = Writers::open(&nodes).await?;
        }
    }
    Ok(vec![
        times.figure("5.p50", 50, seed),
        times.figure("5.max", 100, seed),
        failures("2.kill-all", "rounds", lost, rounds, seed),
    ])
}
