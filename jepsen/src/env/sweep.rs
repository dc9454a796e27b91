//! What runs left behind that were killed: file systems, networks, folders. A name says whose they are (`mark`), and
//! nobody's are touched whose process lives. Folders of clusters, which bear no such names, are left to the system.

use std::fs;
use std::path::{Path, PathBuf};

use openshell_tests::{Network, run_program};

use super::disk::unmount;
use super::{group, mark};

/// Removes what runs left behind whose process is gone. To be called before anything is made; what cannot be removed
/// stays for the next one.
pub(crate) fn sweep() {
    let mounts = mounts_of_the_dead();
    // A process that waits for its disk does not end.
    for mount in &mounts {
        let _ = run_program("fsfreeze", &["--unfreeze", mount], "");
    }
    // Processes that have files open there end with their networks.
    let _ = Network::sweep();
    group::sweep();
    // The last one that was mounted goes first.
    for mount in mounts.iter().rev() {
        let _ = unmount(mount);
    }
    let mut folders = folders_of_the_dead(&std::env::temp_dir());
    folders.extend(mounts.iter().filter_map(|mount| folder_of_the_dead(Path::new(mount))));
    remove(&folders, &mounts_of_the_dead());
}

/// Places of file systems in folders of runs whose process is gone, in the order in which they were mounted.
fn mounts_of_the_dead() -> Vec<String> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let places = mounts.lines().filter_map(|line| line.split(' ').nth(1));
    places.filter(|place| folder_of_the_dead(Path::new(place)).is_some()).map(str::to_owned).collect()
}

/// The folder that a run made whose process is gone, if a path leads there.
fn folder_of_the_dead(path: &Path) -> Option<PathBuf> {
    let is_dead = |folder: &&Path| folder.file_name().is_some_and(|name| mark::is_of_the_dead(&name.to_string_lossy()));
    path.ancestors().find(is_dead).map(Path::to_path_buf)
}

fn folders_of_the_dead(place: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(place).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|path| path.is_dir() && folder_of_the_dead(path).as_deref() == Some(path)).collect()
}

/// Removes folders in which nothing is mounted: what is mounted needs its image.
fn remove(folders: &[PathBuf], mounts: &[String]) {
    let is_free = |folder: &&PathBuf| !mounts.iter().any(|mount| Path::new(mount).starts_with(folder));
    for folder in folders.iter().filter(is_free) {
        let _ = fs::remove_dir_all(folder);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_dead_runs_go_unless_something_is_mounted_there() {
        let place = tempfile::tempdir().unwrap();
        let folder = |name: String| {
            let folder = place.path().join(name);
            fs::create_dir_all(folder.join("disk")).unwrap();
            fs::write(folder.join("image"), "").unwrap();
            folder
        };
        let own = mark::own().unwrap();
        // Of this process' number, and of another time.
        let dead = format!("openshell-chaos-{}-1", std::process::id());
        let [loose, mounted] = ["loose", "mounted"].map(|name| folder(format!("{dead}-{name}")));
        let [alive, foreign] = [format!("{own}-node-1"), "other".to_owned()].map(folder);
        let found = folders_of_the_dead(place.path());
        assert!(found.len() == 2 && found.contains(&loose) && found.contains(&mounted), "{found:?}");
        remove(&found, &[mounted.join("disk").display().to_string()]);
        assert!(!loose.exists(), "nothing is mounted there");
        assert!(mounted.join("image").exists(), "its file system is mounted still");
        assert!(alive.exists() && foreign.exists());
    }
}
