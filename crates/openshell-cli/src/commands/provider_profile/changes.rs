//! What an update did to a profile, in words and for scripts: two states of it are compared as the files that
//! they would be exported as. Pure.

use std::collections::BTreeMap;

use openshell_proto::v1::ProviderProfile;
use openshell_providers::file;
use serde_json::{Map, Value, json};

use crate::output::plain;

/// Keys that every update moves, or none may.
const NOT_COMPARED: [&str; 4] = ["id", "resource_version", "source", "scope"];
/// So many changes are in one cell; documents have them all.
const SHOWN_MAX: usize = 6;
/// A longer value is not shown in a cell, characters.
const VALUE_MAX: usize = 32;

/// One difference.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Change {
    /// The key of the file.
    field: String,
    what: What,
}

#[derive(Clone, Debug, PartialEq)]
enum What {
    /// An entry of a list or map.
    Added { name: String },
    /// An entry of a list or map.
    Removed { name: String },
    /// An entry of a list or map, and its keys that differ.
    Changed { name: String, keys: Vec<String> },
    /// The same entries stand in another order.
    Order,
    /// A single value.
    Value { from: Value, to: Value },
}

/// Every difference, in the order of the file.
pub(super) fn between(before: &ProviderProfile, after: &ProviderProfile) -> Vec<Change> {
    let (before, after) = (fields(before), fields(after));
    let gone = before.keys().filter(|key| !after.contains_key(*key));
    let keys = after.keys().chain(gone).filter(|key| !NOT_COMPARED.contains(&key.as_str()));
    keys.flat_map(|key| compare(key, before.get(key), after.get(key))).collect()
}

fn fields(profile: &ProviderProfile) -> Map<String, Value> {
    match serde_json::from_str(&file::render_json(profile)) {
        Ok(Value::Object(fields)) => fields,
        Ok(_) | Err(_) => Map::new(),
    }
}

fn compare(field: &str, before: Option<&Value>, after: Option<&Value>) -> Vec<Change> {
    if before == after {
        return Vec::new();
    }
    let change = |what| Change { field: field.to_owned(), what };
    let (Some(old), Some(new)) = (entries(before), entries(after)) else {
        let value = |value: Option<&Value>| value.cloned().unwrap_or(Value::Null);
        return vec![change(What::Value { from: value(before), to: value(after) })];
    };
    let named = |list: &[(String, Value)]| -> BTreeMap<String, Value> { list.iter().cloned().collect() };
    let (had, has) = (named(&old), named(&new));
    let removed = old.iter().filter(|(name, _)| !has.contains_key(name)).map(|(name, _)| name.clone());
    let removed: Vec<_> = removed.map(|name| change(What::Removed { name })).collect();
    let added_or_changed = new.iter().filter_map(|(name, entry)| match had.get(name) {
        None => Some(change(What::Added { name: name.clone() })),
        Some(same) if same == entry => None,
        Some(other) => Some(change(What::Changed { name: name.clone(), keys: differing(other, entry) })),
    });
    let changes: Vec<_> = added_or_changed.chain(removed).collect();
    if changes.is_empty() { vec![change(What::Order)] } else { changes }
}

/// The entries of a list or map with their names, which are made different by counting equal ones; none when
/// it is a single value.
fn entries(value: Option<&Value>) -> Option<Vec<(String, Value)>> {
    let named: Vec<(String, Value)> = match value {
        None => Vec::new(),
        Some(Value::Array(list)) => list.iter().map(|entry| (name_of(entry), entry.clone())).collect(),
        Some(Value::Object(map)) => map.iter().map(|(key, entry)| (key.clone(), entry.clone())).collect(),
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => return None,
    };
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let count = |(name, entry): (String, Value)| {
        let times = seen.entry(name.clone()).or_default();
        *times += 1;
        let name = if *times == 1 { name } else { format!("{name} ({times})") };
        (name, entry)
    };
    Some(named.into_iter().map(count).collect())
}

/// What people call an entry: a credential by its name, an endpoint by where it is, a binary by its path.
fn name_of(entry: &Value) -> String {
    let text = |key: &str| entry.get(key).and_then(Value::as_str);
    if let Some(host) = text("host") {
        let ports: Vec<String> = match (entry.get("ports").and_then(Value::as_array), entry.get("port")) {
            (Some(ports), _) => ports.iter().map(Value::to_string).collect(),
            (None, port) => port.iter().map(|port| port.to_string()).collect(),
        };
        let ports = if ports.is_empty() { String::new() } else { format!(":{}", ports.join(",")) };
        return format!("{host}{ports}{}", text("path").unwrap_or_default());
    }
    let name = entry.as_str().or_else(|| text("name")).or_else(|| text("path"));
    name.map_or_else(|| entry.to_string(), str::to_owned)
}

/// The keys of two maps that differ; none when they are no maps.
fn differing(before: &Value, after: &Value) -> Vec<String> {
    let (Value::Object(before), Value::Object(after)) = (before, after) else { return Vec::new() };
    let gone = before.keys().filter(|key| !after.contains_key(*key));
    after.keys().chain(gone).filter(|key| before.get(*key) != after.get(*key)).cloned().collect()
}

/// All of them in one line, as many as people read.
pub(super) fn line(changes: &[Change]) -> String {
    let shown: Vec<String> = changes.iter().take(SHOWN_MAX).map(words).collect();
    let rest = match changes.len().saturating_sub(SHOWN_MAX) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    shown.join("; ") + &rest
}

fn words(change: &Change) -> String {
    let field = change.field.as_str();
    let noun = match field {
        "credentials" => "credential",
        "endpoints" => "endpoint",
        "binaries" => "binary",
        "annotations" => "annotation",
        _ => field,
    };
    match &change.what {
        What::Added { name } => format!("{noun} {} added", plain(name)),
        What::Removed { name } => format!("{noun} {} removed", plain(name)),
        What::Changed { name, keys } if keys.is_empty() => format!("{noun} {} changed", plain(name)),
        What::Changed { name, keys } => format!("{noun} {} changed ({})", plain(name), keys.join(", ")),
        What::Order => format!("order of {field} changed"),
        What::Value { from, to } => {
            let is_short = |value: &Value| value.to_string().chars().count() <= VALUE_MAX;
            match is_short(from) && is_short(to) {
                true => format!("{field} changed from {from} to {to}"),
                false => format!("{field} changed"),
            }
        }
    }
}

/// One of them for scripts.
pub(super) fn document(change: &Change) -> Value {
    let field = &change.field;
    match &change.what {
        What::Added { name } => json!({"act": "added", "field": field, "name": name}),
        What::Removed { name } => json!({"act": "removed", "field": field, "name": name}),
        What::Changed { name, keys } => json!({"act": "changed", "field": field, "keys": keys, "name": name}),
        What::Order => json!({"act": "reordered", "field": field}),
        What::Value { from, to } => json!({"act": "changed", "field": field, "from": from, "to": to}),
    }
}

#[cfg(test)]
mod tests {
    use super::{between, document, line};
    use openshell_proto::v1::ProviderProfile;
    use openshell_providers::file;

    fn profile(text: &str) -> ProviderProfile {
        file::lower(file::parse("yaml", text).expect("a profile")).expect("a good profile")
    }

    fn acme() -> ProviderProfile {
        profile(
            "id: acme\nresource_version: 3\ndisplay_name: Acme\ncredentials:\n  - name: token\n    env_vars: [A]\n\
             endpoints:\n  - {host: a.example, port: 443, protocol: rest, access: full}\n  - {host: b.example, ports: [80, 443]}\n\
             binaries: [/usr/bin/curl]\n",
        )
    }

    #[test]
    fn changes_are_told_in_the_order_of_the_file() {
        let after = profile(
            "id: acme\nresource_version: 4\ndisplay_name: Acme, edited\ncredentials:\n  - name: token\n    env_vars: [A, B]\n  - name: key\n\
             endpoints:\n  - {host: a.example, port: 443, protocol: rest, access: read-only}\n  - {host: c.example, port: 1, path: /v1}\n\
             binaries: [/usr/bin/wget]\n",
        );
        let changes = between(&acme(), &after);
        let words = "display_name changed from \"Acme\" to \"Acme, edited\"; credential token changed (env_vars); \
                     credential key added; endpoint a.example:443 changed (access); endpoint c.example:1/v1 added; \
                     endpoint b.example:80,443 removed; and 2 more";
        assert_eq!(line(&changes), words);
        let documents: Vec<_> = changes.iter().map(document).collect();
        assert_eq!(documents.len(), 8);
        assert_eq!(documents[0]["to"], "Acme, edited");
        assert_eq!(documents[3]["keys"], serde_json::json!(["access"]));
        assert_eq!((&documents[7]["act"], &documents[7]["name"]), (&"removed".into(), &"/usr/bin/curl".into()));
    }

    #[test]
    fn a_version_is_no_change_and_an_order_is_one() {
        let mut after = acme();
        after.resource_version = 9;
        after.source = "user".into();
        assert_eq!(between(&acme(), &after), []);
        after.endpoints.reverse();
        assert_eq!(line(&between(&acme(), &after)), "order of endpoints changed");
    }

    #[test]
    fn equal_names_are_counted_and_long_values_not_shown() {
        let mut after = acme();
        after.endpoints.push(after.endpoints[0].clone());
        after.description = "x".repeat(40);
        let told = line(&between(&acme(), &after));
        assert_eq!(told, "description changed; endpoint a.example:443 (2) added");
        after.description = "\u{1b}[2J".into();
        assert!(line(&between(&acme(), &after)).contains("\\u001b[2J"));
    }
}
