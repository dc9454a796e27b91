//! From SIGKILL of all nodes, while clients write, to the next acknowledged write; and that nothing that was acknowledged
//! is lost. The time also with a state of a gigabyte, which every node reads before it takes part.

use std::time::{Duration, Instant};

use anyhow::ensure;
use openshell_proto::v1::ProviderProfile;
use openshell_tests::{Access, ClusterOptions, profile};
use rand::SeedableRng;
use rand::distr::{Alphanumeric, SampleString};
use rand::rngs::StdRng;

use super::figures::{Times, failures};
use super::progress::Progress;
use super::rounds::{UNIT, rounds};
use super::writers::{Writers, Written};
use crate::ledger::Ledger;
use crate::report::say;
use crate::run::{Equipment, Rig};
use crate::scoreboard::Measured;

const LIMIT: Duration = Duration::from_secs(60);
/// A large state: so many profiles of so many bytes, which make a gigabyte.
const LARGE_PROFILES: u64 = 1_250;
const LARGE_BYTES: usize = 800_000;
/// Somebody who waits for a node that reads that much has more patience.
const LARGE_LIMIT: Duration = Duration::from_secs(120);

/// Kills all nodes so often.
///
/// # Errors
/// When it does not come about.
pub(super) async fn measure(kills: u64, seed: u64) -> anyhow::Result<Vec<Measured>> {
    let equipment = Equipment { apart: false, disks: false, clocks: false };
    let rig = Rig::new(ClusterOptions::default(), equipment).await?;
    let ids: Vec<u64> = rig.nodes.iter().map(|node| node.id).collect();
    let nodes = rig.accesses();
    let mut random = StdRng::seed_from_u64(seed);
    let mut times = Times::default();
    let killing = async |writers: &mut Writers, working| {
        writers.write_through(&nodes);
        let killed = writers.write_during(async {
            tokio::time::sleep(working).await;
            rig.each(&ids, |machinery, id| machinery.kill(id)).await
        });
        let written = killed.await?;
        let begin = Instant::now();
        rig.each(&ids, |machinery, id| machinery.start(id)).await?;
        let first = writers.one_write().await;
        if first.is_ok() {
            times.add(begin.elapsed());
        }
        rig.whole(LIMIT).await?;
        let written = Written { sound: written.sound.and(first), ..written };
        Ok(written.checked(writers, &nodes).await)
    };
    let (lost, samples) = rounds(&nodes, kills, &mut random, "kill of all", killing).await?;
    Ok(vec![
        times.figure("5.p50", 50, seed),
        times.figure("5.max", 100, seed),
        failures("2.kill-all", UNIT, lost, samples, seed),
    ])
}

/// Kills all nodes so often when they have a gigabyte of state.
///
/// # Errors
/// When it does not come about.
pub(super) async fn measure_large(rounds: u64, seed: u64) -> anyhow::Result<Vec<Measured>> {
    let equipment = Equipment { apart: false, disks: false, clocks: false };
    let rig = Rig::new(ClusterOptions::default(), equipment).await?;
    let ids: Vec<u64> = rig.nodes.iter().map(|node| node.id).collect();
    let mut ledger = Ledger::open(Access::to_all(&rig.accesses()).api()).await?;
    let mut random = StdRng::seed_from_u64(seed);
    say(&format!("writing {LARGE_PROFILES} profiles of {LARGE_BYTES} bytes"));
    let mut progress = Progress::new("large profiles", LARGE_PROFILES);
    for number in 0..LARGE_PROFILES {
        progress.done(number);
        // Nothing that could be made smaller on the way or on the disk.
        let description = Alphanumeric.sample_string(&mut random, LARGE_BYTES);
        let large = ProviderProfile { description, ..profile(&format!("large-{number}"), &["a.example.com"]) };
        let answer = ledger.scene.try_import(vec![large]).await?.message;
        ensure!(answer.imported, "a large profile was not imported: {:?}", answer.diagnostics);
    }
    let (mut times, mut is_sound) = (Times::default(), true);
    let mut progress = Progress::new("kills with a large state", rounds);
    for round in 0..rounds {
        progress.done(round);
        rig.each(&ids, |machinery, id| machinery.kill(id)).await?;
        let begin = Instant::now();
        rig.each(&ids, |machinery, id| machinery.start(id)).await?;
        let mut sound = ledger.write_all(1).await;
        if sound.is_ok() {
            times.add(begin.elapsed());
        }
        rig.whole(LARGE_LIMIT).await?;
        for node in &rig.nodes {
            if sound.is_ok() {
                sound = ledger.check(&node.access.api()).await;
            }
        }
        if let Err(error) = sound {
            is_sound = false;
            say(&format!("with a large state: {error:#}"));
            ledger = Ledger::open(Access::to_all(&rig.accesses()).api()).await?;
        }
    }
    let figure = times.figure("5.large", 100, seed);
    Ok(vec![Measured { passed: figure.passed && is_sound, ..figure }])
}
