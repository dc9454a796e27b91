//! Writes the history down while it happens: into memory for the verdict, and line by line into a
//! file, so that a run that is cut short leaves evidence.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use anyhow::Context;

use crate::history::{Action, Line};
use crate::worker::Heard;

pub(crate) struct Recorder {
    origin: Instant,
    next_operation: AtomicU64,
    next_process: AtomicU64,
    lines: Mutex<Lines>,
}

struct Lines {
    kept: Vec<Line>,
    file: Option<BufWriter<File>>,
    /// The first failure to write.
    fault: Option<anyhow::Error>,
}

impl Recorder {
    /// Starts the clock of the history.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub(crate) fn new(file: Option<&Path>) -> anyhow::Result<Self> {
        let file = file.map(|path| File::create(path).with_context(|| format!("creating {}", path.display())));
        let lines = Lines { kept: Vec::new(), file: file.transpose()?.map(BufWriter::new), fault: None };
        Ok(Self {
            origin: Instant::now(),
            next_operation: AtomicU64::new(0),
            next_process: AtomicU64::new(0),
            lines: Mutex::new(lines),
        })
    }

    /// Nanoseconds since the history began.
    pub(crate) fn now_ns(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// A process number that was never used.
    pub(crate) fn new_process(&self) -> u64 {
        self.next_process.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn profile(&self, key: &str, version: u64, value: &str) {
        self.add(Line::Profile { key: key.to_owned(), version, value: value.to_owned() });
    }

    /// To be called before the first byte is sent. Returns the operation's number.
    pub(crate) fn invoke(&self, process: u64, node: u64, key: &str, action: Action) -> u64 {
        let operation = self.next_operation.fetch_add(1, Ordering::Relaxed);
        let time_ns = self.now_ns();
        self.add(Line::Invoke { operation, process, time_ns, node, key: key.to_owned(), action });
        operation
    }

    /// To be called after the answer was read.
    pub(crate) fn returned(&self, operation: u64, heard: Heard) {
        let time_ns = self.now_ns();
        self.add(Line::Return { operation, time_ns, outcome: heard.outcome, at: heard.at });
    }

    pub(crate) fn fault(&self, what: String) {
        let time_ns = self.now_ns();
        self.add(Line::Fault { time_ns, what });
    }

    fn add(&self, line: Line) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = &mut lines.file {
            let written =
                serde_json::to_vec(&line).map_err(anyhow::Error::from).and_then(|text| Ok(file.write_all(&text)?));
            if let Err(error) = written.and_then(|()| Ok(file.write_all(b"\n")?)) {
                lines.fault.get_or_insert(error);
            }
        }
        lines.kept.push(line);
    }

    /// Ends the history and returns it.
    ///
    /// # Errors
    /// When the file could not be written.
    pub(crate) fn finish(&self) -> anyhow::Result<Vec<Line>> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(error) = lines.fault.take() {
            return Err(error.context("writing the history"));
        }
        if let Some(file) = &mut lines.file {
            file.flush().context("writing the history")?;
        }
        Ok(std::mem::take(&mut lines.kept))
    }
}
