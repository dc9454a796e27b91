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
/// In a simulation there is no clock: every so many batches.
const INLINE_PACE: u64 = 64;

pub(crate) struct Marker {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
    mode: WriterMode,
}

struct Shared {
    disk: Arc<dyn Disk>,
    on_fault: FaultHook,
    /// Between two writes of the mark by the thread.
    pace: Duration,
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
        Self::paced(disk, mode, on_fault, PACE)
    }

    fn paced(disk: Arc<dyn Disk>, mode: WriterMode, on_fault: FaultHook, pace: Duration) -> std::io::Result<Self> {
        let (inner, changed) = (Mutex::new(Inner::default()), Condvar::new());
        let shared = Arc::new(Shared { disk, on_fault, pace, inner, changed });
        let thread = match mode {
            WriterMode::Inline | WriterMode::Task => None,
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
            WriterMode::Inline | WriterMode::Task if counter - inner.kept >= INLINE_PACE => {
                inner.kept = counter;
                drop(inner);
                self.shared.keep(counter);
            }
            WriterMode::Inline | WriterMode::Task => {}
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
        // Without a thread nobody has kept it.
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
            let pause = self.changed.wait_timeout_while(inner, self.pace, |inner| !inner.closed);
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

#[cfg(test)]
mod tests {
    use std::thread::yield_now;
    use std::time::Instant;

    use super::*;
    use crate::disk::simulated::SimulatedDisk;

    /// Far more than a write of the mark takes.
    const PATIENCE: Duration = Duration::from_secs(60);
    const HOUR: Duration = Duration::from_secs(3600);

    fn started(disk: &SimulatedDisk, pace: Duration) -> Marker {
        let on_fault: FaultHook = Arc::new(|sentence| panic!("{sentence}"));
        Marker::paced(Arc::new(disk.clone()), WriterMode::Thread, on_fault, pace).expect("a thread")
    }

    fn kept(disk: &SimulatedDisk) -> u64 {
        disk.mark().expect("readable")
    }

    fn eventually_kept(disk: &SimulatedDisk, mark: u64) {
        let begin = Instant::now();
        while kept(disk) != mark {
            assert!(begin.elapsed() < PATIENCE, "the mark is {} and not {mark}", kept(disk));
            yield_now();
        }
    }

    #[test]
    fn within_its_window_the_mark_lags_and_an_orderly_end_catches_up() {
        let disk = SimulatedDisk::new();
        let marker = started(&disk, HOUR);
        marker.note(1);
        eventually_kept(&disk, 1);
        for counter in 2..1000 {
            marker.note(counter);
            assert_eq!(kept(&disk), 1, "the window is open");
        }
        marker.finish();
        assert_eq!(kept(&disk), 999);
    }

    #[test]
    fn when_the_window_is_over_the_mark_is_that_of_the_newest_batch() {
        let disk = SimulatedDisk::new();
        let marker = started(&disk, Duration::from_millis(1));
        for counter in [1, 2, 30, 400] {
            marker.note(counter);
            eventually_kept(&disk, counter);
        }
        marker.finish();
        assert_eq!(kept(&disk), 400);
    }
}
