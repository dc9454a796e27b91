//! `cargo xtask fix`: the only task that edits.

use anyhow::Result;

use crate::cargo::Cargo;
use crate::{output, setup};

/// Formats, then applies what clippy can apply. What is left is for a person.
pub(crate) fn run() -> Result<bool> {
    setup::prepare()?;
    let cargo = Cargo::new()?;
    for arguments in [
        &["fmt", "--all"][..],
        &["clippy", "--fix", "--allow-dirty", "--allow-staged", "--release", "--workspace", "--all-targets"],
    ] {
        output::heading(&format!("cargo {}", arguments.join(" ")));
        if !cargo.command(arguments).status()?.success() {
            return Ok(false);
        }
    }
    output::heading("cargo fmt, of the simulation");
    Ok(cargo.simulation(&["fmt"])?.status()?.success())
}
