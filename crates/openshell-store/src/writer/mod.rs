//! The one way to the disk: a FIFO queue, and a thread that drains it into one batch with one
//! sync. That is the group commit. After one failed write nothing is written again.
//!
//! What is queued is bounded in bytes: who submits waits for room, so that the order of
//! submission is the order on disk.

mod queue;

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use openshell_chaos::{Point, disk_point};
use tokio::sync::{Semaphore, oneshot};

use crate::disk::{Batch, Disk};
use crate::fault::FaultHook;
use crate::mark::Marker;
use crate::meta;
use queue::{Job, Queue};

/// The writer takes this many bytes at a time at most, unless one batch alone has more.
const DRAIN_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Where writes are carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriterMode {
    /// On a thread of its own, named `store-writer`. What every server uses.
    Thread,
    /// At once, on the task that submits: for simulation, where nothing may depend on threads.
    Inline,
    /// On a task of its own, which lets [`Disk::delay`] pass before each write: for simulation as well, of
    /// disks that take their time. Needs a runtime when the writer starts.
    Task,
}

/// Called when a batch is on disk (and synced, when it asked for that), or cannot be.
pub(crate) type Done = Box<dyn FnOnce(io::Result<()>) + Send>;

/// A handle to the writer. The last one to be dropped writes what is queued and ends the thread.
#[derive(Clone)]
pub(crate) struct Writer(Arc<Owner>);

struct Owner {
    core: Arc<Core>,
    mode: WriterMode,
    thread: Option<JoinHandle<()>>,
}

struct Core {
    disk: Arc<dyn Disk>,
    queue: Queue,
    /// One permit a byte.
    room: Arc<Semaphore>,
    room_bytes: usize,
    on_fault: FaultHook,
    marker: Marker,
    /// Where there is no thread, one task drains at a time.
    draining: Mutex<()>,
}

impl Writer {
    /// Starts the writer. `counter` is the number of synced batches that the disk holds.
    pub(crate) fn start(
        disk: Arc<dyn Disk>,
        mode: WriterMode,
        queue_bytes: usize,
        on_fault: FaultHook,
        counter: u64,
    ) -> io::Result<Self> {
        let marker = Marker::start(Arc::clone(&disk), mode, Arc::clone(&on_fault))?;
        let core = Arc::new(Core {
            disk,
            queue: Queue::new(counter),
            room: Arc::new(Semaphore::new(queue_bytes)),
            room_bytes: queue_bytes,
            on_fault,
            marker,
            draining: Mutex::new(()),
        });
        let thread = match mode {
            WriterMode::Inline => None,
            WriterMode::Task => {
                let core = Arc::clone(&core);
                // Ends when the queue is closed.
                tokio::spawn(async move { core.run_as_task().await });
                None
            }
            WriterMode::Thread => {
                let core = Arc::clone(&core);
                Some(std::thread::Builder::new().name("store-writer".into()).spawn(move || core.run())?)
            }
        };
        Ok(Self(Arc::new(Owner { core, mode, thread })))
    }

    /// Queues a batch, once there is room for it. `done` is called in the order of submission.
    ///
    /// # Errors
    /// When a write has failed before: then `done` is called with the error, too.
    pub(crate) async fn submit(&self, batch: Batch, sync: bool, done: Done) -> io::Result<()> {
        let core = &self.0.core;
        if self.0.mode == WriterMode::Inline {
            core.queue.push(Job { batch, sync, done, room: None })?;
            core.drain();
            return core.queue.check();
        }
        let is_writer =
            self.0.thread.as_ref().is_some_and(|thread| thread.thread().id() == std::thread::current().id());
        debug_assert!(!is_writer, "the writer must not submit to itself");
        let bytes = batch.bytes().clamp(1, core.room_bytes);
        let permits = u32::try_from(bytes).unwrap_or(u32::MAX);
        let room = Arc::clone(&core.room).acquire_many_owned(permits).await.map_err(io::Error::other)?;
        core.queue.push(Job { batch, sync, done, room: Some(room) })
    }

    /// Queues a batch and waits until it is written, and synced when it asks for that.
    ///
    /// # Errors
    /// When it could not be written; nothing is written after that.
    pub(crate) async fn write(&self, batch: Batch, sync: bool) -> io::Result<()> {
        let (sender, receiver) = oneshot::channel();
        // Who submitted may have gone; then nobody wants to know.
        let done = Box::new(move |result| drop(sender.send(result)));
        self.submit(batch, sync, done).await?;
        receiver.await.map_err(|_| io::Error::other("the storage writer ended before the write was done"))?
    }

    /// Reads the disk where that holds up no other task: on a thread for it, or at once where the
    /// writes are carried out at once as well.
    ///
    /// # Errors
    /// Those of `read`.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&dyn Disk) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        if self.0.thread.is_none() {
            return read(&**self.disk());
        }
        let disk = Arc::clone(self.disk());
        tokio::task::spawn_blocking(move || read(&*disk)).await.map_err(io::Error::other)?
    }

    /// The disk, for reading.
    pub(crate) fn disk(&self) -> &Arc<dyn Disk> {
        &self.0.core.disk
    }
}

impl Core {
    /// The writer thread.
    fn run(&self) {
        let _alarm = Alarm(self);
        while let Some(jobs) = self.queue.take(DRAIN_BYTES_MAX) {
            self.carry_out(jobs);
        }
        self.marker.finish();
    }

    /// The writer as a task: what gathers while a write takes its time goes with it.
    async fn run_as_task(&self) {
        while self.queue.arrival().await {
            tokio::time::sleep(self.disk.delay()).await;
            if let Some(jobs) = self.queue.take_now(DRAIN_BYTES_MAX) {
                self.carry_out(jobs);
            }
        }
    }

    /// Without a thread: everything that is queued, now.
    fn drain(&self) {
        let _one_at_a_time = self.draining.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(jobs) = self.queue.take_now(DRAIN_BYTES_MAX) {
            self.carry_out(jobs);
        }
    }

    /// One batch, one sync, then every callback in order.
    fn carry_out(&self, jobs: Vec<Job>) {
        let sync = jobs.iter().any(|job| job.sync);
        let mut batch = Batch::new();
        let mut callbacks = Vec::with_capacity(jobs.len());
        for job in jobs {
            batch.append(job.batch);
            callbacks.push((job.done, job.room));
        }
        let result = self.queue.check().and_then(|()| self.put_on_disk(batch, sync));
        for (done, room) in callbacks {
            let result = match &result {
                Ok(()) => Ok(()),
                Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
            };
            done(result);
            drop(room);
        }
    }

    fn put_on_disk(&self, mut batch: Batch, sync: bool) -> io::Result<()> {
        let counter = sync.then(|| self.queue.next_counter());
        if let Some(counter) = counter {
            meta::put_counter(&mut batch, counter);
        }
        if let Err(error) = self.write(batch, sync) {
            let text = format!("a write to the log database failed: {error}");
            self.queue.poison(&text);
            (self.on_fault)(&text);
            return Err(io::Error::new(error.kind(), text));
        }
        if let Some(counter) = counter {
            self.marker.note(counter);
        }
        Ok(())
    }

    fn write(&self, batch: Batch, sync: bool) -> io::Result<()> {
        if !sync {
            return self.disk.write(batch, false);
        }
        disk_point(Point::BeforeSync)?;
        self.disk.write(batch, true)?;
        disk_point(Point::AfterSync)
    }
}

/// Tells of a panic of the writer thread, which would leave everyone waiting.
struct Alarm<'a>(&'a Core);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let text = "the storage writer panicked";
            self.0.queue.poison(text);
            (self.0.on_fault)(text);
        }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.core.queue.close();
        let Some(thread) = self.thread.take() else {
            self.core.drain();
            self.core.marker.finish();
            return;
        };
        if thread.thread().id() != std::thread::current().id() {
            // A panic was told of where it happened.
            let _ended = thread.join();
        }
    }
}

#[cfg(test)]
mod tests;
