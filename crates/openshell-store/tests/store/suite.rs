//! openraft's own storage suite, on every disk and every kind of writer.

use std::sync::Arc;

use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};
use openshell_store::disk::Disk;
use openshell_store::disk::simulated::SimulatedDisk;
use openshell_store::{LogStore, Machine, TypeConfig, WriterMode};

struct Simulated(WriterMode);

impl StoreBuilder<TypeConfig, LogStore, Machine, ()> for Simulated {
    async fn build(&self) -> Result<((), LogStore, Machine), StorageError<TypeConfig>> {
        let opened = crate::support::open_with(Arc::new(SimulatedDisk::new()) as Arc<dyn Disk>, self.0);
        Ok(((), opened.log, opened.machine))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_simulated_disk_passes_the_suite_with_a_writer_thread() {
    Suite::test_all(Simulated(WriterMode::Thread)).await.expect("passes");
}

#[tokio::test]
async fn the_simulated_disk_passes_the_suite_inline() {
    Suite::test_all(Simulated(WriterMode::Inline)).await.expect("passes");
}

#[tokio::test]
async fn the_simulated_disk_passes_the_suite_with_a_writer_task() {
    Suite::test_all(Simulated(WriterMode::Task)).await.expect("passes");
}

#[cfg(feature = "rocksdb")]
mod rocks {
    use openshell_store::disk::rocks::RocksDisk;
    use tempfile::TempDir;

    use super::*;

    struct Rocks;

    impl StoreBuilder<TypeConfig, LogStore, Machine, TempDir> for Rocks {
        async fn build(&self) -> Result<(TempDir, LogStore, Machine), StorageError<TypeConfig>> {
            let directory = tempfile::tempdir().expect("a temporary directory");
            let disk = RocksDisk::open(directory.path()).expect("opened");
            let opened = crate::support::open_with(Arc::new(disk), WriterMode::Thread);
            Ok((directory, opened.log, opened.machine))
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn rocksdb_passes_the_suite() {
        Suite::test_all(Rocks).await.expect("passes");
    }
}
