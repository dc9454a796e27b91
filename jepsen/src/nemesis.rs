//! Carries out a plan on a cluster, and heals it. Only processes that the cluster started are
//! touched, each by its id, and only the cluster's own network is cut.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use openshell_tests::{Cluster, Cut, eventually};
use tokio::time::{Instant, sleep_until};

use crate::plan::{Break, Fault, Harm, Shape, Target};
use crate::recorder::Recorder;

/// How long a fault waits for a leader to hurt.
const LEADER_LIMIT: Duration = Duration::from_secs(4);

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Done {
    /// Processes killed.
    pub(crate) kills: usize,
    /// Those of them that led.
    pub(crate) leader_kills: usize,
    /// Processes paused.
    pub(crate) pauses: usize,
    /// Partitions that stopped at least one packet.
    pub(crate) partitions: usize,
    /// Those of them of each shape, in the order of [`Shape::ALL`].
    pub(crate) shapes: [usize; Shape::ALL.len()],
    /// Partitions that nobody felt, which prove nothing.
    pub(crate) idle_partitions: usize,
    /// Processes that ended without being killed, which no gateway may.
    pub(crate) deaths: usize,
}

/// Does every fault of the plan at its time, or as soon as the one before is healed and there is a
/// leader again. What would not be healed before `end` is left out.
///
/// # Errors
/// When a process cannot be hurt or started. The cluster is then as it is.
pub(crate) async fn work(
    cluster: &mut Cluster,
    plan: &[Fault],
    start: Instant,
    end: Instant,
    recorder: &Arc<Recorder>,
) -> anyhow::Result<Done> {
    let mut done = Done::default();
    for fault in plan {
        sleep_until(start + fault.at).await;
        done.deaths += revive(cluster, recorder)?;
        let (victims, led) = victims(cluster, fault).await;
        let healed_at = Instant::now() + fault.lasts;
        if healed_at >= end {
            break;
        }
        recorder.fault(format!("{:?} nodes {victims:?}, leader {led:?}, planned: {fault}", fault.harm));
        hurt(cluster, fault.harm, &victims)?;
        sleep_until(healed_at).await;
        let stopped = heal(cluster, fault.harm, &victims)?;
        match fault.harm {
            Harm::Kill => {
                done.kills += victims.len();
                done.leader_kills += usize::from(led.is_some_and(|led| victims.contains(&led)));
            }
            Harm::Pause => done.pauses += victims.len(),
            Harm::Cut(_) if stopped > 0 => {
                done.partitions += 1;
                for (shape, count) in Shape::ALL.into_iter().zip(&mut done.shapes) {
                    *count += usize::from(fault.shape() == Some(shape));
                }
            }
            Harm::Cut(_) => done.idle_partitions += 1,
        }
        recorder.fault(format!("healed nodes {victims:?}"));
    }
    done.deaths += revive(cluster, recorder)?;
    Ok(done)
}

fn hurt(cluster: &mut Cluster, harm: Harm, victims: &[u64]) -> anyhow::Result<()> {
    let mut each = victims.iter().copied();
    match harm {
        Harm::Kill => each.try_for_each(|victim| cluster.gateway_mut(victim).kill()),
        Harm::Pause => each.try_for_each(|victim| cluster.gateway(victim).pause()),
        Harm::Cut(how) => {
            let everyone = victims.len() == cluster.gateways().len();
            let these = victims.to_vec();
            let cut = match how {
                Break::Apart | Break::Deaf | Break::Mute | Break::Lossy if everyone => Cut::Scattered,
                Break::Apart => Cut::Apart(these),
                Break::Gone => Cut::Gone(these),
                Break::Deaf => Cut::Deaf(these),
                Break::Mute => Cut::Mute(these),
                Break::Lossy => Cut::Lossy(these, 20),
            };
            cluster.network().context("a cluster without a network of its own cannot be cut")?.cut(&cut)
        }
    }
}

/// Undoes it. Of a cut, how many packets it had stopped.
fn heal(cluster: &mut Cluster, harm: Harm, victims: &[u64]) -> anyhow::Result<u64> {
    for victim in victims {
        match harm {
            Harm::Kill => cluster.gateway_mut(*victim).start()?,
            Harm::Pause => cluster.gateway(*victim).resume()?,
            Harm::Cut(_) => {}
        }
    }
    match (harm, cluster.network()) {
        (Harm::Cut(_), Some(network)) => network.heal(),
        (Harm::Cut(_), None) | (Harm::Kill | Harm::Pause, _) => Ok(0),
    }
}

/// Starts nodes that ended by themselves, and says how many did.
fn revive(cluster: &mut Cluster, recorder: &Recorder) -> anyhow::Result<usize> {
    let mut deaths = 0;
    for id in cluster.ids() {
        let gateway = cluster.gateway_mut(id);
        if let Some(status) = gateway.exit_status() {
            recorder.fault(format!("node {id} ended by itself with {status}"));
            deaths += 1;
            gateway.start()?;
        }
    }
    Ok(deaths)
}

/// Who is hit, and who leads. Without a leader to be found, the fault hits as if node 1 led.
async fn victims(cluster: &Cluster, fault: &Fault) -> (Vec<u64>, Option<u64>) {
    let found = eventually("a leader", LEADER_LIMIT, async || cluster.leadership().await).await;
    let led = found.ok().map(|leadership| leadership.leader);
    let leader = led.unwrap_or(1);
    let followers: Vec<u64> = cluster.ids().filter(|id| *id != leader).collect();
    let index = usize::try_from(fault.choice % followers.len() as u64).unwrap_or_default();
    let follower = followers[index];
    let victims = match fault.target {
        Target::Leader => vec![leader],
        Target::Follower => vec![follower],
        Target::Majority => vec![leader, follower],
        Target::Everyone => cluster.ids().collect(),
        Target::Last => cluster.ids().max().into_iter().collect(),
    };
    (victims, led)
}
