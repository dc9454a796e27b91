//! The FIFO between those who submit and the one who writes.

use std::collections::VecDeque;
use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, OwnedSemaphorePermit};

use super::Done;
use crate::disk::Batch;

/// One submitted batch.
pub(super) struct Job {
    pub(super) batch: Batch,
    pub(super) sync: bool,
    pub(super) done: Done,
    /// Given back when the job is done.
    pub(super) room: Option<OwnedSemaphorePermit>,
}

pub(super) struct Queue {
    inner: Mutex<Inner>,
    arrived: Condvar,
    /// The same for a writer that is a task.
    awaited: Notify,
}

struct Inner {
    jobs: VecDeque<Job>,
    closed: bool,
    failure: Option<String>,
    counter: u64,
}

impl Queue {
    pub(super) fn new(counter: u64) -> Self {
        let inner = Inner { jobs: VecDeque::new(), closed: false, failure: None, counter };
        Self { inner: Mutex::new(inner), arrived: Condvar::new(), awaited: Notify::new() }
    }

    /// Adds a job, or refuses it for good after a failure.
    pub(super) fn push(&self, job: Job) -> io::Result<()> {
        let mut inner = self.lock();
        if let Some(failure) = &inner.failure {
            let refuse = || io::Error::other(failure.clone());
            let error = refuse();
            let again = refuse();
            drop(inner);
            (job.done)(Err(again));
            return Err(error);
        }
        inner.jobs.push_back(job);
        self.arrived.notify_one();
        self.awaited.notify_one();
        Ok(())
    }

    /// Waits for jobs and takes them up to a number of bytes, one at least. None when the
    /// queue is closed and empty.
    pub(super) fn take(&self, bytes_max: usize) -> Option<Vec<Job>> {
        let mut inner = self.lock();
        while inner.jobs.is_empty() && !inner.closed {
            inner = self.arrived.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
        inner.take(bytes_max)
    }

    /// Waits for jobs where the writer is a task; false when the queue is closed and empty.
    pub(super) async fn arrival(&self) -> bool {
        loop {
            let (is_empty, closed) = {
                let inner = self.lock();
                (inner.jobs.is_empty(), inner.closed)
            };
            if !is_empty || closed {
                return !is_empty;
            }
            self.awaited.notified().await;
        }
    }

    /// As [`Queue::take`], without waiting.
    pub(super) fn take_now(&self, bytes_max: usize) -> Option<Vec<Job>> {
        self.lock().take(bytes_max)
    }

    /// Fails when a write has failed.
    pub(super) fn check(&self) -> io::Result<()> {
        match &self.lock().failure {
            Some(failure) => Err(io::Error::other(failure.clone())),
            None => Ok(()),
        }
    }

    pub(super) fn poison(&self, text: &str) {
        self.lock().failure.get_or_insert_with(|| text.to_owned());
    }

    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.arrived.notify_all();
        self.awaited.notify_one();
    }

    /// The number of the next synced batch.
    pub(super) fn next_counter(&self) -> u64 {
        let mut inner = self.lock();
        inner.counter += 1;
        inner.counter
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn take(&mut self, bytes_max: usize) -> Option<Vec<Job>> {
        let mut bytes = 0;
        let mut count = 0;
        for job in &self.jobs {
            bytes += job.batch.bytes();
            if count > 0 && bytes > bytes_max {
                break;
            }
            count += 1;
        }
        (count > 0).then(|| self.jobs.drain(..count).collect())
    }
}
