//! What a seed stands for: how many nodes, how they are set up, and which faults come when. All of it
//! is drawn before the run; only who leads by then is found out when a fault comes.

use std::time::Duration;

use openshell_raft::Timings;

use crate::chance::Chance;

/// Between the starts of two faults.
const PAUSE_MS: (u64, u64) = (120, 1_500);
/// How long a fault stays, mostly; one in eight stays for longer.
const SHORT_MS: (u64, u64) = (30, 1_200);
const LONG_MS: (u64, u64) = (1_500, 5_000);
/// Nothing goes wrong before: the nodes form their cluster.
const QUIET_MS: u64 = 1_200;

/// A run, before it runs.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// The seed of everything.
    pub(crate) seed: u64,
    /// Nodes 1 to this form the cluster. One more stands by to take somebody's place.
    pub(crate) nodes: u64,
    /// Of Raft.
    pub(crate) timings: Timings,
    /// Entries after which a snapshot is due.
    pub(crate) snapshot_after_entries: u64,
    /// Entries that stay behind a snapshot.
    pub(crate) log_entries_kept: u64,
    /// Writers and readers.
    pub(crate) clients: u64,
    /// Names that they write to.
    pub(crate) keys: u64,
    /// Bytes that are written with each value.
    pub(crate) padding: usize,
    /// How long a message takes, least and most.
    pub(crate) latency: (Duration, Duration),
    /// How long a write to a disk takes, in milliseconds, least and most; none: it takes no time.
    pub(crate) disk_ms: Option<(u64, u64)>,
    /// By how many milliseconds each node's wall clock is wrong, from node 1 on.
    pub(crate) clocks_ms: Vec<i64>,
    /// What goes wrong, in order.
    pub(crate) faults: Vec<Planned>,
}

/// A fault and its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Planned {
    /// Milliseconds since the start.
    pub(crate) at_ms: u64,
    /// What happens.
    pub(crate) fault: Fault,
    /// How long it lasts.
    pub(crate) lasts_ms: u64,
}

/// Whom a fault meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// Whoever leads, or the first node.
    Leader,
    /// This one.
    Node(u64),
}

/// Something that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A process ends without a word; what it had given to its machine is kept.
    Kill(Who),
    /// A machine loses power: of what was not synced some first part survives.
    PowerLoss(Who),
    /// All machines lose power at once.
    Blackout,
    /// A node is restarted in order: it hands over and stops.
    Restart(Who),
    /// A disk fails its writes: the node has to stop, and is started again.
    DiskError(Who),
    /// Each write of a disk takes this many milliseconds.
    SlowDisk(Who, u64),
    /// Nobody hears this node, and it hears nobody.
    Isolate(Who),
    /// Nobody hears this node.
    Mute(Who),
    /// This node hears nobody.
    Deafen(Who),
    /// Nodes whose bit is set are cut off from the others.
    Split(u64),
    /// Two nodes do not hear each other.
    Cut(u64, u64),
    /// Messages between two nodes wait, and come all at once.
    Hold(u64, u64),
    /// Messages between two nodes take this many milliseconds.
    SlowLink(u64, u64, u64),
    /// Every so many messages (in a thousand) a link loses what is on it.
    Loss(u64),
    /// A wall clock is moved by so many milliseconds, and not back.
    Clock(Who, i64),
    /// Leadership is moved to this node.
    Transfer(u64),
    /// This node is replaced by the one that stands by.
    Replace(Who),
}

impl Plan {
    /// What this seed stands for, with faults for so many milliseconds.
    pub(crate) fn of(seed: u64, fault_ms: u64) -> Self {
        let mut chance = Chance::new(seed, "plan");
        let nodes = *chance.pick(&[3, 3, 3, 4, 5, 5]);
        let timings = if chance.one_in(4) { Timings::slow_disk() } else { Timings::lan() };
        let least = chance.between(0, 3);
        let latency = (Duration::from_millis(least), Duration::from_millis(least + chance.between(1, 12)));
        let far = chance.one_in(6);
        let clocks_ms = (0..=nodes).map(|_| clock(&mut chance, far)).collect();
        Self {
            seed,
            nodes,
            timings,
            snapshot_after_entries: chance.between(8, 80),
            log_entries_kept: *chance.pick(&[0, 1, 5, 20, 60]),
            clients: chance.between(4, 8),
            keys: chance.between(2, 6),
            padding: *chance.pick(&[0, 0, 200, 4_000]),
            latency,
            disk_ms: (!chance.one_in(4)).then(|| (0, chance.between(1, 12))),
            clocks_ms,
            faults: faults(seed, nodes, fault_ms),
        }
    }

    /// The node that stands by.
    pub(crate) fn spare(&self) -> u64 {
        self.nodes + 1
    }
}

/// A wall clock is off by some seconds at most, in some runs by most of an hour.
fn clock(chance: &mut Chance, far: bool) -> i64 {
    let most = if far { 50 * 60_000 } else { 5_000 };
    let off = i64::try_from(chance.below(2 * most + 1)).unwrap_or(0);
    off - i64::try_from(most).unwrap_or(0)
}

fn faults(seed: u64, nodes: u64, until_ms: u64) -> Vec<Planned> {
    let mut chance = Chance::new(seed, "faults");
    // Some runs have a taste, so that what is rare in all of them comes often in one.
    let taste = chance.below(4);
    let mut planned = Vec::new();
    let mut at_ms = QUIET_MS;
    while at_ms < until_ms {
        let (least, most) = if chance.one_in(8) { LONG_MS } else { SHORT_MS };
        let fault = fault(&mut chance, nodes, taste);
        planned.push(Planned { at_ms, fault, lasts_ms: chance.between(least, most) });
        at_ms += chance.between(PAUSE_MS.0, PAUSE_MS.1);
    }
    planned
}

fn fault(chance: &mut Chance, nodes: u64, taste: u64) -> Fault {
    let who = match chance.one_in(2) {
        true => Who::Leader,
        false => Who::Node(chance.between(1, nodes)),
    };
    let one = chance.between(1, nodes);
    let other = (one + chance.between(0, nodes - 2)) % nodes + 1;
    let kind = match taste {
        // Power and disks.
        0 if chance.one_in(2) => chance.below(6),
        // The network.
        1 if chance.one_in(2) => 6 + chance.below(8),
        _ => chance.below(17),
    };
    match kind {
        0 => Fault::Kill(who),
        1 => Fault::PowerLoss(who),
        2 => Fault::Blackout,
        3 => Fault::Restart(who),
        4 => Fault::DiskError(who),
        5 => Fault::SlowDisk(who, *chance.pick(&[30, 80, 200, 600, 2_500])),
        6 => Fault::Isolate(who),
        7 => Fault::Mute(who),
        8 => Fault::Deafen(who),
        9 => Fault::Split(chance.between(1, (1 << nodes) - 2)),
        10 => Fault::Cut(one, other),
        11 => Fault::Hold(one, other),
        12 => Fault::SlowLink(one, other, chance.between(20, 400)),
        13 => Fault::Loss(chance.between(1, 20)),
        14 => Fault::Clock(who, clock(chance, false)),
        15 => Fault::Transfer(one),
        // Once a run, and not in each: the spare is one.
        _ if chance.one_in(2) => Fault::Replace(who),
        _ => Fault::Transfer(other),
    }
}

#[cfg(test)]
mod tests {
    use super::{Fault, Plan};

    #[test]
    fn a_plan_follows_from_its_seed() {
        let plan = |seed| Plan::of(seed, 20_000);
        assert_eq!(plan(3).faults, plan(3).faults);
        assert_ne!(plan(3).faults, plan(4).faults);
        assert!(plan(3).faults.is_sorted_by_key(|planned| planned.at_ms));
    }

    #[test]
    fn no_fault_is_between_a_node_and_itself_or_outside_of_the_cluster() {
        for seed in 0..300 {
            let plan = Plan::of(seed, 20_000);
            for planned in &plan.faults {
                match planned.fault {
                    Fault::Cut(one, other) | Fault::Hold(one, other) | Fault::SlowLink(one, other, _) => {
                        assert!(one != other && one.max(other) <= plan.nodes && one.min(other) > 0, "{planned:?}");
                    }
                    Fault::Split(side) => assert!(side > 0 && side < (1 << plan.nodes) - 1, "{planned:?}"),
                    _ => {}
                }
            }
        }
    }
}
