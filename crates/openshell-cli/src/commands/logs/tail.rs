//! Following a log: through another node when the one that was asked goes away, without a line twice.

use std::time::Duration;

use openshell_client::{CallError, CallOptions, methods};
use openshell_proto::v1::sandbox_stream_event::Payload;
use openshell_proto::v1::{SandboxLogLine, WatchSandboxRequest};
use tokio::time::{Instant, sleep};
use tonic::{Code, Status, Streaming};

use super::show;
use crate::context::Session;
use crate::failure::Failure;
use crate::output::Console;

/// How long the cluster may be away before the command gives up.
const PATIENCE: Duration = Duration::from_secs(60);
/// Before it is asked again.
const PAUSE: Duration = Duration::from_millis(200);
/// Lines that a node replays at most.
const REPLAY: u32 = 2_000;

/// What was shown last: from there on it goes on.
#[derive(Default)]
struct Shown {
    newest_ms: i64,
    /// Every line of that time, in order.
    newest: Vec<SandboxLogLine>,
    /// Of those, the ones that were not told again since the last break.
    expected: Vec<SandboxLogLine>,
}

pub(super) async fn run(
    session: &Session,
    mut request: WatchSandboxRequest,
    console: &mut Console,
) -> Result<(), Failure> {
    let mut shown = Shown::default();
    let mut options = CallOptions::linearizable();
    let mut lost: Option<Instant> = None;
    loop {
        let mut events = match session.client.stream(&methods::WATCH_SANDBOX, request.clone(), &options).await {
            Ok(events) => events,
            Err(error) if lost.is_some_and(|lost| lost.elapsed() < PATIENCE) && may_pass(&error) => {
                sleep(PAUSE).await;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let end = show_events(&mut events, &mut shown, &mut lost, console).await;
        let Some(end) = end else { return Ok(()) };
        if !is_broken(end.code()) || lost.is_some_and(|lost| lost.elapsed() >= PATIENCE) {
            return Err(CallError::Refused(end).into());
        }
        console.warn(&format!("the log goes on: {}", show::printable(end.message())));
        lost.get_or_insert_with(Instant::now);
        // A node that lags must not stand in the way.
        options = CallOptions::default();
        request = WatchSandboxRequest { log_tail_lines: REPLAY, ..request };
        request.log_since_ms = request.log_since_ms.max(shown.newest_ms);
        shown.expected.clone_from(&shown.newest);
        sleep(PAUSE).await;
    }
}

/// Shows what comes until the stream ends; how it broke, if it did.
async fn show_events(
    events: &mut Streaming<openshell_proto::v1::SandboxStreamEvent>,
    shown: &mut Shown,
    lost: &mut Option<Instant>,
    console: &mut Console,
) -> Option<Status> {
    loop {
        let event = match events.message().await {
            Ok(event) => event?,
            Err(status) => return Some(status),
        };
        *lost = None;
        match event.payload {
            Some(Payload::Log(line)) => {
                let text = show::line(&line);
                if shown.is_new(line) {
                    console.line(&text);
                }
                if !console.is_read() {
                    return None;
                }
            }
            Some(Payload::Warning(warning)) => console.warn(&show::printable(&warning.message)),
            Some(Payload::Sandbox(_) | Payload::Event(_) | Payload::DraftPolicyUpdate(_)) | None => {}
        }
    }
}

impl Shown {
    /// Whether a line was not shown before. Lines that are older than the newest one and come after a break
    /// are not asked for, and so do not come.
    fn is_new(&mut self, line: SandboxLogLine) -> bool {
        if let Some(at) = self.expected.iter().position(|told| *told == line) {
            self.expected.remove(at);
            return false;
        }
        if line.timestamp_ms > self.newest_ms {
            (self.newest_ms, self.newest) = (line.timestamp_ms, Vec::new());
        }
        if line.timestamp_ms == self.newest_ms && self.newest.len() < REPLAY as usize {
            self.newest.push(line);
        }
        true
    }
}

/// Whether a stream that ended like this can go on elsewhere.
fn is_broken(code: Code) -> bool {
    matches!(code, Code::Unavailable | Code::ResourceExhausted | Code::Unknown | Code::Cancelled | Code::Internal)
}

/// Whether a node may take the stream later.
fn may_pass(error: &CallError) -> bool {
    match error {
        CallError::Refused(status) => is_broken(status.code()),
        CallError::NotDone { .. } | CallError::Unknown { .. } | CallError::Unreachable(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(timestamp_ms: i64, message: &str) -> SandboxLogLine {
        SandboxLogLine { timestamp_ms, message: message.to_owned(), ..SandboxLogLine::default() }
    }

    #[test]
    fn after_a_break_what_was_shown_is_not_shown_again_and_equal_lines_are_all_shown() {
        let mut shown = Shown::default();
        for (time_ms, message) in [(1, "a"), (2, "b"), (2, "b"), (2, "c")] {
            assert!(shown.is_new(line(time_ms, message)));
        }
        shown.expected.clone_from(&shown.newest);
        // The node tells again what is of time 2 and later; another `b` came meanwhile.
        let told = ["b", "b", "c", "b"].map(|message| shown.is_new(line(2, message)));
        assert_eq!(told, [false, false, false, true]);
        assert!(shown.is_new(line(3, "d")));
        assert_eq!((shown.newest_ms, shown.newest.len()), (3, 1));
    }
}
