//! `cargo xtask chaos`: a long run of the faults in `jepsen/`, for as many minutes as one likes. The gate has a
//! short one.

use std::process::Command;

use anyhow::{Context, Result};

use crate::cargo::Cargo;
use crate::{output, setup};

/// Builds, and runs the profile `long` for so many minutes; true when it passed.
pub(crate) fn run(minutes: u64, seed: Option<u64>) -> Result<bool> {
    setup::prepare()?;
    let cargo = Cargo::new()?;
    output::heading("build");
    let built = cargo.command(&["build", "--release", "--workspace"]).status().context("cargo could not be started")?;
    if !built.success() {
        return Ok(false);
    }
    output::heading("jepsen");
    let mut jepsen = Command::new(cargo.programs()?.join("openshell-jepsen"));
    jepsen.current_dir(cargo.root()).args(["run", "--profile", "long", "--minutes", &minutes.to_string()]);
    if let Some(seed) = seed {
        jepsen.args(["--seed", &seed.to_string()]);
    }
    Ok(jepsen.status().context("openshell-jepsen could not be started")?.success())
}
