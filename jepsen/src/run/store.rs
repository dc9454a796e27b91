//! The folder of a run: everything that is left of it, for people and for whoever judges it again.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::Context;
use openshell_tests::run_program;
use serde::Serialize;

use super::rig::Rig;

/// One folder.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    pub(crate) folder: PathBuf,
}

impl Store {
    /// Makes one, named after the time and a word, below `base`.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(crate) fn new(base: &Path, word: &str) -> anyhow::Result<Self> {
        let time = name_of(SystemTime::now());
        // Two within one second have a number behind them.
        let names = (0_u32..).map(|number| match number {
            0 => format!("{time}-{word}"),
            _ => format!("{time}-{word}-{number}"),
        });
        fs::create_dir_all(base).with_context(|| format!("making {}", base.display()))?;
        for folder in names.map(|name| base.join(name)) {
            match fs::create_dir(&folder) {
                Ok(()) => return Ok(Self { folder }),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error).with_context(|| format!("making {}", folder.display())),
            }
        }
        anyhow::bail!("{} is full", base.display())
    }

    /// A file in it.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Writes a value into a file as JSON.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn write(&self, name: &str, value: &impl Serialize) -> anyhow::Result<()> {
        let path = self.file(name);
        let text = serde_json::to_string_pretty(value)? + "\n";
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
    }

    /// Ends the nodes, and keeps their logs; with `data`, everything that they stored as well.
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) async fn keep_nodes(&self, rig: &Rig, data: bool) -> anyhow::Result<()> {
        let nodes = self.folder.join("nodes");
        fs::create_dir_all(&nodes)?;
        let ids: Vec<u64> = rig.nodes.iter().map(|node| node.id).collect();
        let kept = rig.each(&ids, |machinery, id| {
            machinery.kill(id)?;
            fs::write(nodes.join(format!("{id}.txt")), machinery.cluster.gateway(id).log_text())?;
            if data {
                let (from, to) = (machinery.data(id).display().to_string(), nodes.join(format!("data-{id}")));
                run_program("cp", &["-a", &from, &to.display().to_string()], "")?;
            }
            Ok(())
        });
        kept.await.context("keeping what the nodes left")
    }
}

/// Seconds of UTC, without what file systems do not like.
fn name_of(time: SystemTime) -> String {
    let text = prost_types::Timestamp::from(time).to_string();
    let seconds = text.split(['.', 'Z']).next().unwrap_or_default();
    seconds.chars().filter(|letter| letter.is_ascii_digit() || *letter == 'T').collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_folder_is_named_after_the_time_and_never_used_twice() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_716_000_123);
        assert_eq!(name_of(time), "20261126T180000");
        let base = tempfile::tempdir().unwrap();
        let folders: Vec<PathBuf> = (0..3).map(|_| Store::new(base.path(), "7").unwrap().folder).collect();
        assert_eq!(fs::read_dir(base.path()).unwrap().count(), 3, "{folders:?}");
    }
}
