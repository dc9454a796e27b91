//! Where the programs under test are: beside the program that runs now. They are not built here.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// The path of a program of this workspace, such as `openshell-gateway`, found in the folder of
/// the running executable or one of the two above it (tests lie in `deps`).
///
/// # Errors
/// When there is none, with the command that makes it.
pub fn binary(name: &str) -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("the path of this program is unknown")?;
    let found = own.ancestors().skip(1).take(3).map(|folder| folder.join(name)).find(|path| path.is_file());
    if let Some(path) = found {
        return Ok(path);
    }
    let folder = own.parent().unwrap_or(Path::new("."));
    bail!("{name} is not beside {}: build it first with `cargo build --release --workspace`", folder.display())
}
