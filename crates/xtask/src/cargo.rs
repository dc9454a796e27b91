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

/// The simulation, a workspace of its own (`jepsen/sim/README.md`), and its build output below the target folder.
const SIMULATION: &str = "jepsen/sim";
const SIMULATION_TARGET: &str = "sim";

/// What would take the place of the flags in the simulation's own `.cargo/config.toml`, without which it is not built.
const FLAGS: [&str; 3] = ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_RUSTFLAGS"];

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

    /// A command that runs in the workspace of the simulation, with a folder of its own for what is built.
    pub(crate) fn simulation(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = self.command(arguments);
        command.current_dir(self.root.join(SIMULATION)).env("CARGO_TARGET_DIR", self.target()?.join(SIMULATION_TARGET));
        for name in FLAGS {
            command.env_remove(name);
        }
        Ok(command)
    }

    /// The folder of the built programs.
    pub(crate) fn programs(&self) -> Result<PathBuf> {
        Ok(self.target()?.join("release"))
    }

    fn target(&self) -> Result<PathBuf> {
        let metadata = self.metadata()?;
        metadata["target_directory"].as_str().map(PathBuf::from).context("cargo metadata names no target_directory")
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
    use super::{Cargo, FLAGS, SHARED_TARGET, root, shared_target};
    use std::ffi::OsStr;
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
    fn the_simulation_has_its_own_flags_and_its_own_folder() {
        let cargo = Cargo::new().unwrap();
        let command = cargo.simulation(&["test"]).unwrap();
        let set = |name: &str| command.get_envs().find(|(key, _)| *key == OsStr::new(name)).map(|(_, value)| value);
        assert!(FLAGS.iter().all(|flags| set(flags) == Some(None)));
        assert_eq!(set("CARGO_TARGET_DIR"), Some(Some(cargo.target().unwrap().join("sim").as_os_str())));
        assert!(command.get_current_dir().unwrap().join(".cargo/config.toml").is_file());
    }

    #[test]
    fn the_root_holds_the_workspace() {
        assert!(root().unwrap().join(Path::new("crates/xtask")).is_dir());
    }
}
