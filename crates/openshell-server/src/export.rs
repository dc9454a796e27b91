//! `openshell-gateway export`: everything that a stopped node holds, its whole log applied, as one
//! file from which a new cluster can be made. Secrets stay sealed.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use clap::Args;
use openshell_store::disk::rocks::RocksDisk;
use openshell_store::{SnapshotData, export, offline};

use crate::storage;

/// `openshell-gateway export ...`.
#[derive(Debug, Args)]
pub(crate) struct Export {
    /// Data directory of a stopped node.
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: PathBuf,
    /// The file to write; it must not exist.
    #[arg(long, value_name = "FILE")]
    pub(crate) to: PathBuf,
}

/// Writes the export.
#[allow(clippy::print_stdout)] // What was written is the command's answer.
pub(crate) fn run(arguments: &Export) -> anyhow::Result<()> {
    let Export { data_dir, to } = arguments;
    ensure!(!to.exists(), "{} exists; an export overwrites nothing", to.display());
    let place = storage::place(data_dir);
    ensure!(place.is_dir(), "there is no node's data in {}", data_dir.display());
    let (disk, damage) = RocksDisk::open_read_only(&place)
        .with_context(|| format!("opening {}; the node must be stopped", data_dir.display()))?;
    if let Some(damage) = damage {
        bail!(
            "{} is damaged, and an export must hold everything: {damage}. Export another node; `inspect` shows what is left",
            data_dir.display()
        );
    }
    let stopped = offline::read(&disk).with_context(|| format!("reading {}", data_dir.display()))?;
    let state = stopped.data.state();
    if !state.is_formed() {
        bail!("node {} was never part of a formed cluster; there is nothing to export", stopped.owner.node_id);
    }
    write(to, |file| export::write(&stopped, file)).with_context(|| format!("writing {}", to.display()))?;
    println!("✓ Exported node {} to {}", stopped.owner.node_id, to.display());
    println!("  cluster:        {}", stopped.data.cluster_id());
    println!("  epoch:          {}", state.epoch());
    println!("  revision:       {}", state.revision());
    println!("  last entry:     {}", last_entry(&stopped.data));
    println!("  records:        {}", state.record_count());
    println!("  records digest: {}", state.records_digest());
    if stopped.doubtful > 0 {
        println!(
            "! The last {} entries of its log were not known to be committed here. They are in the export.",
            stopped.doubtful
        );
    }
    Ok(())
}

/// By which exports of one cluster are compared: the greatest has everything.
pub(crate) fn last_entry(data: &SnapshotData) -> String {
    data.last_log_id().map_or_else(
        || "none".to_owned(),
        |last| format!("term {}, index {}", last.committed_leader_id().term, last.index),
    )
}

/// Under another name first: the file is there whole, and on disk, or not at all.
fn write(to: &Path, content: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> anyhow::Result<()> {
    let folder = match to.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        Some(_) | None => Path::new("."),
    };
    let name = to.file_name().context("it names no file")?;
    let unfinished = folder.join(format!(".{}.unfinished", name.to_string_lossy()));
    let written = write_synced(&unfinished, content)
        // Not a rename, which would replace a file that came meanwhile.
        .and_then(|()| std::fs::hard_link(&unfinished, to))
        .and_then(|()| File::open(folder)?.sync_all());
    let removed = std::fs::remove_file(&unfinished);
    written?;
    removed.with_context(|| format!("removing {}", unfinished.display()))
}

fn write_synced(path: &Path, content: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> std::io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    content(&mut file)?;
    file.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::write;

    #[test]
    fn a_file_is_there_whole_or_not_at_all_and_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("export");
        write(&path, |_| Err(std::io::Error::other("the disk is full"))).unwrap_err();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left behind");
        write(&path, |file| file.write_all(b"one")).unwrap();
        write(&path, |file| file.write_all(b"two")).unwrap_err();
        assert_eq!(std::fs::read(&path).unwrap(), b"one");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
