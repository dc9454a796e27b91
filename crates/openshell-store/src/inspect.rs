//! Reading everything that a stopped node has stored, sound or not, for people who look for what
//! went wrong. Nothing is judged by one value being unreadable: that is said, and the rest goes on.

use std::io;
use std::ops::ControlFlow;

use openshell_proto::log::{HistoryEntry, Key, LogEntry, Record, RememberedRequest};
use prost::Message;

use crate::disk::{Disk, END, Family};
use crate::envelope;
use crate::identity::Divergence;
use crate::log;
use crate::machine::{self, load};
use crate::meta;

/// One thing that is stored.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// Whose data it is; what is not stored is none.
    Identity {
        /// Format version.
        format: Option<u32>,
        /// The node's id.
        node_id: Option<u64>,
        /// The cluster's id, empty before the node belongs to one.
        cluster_id: Option<String>,
    },
    /// The numbers that tell whether something is missing.
    Marks {
        /// Synced batches that the database knows of.
        counter: Option<u64>,
        /// Synced batches that were reported, from the file beside the database.
        high_water_mark: Option<u64>,
        /// The history is complete after this revision.
        history_floor: Option<u64>,
        /// Digest of the state, 32 bytes.
        digest: Option<[u8; 32]>,
    },
    /// Why the node takes no part in its cluster any more.
    Withdrawn {
        /// It was told that it was removed.
        removed: bool,
        /// Its state was found not to be the cluster's.
        divergence: Option<Divergence>,
    },
    /// A message of `log.proto` as it is stored, decodable.
    Message {
        /// `vote`, `committed`, `purged`, `applied`, `membership`, `state`, `entry`, `request` or `history`.
        kind: &'static str,
        /// Its name in the package `openshell.log.v1`.
        message: &'static str,
        /// Encoded.
        bytes: Vec<u8>,
    },
    /// A record of the state.
    Record {
        /// Where it is kept.
        key: Key,
        /// With the value that the leader encoded.
        record: Record,
    },
    /// A fence of the state.
    Fence {
        /// What it guards.
        key: Key,
        /// When it was last touched.
        revision: u64,
    },
    /// Something that cannot be read, or that does not fit the rest.
    Damage {
        /// Where.
        place: String,
        /// What is wrong.
        what: String,
    },
}

/// What is called with everything that is found.
pub type Tell<'a> = &'a mut dyn FnMut(Found) -> io::Result<()>;

/// Tells everything that is stored: identity and marks, then vote, log, state and history in
/// order, then what does not fit together.
///
/// # Errors
/// Only those of `tell`: damage is told, and the rest is read on.
pub fn inspect(disk: &dyn Disk, tell: Tell<'_>) -> io::Result<()> {
    scalars(disk, tell)?;
    for (kind, message, key) in [
        ("vote", "Vote", meta::VOTE),
        ("committed", "LogId", meta::COMMITTED),
        ("purged", "LogId", meta::PURGED),
        ("applied", "LogId", meta::APPLIED),
        ("membership", "StoredMembership", meta::MEMBERSHIP),
        ("state", "StateMarks", meta::MARKS),
    ] {
        match meta::read(disk, key) {
            Ok(None) => {}
            Ok(Some(bytes)) => tell(Found::Message { kind, message, bytes })?,
            Err(error) => tell(damage(kind, &error))?,
        }
    }
    let half = told("state", machine::half(disk).map(Some), tell)?.unwrap_or_default();
    contents(disk, Family::Log, tell)?;
    for family in Family::of_state(half) {
        contents(disk, family, tell)?;
    }
    contents(disk, Family::History, tell)?;
    consistency(disk, tell)
}

/// The value, or none and a word about the damage.
fn told<T>(place: &str, read: io::Result<Option<T>>, tell: Tell<'_>) -> io::Result<Option<T>> {
    match read {
        Ok(value) => Ok(value),
        Err(error) => tell(damage(place, &error)).map(|()| None),
    }
}

fn number(disk: &dyn Disk, key: &str, tell: Tell<'_>) -> io::Result<Option<u64>> {
    Ok(told("marks", meta::read_array(disk, key), tell)?.map(u64::from_be_bytes))
}

fn scalars(disk: &dyn Disk, tell: Tell<'_>) -> io::Result<()> {
    let format = told("identity", meta::read_array(disk, meta::FORMAT), tell)?.map(u32::from_be_bytes);
    let node_id = number(disk, meta::NODE, tell)?;
    let cluster_id = told("identity", meta::read(disk, meta::CLUSTER), tell)?;
    let cluster_id = cluster_id.map(|id| String::from_utf8_lossy(&id).into_owned());
    tell(Found::Identity { format, node_id, cluster_id })?;
    let counter = number(disk, meta::COUNTER, tell)?;
    let high_water_mark = told("high-water mark", disk.mark().map(Some), tell)?;
    let history_floor = number(disk, meta::HISTORY_FLOOR, tell)?;
    let digest = told("marks", meta::read_array(disk, meta::DIGEST), tell)?;
    if high_water_mark > counter {
        let what = format!(
            "{} synced writes were reported, the database knows {}: acknowledged writes are missing",
            high_water_mark.unwrap_or(0),
            counter.unwrap_or(0)
        );
        tell(Found::Damage { place: "high-water mark".into(), what })?;
    }
    tell(Found::Marks { counter, high_water_mark, history_floor, digest })?;
    let removed = told("marks", meta::read(disk, meta::EXPELLED), tell)?.is_some();
    let divergence = told("marks", Divergence::read(disk), tell)?;
    if removed || divergence.is_some() {
        tell(Found::Withdrawn { removed, divergence })?;
    }
    Ok(())
}

/// One family from its first key on; at damage of the database itself the rest of it is lost.
fn contents(disk: &dyn Disk, family: Family, tell: Tell<'_>) -> io::Result<()> {
    let mut failed = None;
    let scanned = disk.scan(family, &[], &END, &mut |key, value| {
        let found = decode(family, key, value).unwrap_or_else(|what| {
            let place = format!("{} {}", family.name(), hex(key));
            Found::Damage { place, what }
        });
        Ok(match tell(found) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        })
    });
    if let Some(error) = failed {
        return Err(error);
    }
    match scanned {
        Ok(()) => Ok(()),
        Err(error) => tell(damage(family.name(), &format!("cannot be read on from here: {error}"))),
    }
}

fn decode(family: Family, key: &[u8], value: &[u8]) -> Result<Found, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let wrapped = || envelope::open(value).map_err(|error| text(&error));
    let key_of = || openshell_state::Key::from_bytes(key).map(|key| key.to_proto()).map_err(|error| text(&error));
    match family {
        Family::Log => message::<LogEntry>("entry", "LogEntry", wrapped()?),
        Family::History => message::<HistoryEntry>("history", "HistoryEntry", wrapped()?),
        Family::Requests(_) => message::<RememberedRequest>("request", "RememberedRequest", value),
        Family::Records(_) => {
            let record = Record::decode(value).map_err(|error| text(&error))?;
            Ok(Found::Record { key: key_of()?, record })
        }
        Family::Fences(_) => {
            let revision = value.try_into().map(u64::from_be_bytes).map_err(|error| text(&error))?;
            Ok(Found::Fence { key: key_of()?, revision })
        }
        Family::Meta => Err("read by name".into()),
    }
}

fn message<T: Message + Default>(kind: &'static str, name: &'static str, bytes: &[u8]) -> Result<Found, String> {
    T::decode(bytes).map_err(|error| error.to_string())?;
    Ok(Found::Message { kind, message: name, bytes: bytes.to_vec() })
}

/// The checks that opening the store makes.
fn consistency(disk: &dyn Disk, tell: Tell<'_>) -> io::Result<()> {
    if let Err(error) = disk.verify() {
        tell(damage("tables", &error))?;
    }
    if let Err(error) = meta::read_message(disk, meta::PURGED).and_then(|purged| log::verify(disk, purged)) {
        tell(damage("log", &error))?;
    }
    match load(disk) {
        Ok(_) => Ok(()),
        Err(error) => tell(damage("state", &error)),
    }
}

fn damage(place: &str, error: &dyn std::fmt::Display) -> Found {
    Found::Damage { place: place.into(), what: error.to_string() }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
