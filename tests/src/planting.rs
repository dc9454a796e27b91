//! What a test puts into the data of a stopped node, past the checks of the store: what a fault of the
//! machine, or another release, might have left there.

use std::ops::ControlFlow;
use std::path::Path;

use anyhow::{Context, ensure};
use openshell_proto::datamodel::Workspace;
use openshell_proto::log::snapshot_item::{FenceMark, Item, KeyedRecord};
use openshell_proto::log::{Cluster, Record, RememberedRequest, SnapshotItem, StateMarks};
use openshell_proto::sandbox::NetworkBinary;
use openshell_proto::v1::StoredProviderProfile;
use openshell_state::{Fault, Key, State};
use openshell_store::disk::rocks::RocksDisk;
use openshell_store::disk::{Batch, Disk, END, Family};
use prost::Message;

/// The database's folder in a data directory.
const DATABASE: &str = "db";
/// Before the content of a value of the family `meta`: format and checksum.
const WRAPPING: usize = 5;

/// Changes the record of a workspace in a stopped node's state. Its `resource_version` grows by 1000.
///
/// # Errors
/// When the data cannot be read or written, or hold no such workspace.
pub fn plant_difference(data_dir: &Path, workspace: &str) -> anyhow::Result<()> {
    let planted = Key::workspace(workspace);
    plant(data_dir, |key, value| {
        if *key != planted {
            return Ok(None);
        }
        let mut changed = Workspace::decode(value)?;
        changed.metadata.get_or_insert_default().resource_version += 1000;
        Ok(Some(changed.encode_to_vec()))
    })
}

/// Makes a custom profile of a stopped node one that a release with older rules accepted and that those of
/// today refuse: it gets a binary without a path. Nobody has judged it by newer rules yet. All members of a
/// cluster have to get it.
///
/// # Errors
/// When the data cannot be read or written, or hold no such profile.
pub fn plant_profile_of_older_rules(data_dir: &Path, scope: &str, id: &str) -> anyhow::Result<()> {
    let planted = Key::profile(scope, id);
    plant(data_dir, |key, value| {
        if *key == Key::cluster() {
            let cluster = Cluster { profile_rules: 0, profiles_judged_through: 0, ..Cluster::decode(value)? };
            return Ok(Some(cluster.encode_to_vec()));
        }
        if *key != planted {
            return Ok(None);
        }
        let mut stored = StoredProviderProfile { judged_by_rules: 0, ..StoredProviderProfile::decode(value)? };
        stored.profile.get_or_insert_default().binaries.push(NetworkBinary::default());
        Ok(Some(stored.encode_to_vec()))
    })
}

/// Changes records in a stopped node's state so that nothing of it is noticed when the node starts: the
/// stored digest fits the change. `change` gives the new values of those that it changes.
fn plant(data_dir: &Path, change: impl Fn(&Key, &[u8]) -> anyhow::Result<Option<Vec<u8>>>) -> anyhow::Result<()> {
    let disk = RocksDisk::open(&data_dir.join(DATABASE))?;
    let mut batch = Batch::new();
    let marks = disk.get(Family::Meta, b"marks")?.context("the node has a state")?;
    let marks = StateMarks::decode(&marks[WRAPPING..])?;
    let mut items = Vec::new();
    for family in Family::ALL {
        for (key, value) in all(&disk, family)? {
            items.extend(item(family, key, value, &change, &mut batch)?);
        }
    }
    ensure!(!batch.is_empty(), "there is no such record");
    let items = items.into_iter().map(|item| Ok::<_, Fault>(SnapshotItem { item: Some(item) }));
    let state = State::from_items(&marks, items).map_err(|fault| anyhow::anyhow!("no state: {fault}"))?;
    batch.put(Family::Meta, "digest", wrapped(&state.digest().to_bytes()));
    disk.write(batch, true).context("writing the difference")
}

/// Makes the data of a stopped node those of a release with another format.
///
/// # Errors
/// When they cannot be written.
pub fn plant_format_version(data_dir: &Path, version: u32) -> anyhow::Result<()> {
    let disk = RocksDisk::open(&data_dir.join(DATABASE))?;
    let mut batch = Batch::new();
    batch.put(Family::Meta, "format", wrapped(&version.to_be_bytes()));
    disk.write(batch, true).context("writing the format version")
}

/// As the store wraps a value: format of the wrapping, checksum, content.
fn wrapped(content: &[u8]) -> Vec<u8> {
    [[1].as_slice(), &crc32c::crc32c(content).to_le_bytes(), content].concat()
}

fn all(disk: &RocksDisk, family: Family) -> anyhow::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut pairs = Vec::new();
    disk.scan(family, &[], &END, &mut |key, value| {
        pairs.push((key.to_vec(), value.to_vec()));
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(pairs)
}

/// What is stored under a key, as it is in a snapshot; a record that is changed is so in the batch as well.
fn item(
    family: Family,
    key: Vec<u8>,
    value: Vec<u8>,
    change: impl Fn(&Key, &[u8]) -> anyhow::Result<Option<Vec<u8>>>,
    batch: &mut Batch,
) -> anyhow::Result<Option<Item>> {
    let named = |key: &[u8]| Key::from_bytes(key).map_err(|error| anyhow::anyhow!("no key: {error}"));
    Ok(Some(match family {
        Family::Records(_) => {
            let mut record = Record::decode(value.as_slice())?;
            let name = named(&key)?;
            if let Some(changed) = change(&name, &record.value)? {
                record.value = changed;
                batch.put(family, key, record.encode_to_vec());
            }
            Item::Record(KeyedRecord { key: Some(name.to_proto()), record: Some(record) })
        }
        Family::Fences(_) => {
            let revision = u64::from_be_bytes(value.as_slice().try_into()?);
            Item::Fence(FenceMark { key: Some(named(&key)?.to_proto()), revision })
        }
        Family::Requests(_) => Item::Request(RememberedRequest::decode(value.as_slice())?),
        Family::Meta | Family::Log | Family::History => return Ok(None),
    }))
}
