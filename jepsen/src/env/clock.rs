//! A clock of a node's own: libfaketime in its process reads from a file what to add. Monotonic time stays true, so
//! that what is shown to be wrong is trust in the wall clock.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use openshell_tests::Gateway;

/// Its name, in one of the folders of the system's libraries.
const LIBRARY: &str = "libfaketimeMT.so.1";
const FOLDERS: [&str; 4] = ["/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/local/lib64"];
/// The file is read again after so many seconds.
pub(crate) const NOTICED_AFTER_S: u64 = 1;

/// How a clock is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shift {
    /// It is right.
    None,
    /// By so many seconds.
    By(i64),
    /// It runs at so many percent of the right rate.
    Rate(i64),
}

/// One node's.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    file: PathBuf,
}

impl Clock {
    /// Gives a gateway that does not run yet a clock that is right, with its file in `folder`.
    ///
    /// # Errors
    /// When the library is not there, or the file cannot be written.
    pub(crate) fn give(gateway: &mut Gateway, folder: &Path) -> anyhow::Result<Self> {
        let library = library().context("libfaketime is not installed")?;
        let clock = Self { file: folder.join(format!("clock-{}", gateway.id())) };
        clock.set(Shift::None)?;
        for (name, value) in clock.variables(&library) {
            gateway.set_variable(name, Some(&value));
        }
        Ok(clock)
    }

    /// What its process is told.
    pub(super) fn variables(&self, library: &Path) -> [(&'static str, String); 5] {
        [
            ("LD_PRELOAD", library.display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", self.file.display().to_string()),
            ("FAKETIME_CACHE_DURATION", NOTICED_AFTER_S.to_string()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("DONT_FAKE_MONOTONIC", "1".to_owned()),
        ]
    }

    /// A file of its own, for trying.
    pub(super) fn in_file(file: PathBuf) -> Self {
        Self { file }
    }

    /// Makes it wrong like this, or right, from a second later on.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn set(&self, shift: Shift) -> anyhow::Result<()> {
        let text = match shift {
            Shift::None => "+0".to_owned(),
            Shift::By(seconds) => format!("{seconds:+}"),
            Shift::Rate(percent) => format!("+0 x{}.{:02}", percent / 100, percent % 100),
        };
        // Replaced at once: a file that is read half written is an error of the library's.
        let beside = self.file.with_extension("new");
        fs::write(&beside, text + "\n").with_context(|| format!("writing {}", beside.display()))?;
        fs::rename(&beside, &self.file).with_context(|| format!("writing {}", self.file.display()))
    }

    /// Whether somebody has read what it says since that was set: a process that has the library does so when it
    /// asks for the time, once a second at most. It takes a file system that keeps when files are read.
    ///
    /// # Errors
    /// When there is no file.
    pub(crate) fn is_noticed(&self) -> anyhow::Result<bool> {
        let found = fs::metadata(&self.file).with_context(|| format!("looking at {}", self.file.display()))?;
        Ok(found.accessed()? > found.modified()?)
    }

    /// Whether a process goes by such a clock.
    ///
    /// # Errors
    /// When it does not.
    pub(crate) fn is_of(process: u32) -> anyhow::Result<()> {
        let maps = fs::read_to_string(format!("/proc/{process}/maps")).context("the process is gone")?;
        ensure!(maps.contains(LIBRARY), "the process does not have {LIBRARY}");
        Ok(())
    }
}

/// Where the library is.
pub(crate) fn library() -> Option<PathBuf> {
    let below = |folder: &str| {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let folders = entries.filter(|path| path.is_dir()).chain([PathBuf::from(folder)]);
        folders.map(|path| path.join("faketime").join(LIBRARY)).find(|path| path.is_file())
    };
    FOLDERS.into_iter().find_map(below)
}

#[cfg(test)]
mod tests {
    use std::fs::{File, FileTimes};
    use std::time::{Duration, SystemTime};

    use super::*;

    #[test]
    fn a_clock_is_noticed_when_its_file_was_read_after_it_was_set() {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::in_file(folder.path().join("clock"));
        assert!(clock.is_noticed().is_err(), "it was never set");
        clock.set(Shift::By(30)).unwrap();
        assert!(!clock.is_noticed().unwrap());
        let set = SystemTime::now();
        let times = FileTimes::new().set_modified(set).set_accessed(set + Duration::from_millis(4));
        File::options().write(true).open(&clock.file).unwrap().set_times(times).unwrap();
        assert!(clock.is_noticed().unwrap());
        clock.set(Shift::None).unwrap();
        assert!(!clock.is_noticed().unwrap(), "what was read was another file");
    }
}
