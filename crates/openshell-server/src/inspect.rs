//! `openshell-gateway inspect`: everything that a stopped node has stored, as JSON lines. Each is
//! an object with a `type`; bytes are base64. Secrets are printed as they are stored: sealed.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;
use openshell_proto::log::{Key, Kind};
use openshell_store::disk::rocks::RocksDisk;
use openshell_store::inspect::{Found, inspect};
use prost::Message;
use prost_reflect::{DynamicMessage, SerializeOptions};
use serde_json::{Value, json};

use crate::storage;

const LOG_PACKAGE: &str = "openshell.log.v1";

#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// The data directory of the stopped node.
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: PathBuf,
}

/// Prints everything; fails in the end when some of it is damaged.
pub(crate) fn run(options: &Inspect) -> anyhow::Result<()> {
    print(options, io::stdout().lock())
}

/// [`run`], to another output.
pub(crate) fn print(options: &Inspect, output: impl Write) -> anyhow::Result<()> {
    let place = storage::place(&options.data_dir);
    let mut output = io::BufWriter::new(output);
    let mut damaged = 0_u64;
    let mut tell = |found: Found| {
        damaged += u64::from(matches!(found, Found::Damage { .. }));
        serde_json::to_writer(&mut output, &line(&found))?;
        output.write_all(b"\n")
    };
    let (disk, damage) =
        RocksDisk::open_read_only(&place).with_context(|| format!("inspecting {}", options.data_dir.display()))?;
    if let Some(what) = damage {
        tell(Found::Damage { place: "database".into(), what })?;
    }
    inspect(&disk, &mut tell).context("writing the lines")?;
    output.flush().context("writing the lines")?;
    if damaged > 0 {
        bail!("{damaged} things are damaged: see the lines of type \"damage\"");
    }
    Ok(())
}

fn line(found: &Found) -> Value {
    match found {
        Found::Identity { format, node_id, cluster_id } => {
            json!({ "type": "identity", "format": format, "node_id": node_id, "cluster_id": cluster_id })
        }
        Found::Marks { counter, high_water_mark, history_floor, digest } => json!({
            "type": "marks",
            "counter": counter,
            "high_water_mark": high_water_mark,
            "history_floor": history_floor,
            "digest": digest.map(hex::encode),
        }),
        Found::Withdrawn { removed, divergence } => json!({
            "type": "withdrawn",
            "removed": removed,
            "differs": divergence.map(|divergence| json!({
                "revision": divergence.revision,
                "digest": hex::encode(divergence.mine),
                "cluster_digest": hex::encode(divergence.theirs),
            })),
        }),
        Found::Message { kind: "entry", bytes, .. } => entry(bytes),
        Found::Message { kind, message, bytes } => {
            json!({ "type": kind, *kind: decoded(&format!("{LOG_PACKAGE}.{message}"), bytes) })
        }
        Found::Record { key, record } => json!({
            "type": "record",
            "key": key_of(key),
            "revision": record.revision,
            "created_revision": record.created_revision,
            "created_at_ms": record.created_at_ms,
            "value": value_of(key.kind(), &record.value),
        }),
        Found::Fence { key, revision } => json!({ "type": "fence", "key": key_of(key), "revision": revision }),
        Found::Damage { place, what } => json!({ "type": "damage", "place": place, "what": what }),
    }
}

/// A log entry, with the command that it carries and the values that this writes.
fn entry(bytes: &[u8]) -> Value {
    let mut entry = decoded(&format!("{LOG_PACKAGE}.LogEntry"), bytes);
    let typed = openshell_proto::log::LogEntry::decode(bytes).ok();
    if let Some(openshell_proto::log::log_entry::Payload::Command(command)) = typed.and_then(|entry| entry.payload) {
        entry["command"] = decoded(&format!("{LOG_PACKAGE}.Command"), &command);
    }
    json!({ "type": "entry", "entry": entry })
}

fn key_of(key: &Key) -> Value {
    decoded(&format!("{LOG_PACKAGE}.Key"), &key.encode_to_vec())
}

/// The name of the message that a record of a kind holds; fences hold none.
fn message_of(kind: Kind) -> Option<&'static str> {
    Some(match kind {
        Kind::Workspace => "openshell.datamodel.v1.Workspace",
        Kind::WorkspaceMember => "openshell.v1.WorkspaceMember",
        Kind::ProviderProfile | Kind::BuiltinProfile => "openshell.v1.StoredProviderProfile",
        Kind::Provider => "openshell.datamodel.v1.Provider",
        Kind::ProviderRefresh => "openshell.v1.StoredProviderCredentialRefreshState",
        Kind::Sandbox => "openshell.v1.Sandbox",
        Kind::SandboxSettings | Kind::GatewaySettings => "openshell.log.v1.Settings",
        Kind::PolicyRevision => "openshell.v1.StoredPolicyRevision",
        Kind::DraftChunk => "openshell.v1.StoredDraftChunk",
        Kind::DraftInbox => "openshell.log.v1.DraftInbox",
        Kind::Cluster => "openshell.log.v1.Cluster",
        Kind::Unspecified
        | Kind::FenceProfileUsers
        | Kind::FenceProviderUsers
        | Kind::FenceWorkspaceContents
        | Kind::FenceComposition
        | Kind::FenceWorkspaceMembers => return None,
    })
}

fn value_of(kind: Kind, bytes: &[u8]) -> Value {
    match message_of(kind) {
        Some(message) => decoded(message, bytes),
        None => undecoded(bytes),
    }
}

/// A message as JSON by the descriptor; the bytes when they are none of it.
fn decoded(message: &str, bytes: &[u8]) -> Value {
    let descriptor = openshell_proto::pool().get_message_by_name(message);
    let dynamic = descriptor.and_then(|descriptor| DynamicMessage::decode(descriptor, bytes).ok());
    let options = SerializeOptions::new().use_proto_field_name(true).stringify_64_bit_integers(false);
    let value =
        dynamic.and_then(|dynamic| dynamic.serialize_with_options(serde_json::value::Serializer, &options).ok());
    let mut value = value.unwrap_or_else(|| undecoded(bytes));
    // The entries of a map come in an order of chance, and whoever compares two outputs wants to see what differs.
    value.sort_all_objects();
    value
}

fn undecoded(bytes: &[u8]) -> Value {
    use base64::Engine as _;
    json!({ "undecoded": base64::engine::general_purpose::STANDARD.encode(bytes) })
}

#[cfg(test)]
mod tests {
    use openshell_proto::datamodel::Provider;

    use super::*;

    #[test]
    fn what_is_equal_is_printed_equally() {
        let provider = Provider {
            config: (0..20).map(|number| (format!("key-{number:02}"), String::new())).collect(),
            ..Provider::default()
        };
        let value = decoded("openshell.datamodel.v1.Provider", &provider.encode_to_vec());
        let keys: Vec<&String> = value["config"].as_object().expect("a map").keys().collect();
        assert!(keys.len() == 20 && keys.is_sorted(), "{keys:?}");
    }

    #[test]
    fn every_message_that_is_printed_is_in_the_descriptor() {
        for number in 1..1000 {
            let Some(message) = Kind::try_from(number).ok().and_then(message_of) else { continue };
            assert_eq!(decoded(message, &[]).get("undecoded"), None, "{message}");
        }
        for message in ["Vote", "LogId", "StoredMembership", "StateMarks", "LogEntry", "Command", "Key"] {
            assert_eq!(decoded(&format!("{LOG_PACKAGE}.{message}"), &[]).get("undecoded"), None, "{message}");
        }
    }
}
