//! The network between nodes as the faults that are on it leave it. Several may be on one link at a
//! time; it is what the worst of them makes it, and is well again when the last has gone.

use std::collections::BTreeMap;
use std::time::Duration;

use turmoil::Sim;

use crate::network::host;

/// Something on some links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// What the first sends never comes to the second.
    Lost(u64, u64),
    /// What they send each other waits.
    Held(u64, u64),
    /// What they send each other takes so many milliseconds.
    Slow(u64, u64, u64),
    /// One message in a thousand, for each of these, takes everything on its link with it.
    Lossy(u64),
}

/// How a link is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    Well,
    Held,
    /// Whether it is so from the first to the second, and back.
    Lost(bool, bool),
}

/// All links between the nodes 1 to so many.
pub(crate) struct Links {
    nodes: u64,
    latency: (Duration, Duration),
    /// By a number that is given when it begins.
    troubles: BTreeMap<u64, Trouble>,
    conditions: BTreeMap<(u64, u64), Condition>,
    slow: BTreeMap<(u64, u64), u64>,
    lossy: u64,
}

impl Links {
    pub(crate) fn new(nodes: u64, latency: (Duration, Duration)) -> Self {
        Self { nodes, latency, troubles: BTreeMap::new(), conditions: BTreeMap::new(), slow: BTreeMap::new(), lossy: 0 }
    }

    pub(crate) fn begin(&mut self, sim: &mut Sim<'_>, number: u64, troubles: impl IntoIterator<Item = Trouble>) {
        // Some troubles are of several links: each has a number of its own below the next fault's.
        self.troubles.extend((number << 16..).zip(troubles));
        self.update(sim);
    }

    pub(crate) fn end(&mut self, sim: &mut Sim<'_>, number: u64) {
        self.troubles.retain(|of, _| of >> 16 != number);
        self.update(sim);
    }

    pub(crate) fn heal(&mut self, sim: &mut Sim<'_>) {
        self.troubles.clear();
        self.update(sim);
    }

    fn update(&mut self, sim: &mut Sim<'_>) {
        for one in 1..=self.nodes {
            for other in one + 1..=self.nodes {
                let condition = self.condition(one, other);
                let before = self.conditions.insert((one, other), condition).unwrap_or(Condition::Well);
                if before != condition {
                    set(sim, one, other, before, condition);
                }
                self.set_latency(sim, one, other);
            }
        }
        let lossy = self.troubles.values().map(|trouble| if let Trouble::Lossy(rate) = trouble { *rate } else { 0 });
        let lossy = lossy.max().unwrap_or(0);
        if lossy != self.lossy {
            self.lossy = lossy;
            let rate = f64::from(u32::try_from(lossy).unwrap_or(0)) / 1000.0;
            sim.set_fail_rate(rate);
            self.mend(sim);
        }
    }

    /// What chance has broken, and would mend by chance as well.
    fn mend(&self, sim: &mut Sim<'_>) {
        for ((one, other), _) in self.conditions.iter().filter(|(_, condition)| **condition == Condition::Well) {
            sim.release(host(*one), host(*other));
        }
    }

    fn condition(&self, one: u64, other: u64) -> Condition {
        let has = |wanted: Trouble| self.troubles.values().any(|trouble| *trouble == wanted);
        let lost = (has(Trouble::Lost(one, other)), has(Trouble::Lost(other, one)));
        if lost != (false, false) {
            return Condition::Lost(lost.0, lost.1);
        }
        match has(Trouble::Held(one, other)) || has(Trouble::Held(other, one)) {
            true => Condition::Held,
            false => Condition::Well,
        }
    }

    fn set_latency(&mut self, sim: &mut Sim<'_>, one: u64, other: u64) {
        let slow = self.troubles.values().filter_map(|trouble| match trouble {
            Trouble::Slow(a, b, ms) if (*a.min(b), *a.max(b)) == (one, other) => Some(*ms),
            _ => None,
        });
        let slow = slow.max().unwrap_or(0);
        if self.slow.insert((one, other), slow).unwrap_or(0) == slow {
            return;
        }
        let (least, most) = match slow {
            0 => self.latency,
            ms => (Duration::from_millis(ms), Duration::from_millis(ms)),
        };
        sim.set_link_latency(host(one), host(other), least);
        sim.set_link_max_message_latency(host(one), host(other), most);
    }
}

fn set(sim: &mut Sim<'_>, one: u64, other: u64, before: Condition, condition: Condition) {
    let (one, other) = (host(one), host(other));
    match (before, condition) {
        (_, Condition::Well) => sim.release(one, other),
        (Condition::Well, Condition::Held) => sim.hold(one, other),
        (_, Condition::Held) => {
            sim.repair(one.as_str(), other.as_str());
            sim.hold(one, other);
        }
        (_, Condition::Lost(there, back)) => {
            // What waits is lost as well: a link that loses one way keeps nothing.
            sim.partition(one.as_str(), other.as_str());
            if !there {
                sim.repair_oneway(one.as_str(), other.as_str());
            }
            if !back {
                sim.repair_oneway(other, one);
            }
        }
    }
}
