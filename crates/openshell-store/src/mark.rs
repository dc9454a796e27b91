//! The high-water mark: the number of the last synced batch, kept a second time outside the
//! database. A database that knows fewer synced batches than the mark has lost some that it
//! had promised to keep; one whose uncommitted tail was cut by Raft has not.
//!
//! The mark is written after the batch, at most once a second and never by the writer itself.
//! So batches of the last second before a crash may be missing without notice; what goes
//! missing later, or by restoring an old copy of the database, is noticed.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::disk::Disk;
use crate::fault::FaultHook;
use crate::writer::WriterMode;

/// Between two writes of the mark.
const PACE: Duration = Duration::from_secs(1);
/// Inline there is no clock: every so many batches.
const INLINE_PACE: u64 = 64;

pub(crate) struct Marker {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
    mode: WriterMode,
}

struct Shared {
    disk: Arc<dyn Disk>,
    on_fault: FaultHook,
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Default)]
struct Inner {
    noted: u64,
    kept: u64,
    closed: bool,
}

impl Marker {
    pub(crate) fn start(disk: Arc<dyn Disk>, mode: WriterMode, on_fault: FaultHook) -> std::io::Result<Self> {
        let shared = Arc::new(Shared { disk, on_fault, inner: Mutex::new(Inner::default()), changed: Condvar::new() });
        let thread = match mode {
            WriterMode::Inline => None,
            WriterMode::Thread => {
                let shared = Arc::clone(&shared);
                Some(std::thread::Builder::new().name("store-mark".into()).spawn(move || shared.run())?)
            }
        };
        Ok(Self { shared, thread: Mutex::new(thread), mode })
    }

    /// A batch of this number is synced.
    pub(crate) fn note(&self, counter: u64) {
        let mut inner = self.shared.lock();
        inner.noted = counter;
        match self.mode {
            WriterMode::Thread => self.shared.changed.notify_one(),
            WriterMode::Inline if counter - inner.kept >= INLINE_PACE => {
                inner.kept = counter;
                drop(inner);
                self.shared.keep(counter);
            }
            WriterMode::Inline => {}
        }
    }

    /// Keeps what was noted last and ends the thread.
    pub(crate) fn finish(&self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_all();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            (self.shared.on_fault)("the keeper of the high-water mark panicked");
        }
        // Inline there is no thread that kept it.
        let mut inner = self.shared.lock();
        if inner.noted != inner.kept {
            inner.kept = inner.noted;
            self.shared.keep(inner.noted);
        }
    }
}

impl Shared {
    fn run(&self) {
        let mut inner = self.lock();
        loop {
            while inner.noted == inner.kept && !inner.closed {
                inner = self.changed.wait(inner).unwrap_or_else(PoisonError::into_inner);
            }
            if inner.noted != inner.kept {
                let counter = inner.noted;
                inner.kept = counter;
                drop(inner);
                if !self.keep(counter) {
                    return;
                }
                inner = self.lock();
            }
            if inner.closed {
                return;
            }
            // Woken early only to end.
            let pause = self.changed.wait_timeout_while(inner, PACE, |inner| !inner.closed);
            inner = pause.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn keep(&self, counter: u64) -> bool {
        match self.disk.set_mark(counter) {
            Ok(()) => true,
            Err(error) => {
                (self.on_fault)(&format!("the high-water mark could not be kept: {error}"));
                false
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
