//! The lines of other nodes for one reader of this one: a stream from each member, taken without delay into
//! the reader's queue, and begun again where it broke.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use openshell_proto::peer::{LogLines, LogPosition, ReadLogsRequest};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::sleep;

use super::keeper::Keeper;
use super::line::Line;
use super::peers::Peers;
use super::queue::{Item, Queue};

/// Members that came or went are noticed after so long.
const MEMBERS_EVERY: Duration = Duration::from_secs(2);
/// Before a node is asked again, at first; then twice as long each time.
const PAUSE_MIN: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(4);

/// One reader's way to the other nodes.
#[derive(Clone)]
pub(super) struct Pump {
    pub(super) peers: Arc<dyn Peers>,
    pub(super) keeper: Arc<Keeper>,
    pub(super) queue: Arc<Queue>,
    /// What each node is asked for at first.
    pub(super) request: ReadLogsRequest,
}

/// How a node's stream is.
#[derive(Default)]
struct Standing {
    /// Where it is to go on.
    after: Option<LogPosition>,
    /// The reader was told that the node's lines are missing.
    missing: bool,
}

impl Pump {
    /// Takes lines from every member, for as long as this goes on.
    pub(super) async fn run(self) {
        // Whoever drops this ends all streams.
        let mut streams = JoinSet::new();
        let mut by_node: BTreeMap<u64, AbortHandle> = BTreeMap::new();
        while !self.queue.is_cut() {
            let others = self.peers.others();
            by_node.retain(|node, stream| {
                let stays = others.contains(node);
                if !stays {
                    stream.abort();
                }
                stays
            });
            for node in others {
                by_node.entry(node).or_insert_with(|| streams.spawn(self.clone().take_from(node)));
            }
            while streams.try_join_next().is_some() {}
            sleep(MEMBERS_EVERY).await;
        }
    }

    /// Takes lines from one node until the reader is cut off.
    async fn take_from(self, node: u64) {
        let mut standing = Standing::default();
        let mut pause = PAUSE_MIN;
        while !self.queue.is_cut() {
            let request = ReadLogsRequest { after: standing.after, ..self.request.clone() };
            let reason = match self.peers.follow(node, request).await {
                Ok(mut lines) => loop {
                    match lines.next().await {
                        Some(Ok(lines)) => {
                            pause = PAUSE_MIN;
                            self.hand_on(node, &mut standing, lines);
                            if self.queue.is_cut() {
                                return;
                            }
                        }
                        Some(Err(reason)) => break reason,
                        None => break "it has ended the stream".to_owned(),
                    }
                },
                Err(reason) => reason,
            };
            if !std::mem::replace(&mut standing.missing, true) {
                self.queue.say(Item::Missing(node, reason));
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    fn hand_on(&self, node: u64, standing: &mut Standing, message: LogLines) {
        if std::mem::take(&mut standing.missing) {
            self.queue.say(Item::Back(node));
        }
        if message.forgotten > 0 {
            self.queue.say(Item::Lost(node, message.forgotten));
        }
        let lines = message.lines.into_iter().map(Line::from_peer);
        if standing.after.is_none() {
            self.queue.say(Item::Tail(node, lines.collect()));
        } else {
            self.queue.offer(lines);
        }
        standing.after = message.through.or(standing.after);
        if message.dropped > 0 {
            self.queue.cut(message.dropped);
        }
        self.keeper.relieve();
    }
}
