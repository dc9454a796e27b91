//! What clients ask for, and the rules that decide it. A name holds a value and a version that each
//! write takes one further; the records are workspaces, and state, guards, log and memory of request
//! ids are the product's own.

use std::collections::BTreeMap;

use openshell_proto::datamodel::{ObjectMeta, Workspace};
use openshell_proto::log::Kind;
use openshell_state::{Call, Code, Decision, Draft, Key, Refusal, State};
use prost::Message;

const VALUE: &str = "value";
const PADDING: &str = "padding";

/// A write that a client asks for. Its value is written by nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Write {
    /// Whatever was there.
    Put {
        /// The name.
        key: String,
        /// The value.
        value: String,
    },
    /// Only over this version; refused otherwise.
    Swap {
        /// The name.
        key: String,
        /// The version that must be there, 0 for none.
        version: u64,
        /// The value.
        value: String,
    },
    /// Two names at once, or none.
    Both {
        /// The names.
        keys: [String; 2],
        /// The value of both.
        value: String,
    },
    /// Only where nothing is; refused otherwise.
    Create {
        /// The name.
        key: String,
        /// The value.
        value: String,
    },
}

/// What is at a name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Held {
    /// 0 where nothing is.
    pub(crate) version: u64,
    /// Empty where nothing is.
    pub(crate) value: String,
}

impl Write {
    /// The names that it writes.
    pub(crate) fn keys(&self) -> Vec<&str> {
        match self {
            Write::Put { key, .. } | Write::Swap { key, .. } | Write::Create { key, .. } => vec![key],
            Write::Both { keys, .. } => keys.iter().map(String::as_str).collect(),
        }
    }

    /// The value that it writes.
    pub(crate) fn value(&self) -> &str {
        match self {
            Write::Put { value, .. }
            | Write::Swap { value, .. }
            | Write::Both { value, .. }
            | Write::Create { value, .. } => value,
        }
    }

    /// Whether it may be made over what is there.
    pub(crate) fn is_allowed(&self, held: impl Fn(&str) -> u64) -> bool {
        match self {
            Write::Put { .. } | Write::Both { .. } => true,
            Write::Swap { key, version, .. } => held(key) == *version,
            Write::Create { key, .. } => held(key) == 0,
        }
    }

    /// As it travels.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let text = match self {
            Write::Put { key, value } => format!("put {key} {value}"),
            Write::Swap { key, version, value } => format!("swap {key} {value} {version}"),
            Write::Both { keys: [one, other], value } => format!("both {one} {value} {other}"),
            Write::Create { key, value } => format!("create {key} {value}"),
        };
        text.into_bytes()
    }

    /// As it was sent; nothing for bytes that are no write.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let words: Vec<String> = std::str::from_utf8(bytes).ok()?.split(' ').map(str::to_owned).collect();
        match words.as_slice() {
            [verb, key, value] if verb == "put" => Some(Write::Put { key: key.clone(), value: value.clone() }),
            [verb, key, value] if verb == "create" => Some(Write::Create { key: key.clone(), value: value.clone() }),
            [verb, key, value, version] if verb == "swap" => {
                Some(Write::Swap { key: key.clone(), version: version.parse().ok()?, value: value.clone() })
            }
            [verb, one, value, other] if verb == "both" => {
                Some(Write::Both { keys: [one.clone(), other.clone()], value: value.clone() })
            }
            _ => None,
        }
    }

    /// The rule.
    pub(crate) fn decide(&self, call: Call<'_>, padding: usize) -> Decision {
        if !self.is_allowed(|key| held(call.state, key).version) {
            let code = if matches!(self, Write::Swap { .. }) { Code::Aborted } else { Code::AlreadyExists };
            return Refusal::new(code, "something else is there").into();
        }
        let mut draft = Draft::new();
        let mut last = Workspace::default();
        for name in self.keys() {
            let key = Key::workspace(name);
            draft.rely_on(call.state, key.clone());
            last = record(name, held(call.state, name).version + 1, self.value(), padding);
            draft.put(&key, &last);
        }
        draft.answer(&last)
    }
}

fn record(name: &str, version: u64, value: &str, padding: usize) -> Workspace {
    let annotations = BTreeMap::from([(PADDING.to_owned(), "x".repeat(padding))]);
    let metadata = ObjectMeta {
        name: name.to_owned(),
        resource_version: version,
        labels: BTreeMap::from([(VALUE.to_owned(), value.to_owned())]),
        annotations: if padding == 0 { BTreeMap::new() } else { annotations },
        ..ObjectMeta::default()
    };
    Workspace { metadata: Some(metadata), status: None }
}

/// What is at a name in a state.
pub(crate) fn held(state: &State, name: &str) -> Held {
    state.workspace(name).map(|entry| read(entry.value)).unwrap_or_default()
}

fn read(workspace: &Workspace) -> Held {
    let metadata = workspace.metadata.clone().unwrap_or_default();
    let value = metadata.labels.get(VALUE).cloned().unwrap_or_default();
    Held { version: metadata.resource_version, value }
}

/// What a reply, or the value of a change, holds.
pub(crate) fn decoded(bytes: &[u8]) -> Option<Held> {
    Workspace::decode(bytes).ok().map(|workspace| read(&workspace))
}

/// The name in the key of a change, if it is one that clients write.
pub(crate) fn name(key: &openshell_proto::log::Key) -> Option<&str> {
    (key.kind == Kind::Workspace as i32).then_some(key.name.as_str())
}

#[cfg(test)]
mod tests {
    use super::Write;

    #[test]
    fn a_write_arrives_as_it_was_sent() {
        let (key, value) = ("k1".to_owned(), "c1-2".to_owned());
        for write in [
            Write::Put { key: key.clone(), value: value.clone() },
            Write::Create { key: key.clone(), value: value.clone() },
            Write::Swap { key: key.clone(), version: 7, value: value.clone() },
            Write::Both { keys: [key.clone(), "k2".to_owned()], value: value.clone() },
        ] {
            assert_eq!(Write::decode(&write.encode()), Some(write));
        }
        assert_eq!(Write::decode(b"rubbish"), None);
    }
}
