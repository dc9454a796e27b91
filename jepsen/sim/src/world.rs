//! What the driver, the nodes and the clients of one run share.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use openshell_raft::{Clock, Cluster};
use openshell_store::disk::simulated::SimulatedDisk;
use tokio::sync::mpsc;

use crate::disk::Planted;
use crate::entry::FromPeers;
use crate::node::Ask;
use crate::oracle::Oracle;
use crate::plan::Plan;

/// The time at which every run starts: milliseconds since the Unix epoch.
pub(crate) const START_MS: i64 = 1_760_000_000_000;

/// One run.
pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) planted: Option<Planted>,
    pub(crate) oracle: Mutex<Oracle>,
    /// Clients end with what they are at.
    pub(crate) is_over: AtomicBool,
    places: Mutex<BTreeMap<u64, Place>>,
    violation: Mutex<Option<String>>,
}

/// Where a node is, running or not.
pub(crate) struct Place {
    pub(crate) disk: SimulatedDisk,
    pub(crate) clock: Arc<OffsetClock>,
    /// How often it was started.
    pub(crate) life: u64,
    /// Its process runs, as far as the driver knows.
    pub(crate) is_up: bool,
    /// Its disk was told to fail: the node may say that it is broken.
    pub(crate) may_break: bool,
    /// It said so.
    pub(crate) is_broken: bool,
    /// It was stopped in order and has ended.
    pub(crate) has_ended: bool,
    /// It was put out of the cluster, or is about to be.
    pub(crate) is_leaving: bool,
    /// How to speak to it, once it takes part.
    pub(crate) running: Option<Running>,
}

/// The handle of a running node.
#[derive(Clone)]
pub(crate) struct Running {
    pub(crate) cluster: Cluster,
    pub(crate) asks: mpsc::UnboundedSender<Ask>,
}

impl Running {
    /// Nobody speaks to it any more. The node holds its handler, which holds the node.
    pub(crate) fn let_go(self) {
        self.cluster.set_call_handler(Arc::new(FromPeers { cluster: None, padding: 0 }));
    }
}

/// A wall clock that is wrong by some milliseconds.
#[derive(Debug, Default)]
pub(crate) struct OffsetClock(AtomicI64);

impl OffsetClock {
    pub(crate) fn set_wrong_by(&self, offset_ms: i64) {
        self.0.store(offset_ms, Ordering::Relaxed);
    }

    pub(crate) fn move_by(&self, by_ms: i64) {
        self.0.fetch_add(by_ms, Ordering::Relaxed);
    }
}

impl Clock for OffsetClock {
    fn now_ms(&self) -> i64 {
        now_ms() + self.0.load(Ordering::Relaxed)
    }
}

/// The right time, on a host of the simulation.
pub(crate) fn now_ms() -> i64 {
    let elapsed = turmoil::sim_elapsed().unwrap_or_default();
    START_MS + i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX)
}

impl World {
    pub(crate) fn new(plan: Plan, planted: Option<Planted>) -> Self {
        let place = |offset_ms: i64| {
            let clock = Arc::new(OffsetClock::default());
            clock.set_wrong_by(offset_ms);
            Place {
                disk: SimulatedDisk::new(),
                clock,
                life: 0,
                is_up: false,
                may_break: false,
                is_broken: false,
                has_ended: false,
                is_leaving: false,
                running: None,
            }
        };
        let places = (1..).zip(plan.clocks_ms.iter().map(|offset_ms| place(*offset_ms))).collect();
        Self {
            plan,
            planted,
            oracle: Mutex::default(),
            is_over: AtomicBool::new(false),
            places: Mutex::new(places),
            violation: Mutex::default(),
        }
    }

    pub(crate) fn places(&self) -> MutexGuard<'_, BTreeMap<u64, Place>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at, or changes, one place.
    pub(crate) fn place<T>(&self, node: u64, look: impl FnOnce(&mut Place) -> T) -> T {
        look(self.places().get_mut(&node).expect("every node has a place"))
    }

    pub(crate) fn running(&self, node: u64) -> Option<Running> {
        self.place(node, |place| place.running.clone())
    }

    /// Every node that runs and takes part.
    pub(crate) fn all_running(&self) -> Vec<Running> {
        self.places().values().filter_map(|place| place.running.clone()).collect()
    }

    pub(crate) fn oracle(&self) -> MutexGuard<'_, Oracle> {
        self.oracle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something that must never be. The first one counts.
    pub(crate) fn violated(&self, what: impl Into<String>) {
        self.violation.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| what.into());
    }

    pub(crate) fn violation(&self) -> Option<String> {
        self.violation.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A node says that it cannot go on. It may, when its disk was told to fail; one whose process was
    /// ended meanwhile says nothing any more.
    pub(crate) fn is_broken(&self, node: u64, life: u64, sentence: &str) {
        let lawful = self.place(node, |place| {
            let is_this = place.life == life && place.is_up;
            place.is_broken |= is_this && place.may_break;
            !is_this || place.may_break || place.is_leaving
        });
        if !lawful {
            self.violated(format!("node {node} broke: {sentence}"));
        }
    }

    /// A node takes part.
    pub(crate) fn started(&self, node: u64, running: Running) {
        self.place(node, |place| place.running = Some(running));
    }
}
