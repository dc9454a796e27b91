//! Opening a node's data directory.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use openshell_raft::FaultHook;
use openshell_store::disk::rocks::RocksDisk;
use openshell_store::{Expected, OpenError, Opened, Options, Retention, Store};

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
        let in_use =
            matches!(&error, OpenError::Io { source, .. } if source.kind() == std::io::ErrorKind::ResourceBusy);
        anyhow::Error::new(error).context(match in_use {
            true => format!("--data-dir {} is in use by another process: every node has its own", data_dir.display()),
            false => format!("opening {}", place.display()),
        })
    })?;
    Store::open(Arc::new(disk), Options { history, ..Options::new(expected, fault) })
        .with_context(|| format!("opening {}", data_dir.display()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use openshell_store::{Expected, Retention};

    use super::open;

    #[tokio::test]
    async fn a_data_directory_in_use_is_refused_with_its_sentence_and_can_be_opened_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let expected = Expected { node_id: 1, initial_cluster: None, secrets_key: [7; 32] };
        let fault: openshell_raft::FaultHook = Arc::new(|sentence| panic!("{sentence}"));
        let open = || open(folder.path(), expected.clone(), Retention::default(), Arc::clone(&fault));
        let first = open().unwrap();
        let Err(error) = open() else { panic!("two have it open") };
        let sentence = format!("{error:#}");
        assert!(sentence.starts_with(&format!("--data-dir {} is in use", folder.path().display())), "{sentence}");
        drop(first);
        drop(open().unwrap());
    }
}
