//! Reading what the reference gateway answered (`tests/vectors`), and the departures that
//! `docs/compatibility.md` lists.

use prost_reflect::DynamicMessage;
use serde_json::Value;

/// Policies and attached providers with the effective configuration that they come to.
pub(crate) const CONFIG: &str = include_str!("../../vectors/config.json");

const COMPATIBILITY: &str = include_str!("../../../docs/compatibility.md");

pub(crate) fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

pub(crate) fn list(value: &Value) -> &Vec<Value> {
    value.as_array().expect("a list")
}

pub(crate) fn message<M: prost::Message + Default>(name: &str, value: &Value) -> M {
    let descriptor = openshell_proto::pool().get_message_by_name(name).unwrap_or_else(|| panic!("no {name}"));
    let message = DynamicMessage::deserialize(descriptor, value).unwrap_or_else(|error| panic!("{error}: {value}"));
    message.transcode_to().expect("a message transcodes to its own type")
}

/// Asserts that what differs, each a case and how, is what is listed.
#[track_caller]
pub(crate) fn departs_as_listed(file: &str, differences: &[(String, String)]) {
    let beginning = format!("| `{file}` | `");
    let rows = COMPATIBILITY.lines().filter_map(|row| row.strip_prefix(&beginning)?.split_once("` |"));
    let listed: Vec<&str> = rows.map(|(case, _)| case).collect();
    let found: Vec<&str> = differences.iter().map(|(case, _)| case.as_str()).collect();
    assert_eq!(found, listed, "docs/compatibility.md lists what differs in {file}: {differences:#?}");
}

/// The name of a gRPC code, as the vectors have it.
pub(crate) fn code_name(code: tonic::Code) -> String {
    let words = format!("{code:?}");
    let name = words.char_indices().flat_map(|(at, letter)| {
        let gap = (at > 0 && letter.is_uppercase()).then_some('_');
        gap.into_iter().chain(letter.to_uppercase())
    });
    name.collect()
}
