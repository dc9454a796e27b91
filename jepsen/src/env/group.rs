//! Control groups: a running process gets little of the processor, or little more memory. Both
//! versions of them are known; where there are both, the first one has the controllers.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};

use super::mark;

/// Where they are, as far as somebody mounted them.
const ROOT: &str = "/sys/fs/cgroup";
/// The time of which a share is given, in microseconds.
const PERIOD_US: u64 = 100_000;
const REMOVALS: u32 = 20;
const REMOVAL_PAUSE: Duration = Duration::from_millis(50);

/// What is scarce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scarce {
    /// So many percent of one core are left.
    Processor(u64),
    /// So many bytes more may be taken than there are now, with the files that the process writes; then files have to go, and
    /// at last the process.
    Memory(u64),
}

impl Scarce {
    fn controller(self) -> &'static str {
        match self {
            Scarce::Processor(_) => "cpu",
            Scarce::Memory(_) => "memory",
        }
    }

    /// The files of a group that are its limit, with what is written into them.
    fn limits(self, version: Version) -> Vec<(&'static str, String)> {
        match (self, version) {
            (Scarce::Processor(percent), Version::First) => vec![
                ("cpu.cfs_period_us", PERIOD_US.to_string()),
                ("cpu.cfs_quota_us", (PERIOD_US * percent / 100).to_string()),
            ],
            (Scarce::Processor(percent), Version::Second) => {
                vec![("cpu.max", format!("{} {PERIOD_US}", PERIOD_US * percent / 100))]
            }
            (Scarce::Memory(bytes), Version::First) => vec![("memory.limit_in_bytes", bytes.to_string())],
            (Scarce::Memory(bytes), Version::Second) => vec![("memory.max", bytes.to_string())],
        }
    }

    /// The file that says how often the limit was felt, and the name of that number there; none where it is alone.
    fn count(self, version: Version) -> (&'static str, Option<&'static str>) {
        match (self, version) {
            (Scarce::Processor(_), _) => ("cpu.stat", Some("nr_throttled")),
            (Scarce::Memory(_), Version::First) => ("memory.failcnt", None),
            (Scarce::Memory(_), Version::Second) => ("memory.events", Some("max")),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    First,
    Second,
}

/// A group with one process in it. Dropping it puts the process back where it was.
#[derive(Debug)]
pub(crate) struct Group {
    folder: PathBuf,
    home: PathBuf,
    version: Version,
    scarce: Scarce,
    process: u32,
}

impl Group {
    /// Makes something scarce for a process.
    ///
    /// # Errors
    /// When the process is gone, or the system has no such groups or refuses; nothing is left then.
    pub(crate) fn around(process: u32, scarce: Scarce) -> anyhow::Result<Self> {
        let (version, root) = hierarchy(scarce.controller())?;
        let home = root.join(home(process, scarce.controller(), version)?);
        let folder = root.join(format!("{}-{}-{process}", mark::own()?, scarce.controller()));
        fs::create_dir(&folder).with_context(|| format!("making {}", folder.display()))?;
        let group = Self { folder, home, version, scarce, process };
        for (file, text) in scarce.limits(version) {
            write(&group.folder.join(file), &text)?;
        }
        enter(&group.folder, process)?;
        Ok(group)
    }

    /// Puts the process back where it was, if it lives, and says how often the limit was felt.
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) fn end(self) -> anyhow::Result<u64> {
        let (file, name) = self.scarce.count(self.version);
        let text = fs::read_to_string(self.folder.join(file));
        self.dissolve()?;
        let text = text.with_context(|| format!("reading {file}"))?;
        let number = match name {
            None => Some(text.trim()),
            Some(name) => text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')),
        };
        number.and_then(|number| number.trim().parse().ok()).with_context(|| format!("no number in {file}"))
    }

    fn dissolve(&self) -> anyhow::Result<()> {
        if !self.folder.exists() {
            return Ok(());
        }
        enter(&self.home, self.process)?;
        let mut left = REMOVALS;
        // One that ends is in it for a moment longer.
        while let Err(error) = fs::remove_dir(&self.folder) {
            left -= 1;
            if left == 0 {
                return Err(error).with_context(|| format!("removing {}", self.folder.display()));
            }
            std::thread::sleep(REMOVAL_PAUSE);
        }
        Ok(())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // It does nothing where the group ended before; else nobody is left to hear of a failure.
        let _ = self.dissolve();
    }
}

/// Removes the groups of runs whose process is gone, as far as nobody is in them.
pub(super) fn sweep() {
    for place in ["", "cpu", "memory"] {
        let entries = fs::read_dir(Path::new(ROOT).join(place)).into_iter().flatten().flatten();
        for entry in entries.filter(|entry| mark::is_of_the_dead(&entry.file_name().to_string_lossy())) {
            let _ = fs::remove_dir(entry.path());
        }
    }
}

/// Where the groups of a controller are.
fn hierarchy(controller: &str) -> anyhow::Result<(Version, PathBuf)> {
    let (first, second) = (Path::new(ROOT).join(controller), PathBuf::from(ROOT));
    if first.join("cgroup.procs").exists() {
        return Ok((Version::First, first));
    }
    let controllers = fs::read_to_string(second.join("cgroup.controllers")).unwrap_or_default();
    if controllers.split_whitespace().any(|one| one == controller) {
        write(&second.join("cgroup.subtree_control"), &format!("+{controller}"))?;
        return Ok((Version::Second, second));
    }
    bail!("there are no control groups for {controller} in {ROOT}")
}

/// The group that a process is in, below the root of its hierarchy.
fn home(process: u32, controller: &str, version: Version) -> anyhow::Result<PathBuf> {
    let groups = fs::read_to_string(format!("/proc/{process}/cgroup")).context("the process is gone")?;
    let of_line = |line: &str| -> Option<PathBuf> {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        let is_it = match version {
            Version::First => controllers.split(',').any(|one| one == controller),
            Version::Second => controllers.is_empty(),
        };
        is_it.then(|| PathBuf::from(path.trim_start_matches('/')))
    };
    groups.lines().find_map(of_line).with_context(|| format!("process {process} is in no group of {controller}"))
}

/// Puts a process into a group, unless it has ended.
fn enter(group: &Path, process: u32) -> anyhow::Result<()> {
    let is_gone = |error: &io::Error| error.raw_os_error() == Some(nix::errno::Errno::ESRCH as i32);
    match fs::write(group.join("cgroup.procs"), process.to_string()) {
        Err(error) if !is_gone(&error) => {
            Err(error).with_context(|| format!("putting {process} into {}", group.display()))
        }
        _ => Ok(()),
    }
}

fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(file, text).with_context(|| format!("writing {text} to {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_scarce_is_told_in_the_words_of_each_version() {
        let first = Scarce::Processor(20).limits(Version::First);
        assert_eq!(first[1], ("cpu.cfs_quota_us", "20000".to_owned()));
        assert_eq!(Scarce::Processor(20).limits(Version::Second), [("cpu.max", "20000 100000".to_owned())]);
        assert_eq!(Scarce::Memory(4096).limits(Version::First), [("memory.limit_in_bytes", "4096".to_owned())]);
        assert_eq!(Scarce::Memory(4096).limits(Version::Second), [("memory.max", "4096".to_owned())]);
    }
}
