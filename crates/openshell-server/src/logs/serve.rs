//! What a node answers other nodes that ask for the lines it has received: once, or going on for one of
//! their readers.

use std::sync::Arc;

use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt};
use openshell_proto::peer::{LogLines, LogPosition, ReadLogsRequest};

use super::filter::Filter;
use super::keeper::Keeper;
use super::queue::{Item, Queue, Taken};
use super::rings::{Began, Start};

/// Bytes of lines in one message, about.
const MESSAGE_BYTES: usize = 1024 * 1024;

impl Keeper {
    /// What is there.
    pub(crate) fn read(&self, request: &ReadLogsRequest) -> LogLines {
        let (filter, start) = self.asked(request);
        first(&self.begin(&request.sandbox_id, &filter, start), self.life())
    }

    /// What is there, and then what comes.
    pub(crate) fn serve(self: &Arc<Self>, request: &ReadLogsRequest) -> BoxStream<'static, LogLines> {
        let (filter, start) = self.asked(request);
        let (queue, life) = (self.queue(), self.life());
        let (began, following) = self.follow(&request.sandbox_id, filter, start, &queue);
        let rest = stream::unfold(Some((queue, following)), move |reading| async move {
            let (queue, following) = reading?;
            let lines = next(&queue, life).await;
            let goes_on = lines.dropped == 0;
            Some((lines, goes_on.then_some((queue, following))))
        });
        async move { first(&began, life) }.into_stream().chain(rest).boxed()
    }

    /// A position in another life is before all of this one.
    fn asked(&self, request: &ReadLogsRequest) -> (Filter, Start) {
        let filter = Filter::new(request.since_ms, &request.sources, &request.min_level);
        let start = match request.after {
            None => Start::Last(request.lines as usize),
            Some(LogPosition { life, number }) if life == self.life() => Start::After(number),
            Some(_) => Start::After(0),
        };
        (filter, start)
    }
}

fn first(began: &Began, life: u64) -> LogLines {
    LogLines {
        lines: began.lines.iter().map(|line| line.to_peer()).collect(),
        through: Some(LogPosition { life, number: began.through }),
        forgotten: began.forgotten,
        dropped: 0,
    }
}

/// What waits, once something does. Nothing but lines of this node does. Nothing is lost when it is dropped
/// while it waits.
async fn next(queue: &Queue, life: u64) -> LogLines {
    let mut message = LogLines::default();
    let mut bytes = 0;
    while bytes < MESSAGE_BYTES {
        match queue.take() {
            Taken::Item(Item::Line(line)) => {
                bytes += line.cost();
                message.through = Some(LogPosition { life, number: line.number });
                message.lines.push(line.to_peer());
            }
            Taken::Item(Item::Tail(..) | Item::Missing(..) | Item::Late(_) | Item::Back(_) | Item::Lost(..)) => {}
            // Not 0: that says that more comes.
            Taken::Cut(dropped) => return LogLines { dropped: dropped.max(1), ..message },
            Taken::Nothing if message.lines.is_empty() => queue.woken().await,
            Taken::Nothing => break,
        }
    }
    message
}
