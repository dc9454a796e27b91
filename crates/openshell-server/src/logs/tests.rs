//! What the tests of logs share: lines, and nodes that reach each other without a network.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::{self, BoxFuture};
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt};
use openshell_proto::log::Kind;
use openshell_proto::peer::{LogLine, LogLines, ReadLogsRequest};
use openshell_proto::v1::SandboxLogLine;
use openshell_state::Key;
use prost::Message;
use tokio::sync::watch;
use tokio::time::Instant;

use super::line::{Batch, Line};
use super::peers::Heard;
use super::*;

/// Far more than anything takes.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// A line of the sandbox `box`.
pub(crate) fn line(time_ms: i64, message: &str) -> SandboxLogLine {
    SandboxLogLine {
        timestamp_ms: time_ms,
        level: "INFO".to_owned(),
        message: message.to_owned(),
        ..SandboxLogLine::default()
    }
}

/// The same, as another node sends it.
pub(super) fn timed(time_ms: i64, message: &str) -> Arc<Line> {
    Line::from_peer(LogLine { time_ms, line: line(time_ms, message).encode_to_vec() })
}

pub(super) fn text_of(line: &Line) -> String {
    line.decode().expect("a line").message
}

pub(super) fn texts(lines: &[Arc<Line>]) -> Vec<String> {
    lines.iter().map(|line| text_of(line)).collect()
}

/// A batch as a supervisor encodes it.
pub(super) fn batch(sandbox_id: &str, logs: Vec<SandboxLogLine>) -> Batch {
    let request = openshell_proto::v1::PushSandboxLogsRequest { sandbox_id: sandbox_id.to_owned(), logs };
    Batch::decode(request.encode_to_vec().into()).expect("a batch")
}

pub(super) fn key(name: &str) -> Key {
    Key::new(Kind::Sandbox, "default", name)
}

/// Keeps lines of a sandbox whose name is its id.
pub(crate) fn push(keeper: &Keeper, id: &str, logs: Vec<SandboxLogLine>) {
    push_as(keeper, &key(id), id, logs);
}

/// Keeps lines of a sandbox, by the key of its record and its id.
pub(crate) fn push_as(keeper: &Keeper, key: &Key, id: &str, logs: Vec<SandboxLogLine>) {
    keeper.push(key, id, batch(id, logs).lines().expect("lines"));
}

/// Nodes that may be down, or silent.
pub(crate) struct Nodes {
    keepers: Mutex<BTreeMap<u64, Arc<Keeper>>>,
    limits: Limits,
    reach: BTreeMap<u64, watch::Sender<Reach>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    Up,
    Down,
    Silent,
}

/// The others, seen from one of them.
struct From {
    node: u64,
    nodes: Arc<Nodes>,
}

impl Nodes {
    /// Nodes from 1 to `count`.
    pub(crate) fn new(count: u64, limits: Limits) -> Arc<Self> {
        let keepers = (1..=count).map(|node| (node, Keeper::new(limits, node))).collect();
        let reach = (1..=count).map(|node| (node, watch::Sender::new(Reach::Up))).collect();
        Arc::new(Self { keepers: Mutex::new(keepers), limits, reach })
    }

    pub(crate) fn keeper(&self, node: u64) -> Arc<Keeper> {
        Arc::clone(&self.keepers.lock().expect("nobody panicked")[&node])
    }

    /// The logs as a node shows them.
    pub(crate) fn logs(self: &Arc<Self>, node: u64) -> Arc<Logs> {
        Logs::new(self.keeper(node), Arc::new(From { node, nodes: Arc::clone(self) }))
    }

    pub(crate) fn set(&self, node: u64, reach: Reach) {
        self.reach[&node].send_replace(reach);
    }

    /// The node begins another life, with nothing in memory.
    pub(crate) fn restart(&self, node: u64) {
        self.set(node, Reach::Down);
        let next = Keeper::new(self.limits, self.keeper(node).life() + 1_000);
        self.keepers.lock().expect("nobody panicked").insert(node, next);
        self.set(node, Reach::Up);
    }
}

impl From {
    /// Waits for as long as the node is silent; its words for being down.
    async fn reach(&self, node: u64) -> Heard<Arc<Keeper>> {
        let mut reach = self.nodes.reach[&node].subscribe();
        let reach = *reach.wait_for(|reach| *reach != Reach::Silent).await.expect("it is not dropped");
        if reach == Reach::Down { Err("it is down".to_owned()) } else { Ok(self.nodes.keeper(node)) }
    }
}

impl Peers for From {
    fn node(&self) -> u64 {
        self.node
    }

    fn others(&self) -> Vec<u64> {
        self.nodes.reach.keys().copied().filter(|node| *node != self.node).collect()
    }

    fn read(&self, node: u64, request: ReadLogsRequest, deadline: Instant) -> BoxFuture<'_, Heard<LogLines>> {
        async move {
            let reached = tokio::time::timeout_at(deadline, self.reach(node)).await;
            Ok(reached.unwrap_or_else(|_| Err("no answer in time".to_owned()))?.read(&request))
        }
        .boxed()
    }

    fn follow(&self, node: u64, request: ReadLogsRequest) -> BoxFuture<'_, Heard<BoxStream<'static, Heard<LogLines>>>> {
        async move {
            let lines = self.reach(node).await?.serve(&request).map(Ok);
            let mut reach = self.nodes.reach[&node].subscribe();
            reach.mark_unchanged();
            let breaks = async move { drop(reach.changed().await) };
            let broken = stream::once(future::ready(Err("the connection broke".to_owned())));
            Ok(lines.take_until(Box::pin(breaks)).chain(broken).boxed())
        }
        .boxed()
    }
}
