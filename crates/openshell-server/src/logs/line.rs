//! A log line as a node keeps and passes it on: encoded, so that what it takes in memory is what was sent.
//! None of these types can be printed: a sandbox's words must not get into a log of ours by accident.

use std::sync::Arc;

use bytes::{Buf, Bytes};
use openshell_proto::peer::LogLine;
use openshell_proto::v1::SandboxLogLine;
use prost::encoding::{self, DecodeContext};
use prost::{DecodeError, Message};

/// The source of every line that a sandbox pushes, whatever the line says (`config.md` SR-52).
pub(super) const SANDBOX: &str = "sandbox";
/// Lines of one batch that are kept (`config.md` SR-52).
const BATCH_LINES_MAX: usize = 100;
/// What a line takes beside its bytes, about.
const LINE_COST: usize = 128;

/// How bad it is, least first (`config.md` SR-50).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Severity {
    #[default]
    Unknown,
    Trace,
    Debug,
    /// Events of the Open Cybersecurity Schema Framework count as much.
    Info,
    Warn,
    Error,
}

/// A line that was pushed.
pub(super) struct Pushed {
    time_ms: i64,
    severity: Severity,
    encoded: Bytes,
}

/// A line that is kept, or that another node has sent.
pub(super) struct Line {
    /// Counts the lines of its sandbox on its node, from 1; 0 for one that another node has sent.
    pub(super) number: u64,
    /// The line's own time, milliseconds since the Unix epoch.
    pub(super) time_ms: i64,
    /// Unknown for a line that another node has sent: its conditions were met there.
    pub(super) severity: Severity,
    /// An encoded [`SandboxLogLine`].
    pub(super) encoded: Bytes,
}

/// A message of `PushSandboxLogs` with its first lines, left encoded: it may have half a million of them.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) sandbox_id: String,
    lines: Vec<Bytes>,
}

impl Severity {
    /// By its word, in any case.
    pub(super) fn of(level: &str) -> Self {
        let words = [
            ("ERROR", Self::Error),
            ("WARN", Self::Warn),
            ("INFO", Self::Info),
            ("OCSF", Self::Info),
            ("DEBUG", Self::Debug),
            ("TRACE", Self::Trace),
        ];
        let named = words.iter().find(|(word, _)| level.eq_ignore_ascii_case(word));
        named.map_or(Self::Unknown, |(_, severity)| *severity)
    }
}

impl Batch {
    /// Reads a message. What is beyond the lines that are kept is passed over, and takes no memory of its own.
    ///
    /// # Errors
    /// When it is no such message.
    pub(super) fn decode(mut message: Bytes) -> Result<Self, DecodeError> {
        let mut batch = Self::default();
        while message.has_remaining() {
            let (tag, wire_type) = encoding::decode_key(&mut message)?;
            let context = DecodeContext::default();
            match tag {
                1 => encoding::string::merge(wire_type, &mut batch.sandbox_id, &mut message, context)?,
                2 if batch.lines.len() < BATCH_LINES_MAX => {
                    encoding::bytes::merge_repeated(wire_type, &mut batch.lines, &mut message, context)?;
                }
                _ => encoding::skip_field(wire_type, tag, &mut message, context)?,
            }
        }
        Ok(batch)
    }

    /// The first lines of the batch, each as one of this sandbox.
    ///
    /// # Errors
    /// When a line does not decode; what it holds is not said.
    pub(super) fn lines(self) -> Result<Vec<Pushed>, DecodeError> {
        let sandbox_id = self.sandbox_id;
        self.lines.into_iter().map(|line| Pushed::read(&sandbox_id, line)).collect()
    }
}

impl Pushed {
    fn read(sandbox_id: &str, line: Bytes) -> Result<Self, prost::DecodeError> {
        let mut line = SandboxLogLine::decode(line)?;
        SANDBOX.clone_into(&mut line.source);
        sandbox_id.clone_into(&mut line.sandbox_id);
        let severity = Severity::of(&line.level);
        Ok(Self { time_ms: line.timestamp_ms, severity, encoded: line.encode_to_vec().into() })
    }

    /// The line as the next one of its sandbox.
    pub(super) fn numbered(self, number: u64) -> Arc<Line> {
        Arc::new(Line { number, time_ms: self.time_ms, severity: self.severity, encoded: self.encoded })
    }
}

impl Line {
    /// One that another node has sent.
    pub(super) fn from_peer(line: LogLine) -> Arc<Self> {
        let LogLine { time_ms, line } = line;
        Arc::new(Self { number: 0, time_ms, severity: Severity::Unknown, encoded: line.into() })
    }

    /// The line for another node.
    pub(super) fn to_peer(&self) -> LogLine {
        LogLine { time_ms: self.time_ms, line: self.encoded.to_vec() }
    }

    /// What it takes in memory.
    pub(super) fn cost(&self) -> usize {
        LINE_COST + self.encoded.len()
    }

    /// The line for who asked.
    ///
    /// # Errors
    /// When a node has sent something else.
    pub(super) fn decode(&self) -> Result<SandboxLogLine, prost::DecodeError> {
        SandboxLogLine::decode(self.encoded.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{batch, line};
    use super::*;

    #[test]
    fn sr_52_a_hundred_lines_of_a_batch_are_kept_and_are_the_sandboxes_own_whatever_they_say() {
        let mut lines: Vec<SandboxLogLine> = (0..101).map(|number| line(number, "text")).collect();
        "gateway".clone_into(&mut lines[0].source);
        "another".clone_into(&mut lines[0].sandbox_id);
        let kept = batch("box", lines.clone()).lines().map_err(drop).expect("lines");
        assert_eq!(kept.len(), 100);
        let first = kept.into_iter().next().expect("a line").numbered(1).decode().expect("a line");
        let forced = SandboxLogLine { source: "sandbox".into(), sandbox_id: "box".into(), ..lines[0].clone() };
        assert_eq!(first, forced, "and nothing else of it is changed");
    }

    #[test]
    fn a_line_that_does_not_decode_is_refused_without_its_text() {
        let text = "never to be repeated";
        let mut broken = line(1, text).encode_to_vec();
        broken.extend([0x2a, 2, 0xff, 0xfe]);
        let batch = Batch { sandbox_id: "box".to_owned(), lines: vec![broken.into()] };
        let error = batch.lines().err().expect("it is refused").to_string();
        assert!(!error.contains(text), "{error}");
    }

    #[test]
    fn a_batch_of_half_a_million_lines_is_read_in_bounded_memory() {
        let mut message = vec![0x0a, 3, b'b', b'o', b'x'];
        message.extend([0x12, 0].repeat(500_000));
        let batch = Batch::decode(Bytes::from(message)).expect("a batch");
        assert!(batch.lines.capacity() <= 2 * BATCH_LINES_MAX, "{} places", batch.lines.capacity());
        assert_eq!(batch.lines().map_err(drop).expect("lines").len(), 100);
    }
}
