//! Opening a store: whose data it is, that nothing of it is missing, then log and state.

use std::sync::Arc;

use crate::disk::Disk;
use crate::fault::{FaultHook, OpenError};
use crate::history::{History, Retention};
use crate::identity::{self, Expected, Identity};
use crate::log::LogStore;
use crate::machine::{self, Machine, StateView};
use crate::meta;
use crate::writer::{Writer, WriterMode};

/// How a store is to be opened.
#[derive(Clone)]
pub struct Options {
    /// Whose data it has to be.
    pub expected: Expected,
    /// Where writes are carried out.
    pub writer: WriterMode,
    /// Told when storage breaks while the store is open.
    pub on_fault: FaultHook,
    /// Bytes of batches that may wait for the writer.
    pub queue_bytes: usize,
    /// Bytes of log entries kept in memory once they are on disk.
    pub log_cache_bytes: usize,
    /// What the change history keeps.
    pub history: Retention,
}

impl Options {
    /// What a server uses.
    #[must_use]
    pub fn new(expected: Expected, on_fault: FaultHook) -> Self {
        Self {
            expected,
            writer: WriterMode::Thread,
            on_fault,
            queue_bytes: 64 * 1024 * 1024,
            log_cache_bytes: 32 * 1024 * 1024,
            history: Retention::default(),
        }
    }
}

/// An opened store, in the parts that its users take. The store is closed, and the disk let
/// go, when all of them are dropped.
pub struct Opened {
    /// For openraft.
    pub log: LogStore,
    /// For openraft.
    pub machine: Machine,
    /// The published state.
    pub view: StateView,
    /// What changed, by whom and when.
    pub history: History,
    /// Whose data this is.
    pub identity: Identity,
}

/// Opening of stores.
pub struct Store;

impl Store {
    /// Opens the store on a disk, or makes it there when the disk is empty. Reads all that is stored, and verifies the whole
    /// log and the whole state.
    ///
    /// # Errors
    /// [`OpenError`]: the node must not start; the sentence says what to do.
    pub fn open(disk: Arc<dyn Disk>, options: Options) -> Result<Opened, OpenError> {
        let Options { expected, writer: mode, on_fault, queue_bytes, log_cache_bytes, history: retention } = options;
        let first = identity::check(&*disk, &expected)?;
        let mut counter = meta::read_array(&*disk, meta::COUNTER)
            .map_err(OpenError::io("reading the counter"))?
            .map_or(0, u64::from_be_bytes);
        let kept = disk.mark().map_err(OpenError::io("reading the high-water mark"))?;
        if kept > counter {
            return Err(OpenError::LostWrites { stored: counter, kept });
        }
        disk.verify().map_err(OpenError::io("reading all that is stored"))?;
        if let Some(mut batch) = first {
            counter += 1;
            meta::put_counter(&mut batch, counter);
            disk.write(batch, true).map_err(OpenError::io("writing the identity"))?;
        }
        machine::clear_spare(&*disk).map_err(OpenError::io("clearing the remains of a snapshot"))?;
        let writer = Writer::start(disk, mode, queue_bytes, Arc::clone(&on_fault), counter)
            .map_err(OpenError::io("starting the writer"))?;
        let identity = Identity::open(writer.clone(), expected.node_id)?;
        let history =
            History::open(Arc::clone(writer.disk()), retention).map_err(OpenError::io("reading the change history"))?;
        let log = LogStore::open(writer.clone(), log_cache_bytes).map_err(OpenError::io("reading the log"))?;
        let machine = Machine::open(writer, history.clone(), identity.clone(), on_fault)?;
        Ok(Opened { log, view: machine.view(), machine, history, identity })
    }
}
