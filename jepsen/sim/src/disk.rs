//! The disk of a simulated node: the store's own simulated disk, which may be told to lie. A lie is
//! planted to see whether the simulation notices.

use std::io;
use std::time::Duration;

use openshell_store::disk::simulated::SimulatedDisk;
use openshell_store::disk::{Batch, Disk, Family, Visit};

/// A fault in the simulation itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    /// The disk says that a write is synced before it is: most are when the next mark is kept, and not before.
    AcknowledgeBeforeSync,
}

/// A disk that may lie.
pub(crate) struct NodeDisk {
    pub(crate) disk: SimulatedDisk,
    pub(crate) planted: Option<Planted>,
}

impl Disk for NodeDisk {
    fn write(&self, batch: Batch, sync: bool) -> io::Result<()> {
        let lies = self.planted == Some(Planted::AcknowledgeBeforeSync);
        self.disk.write(batch, sync && !lies)
    }

    fn get(&self, family: Family, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        self.disk.get(family, key)
    }

    fn scan(&self, family: Family, from: &[u8], to: &[u8], visit: Visit<'_>) -> io::Result<()> {
        self.disk.scan(family, from, to, visit)
    }

    fn scan_all(&self, family: Family, visit: Visit<'_>) -> io::Result<()> {
        self.disk.scan_all(family, visit)
    }

    fn mark(&self) -> io::Result<u64> {
        self.disk.mark()
    }

    fn verify(&self) -> io::Result<()> {
        self.disk.verify()
    }

    fn set_mark(&self, mark: u64) -> io::Result<()> {
        if self.planted.is_some() {
            // Or the store itself would notice, by a mark of what was lost.
            self.disk.write(Batch::new(), true)?;
        }
        self.disk.set_mark(mark)
    }

    fn delay(&self) -> Duration {
        self.disk.delay()
    }
}
