//! The state directory: what is installed, for this program after a restart and for whoever reads it.
//!
//! ```text
//! current -> configuration-000012      the link is what is switched, in one rename
//! configuration-000012/config.json     policy and settings, and when they were last known to be current
//! configuration-000012/credentials.json
//! standing.json                        whether it is current, since when it may not be
//! lock
//! ```
//!
//! A configuration is written whole into a folder of its own, reaches the disk, and only then takes the
//! place of the last one: whoever reads finds both files of one state, also after a crash or a power
//! failure at any moment. Files are for their owner alone. While the declared mode has closed the sandbox,
//! the link is named `closed`.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::configuration::{Configuration, Unreadable};
use crate::installed::AsOf;
use crate::position::Position;

const CURRENT: &str = "current";
const CLOSED: &str = "closed";
const STANDING: &str = "standing.json";
const LOCK: &str = "lock";
const PREFIX: &str = "configuration-";
const CONFIG: &str = "config.json";
const CREDENTIALS: &str = "credentials.json";
/// Ends the name of what is not in its place yet.
const UNFINISHED: &str = ".new";

/// Why the state directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// Another process keeps its state there. It has to end first.
    #[error("{} is in use by another process", .0.display())]
    InUse(PathBuf),
    /// The system refuses; a retry is safe.
    #[error("{doing} {}", .path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What is to be written cannot be.
    #[error(transparent)]
    Unwritable(#[from] Unreadable),
}

/// The directory of one sandbox, held by this process alone.
#[derive(Debug)]
pub(crate) struct StateDir {
    path: PathBuf,
    sandbox_id: String,
    /// Of the next folder.
    next: u64,
    lock: File,
}

impl Drop for StateDir {
    /// Closing the file would do, but for a command that is being started at this moment: until it runs, it has
    /// the file open as well.
    fn drop(&mut self) {
        if let Err(error) = self.lock.unlock() {
            tracing::debug!(%error, "the lock goes with the file");
        }
    }
}

/// The folder of a configuration on disk, which is in its place or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Staged {
    folder: PathBuf,
}

/// What a reader has to know beside the configuration: `standing.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct StandingFile {
    /// `current`, `stale`, `closed` or `empty`.
    pub(crate) standing: String,
    /// The newest state that what is installed is known to be of.
    pub(crate) position: Option<Position>,
    /// When a node last knew that the policy is current, milliseconds since the Unix epoch.
    pub(crate) as_of_ms: i64,
    /// And the environment.
    pub(crate) credentials_as_of_ms: i64,
    /// The node that is followed.
    pub(crate) node: Option<u64>,
    /// Why a newer one could not be installed, or nothing can be heard.
    pub(crate) problem: String,
    /// The newest policy of the sandbox's own whose fate the cluster has recorded.
    pub(crate) policy_reported: u32,
}

/// What an earlier run left.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    /// Installed then, with the folder that it is in.
    pub(crate) configuration: Option<(Configuration, PathBuf)>,
    /// Said then.
    pub(crate) standing: StandingFile,
    /// Why there is no configuration, when something is there that should be one.
    pub(crate) unreadable: Option<Unreadable>,
}

impl StandingFile {
    pub(crate) fn as_of(&self) -> AsOf {
        AsOf { config_ms: self.as_of_ms, environment_ms: self.credentials_as_of_ms }
    }

    pub(crate) fn note(&mut self, as_of: AsOf) {
        (self.as_of_ms, self.credentials_as_of_ms) = (as_of.config_ms, as_of.environment_ms);
    }
}

impl Staged {
    /// One that is in its place, for a configuration that was read.
    pub(crate) fn at(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Where the files of the configuration are.
    #[must_use]
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }
}

impl StateDir {
    /// Takes the directory, makes it where it is missing, reads what is in it and removes what an
    /// interrupted run left unfinished.
    ///
    /// # Errors
    /// [`DiskError`]. What cannot be read is not one: it is told, and replaced by the next configuration.
    pub(crate) fn open(path: &Path, sandbox_id: &str) -> Result<(Self, Kept), DiskError> {
        let io = |doing| move |source| DiskError::Io { doing, path: path.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(io("making"))?;
        let lock = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path.join(LOCK));
        let lock = lock.map_err(io("taking the lock in"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(DiskError::InUse(path.to_owned())),
            Err(fs::TryLockError::Error(error)) => return Err(io("taking the lock in")(error)),
        }
        let mut state = Self { path: path.to_owned(), sandbox_id: sandbox_id.to_owned(), next: 1, lock };
        let kept = state.kept();
        if in_link(path, CURRENT).is_some() && in_link(path, CLOSED).is_some() {
            // It was interrupted between putting a new one in its place and clearing the closed one away.
            remove(&path.join(CLOSED)).and_then(|()| sync_folder(path)).map_err(io("clearing"))?;
        }
        let in_place = [CURRENT, CLOSED].into_iter().find_map(|link| in_link(path, link));
        for entry in fs::read_dir(path).map_err(io("listing"))? {
            let name = entry.map_err(io("listing"))?.file_name();
            let text = name.to_string_lossy();
            let number = text.strip_prefix(PREFIX).and_then(|rest| rest.trim_end_matches(UNFINISHED).parse().ok());
            state.next = state.next.max(number.map_or(1, |number: u64| number.saturating_add(1)));
            if text.ends_with(UNFINISHED) || number.is_some() && in_place.as_deref() != Some(Path::new(&name)) {
                remove(&path.join(&name)).map_err(io("clearing"))?;
            }
        }
        Ok((state, kept))
    }

    fn kept(&self) -> Kept {
        let mut kept = Kept::default();
        if let Ok(text) = fs::read(self.path.join(STANDING)) {
            // It says nothing that cannot be done without.
            kept.standing = serde_json::from_slice(&text).unwrap_or_default();
        }
        let links = [CURRENT, CLOSED];
        let Some(folder) = links.iter().find_map(|link| in_link(&self.path, link)) else { return kept };
        let folder = self.path.join(folder);
        match self.read(&folder) {
            Ok((configuration, as_of)) => {
                // Older than what was said last, and known if that was lost.
                kept.standing.note(kept.standing.as_of().later(as_of));
                kept.configuration = Some((configuration, folder));
            }
            Err(unreadable) => kept.unreadable = Some(unreadable),
        }
        kept
    }

    fn read(&self, folder: &Path) -> Result<(Configuration, AsOf), Unreadable> {
        let text = |file: &'static str| {
            let failed = |error: io::Error| Unreadable { file, what: "a configuration", problem: error.to_string() };
            fs::read(folder.join(file)).map_err(failed)
        };
        Configuration::from_files(&self.sandbox_id, &text(CONFIG)?, &text(CREDENTIALS)?)
    }

    /// Writes a configuration, and when it was last known to be current, into a folder of its own, for whoever
    /// has to look at it before it counts.
    ///
    /// # Errors
    /// [`DiskError`]; what was written by then is removed, by the next start at the latest.
    pub(crate) fn stage(&mut self, configuration: &Configuration, as_of: AsOf) -> Result<Staged, DiskError> {
        let files = configuration.to_files(&self.sandbox_id, as_of)?;
        let folder = self.path.join(format!("{PREFIX}{:06}", self.next));
        self.next += 1;
        if let Err(error) = lay_out(&folder, files) {
            // A disk that is full is not filled any further.
            let _ = remove(&folder);
            return Err(error);
        }
        Ok(Staged { folder })
    }

    /// Puts a staged configuration in its place, open or closed, and returns what it replaced. Whoever has just
    /// followed the link reads there: when it is removed is the caller's to say.
    ///
    /// # Errors
    /// [`DiskError`]; the one before is still in its place then, and a retry is safe.
    pub(crate) fn commit(&mut self, staged: &Staged, closed: bool) -> Result<Vec<Staged>, DiskError> {
        let before: Vec<PathBuf> = [CURRENT, CLOSED].iter().filter_map(|link| in_link(&self.path, link)).collect();
        let (link, other) = if closed { (CLOSED, CURRENT) } else { (CURRENT, CLOSED) };
        if closed {
            // Not for an instant is it found where it must not be.
            self.rename(CURRENT, CLOSED)?;
        }
        self.switch(&staged.folder, link)?;
        // The link goes first, so that none ever leads nowhere. It is in nobody's way; the next start tries again.
        let _ = remove(&self.path.join(other)).and_then(|()| sync_folder(&self.path));
        let replaced = before.into_iter().map(|name| Staged { folder: self.path.join(name) });
        Ok(replaced.filter(|replaced| replaced != staged).collect())
    }

    /// Removes a configuration that was not taken, or was replaced. One that is in its place stays: it was put
    /// there, though the disk did not confirm it.
    pub(crate) fn discard(&self, staged: &Staged) {
        let mut in_place = [CURRENT, CLOSED].iter().filter_map(|link| in_link(&self.path, link));
        if in_place.any(|name| self.path.join(name) == staged.folder) {
            return;
        }
        // It is in nobody's way; the next start tries again.
        let _ = remove(&staged.folder);
    }

    /// Takes what is installed out of its place: whoever looks for it finds nothing.
    ///
    /// # Errors
    /// [`DiskError`]; a retry is safe.
    pub(crate) fn close(&mut self) -> Result<(), DiskError> {
        self.rename(CURRENT, CLOSED)
    }

    /// Puts it back.
    ///
    /// # Errors
    /// As [`StateDir::close`].
    pub(crate) fn reopen(&mut self) -> Result<(), DiskError> {
        if in_link(&self.path, CURRENT).is_none() {
            return self.rename(CLOSED, CURRENT);
        }
        // What is in its place is newer than what was closed.
        let path = self.path.join(CLOSED);
        let removed = remove(&path).and_then(|()| sync_folder(&self.path));
        removed.map_err(|source| DiskError::Io { doing: "clearing", path, source })
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        let path = self.path.join(from);
        match fs::rename(&path, self.path.join(to)).and_then(|()| sync_folder(&self.path)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(DiskError::Io { doing: "renaming", path, source: error })
            }
            _ => Ok(()),
        }
    }

    fn switch(&self, folder: &Path, link: &str) -> Result<(), DiskError> {
        let io = |source| DiskError::Io { doing: "switching to", path: folder.to_owned(), source };
        let target = folder.file_name().ok_or_else(|| io(io::ErrorKind::InvalidFilename.into()))?;
        let unfinished = self.path.join(format!("{link}{UNFINISHED}"));
        remove(&unfinished).map_err(io)?;
        symlink(target, &unfinished).map_err(io)?;
        fs::rename(&unfinished, self.path.join(link)).map_err(io)?;
        sync_folder(&self.path).map_err(io)
    }

    /// Writes `standing.json`, which has reached the disk then: what is older than it says is not installed again.
    ///
    /// # Errors
    /// [`DiskError`]; a retry is safe.
    pub(crate) fn say(&self, standing: &StandingFile) -> Result<(), DiskError> {
        let path = self.path.join(STANDING);
        let io = |source| DiskError::Io { doing: "writing", path: path.clone(), source };
        let text = serde_json::to_vec_pretty(standing).map_err(|error| io(io::Error::other(error)))?;
        replace_file(&path, &text).map_err(io)
    }
}

/// Where a link of the directory leads; nothing when there is none.
fn in_link(path: &Path, link: &str) -> Option<PathBuf> {
    fs::read_link(path.join(link)).ok()
}

/// Makes the folder of a configuration, with everything in it on the disk.
fn lay_out(folder: &Path, (config, credentials): (Vec<u8>, Vec<u8>)) -> Result<(), DiskError> {
    let io = |doing, path: &Path| {
        let path = path.to_owned();
        move |source| DiskError::Io { doing, path, source }
    };
    DirBuilder::new().mode(0o700).create(folder).map_err(io("making", folder))?;
    for (name, text) in [(CONFIG, config), (CREDENTIALS, credentials)] {
        let path = folder.join(name);
        // Nobody looks into the folder before it is in its place.
        write_synced(&path, &text).map_err(io("writing", &path))?;
    }
    // The folder's own entry, too: no link may lead to one that a power failure took.
    let around = folder.parent().unwrap_or(folder);
    sync_folder(folder).and_then(|()| sync_folder(around)).map_err(io("writing", folder))
}

/// Replaces a file by another of the same name, for its owner alone, at one instant and for good.
///
/// # Errors
/// When the system refuses. The file is as it was then, or is replaced and may not have reached the disk.
pub(crate) fn replace_file(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?.to_owned();
    name.push(UNFINISHED);
    let unfinished = path.with_file_name(name);
    if let Err(error) = write_synced(&unfinished, text).and_then(|()| fs::rename(&unfinished, path)) {
        // Nothing of it is left lying about.
        let _ = remove(&unfinished);
        return Err(error);
    }
    sync_folder(path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")))
}

fn write_synced(path: &Path, text: &[u8]) -> io::Result<()> {
    // Whatever is there under this name, a link for one, is not written to.
    remove(path)?;
    let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(path)?;
    file.write_all(text)?;
    file.sync_all()
}

fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Removes a file, a link or a folder with everything in it, if it is there.
fn remove(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
