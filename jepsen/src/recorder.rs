//! Writes the history down while it happens: into memory for the verdict, and line by line into a
//! file, so that a run that is cut short leaves evidence.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::history::{Action, Cells, Line, Position, nanoseconds};
use crate::workload::{Heard, Workload};

/// The file is never further behind than this.
const FLUSH_EVERY: Duration = Duration::from_millis(100);

pub(crate) struct Recorder {
    origin: Instant,
    next_operation: AtomicU64,
    next_process: AtomicU64,
    newest: Mutex<Option<Position>>,
    lines: Mutex<Lines>,
}

struct Lines {
    kept: Vec<Line>,
    file: Option<BufWriter<File>>,
    flushed: Instant,
    /// The first failure to write.
    fault: Option<anyhow::Error>,
}

impl Recorder {
    /// Starts the clock of the history.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub(crate) fn new(file: Option<&Path>) -> anyhow::Result<Self> {
        let origin = Instant::now();
        let file = file.map(|path| File::create(path).with_context(|| format!("creating {}", path.display())));
        let file = file.transpose()?.map(BufWriter::new);
        let lines = Lines { kept: Vec::new(), file, flushed: origin, fault: None };
        Ok(Self {
            origin,
            next_operation: AtomicU64::new(0),
            next_process: AtomicU64::new(0),
            newest: Mutex::new(None),
            lines: Mutex::new(lines),
        })
    }

    /// Nanoseconds since the history began.
    pub(crate) fn now_ns(&self) -> u64 {
        self.at_ns(Instant::now())
    }

    /// The same of another moment.
    pub(crate) fn at_ns(&self, moment: Instant) -> u64 {
        nanoseconds(moment.saturating_duration_since(self.origin))
    }

    /// A process number that was never used.
    pub(crate) fn new_process(&self) -> u64 {
        self.next_process.fetch_add(1, Ordering::Relaxed)
    }

    /// Declares keys that are written together, of which none is there.
    pub(crate) fn object(&self, workload: Workload, object: &str, keys: &[String]) {
        let (object, keys) = (object.to_owned(), keys.to_vec());
        self.add(Line::Object { object, workload, keys, cells: Cells::new() });
    }

    /// To be called before the first byte is sent. Returns the operation's number.
    pub(crate) fn invoke(&self, process: u64, node: u64, workload: Workload, action: Action) -> u64 {
        let operation = self.next_operation.fetch_add(1, Ordering::Relaxed);
        let time_ns = self.now_ns();
        self.add(Line::Invoke { operation, process, time_ns, node, workload, action });
        operation
    }

    /// To be called after the answer was read.
    pub(crate) fn returned(&self, operation: u64, heard: Heard) {
        let time_ns = self.now_ns();
        let Heard { outcome, at, attempts } = heard;
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        *newest = newest.max(at);
        drop(newest);
        self.add(Line::Return { operation, time_ns, outcome, at, attempts });
    }

    /// The newest state that any answer spoke of.
    pub(crate) fn newest(&self) -> Option<Position> {
        *self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes any line.
    pub(crate) fn add(&self, line: Line) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = lines.write(&line) {
            lines.fault.get_or_insert(error);
        }
        lines.kept.push(line);
    }

    /// Looks at what was written so far.
    pub(crate) fn with_lines<T>(&self, look: impl FnOnce(&[Line]) -> T) -> T {
        look(&self.lines.lock().unwrap_or_else(PoisonError::into_inner).kept)
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

impl Lines {
    fn write(&mut self, line: &Line) -> anyhow::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        serde_json::to_writer(&mut *file, line)?;
        file.write_all(b"\n")?;
        if self.flushed.elapsed() >= FLUSH_EVERY {
            self.flushed = Instant::now();
            file.flush()?;
        }
        Ok(())
    }
}
