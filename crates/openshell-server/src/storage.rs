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
    let disk = RocksDisk::open(&place).map_err(|error| {
        // RocksDB tells it only in words, those of its lock file.
        let in_use = error.to_string().contains("lock file");
        anyhow::Error::new(error).context(match in_use {
            true => format!("--data-dir {} is in use by another process: every node has its own", data_dir.display()),
            false => format!("opening {}", place.display()),
        })
    })?;
    Store::open(Arc::new(disk), Options { history, ..Options::new(expected, fault) })
        .with_context(|| format!("opening {}", data_dir.display()))
}
