//! One run of one seed: the faults, one step of everything, what must hold after it, again and again;
//! then everything is healed, and the nodes have to agree and take a write within bounded time.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use futures::future::join_all;
use tokio::sync::oneshot;
use turmoil::{Builder, Sim};

use crate::client::{Client, last_id, name};
use crate::disk::Planted;
use crate::entry::{Heard, Request};
use crate::faults::{Counts, Faults};
use crate::invariants::{Figures, Invariants};
use crate::network::host;
use crate::node::{self, Ask, Status};
use crate::oracle::Told;
use crate::panics;
use crate::plan::Plan;
use crate::rules::Write;
use crate::trace::Trace;
use crate::world::{Running, START_MS, World};

/// Simulated time of one step.
const TICK: Duration = Duration::from_millis(1);
/// Within so many steps after everything is healed, each part of the end has to come.
const READY_STEPS: u64 = 20_000;
const CLIENTS_STEPS: u64 = 15_000;
const WRITE_STEPS: u64 = 5_000;
const AGREE_STEPS: u64 = 5_000;
/// How many steps pass between two looks whether it has.
const LOOK_STEPS: u64 = 20;
/// After so many steps the disks forget which batches they were written in.
const FOLD_STEPS: u64 = 1_000;

/// How a run is made.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Steps with faults, of a millisecond of simulated time each.
    pub ticks: u64,
    /// A fault in the simulation itself, to see whether it is noticed.
    pub planted: Option<Planted>,
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Of everything that was seen, in order.
    pub trace: u64,
    /// What must never be, if it was, with its time.
    pub violation: Option<String>,
    /// What clients were told.
    pub told: Told,
    /// What nodes went through.
    pub figures: Figures,
    /// The faults that came.
    pub faults: Counts,
    /// Steps that were made.
    pub steps: u64,
}

struct Run {
    world: Arc<World>,
    faults: Faults,
    invariants: Invariants,
    trace: Trace,
    steps: u64,
    names: Vec<String>,
    are_clients_done: bool,
}

/// Runs a seed. Runs of one process wait for each other: see [`number_tasks_anew`].
#[must_use]
pub fn run(seed: u64, settings: Settings) -> Outcome {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    number_tasks_anew();
    openshell_store::simulation::seed(seed);
    let plan = Plan::of(seed, settings.ticks);
    let names = (0..plan.keys).map(name).collect();
    let world = Arc::new(World::new(plan, settings.planted));
    let mut run = Run {
        faults: Faults::new(Arc::clone(&world)),
        invariants: Invariants::default(),
        trace: Trace::default(),
        steps: 0,
        names,
        are_clients_done: false,
        world,
    };
    let mut sim = build(&run.world);
    let violation = run.all(&mut sim, settings.ticks).err();
    let violation = violation.map(|what| format!("after {} ms: {what}", run.steps));
    run.world.places().values_mut().filter_map(|place| place.running.take()).for_each(Running::let_go);
    let (told, clients) = {
        let oracle = run.world.oracle();
        (oracle.told, oracle.trace)
    };
    run.trace.note(&std::hash::Hasher::finish(&clients));
    Outcome {
        trace: std::hash::Hasher::finish(&run.trace),
        violation,
        told,
        figures: run.invariants.seen,
        faults: run.faults.counts,
        steps: run.steps,
    }
}

/// tokio numbers the tasks of a process through, and the last digits of a number decide when its task goes
/// in a runtime that is ended, and with it its connections. So every run begins with the same digits.
fn number_tasks_anew() {
    const NUMBERS: u64 = 1_024;
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime without drivers");
    let next = || runtime.block_on(async { tokio::spawn(async {}).id().to_string() });
    let is_last = |number: String| number.parse::<u64>().is_ok_and(|number| number % NUMBERS == 0);
    assert!((0..4 * NUMBERS).any(|_| is_last(next())), "tasks are numbered");
}

fn build(world: &Arc<World>) -> Sim<'static> {
    let plan = &world.plan;
    let mut sim = Builder::new()
        .rng_seed(plan.seed)
        .tick_duration(TICK)
        .simulation_duration(Duration::from_secs(3_600))
        .epoch(UNIX_EPOCH + Duration::from_millis(u64::try_from(START_MS).unwrap_or(0)))
        .min_message_latency(plan.latency.0)
        .max_message_latency(plan.latency.1)
        // A link that chance has broken is well again after some more messages.
        .repair_rate(0.2)
        .tcp_capacity(1_024)
        .enable_random_order()
        .build();
    for node in 1..=plan.spare() {
        let world = Arc::clone(world);
        sim.host(host(node), move || node::run(Arc::clone(&world), node));
    }
    // Hosts are made running; this one waits until it is wanted.
    sim.crash(host(plan.spare()));
    for node in 1..=plan.nodes {
        world.place(node, |place| (place.is_up, place.life) = (true, 1));
    }
    let clients = (1..=plan.clients).map(|number| Client::new(Arc::clone(world), number)).collect::<Vec<_>>();
    sim.client("clients", async move {
        join_all(clients.into_iter().map(Client::run)).await;
        Ok(())
    });
    sim
}

impl Run {
    fn all(&mut self, sim: &mut Sim<'_>, ticks: u64) -> Result<(), String> {
        for _ in 0..ticks {
            self.faults.step(sim, self.steps);
            self.step(sim)?;
        }
        self.faults.heal(sim, self.steps);
        self.until_ready(sim)?;
        self.world.is_over.store(true, Ordering::Relaxed);
        self.until(sim, CLIENTS_STEPS, "clients that have ended", |run, _| Ok(run.are_clients_done))?;
        self.last_writes(sim)?;
        self.until(sim, AGREE_STEPS, "nodes at one revision", |run, _| Ok(run.agree()))?;
        let running = self.world.all_running();
        let mut oracle = self.world.oracle();
        oracle.settle(&self.names)?;
        running.iter().try_for_each(|node| oracle.check_state(&node.cluster.state(), &self.names))?;
        oracle.finish()
    }

    /// One step of everything, and what must hold after it.
    fn step(&mut self, sim: &mut Sim<'_>) -> Result<(), String> {
        let stepped = panics::noted(self.world.plan.seed, || catch_unwind(AssertUnwindSafe(|| sim.step())));
        match stepped {
            (Ok(Ok(are_clients_done)), None) => self.are_clients_done = are_clients_done,
            (_, Some(panic)) => return Err(format!("something panicked: {panic}")),
            (Ok(Err(error)), None) => return Err(format!("a host failed: {error}")),
            (Err(_), None) => return Err("something panicked, without a word".to_owned()),
        }
        self.steps += 1;
        let mut in_flight = (0_u64, 0_u64);
        sim.links(|links| {
            for link in links {
                in_flight.0 += 1;
                in_flight.1 = in_flight.1.wrapping_mul(31).wrapping_add(link.count() as u64);
            }
        });
        self.trace.note(&in_flight);
        self.invariants.check(&self.world, self.steps, &mut self.trace)?;
        self.world.oracle().settle(&self.names)?;
        if self.steps.is_multiple_of(FOLD_STEPS) {
            self.world.places().values().for_each(|place| place.disk.fold());
        }
        self.world.violation().map_or(Ok(()), Err)
    }

    /// Steps until something is so.
    fn until(
        &mut self,
        sim: &mut Sim<'_>,
        most: u64,
        what: &str,
        mut is_so: impl FnMut(&mut Self, &mut Sim<'_>) -> Result<bool, String>,
    ) -> Result<(), String> {
        let end = self.steps + most;
        while self.steps < end {
            if is_so(self, sim)? {
                return Ok(());
            }
            for _ in 0..LOOK_STEPS {
                self.faults.step(sim, self.steps);
                self.step(sim)?;
            }
        }
        Err(format!("{most} ms after everything was healed there are still no {what}: {}", self.standing()))
    }

    /// Asks nodes, and waits for all answers. Nothing when one is not there.
    fn ask<T>(
        &mut self,
        sim: &mut Sim<'_>,
        nodes: &[u64],
        ask: impl Fn(oneshot::Sender<T>) -> Ask,
    ) -> Result<Option<Vec<T>>, String> {
        let mut answers = Vec::new();
        for node in nodes {
            let (answer, mut answered) = oneshot::channel();
            let running = self.world.running(*node);
            if running.is_none_or(|running| running.asks.send(ask(answer)).is_err()) {
                return Ok(None);
            }
            let told = loop {
                self.faults.step(sim, self.steps);
                self.step(sim)?;
                match answered.try_recv() {
                    Ok(told) => break told,
                    Err(oneshot::error::TryRecvError::Empty) => {}
                    Err(oneshot::error::TryRecvError::Closed) => return Ok(None),
                }
            };
            answers.push(told);
        }
        Ok(Some(answers))
    }

    /// The nodes that belong to the cluster; nothing while one is being replaced.
    fn members(&mut self) -> Option<Vec<u64>> {
        let spare = self.world.plan.spare();
        match self.faults.replacement() {
            None => Some((1..spare).collect()),
            Some((old, true)) => Some((1..=spare).filter(|node| *node != old).collect()),
            Some((_, false)) => None,
        }
    }

    fn until_ready(&mut self, sim: &mut Sim<'_>) -> Result<(), String> {
        let mut last = String::new();
        let ready = self.until(sim, READY_STEPS, "members that are ready", |run, sim| {
            let Some(members) = run.members() else {
                last = "a member is being replaced".to_owned();
                return Ok(false);
            };
            let Some(said) = run.ask(sim, &members, Ask::Status)? else {
                last = "a member does not run".to_owned();
                return Ok(false);
            };
            let unready = said.iter().find(|status: &&Status| status.ready.is_err() || status.voters != members);
            last = unready.map(|status| format!("{status:?}")).unwrap_or_default();
            Ok(unready.is_none())
        });
        ready.map_err(|error| if last.is_empty() { error } else { format!("{error}; {last}") })
    }

    /// Every member takes a write.
    fn last_writes(&mut self, sim: &mut Sim<'_>) -> Result<(), String> {
        for node in self.members().unwrap_or_default() {
            let end = self.steps + WRITE_STEPS;
            let mut id_time_ms = self.now_ms();
            let mut attempts = 0;
            loop {
                attempts += 1;
                match self.last_write(sim, node, attempts, id_time_ms)? {
                    Some(Heard::Done { .. }) => break,
                    heard if self.steps >= end => {
                        return Err(format!("node {node} takes no write after everything was healed: {heard:?}"));
                    }
                    // All clocks may be wrong together, and by the cluster's an id of now is of another time.
                    Some(Heard::Untimely { take_ms }) => id_time_ms = take_ms,
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// One write at a node, whatever came of those before it.
    fn last_write(
        &mut self,
        sim: &mut Sim<'_>,
        node: u64,
        attempt: u64,
        id_time_ms: i64,
    ) -> Result<Option<Heard>, String> {
        let write = Write::Put { key: name(0), value: format!("last-{node}-{attempt}") };
        let request = Request { write, id: last_id(id_time_ms, node, attempt), is_repeated: false };
        let operation = {
            let mut oracle = self.world.oracle();
            let operation = oracle.begin(request.write.clone());
            oracle.attempt(operation, request.id);
            operation
        };
        let limit = Duration::from_secs(2);
        let heard = self.ask(sim, &[node], |answer| Ask::Write(request.clone(), limit, answer))?;
        let heard = heard.and_then(|mut heard| heard.pop());
        let mut oracle = self.world.oracle();
        match &heard {
            Some(Heard::Done { revision, held }) => oracle.done(operation, *revision, held.clone()),
            Some(Heard::Refused { revision, .. }) => oracle.refused(operation, *revision),
            Some(Heard::NotDone | Heard::Untimely { .. }) => oracle.not_done(operation),
            Some(Heard::Unknown) | None => oracle.unknown(operation),
        }
        drop(oracle);
        Ok(heard)
    }

    /// The time by the clock that is ahead of all: what the cluster believes is not after it.
    fn now_ms(&self) -> i64 {
        let running = self.world.all_running();
        let newest = running.iter().map(|node| node.cluster.state().last_time_ms()).max().unwrap_or(0);
        newest.max(START_MS + i64::try_from(self.steps).unwrap_or(0))
    }

    fn agree(&mut self) -> bool {
        let Some(members) = self.members() else { return false };
        let states = members.iter().filter_map(|node| self.world.running(*node)).map(|node| node.cluster.state());
        let states: Vec<_> = states.map(|state| (state.revision(), state.digest())).collect();
        states.len() == members.len() && states.windows(2).all(|pair| pair[0] == pair[1])
    }

    /// Where the nodes are, for people.
    fn standing(&self) -> String {
        let running = self.world.all_running();
        let lines = running.iter().map(|node| {
            let gauges = node.cluster.gauges();
            let (role, term, leader) = (gauges.role, gauges.term, gauges.leader);
            let (committed, applied, last) = (gauges.committed, gauges.applied, gauges.last_log_index);
            let id = node.cluster.node();
            format!(
                "node {id} {role} term {term} leader {leader:?} committed {committed} applied {applied} last {last}"
            )
        });
        lines.collect::<Vec<_>>().join("; ")
    }
}
