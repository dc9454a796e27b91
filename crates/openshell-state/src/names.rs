//! The shape of names, labels and annotations, and names made up for callers who give none.

use std::collections::BTreeMap;

use crate::decision::Identifiers;
use crate::refusal::Refusal;

/// Longest name of a sandbox or workspace, bytes (`config.md` 0.2).
pub(crate) const ROUTABLE_NAME_MAX: usize = 19;
/// Longest name of anything else, bytes.
pub(crate) const NAME_MAX: usize = 253;
const LABEL_NAME_MAX: usize = 63;
const ANNOTATIONS_MAX: usize = 128;
/// Keys and values of a sandbox's annotations together, once there was a change of them.
const ANNOTATIONS_BYTES_MAX: usize = 262_144;
const MAP_KEY_MAX: usize = 256;
pub(crate) const MAP_VALUE_MAX: usize = 8192;

const FIRST: [&str; 24] = [
    "amber", "bold", "brisk", "calm", "clear", "deft", "eager", "early", "fair", "fleet", "fresh", "gentle", "glad",
    "keen", "kind", "light", "lucid", "merry", "noble", "quick", "quiet", "steady", "sunny", "warm",
];
const SECOND: [&str; 24] = [
    "badger", "beaver", "bison", "crane", "dolphin", "falcon", "finch", "fox", "gull", "hare", "heron", "ibex", "lark",
    "lynx", "marten", "otter", "owl", "puffin", "raven", "robin", "seal", "swift", "tern", "wren",
];

/// A name that can be part of a host name: `a-z 0-9 -`, no `-` at an end, no `--`
/// (`config.md` SR-3).
pub(crate) fn routable(what: &str, name: &str) -> Result<(), Refusal> {
    if name.len() > ROUTABLE_NAME_MAX {
        return Err(Refusal::invalid(format!(
            "{what} name {name:?} has {} bytes; at most {ROUTABLE_NAME_MAX} are allowed",
            name.len()
        )));
    }
    let characters = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if name.is_empty() || !characters || name.starts_with('-') || name.ends_with('-') || name.contains("--") {
        return Err(Refusal::invalid(format!(
            "{what} name {name:?} must consist of lower-case letters, digits and single inner hyphens"
        )));
    }
    Ok(())
}

/// A sandbox name for a caller who gave none: two words, at most nineteen bytes (SR-15).
pub(crate) fn pet_name(identifiers: &dyn Identifiers) -> String {
    format!("{}-{}", FIRST[identifiers.choose(FIRST.len())], SECOND[identifiers.choose(SECOND.len())])
}

/// Every label's key and value (`config.md` SR-6).
pub(crate) fn labels(labels: &BTreeMap<String, String>) -> Result<(), Refusal> {
    for (key, value) in labels {
        label_key("label", key)?;
        label_value(value)?;
    }
    Ok(())
}

/// Count, keys and sizes of annotations (`config.md` SR-7).
pub(crate) fn annotations(annotations: &BTreeMap<String, String>) -> Result<(), Refusal> {
    if annotations.len() > ANNOTATIONS_MAX {
        return Err(Refusal::invalid(format!(
            "annotations has {} entries; at most {ANNOTATIONS_MAX} are allowed",
            annotations.len()
        )));
    }
    for (key, value) in annotations {
        bounded("annotations key", key, MAP_KEY_MAX)?;
        label_key("annotation", key)?;
        bounded(&format!("annotations[{key:?}]"), value, MAP_VALUE_MAX)?;
    }
    Ok(())
}

/// A sandbox's annotations with a request's added, within the bounds of one map: they would grow for ever.
/// Who changes none is not asked, however many there are.
pub(crate) fn merged_annotations(
    present: &BTreeMap<String, String>,
    added: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, Refusal> {
    let mut all = present.clone();
    all.extend(added.clone());
    if all == *present {
        return Ok(all);
    }
    let bytes: usize = all.iter().map(|(key, value)| key.len() + value.len()).sum();
    if all.len() > ANNOTATIONS_MAX {
        return Err(Refusal::invalid(format!(
            "annotations: with them the sandbox has {} entries; at most {ANNOTATIONS_MAX} are allowed",
            all.len()
        )));
    }
    if bytes > ANNOTATIONS_BYTES_MAX {
        return Err(Refusal::invalid(format!(
            "annotations: with them the sandbox has {bytes} bytes of them; at most {ANNOTATIONS_BYTES_MAX} are allowed"
        )));
    }
    Ok(all)
}

/// A value of at most `max` bytes.
pub(crate) fn bounded(field: &str, value: &str, max: usize) -> Result<(), Refusal> {
    if value.len() > max {
        return Err(Refusal::invalid(format!("{field} has {} bytes; at most {max} are allowed", value.len())));
    }
    Ok(())
}

/// A map of at most `entries_max` entries with keys and values of the general size
/// (`providers.md` 0.2).
pub(crate) fn bounded_map(field: &str, map: &BTreeMap<String, String>, entries_max: usize) -> Result<(), Refusal> {
    bounded_keys(field, map, entries_max)?;
    for (key, value) in map {
        bounded(&format!("{field}[{key:?}]"), value, MAP_VALUE_MAX)?;
    }
    Ok(())
}

/// A map of at most `entries_max` entries with keys of the general size.
pub(crate) fn bounded_keys<V>(field: &str, map: &BTreeMap<String, V>, entries_max: usize) -> Result<(), Refusal> {
    if map.len() > entries_max {
        return Err(Refusal::invalid(format!("{field} has {} entries; at most {entries_max} are allowed", map.len())));
    }
    for key in map.keys() {
        bounded(&format!("a key of {field}"), key, MAP_KEY_MAX)?;
    }
    Ok(())
}

/// Optional `prefix/`, then a name part (`config.md` SR-6).
pub(crate) fn label_key(what: &str, key: &str) -> Result<(), Refusal> {
    let wrong = |why: &str| Err(Refusal::invalid(format!("{what} key {key:?} {why}")));
    if key.len() > NAME_MAX {
        return wrong("is longer than 253 bytes");
    }
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    if let Some(prefix) = prefix {
        let characters = prefix.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.'));
        let ends = |c| matches!(c, '-' | '.');
        if prefix.is_empty()
            || !characters
            || prefix.starts_with(ends)
            || prefix.ends_with(ends)
            || prefix.contains("..")
        {
            return wrong("has a prefix that is not a lower-case domain name");
        }
    }
    if name.is_empty() || !label_text(name) {
        return wrong("needs a name part of 1 to 63 letters, digits, '-', '_' or '.', alphanumeric at both ends");
    }
    Ok(())
}

/// Empty, or shaped like a key's name part (`config.md` SR-6).
pub(crate) fn label_value(value: &str) -> Result<(), Refusal> {
    if value.is_empty() || label_text(value) {
        return Ok(());
    }
    Err(Refusal::invalid(format!(
        "label value {value:?} must be empty or have at most 63 letters, digits, '-', '_' or '.', alphanumeric at both ends"
    )))
}

fn label_text(text: &str) -> bool {
    text.len() <= LABEL_NAME_MAX
        && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.'))
        && text.starts_with(char::is_alphanumeric)
        && text.ends_with(char::is_alphanumeric)
}

/// The terms of a label selector: comma-separated `key=value`, all of which must hold
/// (`config.md` GR-9, SR-26).
pub(crate) fn selector(text: &str) -> Result<Vec<(String, String)>, Refusal> {
    const TERMS_MAX: usize = 64;
    let terms: Vec<&str> = text.split(',').map(str::trim).filter(|term| !term.is_empty()).collect();
    if terms.len() > TERMS_MAX {
        return Err(Refusal::invalid(format!("label_selector has {} terms; at most 64 are allowed", terms.len())));
    }
    terms
        .into_iter()
        .map(|term| {
            let (key, value) = term
                .split_once('=')
                .filter(|(key, _)| !key.is_empty())
                .ok_or_else(|| Refusal::invalid(format!("label_selector term {term:?} must read key=value")))?;
            label_key("label_selector", key)?;
            label_value(value)?;
            Ok((key.to_owned(), value.to_owned()))
        })
        .collect()
}

/// Whether labels satisfy every term of a selector.
pub(crate) fn selected(terms: &[(String, String)], labels: Option<&BTreeMap<String, String>>) -> bool {
    terms.iter().all(|(key, value)| labels.and_then(|labels| labels.get(key)) == Some(value))
}
