//! `openshell-gateway restore`: makes an empty data directory that of a member of a new cluster,
//! with the records of an export, in the next epoch. Every node of the new cluster is restored from
//! the same export; they agree on the new cluster's id when they are started.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use clap::Args;
use openshell_raft::initial_cluster_digest;
use openshell_state::State;
use openshell_store::disk::rocks::RocksDisk;
use openshell_store::export::Export;
use openshell_store::{Expected, offline};

use crate::options::initial_cluster;
use crate::secrets::Secrets;
use crate::{export, storage};

/// `openshell-gateway restore ...`.
#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// The export. Of several exports of one cluster, the one whose log goes furthest is restored.
    #[arg(long, value_name = "FILE", required = true, num_args = 1)]
    from: Vec<PathBuf>,
    /// Data directory to make; it must be empty or not exist.
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    /// The id that the node will be started with.
    #[arg(long, value_name = "ID", default_value_t = 1)]
    node_id: u64,
    /// Every member of the new cluster, as the nodes will be started with; a cluster of one without it.
    #[arg(long, value_name = "LIST")]
    initial_cluster: Option<String>,
    /// The secrets key of the cluster that was exported.
    #[arg(long, value_name = "FILE")]
    secrets_key_file: PathBuf,
    /// The epoch of the new cluster, greater than that of the export; the next one without it. Give a
    /// greater one to a second cluster that is made from the same export.
    #[arg(long, value_name = "NUMBER")]
    epoch: Option<u64>,
}

/// What was restored.
struct Restored {
    from: PathBuf,
    last_entry: String,
    state: Arc<State>,
}

/// Verifies the exports whole, then writes the data directory.
#[allow(clippy::print_stdout)] // What was restored is the command's answer.
pub(crate) fn run(arguments: &Restore) -> anyhow::Result<()> {
    let members = members(arguments)?;
    let Restored { from, last_entry, state } = restore(arguments, &members)?;
    let Restore { node_id, data_dir, from: given, .. } = arguments;
    println!("✓ Restored node {node_id} into {} from {}", data_dir.display(), from.display());
    if given.len() > 1 {
        println!("  of {} exports, the log of this one goes furthest", given.len());
    }
    println!("  epoch:          {}", state.epoch());
    println!("  revision:       {}", state.revision());
    println!("  last entry:     {last_entry}");
    println!("  records:        {}", state.record_count());
    println!("  records digest: {}", state.records_digest());
    if members.len() > 1 {
        println!(
            "Restore every other node of the new cluster from the same file, to the same epoch, then start them all."
        );
    }
    Ok(())
}

fn members(arguments: &Restore) -> anyhow::Result<BTreeMap<u64, String>> {
    let node = arguments.node_id;
    let members = match &arguments.initial_cluster {
        Some(list) => initial_cluster(list)?,
        // Where peers would reach it does not matter: there are none.
        None => [(node, "127.0.0.1:17770".to_owned())].into(),
    };
    ensure!(members.contains_key(&node), "--initial-cluster does not name this node ({node})");
    Ok(members)
}

fn restore(arguments: &Restore, members: &BTreeMap<u64, String>) -> anyhow::Result<Restored> {
    let Restore { from, data_dir, node_id, secrets_key_file, epoch, .. } = arguments;
    let place = storage::place(data_dir);
    ensure!(!place.exists(), "{} holds data; restore into a new directory", data_dir.display());
    let secrets = Secrets::read(secrets_key_file)?;
    let (from, export) = furthest(from)?;
    if export.secrets_key != secrets.check_value {
        bail!(
            "{} does not hold the key that the secrets in {} are sealed with; give the key of the cluster that was exported",
            secrets_key_file.display(),
            from.display()
        );
    }
    let exported = export.data.state().epoch();
    if let Some(epoch) = epoch.filter(|epoch| *epoch <= exported) {
        bail!("--epoch {epoch} is not greater than the epoch of {}, {exported}", from.display());
    }
    let (digest, last_entry) = (export.records_digest.clone(), export::last_entry(&export.data));
    let owner = Expected {
        node_id: *node_id,
        initial_cluster: Some(initial_cluster_digest(members)),
        secrets_key: secrets.check_value,
    };
    std::fs::create_dir_all(data_dir).with_context(|| format!("making {}", data_dir.display()))?;
    let disk = RocksDisk::open(&place).with_context(|| format!("making {}", place.display()))?;
    let state = offline::restore(&disk, export, &owner, members, *epoch)
        .with_context(|| format!("restoring into {}", data_dir.display()))?;
    ensure!(state.records_digest().to_string() == digest, "the restored records are not those of the export");
    // The folders were made: their names are on disk once the folders that they are in are.
    for folder in [Some(place.as_path()), Some(data_dir), data_dir.canonicalize()?.parent()].into_iter().flatten() {
        File::open(folder)?.sync_all().with_context(|| format!("syncing {}", folder.display()))?;
    }
    Ok(Restored { from, last_entry, state })
}

/// Reads the exports, one after the other, and keeps the one whose last entry is the greatest by term
/// and index: whatever a majority had acknowledged is in the log of each node of some majority, and of
/// two logs the one that ends later has everything of the other that can have been acknowledged.
fn furthest(paths: &[PathBuf]) -> anyhow::Result<(PathBuf, Export)> {
    let mut best: Option<(&PathBuf, Export)> = None;
    for path in paths {
        let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
        let export = openshell_store::export::read(&mut BufReader::new(file))
            .with_context(|| format!("{} is not restored, nothing was written", path.display()))?;
        let Some((other_path, other)) = &best else {
            best = Some((path, export));
            continue;
        };
        let of = |export: &Export| (export.data.cluster_id().to_owned(), export.data.state().epoch());
        if of(&export) != of(other) {
            let ((cluster, epoch), (other_cluster, other_epoch)) = (of(&export), of(other));
            bail!(
                "{} is of cluster {cluster} in epoch {epoch}, {} of cluster {other_cluster} in epoch {other_epoch}; give \
                 exports of one cluster in one epoch",
                path.display(),
                other_path.display()
            );
        }
        if export.data.last_log_id() > other.data.last_log_id() {
            best = Some((path, export));
        }
    }
    best.map(|(path, export)| (path.clone(), export)).context("--from names no export")
}

#[cfg(test)]
mod tests;
