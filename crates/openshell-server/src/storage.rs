//! Opening a node's data directory.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use openshell_raft::FaultHook;
use openshell_store::disk::rocks::RocksDisk;
use openshell_store::{Expected, Opened, Options, Retention, Store};

/// The database's folder in a data directory.
pub(crate) const DATABASE: &str = "db";

/// Where in a data directory the store is.
pub(crate) fn place(data_dir: &Path) -> PathBuf {
    data_dir.join(DATABASE)
}

/// Opens the data directory, or makes it. Everything in it is verified first.
pub(crate) fn open(
    data_dir: &Path,
    expected: Expected,
    history: Retention,
    fault: FaultHook,
) -> anyhow::Result<Opened> {
    std::fs::create_dir_all(data_dir).with_context(|| format!("making --data-dir {}", data_dir.display()))?;
    let place = place(data_dir);
    let disk = RocksDisk::open(&place).with_context(|| format!("opening {}", place.display()))?;
    Store::open(Arc::new(disk), Options { history, ..Options::new(expected, fault) })
        .with_context(|| format!("opening {}", data_dir.display()))
}

/// Where the database is.
pub(crate) fn place(data_dir: &Path) -> PathBuf {
    data_dir.join("db")
}
