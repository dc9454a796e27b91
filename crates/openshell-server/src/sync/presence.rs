//! Who is connected, as far as records say it: READY and PROVISIONING (`config.md` SR-41). The node that a
//! sandbox comes to has it recorded; whoever leads looks who is gone. That goes by what was heard of the sandbox
//! itself, whether or not its stream goes on: a connection to who is frozen, or cut off, stays open for long.
//! Only what changes a record is written: sandboxes that go from one node to another write nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::mem::take;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use openshell_proto::peer::{Presence, ReadPresenceRequest, RecordPresenceRequest};
use openshell_raft::CallContext;
use openshell_state::access::Principal;
use openshell_state::decide::presence;
use openshell_state::{State, phase, query};
use prost::Message;
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::grpc::{Context, Gateway, Led};

/// Under which name nodes record it among themselves.
pub(crate) const RECORD: &str = "openshell/record-presence";
/// Those who come within this go into one entry.
const GATHERED: Duration = Duration::from_millis(20);
/// So many at once, whatever their size.
const SANDBOXES_MAX: usize = 1_000;
const DEADLINE: Duration = Duration::from_secs(10);
/// How long a node may take to say who is connected to it.
const PEER_WAIT: Duration = Duration::from_secs(2);
/// How often the leader looks, at least.
const LOOK: Duration = Duration::from_secs(5);

/// Sandboxes that have come to this node and are not recorded yet.
#[derive(Default)]
pub(super) struct Arrivals {
    waiting: Mutex<BTreeSet<String>>,
    come: Notify,
}

impl Arrivals {
    /// One more. Who comes and is not recorded for any reason comes again with the next beat.
    pub(super) fn add(&self, sandbox: &str) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(sandbox.to_owned());
        self.come.notify_one();
    }

    async fn next(&self) -> BTreeSet<String> {
        self.come.notified().await;
        tokio::time::sleep(GATHERED).await;
        take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Has it recorded who comes to this node, and who is gone while this node leads, until it stops.
pub(crate) async fn watch(gateway: Arc<Gateway>, stop: CancellationToken) {
    let both = async { tokio::join!(record_arrivals(&gateway), record_departures(&gateway)) };
    stop.run_until_cancelled(both).await;
}

async fn record_arrivals(gateway: &Arc<Gateway>) {
    loop {
        let come = gateway.sessions.arrivals.next().await;
        let state = gateway.cluster.state();
        let awaited = |id: &String| {
            let found = state.sandbox_by_id(id);
            found.is_some_and(|(_, entry)| phase::awaits_connection(entry.value))
        };
        let connected: Vec<String> = come.into_iter().filter(awaited).take(SANDBOXES_MAX).collect();
        if connected.is_empty() {
            continue;
        }
        let request = RecordPresenceRequest { connected, ..RecordPresenceRequest::default() };
        let context = Context::of_cluster(Instant::now() + DEADLINE);
        if let Err(status) = gateway.submit(RECORD, &context, &request.encode_to_vec()).await {
            tracing::debug!(reason = status.message(), "who is connected was not recorded; it will be");
        }
    }
}

/// Records it on the leader.
pub(crate) async fn recorded(gateway: Arc<Gateway>, context: CallContext, request: RecordPresenceRequest) -> Led {
    let context = CallContext { principal: Principal::Cluster, request_id: None, ..context };
    gateway.cluster.decide(context, |call| presence::record(call, &request)).await
}

async fn record_departures(gateway: &Arc<Gateway>) {
    let grace = gateway.sessions.limits.grace;
    let mut looks = tokio::time::interval((grace / 6).clamp(Duration::from_millis(50), LOOK));
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut absences = Absences::default();
    loop {
        looks.tick().await;
        if !gateway.cluster.is_leader() {
            // Whoever leads begins to wait anew.
            absences = Absences::default();
            continue;
        }
        absences.ask(gateway).await;
        let state = gateway.cluster.state();
        let disconnected = absences.look(&state, Instant::now(), grace);
        if disconnected.is_empty() {
            continue;
        }
        let request = RecordPresenceRequest { disconnected, ..RecordPresenceRequest::default() };
        let context = CallContext {
            principal: Principal::Cluster,
            rpc: RECORD.to_owned(),
            request_id: None,
            repeated_attempt: false,
            fingerprint: [0; 32],
            deadline: Instant::now() + DEADLINE,
        };
        if let Err(error) = gateway.cluster.decide(context, |call| presence::record(call, &request)).await {
            tracing::debug!(%error, "who is gone was not recorded; it will be");
        }
    }
}

/// Who is missed, as the leader knows it.
#[derive(Default)]
struct Absences {
    /// What each node said last.
    said: BTreeMap<u64, Said>,
    /// Those whose record says that they are ready, and whom no node has: when they were last heard of.
    missed: BTreeMap<String, Instant>,
    /// Those whom a node has no more since the last look: when it last heard of them, or nobody knows better.
    left: BTreeMap<String, Instant>,
    /// The last look was at this revision, and nothing was heard since.
    looked_at: Option<u64>,
}

#[derive(Default)]
struct Said {
    known: ReadPresenceRequest,
    connected: BTreeSet<String>,
}

impl Absences {
    /// Asks every node who is connected to it. One that cannot be asked has nobody: what it may still send is
    /// not current.
    async fn ask(&mut self, gateway: &Gateway) {
        let cluster = &gateway.cluster;
        let deadline = Instant::now() + PEER_WAIT;
        let members: BTreeSet<u64> = cluster.members().into_iter().map(|member| member.id).collect();
        self.said.retain(|node, _| members.contains(node));
        let known = |node: &u64| self.said.get(node).map(|said| said.known).unwrap_or_default();
        let asked: Vec<(u64, ReadPresenceRequest)> = members.iter().map(|node| (*node, known(node))).collect();
        let asking = asked.into_iter().map(async |(node, known)| {
            let said = match node == cluster.node() {
                true => Ok(gateway.sessions.presence(&known, false, Instant::now())),
                false => cluster.read_presence(node, known, deadline).await,
            };
            (node, said)
        });
        for (node, said) in join_all(asking).await {
            match said {
                Ok(said) if said.unchanged => {}
                Ok(said) => self.told(node, said, Instant::now()),
                Err(_) => self.lost(node, Instant::now()),
            }
        }
    }

    /// A node says who is connected to it, and when it last heard of others.
    fn told(&mut self, node: u64, said: Presence, now: Instant) {
        let heard_at = |silent_ms| now.checked_sub(Duration::from_millis(silent_ms)).unwrap_or(now);
        let silent = said.silent.into_iter().map(|silent| (silent.sandbox_id, heard_at(silent.heard_ms)));
        let heard: BTreeMap<String, Instant> = silent.collect();
        // Who came and went between two looks was there all the same.
        for (id, since) in &mut self.missed {
            *since = heard.get(id).copied().unwrap_or(*since).max(*since);
        }
        let known = ReadPresenceRequest { life: said.life, generation: said.generation };
        let said = Said { known, connected: said.sandbox_ids.into_iter().collect() };
        let before = self.said.remove(&node).unwrap_or_default();
        for id in before.connected.difference(&said.connected) {
            self.leaves(id, heard.get(id).copied().unwrap_or(now));
        }
        self.said.insert(node, said);
        self.looked_at = None;
    }

    /// A node does not say it any more. Nobody knows how long ago it heard of whom: not before now.
    fn lost(&mut self, node: u64, now: Instant) {
        let Some(before) = self.said.remove(&node) else { return };
        for id in &before.connected {
            self.leaves(id, now);
        }
        self.looked_at = None;
    }

    fn leaves(&mut self, id: &str, heard: Instant) {
        let last = self.left.entry(id.to_owned()).or_insert(heard);
        *last = heard.max(*last);
    }

    /// Notes who is missed at a moment, and says of whom nobody has heard for the whole `grace`: so many at once.
    fn look(&mut self, state: &State, now: Instant, grace: Duration) -> Vec<String> {
        if self.looked_at != Some(state.revision()) {
            let (before, left) = (take(&mut self.missed), take(&mut self.left));
            let since = |id: &str| before.get(id).or_else(|| left.get(id)).copied().unwrap_or(now);
            let is_connected = |id: &str| self.said.values().any(|said| said.connected.contains(id));
            let missed = query::presence::ready(state).filter(|id| !is_connected(id));
            self.missed = missed.map(|id| (id.to_owned(), since(id))).collect();
            self.looked_at = Some(state.revision());
        }
        let gone = self.missed.iter().filter(|(_, since)| now.duration_since(**since) >= grace);
        gone.map(|(id, _)| id.clone()).take(SANDBOXES_MAX).collect()
    }
}

#[cfg(test)]
mod tests;
