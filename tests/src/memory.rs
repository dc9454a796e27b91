//! A folder in memory, for what many sandboxes keep: each has a disk of its own, and all of them together on the one
//! disk of their gateways would wait for that.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// Memory that is a disk, where the machine has it.
const SHM: &str = "/dev/shm";

/// A temporary folder, and whether it is in memory: it is on the disk where the machine has no such place.
///
/// # Errors
/// When none can be made. A retry is safe.
pub fn folder_in_memory(prefix: &str) -> std::io::Result<(TempDir, bool)> {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let is_in_memory = |place: &Path| {
        let mut mounts = mounts.lines().map(|line| line.split(' '));
        mounts.any(|mut words| words.nth(1).map(Path::new) == Some(place) && words.next() == Some("tmpfs"))
    };
    let make = |place: &Path| tempfile::Builder::new().prefix(prefix).tempdir_in(place);
    let (shm, temporary) = (PathBuf::from(SHM), std::env::temp_dir());
    let made = [&shm, &temporary].into_iter().filter(|place| is_in_memory(place)).find_map(|place| make(place).ok());
    match made {
        Some(folder) => Ok((folder, true)),
        None => Ok((make(&temporary)?, false)),
    }
}
