//! `openshell-gateway restore`: makes an empty data directory that of a member of a new cluster,
//! with the records of an export, in the next epoch. Every node of the new cluster is restored from
//! the same export; they agree on the new cluster's id when they are started.

use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;

use anyhow::{Context, bail, ensure};
use clap::Args;
use openshell_raft::initial_cluster_digest;
use openshell_store::disk::rocks::RocksDisk;
use openshell_store::{Expected, export, offline};

use crate::options::initial_cluster;
use crate::secrets::Secrets;
use crate::storage;

/// `openshell-gateway restore ...`.
#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// The export.
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
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
}

/// Verifies the export whole, then writes the data directory.
#[allow(clippy::print_stdout)] // What was restored is the command's answer.
pub(crate) fn run(arguments: &Restore) -> anyhow::Result<()> {
    let Restore { from, data_dir, node_id, initial_cluster: list, secrets_key_file } = arguments;
    let members = match list {
        Some(list) => initial_cluster(list)?,
        // Where peers would reach it does not matter: there are none.
        None => [(*node_id, "127.0.0.1:17770".to_owned())].into(),
    };
    ensure!(members.contains_key(node_id), "--initial-cluster does not name this node ({node_id})");
    let place = storage::place(data_dir);
    ensure!(!place.exists(), "{} holds data; restore into a new directory", data_dir.display());
    let secrets = Secrets::read(secrets_key_file)?;
    let reading = || format!("{} is not restored, nothing was written", from.display());
    let file = File::open(from).with_context(|| format!("opening {}", from.display()))?;
    let export = export::read(&mut BufReader::new(file)).with_context(reading)?;
    if export.secrets_key != secrets.check_value {
        bail!(
            "{} does not hold the key that the secrets in {} are sealed with; give the key of the cluster that was exported",
            secrets_key_file.display(),
            from.display()
        );
    }
    let digest = export.records_digest.clone();
    let owner = Expected {
        node_id: *node_id,
        initial_cluster: (members.len() > 1).then(|| initial_cluster_digest(&members)),
        secrets_key: secrets.check_value,
    };
    std::fs::create_dir_all(data_dir).with_context(|| format!("making {}", data_dir.display()))?;
    let disk = RocksDisk::open(&place).with_context(|| format!("making {}", place.display()))?;
    let state = offline::restore(&disk, export, &owner, &members)
        .with_context(|| format!("restoring into {}", data_dir.display()))?;
    ensure!(state.records_digest().to_string() == digest, "the restored records are not those of the export");
    println!("✓ Restored node {node_id} into {}", data_dir.display());
    println!("  epoch:          {}", state.epoch());
    println!("  revision:       {}", state.revision());
    println!("  records:        {}", state.record_count());
    println!("  records digest: {}", state.records_digest());
    if members.len() > 1 {
        println!("Restore every other node of the new cluster from the same file, then start them all.");
    }
    Ok(())
}
