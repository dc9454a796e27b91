//! Faults as they come: whom they meet, what is done to the simulation, and what ends them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use turmoil::Sim;

use crate::chance::Chance;
use crate::links::{Links, Trouble};
use crate::network::host;
use crate::node::Ask;
use crate::plan::{Fault, Planned, Who};
use crate::world::World;

/// How long one call of an operator may take.
const CALL: Duration = Duration::from_secs(3);
/// Between two looks whether a member has been replaced.
const REPLACE_PAUSE_MS: u64 = 250;

/// Something that is due at some time.
#[derive(Clone, Copy, Debug)]
enum Due {
    /// A node is started, unless it was by then.
    Start(u64),
    /// A trouble of links ends.
    Heal(u64),
    /// A disk is as fast as before.
    Fast(u64),
    /// The operator asks again to have a node replaced.
    Replace(u64),
}

/// How many faults of which kind there were.
pub type Counts = BTreeMap<&'static str, u64>;

/// All faults of a run.
pub(crate) struct Faults {
    world: Arc<World>,
    chance: Chance,
    links: Links,
    planned: std::vec::IntoIter<Planned>,
    next: Option<Planned>,
    due: BTreeMap<(u64, u64), Due>,
    number: u64,
    /// By node: milliseconds that a write takes.
    slow: BTreeMap<u64, u64>,
    /// Who is replaced, and whether that is done.
    replaced: Option<(u64, tokio::sync::oneshot::Receiver<bool>, bool)>,
    pub(crate) counts: Counts,
}

impl Faults {
    pub(crate) fn new(world: Arc<World>) -> Self {
        let plan = world.plan.clone();
        let mut planned = plan.faults.into_iter();
        let next = planned.next();
        Self {
            chance: Chance::new(plan.seed, "chance of faults"),
            links: Links::new(plan.nodes + 1, plan.latency),
            world,
            planned,
            next,
            due: BTreeMap::new(),
            number: 0,
            slow: BTreeMap::new(),
            replaced: None,
            counts: Counts::new(),
        }
    }

    /// Before a step: everything that is due.
    pub(crate) fn step(&mut self, sim: &mut Sim<'_>, now_ms: u64) {
        while let Some(planned) = self.next.take_if(|planned| planned.at_ms <= now_ms) {
            self.begin(sim, &planned);
            self.next = self.planned.next();
        }
        while let Some(entry) = self.due.first_entry().filter(|entry| entry.key().0 <= now_ms) {
            let due = entry.remove();
            self.carry_out(sim, now_ms, due);
        }
        self.pace_disks();
        self.end_broken(sim, now_ms);
    }

    /// Every fault is over, and none comes any more: every node that belongs to the cluster runs.
    pub(crate) fn heal(&mut self, sim: &mut Sim<'_>, now_ms: u64) {
        self.next = None;
        self.planned = Vec::new().into_iter();
        self.slow.clear();
        self.links.heal(sim);
        self.due.retain(|_, due| matches!(due, Due::Replace(_)));
        for node in 1..=self.world.plan.spare() {
            self.start(sim, node);
        }
        self.step(sim, now_ms);
    }

    fn at(&mut self, at_ms: u64, due: Due) {
        self.number += 1;
        self.due.insert((at_ms, self.number), due);
    }

    fn whom(&self, who: Who) -> u64 {
        match who {
            Who::Node(node) => node,
            Who::Leader => {
                let running = self.world.all_running();
                running.iter().find(|node| node.cluster.is_leader()).map_or(1, |node| node.cluster.node())
            }
        }
    }

    fn begin(&mut self, sim: &mut Sim<'_>, planned: &Planned) {
        let Planned { at_ms, fault, lasts_ms } = *planned;
        tracing::info!(at_ms, ?fault, lasts_ms, "a fault begins");
        let end_ms = at_ms + lasts_ms;
        let word = match fault {
            Fault::Kill(who) => self.crash(sim, &[self.whom(who)], false, end_ms, "kill"),
            Fault::PowerLoss(who) => self.crash(sim, &[self.whom(who)], true, end_ms, "power loss"),
            Fault::Blackout => {
                let all: Vec<u64> = (1..=self.world.plan.spare()).collect();
                self.crash(sim, &all, true, end_ms, "blackout")
            }
            Fault::Restart(who) => self.tell(self.whom(who), Ask::Stop).then_some("restart"),
            Fault::DiskError(who) => self.fail_disk(self.whom(who), end_ms),
            Fault::SlowDisk(who, ms) => {
                let node = self.whom(who);
                self.slow.insert(node, ms);
                self.at(end_ms, Due::Fast(node));
                Some("slow disk")
            }
            Fault::Clock(who, by_ms) => {
                self.world.place(self.whom(who), |place| place.clock.move_by(by_ms));
                Some("clock")
            }
            Fault::Transfer(to) => {
                let leader = self.whom(Who::Leader);
                self.tell(leader, Ask::Transfer(to, CALL)).then_some("transfer")
            }
            Fault::Replace(who) => self.begin_replacement(sim, self.whom(who), at_ms),
            Fault::Isolate(_)
            | Fault::Mute(_)
            | Fault::Deafen(_)
            | Fault::Split(_)
            | Fault::Cut(..)
            | Fault::Hold(..)
            | Fault::SlowLink(..)
            | Fault::Loss(_) => self.trouble(sim, fault, end_ms),
        };
        if let Some(word) = word {
            *self.counts.entry(word).or_default() += 1;
        }
    }

    fn trouble(&mut self, sim: &mut Sim<'_>, fault: Fault, end_ms: u64) -> Option<&'static str> {
        let nodes: Vec<u64> = (1..=self.world.plan.spare()).collect();
        let lost = |from: &dyn Fn(u64) -> bool, to: &dyn Fn(u64) -> bool| {
            let pairs = nodes.iter().flat_map(|one| nodes.iter().map(move |other| (*one, *other)));
            let pairs = pairs.filter(|(one, other)| one != other && from(*one) && to(*other));
            pairs.map(|(one, other)| Trouble::Lost(one, other)).collect::<Vec<_>>()
        };
        let (troubles, word) = match fault {
            Fault::Mute(who) => {
                let whom = self.whom(who);
                (lost(&|node| node == whom, &|_| true), "mute")
            }
            Fault::Deafen(who) => {
                let whom = self.whom(who);
                (lost(&|_| true, &|node| node == whom), "deafen")
            }
            Fault::Isolate(who) => {
                let whom = self.whom(who);
                let there = lost(&|node| node == whom, &|_| true);
                (there.into_iter().chain(lost(&|_| true, &|node| node == whom)).collect(), "isolate")
            }
            Fault::Split(side) => {
                let is_in = move |node: u64| side >> (node - 1) & 1 == 1;
                let there = lost(&is_in, &|node| !is_in(node));
                (there.into_iter().chain(lost(&|node| !is_in(node), &is_in)).collect(), "split")
            }
            Fault::Cut(one, other) => (vec![Trouble::Lost(one, other), Trouble::Lost(other, one)], "cut"),
            Fault::Hold(one, other) => (vec![Trouble::Held(one, other)], "hold"),
            Fault::SlowLink(one, other, ms) => (vec![Trouble::Slow(one, other, ms)], "slow link"),
            Fault::Loss(rate) => (vec![Trouble::Lossy(rate)], "loss"),
            _ => return None,
        };
        self.number += 1;
        let number = self.number;
        self.links.begin(sim, number, troubles);
        self.due.insert((end_ms, number), Due::Heal(number));
        Some(word)
    }

    fn carry_out(&mut self, sim: &mut Sim<'_>, now_ms: u64, due: Due) {
        match due {
            Due::Start(node) => self.start(sim, node),
            Due::Heal(number) => self.links.end(sim, number),
            Due::Fast(node) => drop(self.slow.remove(&node)),
            Due::Replace(old) => self.replace(old, now_ms),
        }
    }

    /// Starts a node that does not run, on the disk that it left. One whose disk fails, and that had nothing
    /// to write since, ends first.
    fn start(&mut self, sim: &mut Sim<'_>, node: u64) {
        if self.world.place(node, |place| place.is_up && place.may_break) {
            self.end_process(sim, node, true);
        }
        let is_needed = match &self.replaced {
            Some((old, _, is_done)) => !is_done || node != *old,
            None => node != self.world.plan.spare(),
        };
        let starts = is_needed && self.world.place(node, |place| !place.is_up);
        if starts {
            self.world.place(node, |place| {
                (place.is_up, place.is_broken, place.has_ended) = (true, false, false);
                place.life += 1;
                tracing::info!(node, life = place.life, "is started");
            });
            sim.bounce(host(node));
        }
    }

    /// Ends processes without a word. A machine that loses power keeps of what was not synced some first
    /// part, and nobody hears its connections end; what a process wrote is kept.
    fn crash(
        &mut self,
        sim: &mut Sim<'_>,
        nodes: &[u64],
        loses_power: bool,
        end_ms: u64,
        word: &'static str,
    ) -> Option<&'static str> {
        let mut any = false;
        for node in nodes.iter().copied() {
            if !self.world.place(node, |place| place.is_up) {
                continue;
            }
            any = true;
            self.number += 1;
            let silence = (1..=self.world.plan.spare()).filter(|other| *other != node);
            let silence: Vec<Trouble> = silence.map(|other| Trouble::Lost(node, other)).collect();
            let number = self.number;
            if loses_power {
                self.links.begin(sim, number, silence);
            }
            self.end_process(sim, node, loses_power);
            self.links.end(sim, number);
            let pause_ms = self.chance.below(40);
            self.at(end_ms + pause_ms, Due::Start(node));
        }
        any.then_some(word)
    }

    fn end_process(&mut self, sim: &mut Sim<'_>, node: u64, loses_power: bool) {
        let chance = &mut self.chance;
        self.world.place(node, |place| {
            (place.is_up, place.may_break, place.is_broken) = (false, false, false);
            let (synced, written) = (place.disk.synced(), place.disk.written());
            let unsynced = u64::try_from(written - synced).unwrap_or(0);
            tracing::info!(node, loses_power, unsynced, "ends");
            let survives = if loses_power { chance.between(0, unsynced) } else { unsynced };
            place.disk = place.disk.lose_power_keeping(synced + usize::try_from(survives).unwrap_or(0));
            if let Some(running) = place.running.take() {
                running.let_go();
            }
        });
        sim.crash(host(node));
    }

    fn fail_disk(&mut self, node: u64, end_ms: u64) -> Option<&'static str> {
        let fails = self.world.place(node, |place| {
            place.may_break = place.is_up;
            if place.is_up {
                place.disk.fail("the disk does not write any more");
            }
            place.is_up
        });
        if fails {
            self.at(end_ms, Due::Start(node));
        }
        fails.then_some("disk error")
    }

    /// A process that has said that it cannot go on ends; whoever looks after it starts it again.
    fn end_broken(&mut self, sim: &mut Sim<'_>, now_ms: u64) {
        for node in 1..=self.world.plan.spare() {
            let (is_broken, has_ended) =
                self.world.place(node, |place| (place.is_broken && place.is_up, place.has_ended && place.is_up));
            if is_broken {
                self.end_process(sim, node, true);
            }
            if has_ended {
                self.world.place(node, |place| place.is_up = false);
            }
            if is_broken || has_ended {
                let pause_ms = self.chance.between(1, 300);
                self.at(now_ms + pause_ms, Due::Start(node));
            }
        }
    }

    fn tell(&self, node: u64, ask: Ask) -> bool {
        self.world.running(node).is_some_and(|running| running.asks.send(ask).is_ok())
    }

    /// How long each write takes, anew for each step.
    fn pace_disks(&mut self) {
        let Some((least, most)) = self.world.plan.disk_ms else { return };
        for (node, place) in self.world.places().iter() {
            let ms = self.slow.get(node).copied().unwrap_or_else(|| self.chance.between(least, most));
            place.disk.set_delay(Duration::from_millis(ms));
        }
    }

    fn begin_replacement(&mut self, sim: &mut Sim<'_>, old: u64, now_ms: u64) -> Option<&'static str> {
        if self.replaced.is_some() {
            return None;
        }
        self.replaced = Some((old, tokio::sync::oneshot::channel().1, false));
        self.start(sim, self.world.plan.spare());
        self.at(now_ms + REPLACE_PAUSE_MS, Due::Replace(old));
        Some("replace")
    }

    /// Asks whoever leads, again and again, as an operator does.
    fn replace(&mut self, old: u64, now_ms: u64) {
        let Some((_, done, is_done)) = &mut self.replaced else { return };
        if let Ok(true) = done.try_recv() {
            *is_done = true;
            // It hears so by itself, and takes no part any more.
            self.world.place(old, |place| place.is_leaving = true);
            return;
        }
        let (answer, answered) = tokio::sync::oneshot::channel();
        let new = self.world.plan.spare();
        let leader = self.whom(Who::Leader);
        // From now on the change may come to its end, whoever hears of it.
        self.world.place(old, |place| place.is_leaving = true);
        if self.tell(leader, Ask::Replace { old, new, limit: CALL, done: answer }) {
            self.replaced = Some((old, answered, false));
        }
        self.at(now_ms + REPLACE_PAUSE_MS * 8, Due::Replace(old));
    }

    /// Who was replaced, once that is done; nothing when nobody is to be.
    pub(crate) fn replacement(&mut self) -> Option<(u64, bool)> {
        self.replaced.as_ref().map(|(old, _, is_done)| (*old, *is_done))
    }
}
