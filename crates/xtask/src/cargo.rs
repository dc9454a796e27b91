//! How cargo is called: from the root of the checkout, in one build profile, with one target folder.
//!
//! Every build for tests names the whole workspace. Cargo unites features over the packages that it is asked for, so
//! that `-p` with one crate would compile RocksDB once more with other features.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Below `HOME`: where CI keeps what it built, outside of the checkout. `.ci/run` names the same folder.
const SHARED_TARGET: &str = ".cache/openshell/target";

/// Cargo, as this repository uses it.
pub(crate) struct Cargo {
    root: PathBuf,
    program: PathBuf,
    shared_target: Option<PathBuf>,
}

impl Cargo {
    /// From the environment of this process.
    pub(crate) fn new() -> Result<Self> {
        let program = std::env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from);
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let shared_target = shared_target(variable).filter(|folder| folder.is_dir());
        Ok(Self { root: root()?, program, shared_target })
    }

    /// The root of the checkout.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// A command that runs in the root of the checkout.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.current_dir(&self.root).args(arguments);
        if let Some(folder) = &self.shared_target {
            command.env("CARGO_TARGET_DIR", folder);
        }
        command
    }

    /// `cargo metadata` of the workspace's own packages.
    pub(crate) fn metadata(&self) -> Result<Value> {
        let output = self
            .command(&["metadata", "--format-version", "1", "--no-deps"])
            .stderr(Stdio::inherit())
            .output()
            .context("cargo metadata could not be started")?;
        if !output.status.success() {
            bail!("cargo metadata failed with {}", output.status);
        }
        serde_json::from_slice(&output.stdout).context("cargo metadata did not answer with JSON")
    }

    /// The folder of the built programs.
    pub(crate) fn programs(&self) -> Result<PathBuf> {
        let metadata = self.metadata()?;
        let target = metadata["target_directory"].as_str().context("cargo metadata names no target_directory")?;
        Ok(Path::new(target).join("release"))
    }
}

/// The root of the checkout that this program was built in.
fn root() -> Result<PathBuf> {
    let folder = std::env::var_os("CARGO_MANIFEST_DIR").context("run this task as `cargo xtask ...`")?;
    let manifest = PathBuf::from(folder);
    let root = manifest.ancestors().nth(2).context("crates/xtask is not two folders below the root")?;
    Ok(root.to_path_buf())
}

/// The folder that CI keeps between runs, unless somebody chose another. Whether it exists is not asked here.
fn shared_target(variable: impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    if variable("CARGO_TARGET_DIR").is_some() || variable("CI").as_deref() != Some("true") {
        return None;
    }
    variable("HOME").map(|home| Path::new(&home).join(SHARED_TARGET))
}

#[cfg(test)]
mod tests {
    use super::{SHARED_TARGET, root, shared_target};
    use std::path::Path;

    fn chosen(pairs: &[(&str, &str)]) -> Option<String> {
        let variable = |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        shared_target(variable).map(|path| path.display().to_string())
    }

    #[test]
    fn only_ci_builds_outside_of_the_checkout_and_a_chosen_folder_wins() {
        assert_eq!(chosen(&[("HOME", "/h")]), None);
        assert_eq!(chosen(&[("CI", "true"), ("HOME", "/h")]), Some(format!("/h/{SHARED_TARGET}")));
        assert_eq!(chosen(&[("CI", "true"), ("HOME", "/h"), ("CARGO_TARGET_DIR", "/t")]), None);
        assert_eq!(chosen(&[("CI", "true")]), None);
    }

    #[test]
    fn ci_and_this_program_name_the_same_folder() {
        let script = std::fs::read_to_string(root().unwrap().join(".ci/run")).unwrap();
        assert!(script.contains(&format!("$HOME/{SHARED_TARGET}")), "{script}");
    }

    #[test]
    fn the_root_holds_the_workspace() {
        assert!(root().unwrap().join(Path::new("crates/xtask")).is_dir());
    }
}
