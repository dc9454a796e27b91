//! What must hold of the nodes after every step, whatever clients see: one life of one node leads
//! under a leader's id; an applied entry is the same on every disk and stays as it is; term
//! and applied revision never go back in a node's life; states at one revision are equal; nobody
//! withdraws, doubts or breaks.

use std::collections::BTreeMap;
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

use openshell_proto::log::LogId;
use openshell_raft::{Gauges, Page, PageLimit};
use openshell_state::{Digest, State};
use openshell_store::disk::simulated::SimulatedDisk;
use openshell_store::disk::{Disk, Family};
use prost::Message;

use crate::trace::Trace;
use crate::world::{Running, World};

/// After so many steps the logs are compared from their beginning.
const WHOLE_LOG_STEPS: u64 = 400;
/// So long may a purge wait for a disk that takes its time.
const PURGE_STEPS: u64 = 8_000;

/// What is remembered of the run.
#[derive(Default)]
pub(crate) struct Invariants {
    nodes: BTreeMap<u64, Seen>,
    /// By term and node: which life of the node led.
    leaders: BTreeMap<(u64, u64), u64>,
    /// By index: the bytes of a committed entry.
    committed: BTreeMap<u64, Vec<u8>>,
    /// By revision.
    digests: BTreeMap<u64, Digest>,
    pub(crate) seen: Figures,
}

/// How much of what matters was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Leaders, each of a term.
    pub leaders: u64,
    /// Entries that were committed.
    pub committed: u64,
    /// Snapshots that took the place of a node's state.
    pub installs: u64,
    /// Nodes that had dropped entries from their log.
    pub purges: u64,
}

/// Of one life of a node.
#[derive(Clone, Copy, Default)]
struct Seen {
    life: u64,
    term: u64,
    applied: u64,
    purged: u64,
    installs: u64,
    /// Entries through this index were compared.
    compared: u64,
    /// Since when the next one is not as it was committed.
    differs_since: Option<u64>,
}

impl Invariants {
    /// Looks at every node after a step.
    ///
    /// # Errors
    /// What must never be.
    pub(crate) fn check(&mut self, world: &World, step: u64, trace: &mut Trace) -> Result<(), String> {
        let running: Vec<(u64, u64, bool, Running)> = {
            let places = world.places();
            let running = places.iter().filter_map(|(node, place)| {
                let running = place.running.clone()?;
                Some((*node, place.life, place.is_leaving, running))
            });
            running.collect()
        };
        for (node, life, is_leaving, running) in running {
            let gauges = running.cluster.gauges();
            let state = running.cluster.state();
            trace.note(&(node, life, gauges.term, gauges.role, gauges.leader, gauges.committed));
            trace.note(&(state.revision(), gauges.last_log_index, gauges.purged));
            if !is_leaving {
                said(&running)?;
            }
            self.check_node(node, life, &gauges).map_err(|what| format!("node {node}: {what}"))?;
            self.check_state(world, node, &state, &running).map_err(|what| format!("node {node}: {what}"))?;
            if step.is_multiple_of(WHOLE_LOG_STEPS) {
                self.node(node, life).compared = 0;
            }
            self.check_log(world, node, life, step).map_err(|what| format!("node {node}: {what}"))?;
        }
        Ok(())
    }

    fn node(&mut self, node: u64, life: u64) -> &mut Seen {
        let seen = self.nodes.entry(node).or_default();
        if seen.life != life {
            *seen = Seen { life, ..Seen::default() };
        }
        seen
    }

    fn check_node(&mut self, node: u64, life: u64, gauges: &Gauges) -> Result<(), String> {
        let term = gauges.term;
        if gauges.role == "leader" {
            let led = self.leaders.len();
            let first = *self.leaders.entry((term, node)).or_insert(life);
            self.seen.leaders += u64::from(self.leaders.len() > led);
            if first != life {
                return Err(format!(
                    "it leads term {term} again, in its life {life}, after it did in its life {first}"
                ));
            }
        }
        let seen = self.node(node, life);
        if term < seen.term {
            return Err(format!("its term went back from {} to {term}", seen.term));
        }
        seen.term = term;
        let purges = u64::from(gauges.purged > seen.purged);
        seen.purged = gauges.purged;
        self.seen.purges += purges;
        Ok(())
    }

    fn check_state(&mut self, world: &World, node: u64, state: &Arc<State>, running: &Running) -> Result<(), String> {
        let revision = state.revision();
        let installs = *running.cluster.watch_installs().borrow();
        let life = self.nodes.get(&node).map_or(0, |seen| seen.life);
        let seen = self.node(node, life);
        let before = seen.applied;
        if revision < before {
            return Err(format!("its applied revision went back from {before} to {revision}"));
        }
        let installed = installs - seen.installs;
        (seen.applied, seen.installs) = (revision, installs);
        self.seen.installs += installed;
        if revision == before {
            return Ok(());
        }
        let digest = state.digest();
        let known = *self.digests.entry(revision).or_insert(digest);
        if known != digest {
            return Err(format!("its state at revision {revision} has the digest {digest}, another had {known}"));
        }
        let limit = PageLimit { entries: usize::MAX, bytes: usize::MAX };
        // A node that took a snapshot has forgotten what came before it, and so has one that was just started.
        let page = running.cluster.history().read_after(before, limit).map_err(|error| error.to_string())?;
        let entries = match page {
            Page::Entries(entries) => entries,
            Page::Gone { floor } => match running.cluster.history().read_after(floor, limit) {
                Ok(Page::Entries(entries)) => entries,
                Ok(Page::Gone { .. }) => Vec::new(),
                Err(error) => return Err(error.to_string()),
            },
        };
        world.oracle().applied(revision, &entries)
    }

    /// Compares the entries on the node's disk that are applied there with those of the others. What the
    /// node has applied in memory may not be on its disk yet.
    fn check_log(&mut self, world: &World, node: u64, life: u64, step: u64) -> Result<(), String> {
        let disk = world.place(node, |place| place.disk.clone());
        let applied = applied_on(&disk).map_err(|error| error.to_string())?;
        let from = self.node(node, life).compared + 1;
        if from > applied {
            return Ok(());
        }
        let mut compared = from - 1;
        let known = &mut self.committed;
        let mut differs = None;
        let read = disk.scan(Family::Log, &from.to_be_bytes(), &(applied + 1).to_be_bytes(), &mut |key, entry| {
            let index = key.try_into().map_or(0, u64::from_be_bytes);
            if known.entry(index).or_insert_with(|| entry.to_vec()).as_slice() != entry {
                differs = Some(index);
                return Ok(ControlFlow::Break(()));
            }
            compared = index;
            Ok(ControlFlow::Continue(()))
        });
        read.map_err(|error| error.to_string())?;
        self.seen.committed = self.committed.len() as u64;
        let seen = self.node(node, life);
        seen.compared = compared;
        let Some(index) = differs else {
            seen.differs_since = None;
            return Ok(());
        };
        // Behind a snapshot that was installed over it, until it is purged.
        match step - *seen.differs_since.get_or_insert(step) {
            0..PURGE_STEPS => Ok(()),
            _ => Err(format!("its log has another entry at {index} than was committed there")),
        }
    }
}

/// The last entry that is applied on a disk; 0 for none.
fn applied_on(disk: &SimulatedDisk) -> io::Result<u64> {
    let Some(value) = disk.get(Family::Meta, b"applied")? else { return Ok(0) };
    // Behind the format and the checksum that every value of the family has.
    let id = LogId::decode(value.get(5..).unwrap_or_default()).map_err(io::Error::other)?;
    Ok(id.index)
}

/// What a node says of itself that it has no reason to.
fn said(running: &Running) -> Result<(), String> {
    let node = running.cluster.node();
    if let Some(reason) = running.cluster.withdrawn() {
        return Err(format!("node {node} withdrew: {reason}"));
    }
    match running.cluster.doubt() {
        Some(doubt) => Err(format!("node {node} doubts: {doubt}")),
        None => Ok(()),
    }
}
