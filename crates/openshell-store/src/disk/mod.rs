//! The seam between this crate and a disk: ordered families of keys, atomic batches and one
//! promise about durability. Below it are RocksDB ([`rocks`]) and a disk in memory that can
//! lose power ([`simulated`]); above it nothing knows which one it is.

#[cfg(feature = "rocksdb")]
pub mod rocks;
pub mod simulated;

use std::io;
use std::ops::ControlFlow;
use std::time::Duration;

/// Beyond every key of every family: keys of fixed width are shorter, and the others begin
/// with a kind, which is less than 255.
pub const END: [u8; 32] = [0xff; 32];

/// A named, ordered set of keys. A batch may write to several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// Raft log. Key: index, eight bytes big-endian.
    Log,
    /// Vote, marks, identity. Key: a short name.
    Meta,
    /// Records. Key: [`openshell_state::Key::to_bytes`].
    Records(Half),
    /// Fences. Key: as of records; value: revision, eight bytes big-endian.
    Fences(Half),
    /// Remembered requests. Key: the sixteen bytes of the id.
    Requests(Half),
    /// Change history. Key: revision, eight bytes big-endian.
    History,
}

/// The state is stored in one half of its families. A snapshot is written into the other one, piece
/// by piece, and takes the place of the state when it is complete.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Half {
    /// Where the state of a new node is.
    #[default]
    First,
    /// Where the first snapshot goes.
    Second,
}

impl Half {
    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Half::First => Half::Second,
            Half::Second => Half::First,
        }
    }
}

impl Family {
    /// Every family.
    pub const ALL: [Family; 9] = [
        Family::Log,
        Family::Meta,
        Family::Records(Half::First),
        Family::Fences(Half::First),
        Family::Requests(Half::First),
        Family::History,
        Family::Records(Half::Second),
        Family::Fences(Half::Second),
        Family::Requests(Half::Second),
    ];

    /// The families of one half of the state.
    #[must_use]
    pub fn of_state(half: Half) -> [Family; 3] {
        [Family::Records(half), Family::Fences(half), Family::Requests(half)]
    }

    /// What it is called on disk. Never changes.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Family::Log => "log",
            Family::Meta => "meta",
            Family::Records(Half::First) => "records",
            Family::Records(Half::Second) => "records-2",
            Family::Fences(Half::First) => "fences",
            Family::Fences(Half::Second) => "fences-2",
            Family::Requests(Half::First) => "requests",
            Family::Requests(Half::Second) => "requests-2",
            Family::History => "history",
        }
    }
}

/// One step of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Sets a key.
    Put(Family, Vec<u8>, Vec<u8>),
    /// Removes a key, present or not.
    Delete(Family, Vec<u8>),
    /// Removes every key from the first (inclusive) to the second (exclusive).
    DeleteRange(Family, Vec<u8>, Vec<u8>),
}

/// Steps that take effect together, in order, or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    steps: Vec<Step>,
    bytes: usize,
}

/// Counted for each step beside its keys and values.
const STEP_BYTES: usize = 16;

impl Batch {
    /// An empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a key.
    pub fn put(&mut self, family: Family, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        self.push(Step::Put(family, key.into(), value.into()));
    }

    /// Removes a key.
    pub fn delete(&mut self, family: Family, key: impl Into<Vec<u8>>) {
        self.push(Step::Delete(family, key.into()));
    }

    /// Removes the keys from `from` to before `to`.
    pub fn delete_range(&mut self, family: Family, from: impl Into<Vec<u8>>, to: impl Into<Vec<u8>>) {
        self.push(Step::DeleteRange(family, from.into(), to.into()));
    }

    /// Removes every key of a family.
    pub fn clear(&mut self, family: Family) {
        self.delete_range(family, Vec::new(), END);
    }

    /// Adds the steps of another batch after these.
    pub fn append(&mut self, mut other: Batch) {
        self.bytes += other.bytes;
        self.steps.append(&mut other.steps);
    }

    fn push(&mut self, step: Step) {
        let bytes = match &step {
            Step::Put(_, key, value) => key.len() + value.len(),
            Step::Delete(_, key) => key.len(),
            Step::DeleteRange(_, from, to) => from.len() + to.len(),
        };
        self.bytes += bytes + STEP_BYTES;
        self.steps.push(step);
    }

    /// The steps in order.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The steps in order, by value.
    #[must_use]
    pub fn into_steps(self) -> Vec<Step> {
        self.steps
    }

    /// Roughly how much memory and log the batch takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
}

/// What a scan calls for each key and value. Breaking ends the scan.
pub type Visit<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> io::Result<ControlFlow<()>>;

/// A disk. All calls are synchronous; writes come from one thread at a time, reads from any.
///
/// The promise: when a write with `sync` has returned, it and every write before it survive
/// a loss of power. Of the writes after it some first part survives, never one without those
/// before it.
pub trait Disk: Send + Sync + 'static {
    /// Writes a batch.
    ///
    /// # Errors
    /// Of any kind: the caller must not write again, since what a failed write left behind
    /// is not known (a second fsync may report success for data that the first one lost).
    fn write(&self, batch: Batch, sync: bool) -> io::Result<()>;

    /// The value at a key.
    ///
    /// # Errors
    /// When the disk cannot tell.
    fn get(&self, family: Family, key: &[u8]) -> io::Result<Option<Vec<u8>>>;

    /// Visits the keys from `from` (inclusive) to `to` (exclusive) in order, as they were at
    /// one moment.
    ///
    /// # Errors
    /// When the disk cannot read on, or whatever the visitor returned.
    fn scan(&self, family: Family, from: &[u8], to: &[u8], visit: Visit<'_>) -> io::Result<()>;

    /// Visits all keys of a family in order, as [`Disk::scan`] does. For a start, which reads all there is, once: a disk may
    /// read in larger pieces for it, of which all that lies before a place that cannot be read is lost to the visitor.
    ///
    /// # Errors
    /// As of [`Disk::scan`].
    fn scan_all(&self, family: Family, visit: Visit<'_>) -> io::Result<()> {
        self.scan(family, &[], &END, visit)
    }

    /// The high-water mark kept beside the data, or 0 when none was ever kept.
    ///
    /// # Errors
    /// When it cannot be read or is damaged.
    fn mark(&self) -> io::Result<u64>;

    /// Reads all that is stored, of what was removed too as far as it is still there: what rots in that is met when the disk
    /// tidies up, which ends a node, and again after each start.
    ///
    /// # Errors
    /// `InvalidData` when something is damaged, with the place.
    fn verify(&self) -> io::Result<()>;

    /// Keeps a high-water mark; durable when this returns.
    ///
    /// # Errors
    /// As of [`Disk::write`].
    fn set_mark(&self, mark: u64) -> io::Result<()>;

    /// How long a write takes where time is simulated. Elsewhere it takes its time by itself.
    fn delay(&self) -> Duration {
        Duration::ZERO
    }
}

#[cfg(test)]
mod tests;
