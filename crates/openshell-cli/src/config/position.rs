//! How far a gateway was seen by this user: an epoch and a revision, in a file beside its registration, so
//! that a later command never reads an older state through another node. Commands that run at once keep the
//! greater one. A gateway that is known by its URL only has no file.

use std::fs::{self, File, TryLockError};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use openshell_client::Position;
use serde::{Deserialize, Serialize};

use super::files;
use super::paths::{Paths, is_name};
use crate::failure::Failure;

pub(super) const FILE: &str = "position.json";
pub(super) const LOCK: &str = "position.lock";
/// The lock is held for one small write.
const LOCK_WITHIN: Duration = Duration::from_secs(1);

#[derive(Serialize, Deserialize)]
struct Stored {
    epoch: u64,
    revision: u64,
}

/// What is kept for a gateway. A file that cannot be read counts as absent, and is replaced.
pub(crate) fn position(paths: &Paths, gateway: &str) -> Option<Position> {
    if !is_name(gateway) {
        return None;
    }
    read(&paths.gateway(gateway).ok()?.join(FILE))
}

/// Keeps a position, unless a later one is kept already.
///
/// Errors: the file cannot be written, or other commands hold its lock for a second.
pub(crate) fn keep_position(paths: &Paths, gateway: &str, position: Position) -> Result<(), Failure> {
    change(paths, gateway, |kept| kept.is_none_or(|kept| kept < position).then_some(Some(position)))
}

/// Forgets a position of another life of the cluster, unless it has been replaced by then.
///
/// Errors: as [`keep_position`].
pub(crate) fn forget_position(paths: &Paths, gateway: &str, lost: Position) -> Result<(), Failure> {
    let is_lost = |kept: Position| kept.epoch == lost.epoch && kept >= lost;
    change(paths, gateway, |kept| kept.is_some_and(is_lost).then_some(None))
}

/// Replaces or removes the file as `decide` says of what is in it; `None` leaves it alone.
fn change(
    paths: &Paths,
    gateway: &str,
    decide: impl FnOnce(Option<Position>) -> Option<Option<Position>>,
) -> Result<(), Failure> {
    if !is_name(gateway) {
        return Ok(());
    }
    let folder = paths.gateway(gateway)?;
    let _lock = lock(&folder)?;
    let path = folder.join(FILE);
    match decide(read(&path)) {
        None => Ok(()),
        Some(None) => files::remove(&path),
        Some(Some(Position { epoch, revision })) => {
            let text = serde_json::to_string(&Stored { epoch, revision }).unwrap_or_default() + "\n";
            // An empty file counts as absent.
            files::write_soon(&path, text.as_bytes(), 0o644)
        }
    }
}

fn read(path: &Path) -> Option<Position> {
    let text = files::read(path).unwrap_or_else(|failure| {
        tracing::warn!(message = failure.message, "the kept position is ignored");
        None
    })?;
    match serde_json::from_str::<Stored>(&text) {
        Ok(Stored { epoch, revision }) => Some(Position { epoch, revision }),
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "the kept position is ignored");
            None
        }
    }
}

/// Holds off other commands until it is dropped. The file stays: another command may be about to lock it.
fn lock(folder: &Path) -> Result<File, Failure> {
    files::make_folder(folder)?;
    let path = folder.join(LOCK);
    let failed = |error: std::io::Error| Failure::new(format!("could not lock {}", path.display())).because(&error);
    let file = fs::OpenOptions::new().write(true).create(true).truncate(false).open(&path).map_err(failed)?;
    let end = Instant::now() + LOCK_WITHIN;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < end => sleep(Duration::from_millis(2)),
            Err(TryLockError::WouldBlock) => {
                return Err(Failure::new(format!("another command holds {} and does not let go", path.display())));
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;
    use std::thread;

    use openshell_client::Position;
    use tempfile::TempDir;

    use super::{FILE, forget_position, keep_position, lock, position};
    use crate::config::Paths;

    fn at(epoch: u64, revision: u64) -> Position {
        Position { epoch, revision }
    }

    /// Paths of one person, and the folder of the gateway `g`.
    fn paths() -> (TempDir, Paths, PathBuf) {
        let root = tempfile::tempdir().expect("a folder");
        let config = root.path().as_os_str().to_owned();
        let paths = Paths::from_variables(|name| (name == "XDG_CONFIG_HOME").then(|| config.clone()));
        let folder = root.path().join("openshell/gateways/g");
        (root, paths, folder)
    }

    #[test]
    fn the_greatest_position_is_kept() {
        let (_root, paths, folder) = paths();
        assert_eq!(position(&paths, "g"), None);
        for (seen, kept) in [(at(1, 7), at(1, 7)), (at(1, 6), at(1, 7)), (at(2, 1), at(2, 1)), (at(1, 9), at(2, 1))] {
            keep_position(&paths, "g", seen).expect("it can be written");
            assert_eq!(position(&paths, "g"), Some(kept));
        }
        let text = fs::read_to_string(folder.join(FILE)).expect("the file");
        assert_eq!(text, "{\"epoch\":2,\"revision\":1}\n");
    }

    #[test]
    fn commands_that_run_at_once_lose_nothing() {
        let (_root, paths, _) = paths();
        thread::scope(|scope| {
            for first in 0..8 {
                let paths = &paths;
                scope.spawn(move || {
                    for revision in (first..64).step_by(8) {
                        keep_position(paths, "g", at(1, revision)).expect("its turn comes");
                    }
                });
            }
        });
        assert_eq!(position(&paths, "g"), Some(at(1, 63)));
    }

    #[test]
    fn what_is_lost_is_forgotten_unless_something_took_its_place() {
        let (_root, paths, _) = paths();
        forget_position(&paths, "g", at(1, 5)).expect("nothing to forget");
        for (kept, stays) in [(at(1, 5), false), (at(1, 6), false), (at(1, 4), true), (at(2, 1), true)] {
            forget_position(&paths, "g", at(1, 0)).expect("it can be removed");
            keep_position(&paths, "g", kept).expect("it can be written");
            forget_position(&paths, "g", at(1, 5)).expect("it can be removed");
            assert_eq!(position(&paths, "g"), stays.then_some(kept), "{kept:?}");
        }
    }

    #[test]
    fn a_file_that_makes_no_sense_counts_as_absent_and_is_replaced() {
        let (_root, paths, folder) = paths();
        fs::create_dir_all(&folder).expect("a folder");
        for text in ["", "{\"epoch\":1}", "{\"epoch\":-1,\"revision\":7}", "\u{0}"] {
            fs::write(folder.join(FILE), text).expect("a file");
            assert_eq!(position(&paths, "g"), None, "{text:?}");
            keep_position(&paths, "g", at(1, 7)).expect("it can be written");
            assert_eq!(position(&paths, "g"), Some(at(1, 7)));
        }
    }

    #[test]
    fn a_gateway_known_by_its_url_has_no_file() {
        let (root, paths, _) = paths();
        keep_position(&paths, "http://a:1", at(1, 7)).expect("nothing to do");
        forget_position(&paths, "http://a:1", at(1, 7)).expect("nothing to do");
        assert_eq!(position(&paths, "http://a:1"), None);
        assert_eq!(fs::read_dir(root.path()).expect("the folder").count(), 0);
    }

    #[test]
    fn a_command_that_never_lets_go_is_not_waited_for() {
        let (_root, paths, folder) = paths();
        let _held = lock(&folder).expect("nobody holds it");
        let failure = keep_position(&paths, "g", at(1, 7)).expect_err("somebody holds it");
        assert!(failure.message.contains("does not let go"), "{}", failure.message);
    }
}
