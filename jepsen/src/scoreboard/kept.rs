//! Figures that are kept when the runs that they are of are not, so that a board can be made of what was measured on
//! several days.

use std::fs;
use std::path::Path;

use anyhow::{Context, bail};

use super::row::{self, Measured};

/// Adds figures to those of a folder, which is made when it is missing. None is added when one of them is there
/// already: a board would count it twice.
///
/// # Errors
/// When one is there already, and when the folder cannot be read or written.
pub(super) fn keep(measured: &[Measured], folder: &Path) -> anyhow::Result<()> {
    let there = row::read(folder)?;
    if let Some(again) = measured.iter().find(|one| there.contains(one)) {
        let Measured { row, samples, seeds, .. } = again;
        let place = folder.display();
        bail!("{place} has {row} of seeds {seeds:?} with {samples} samples already: nothing was added");
    }
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    row::append(folder, measured)
}
