//! Following the log of a sandbox through this node, whichever nodes receive its lines: first the last lines
//! of all of them as one list, then lines as they come (`config.md` SR-46).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use openshell_proto::peer::ReadLogsRequest;
use openshell_proto::v1::{SandboxLogLine, WatchSandboxRequest};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tonic::Status;

use super::Logs;
use super::counts::Admitted;
use super::filter::Filter;
use super::keeper::Following;
use super::pump::Pump;
use super::queue::{Item, Queue, Taken};
use super::rings::Start;

/// How long the other nodes may take to say what they have.
pub(super) const PEERS_WAIT: Duration = Duration::from_secs(1);
/// Lines that a reader begins with when it does not say how many (`config.md` SR-46).
const TAIL_LINES: usize = 200;

/// What a reader is shown.
pub(crate) enum Said {
    Line(SandboxLogLine),
    /// Lines are missing, were missing, or come late: which, in a sentence.
    Warning(String),
}

/// One reader.
pub(crate) struct Follow {
    queue: Arc<Queue>,
    /// None once the last lines were put together.
    tail: Option<Tail>,
    streams: JoinHandle<()>,
    _following: Following,
    _admitted: Admitted,
}

/// What is waited for at the beginning.
struct Tail {
    lines: usize,
    nodes: BTreeSet<u64>,
    until: Instant,
}

impl Logs {
    /// Begins to follow a sandbox's log. That the caller may was judged before.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` about the sources, `RESOURCE_EXHAUSTED` when the node has too many readers.
    pub(crate) fn follow(&self, asked: &WatchSandboxRequest) -> Result<Follow, Status> {
        let filter = Filter::read(asked.log_since_ms, &asked.log_sources, &asked.log_min_level)?;
        let admitted = self.keeper.counts().follow()?;
        let lines_max = self.keeper.limits().sandbox_lines;
        let lines = match asked.log_tail_lines as usize {
            0 => TAIL_LINES.min(lines_max),
            lines => lines.min(lines_max),
        };
        let queue = self.keeper.queue();
        let (began, following) = self.keeper.follow(&asked.id, filter, Start::Last(lines), &queue);
        queue.say(Item::Tail(self.peers.node(), began.lines));
        let pump = Pump {
            peers: Arc::clone(&self.peers),
            keeper: Arc::clone(&self.keeper),
            queue: Arc::clone(&queue),
            request: ReadLogsRequest {
                sandbox_id: asked.id.clone(),
                lines: u32::try_from(lines).unwrap_or(u32::MAX),
                since_ms: asked.log_since_ms,
                sources: asked.log_sources.clone(),
                min_level: asked.log_min_level.clone(),
                after: None,
            },
        };
        let nodes = self.peers.others().into_iter().collect();
        let tail = Tail { lines, nodes, until: Instant::now() + PEERS_WAIT };
        let streams = tokio::spawn(pump.run());
        Ok(Follow { queue, tail: Some(tail), streams, _following: following, _admitted: admitted })
    }
}

impl Follow {
    /// The next line, or a word about lines. Nothing is lost when it is dropped while it waits.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED` when the reader was too slow, with the number of lines that it did not get
    /// (`config.md` SR-49).
    pub(crate) async fn next(&mut self) -> Result<Said, Status> {
        if let Some(tail) = &self.tail {
            self.hear(tail).await;
            self.queue.settle(tail.lines);
            self.tail = None;
        }
        loop {
            match self.queue.take() {
                Taken::Item(item) => {
                    if let Some(said) = said(item)? {
                        return Ok(said);
                    }
                }
                Taken::Cut(dropped) => return Err(too_slow(dropped)),
                Taken::Nothing => self.queue.woken().await,
            }
        }
    }

    /// Waits until every node has said what it has, or cannot say, or the time is over.
    async fn hear(&self, tail: &Tail) {
        loop {
            let unheard = self.queue.unheard(tail.nodes.iter().copied());
            if unheard.is_empty() {
                return;
            }
            if timeout_at(tail.until, self.queue.woken()).await.is_err() {
                return unheard.into_iter().for_each(|node| self.queue.say(Item::Late(node)));
            }
        }
    }
}

impl Drop for Follow {
    fn drop(&mut self) {
        self.streams.abort();
    }
}

fn said(item: Item) -> Result<Option<Said>, Status> {
    let warning = match item {
        Item::Line(line) => {
            let unreadable = |_| Status::internal("a node has sent a log line that does not decode");
            return line.decode().map(|line| Some(Said::Line(line))).map_err(unreadable);
        }
        // Taken apart by the queue.
        Item::Tail(..) => return Ok(None),
        Item::Missing(node, reason) => format!("lines that node {node} has received are missing: {reason}"),
        Item::Late(node) => format!("node {node} has not said in time which lines it has; they come later if it does"),
        Item::Back(node) => format!("node {node} answers again; lines that it has received follow"),
        Item::Lost(node, lines) => format!("{lines} lines that node {node} had received are lost"),
    };
    Ok(Some(Said::Warning(warning)))
}

fn too_slow(dropped: u64) -> Status {
    Status::resource_exhausted(format!(
        "the reader did not take what it was sent: {dropped} log lines were dropped; follow anew"
    ))
}

#[cfg(test)]
mod tests;
