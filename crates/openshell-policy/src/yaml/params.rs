//! Parameters of a rule: nested in a file, dotted on the wire. Which rules have them shown nested is
//! decided where rules are written.

use std::collections::BTreeMap;
use std::fmt;

use openshell_proto::sandbox::L7QueryMatcher;
use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::render_endpoint::matcher;
use super::values::{Matcher, repeated};

/// The parameter that the key `tool` stands for.
pub(super) const TOOL: &str = "name";

/// How deep parameters are shown nested; deeper ones stay dotted, well within what a parser follows.
const NESTING_MAX: usize = 16;

/// Dotted parameters (config.md PM-7).
#[derive(Default)]
pub(super) struct Params(pub(super) BTreeMap<String, L7QueryMatcher>);

impl<'de> Deserialize<'de> for Params {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Top;

        impl<'de> Visitor<'de> for Top {
            type Value = Params;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a map of parameters")
            }

            fn visit_unit<E: Error>(self) -> Result<Params, E> {
                Ok(Params::default())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Params, A::Error> {
                let mut flat = BTreeMap::new();
                while let Some(key) = map.next_key::<String>()? {
                    add(&mut flat, &key, map.next_value()?)?;
                }
                Ok(Params(flat))
            }
        }

        deserializer.deserialize_map(Top)
    }
}

/// What stands under a parameter's key.
enum Node {
    Leaf(L7QueryMatcher),
    Inner(BTreeMap<String, L7QueryMatcher>),
    /// The globs of `any`, which are a matcher only together with that key.
    Globs(Vec<String>),
}

/// Adds what stands under `key`, dotted. Two ways to write one parameter in one entry are a mistake.
fn add<E: Error>(flat: &mut BTreeMap<String, L7QueryMatcher>, key: &str, node: Node) -> Result<(), E> {
    let mut put = |key: String, matcher| match flat.contains_key(&key) {
        true => Err(repeated(&key)),
        false => {
            flat.insert(key, matcher);
            Ok(())
        }
    };
    match node {
        Node::Leaf(matcher) => put(key.to_owned(), matcher),
        Node::Inner(inner) => inner.into_iter().try_for_each(|(rest, matcher)| put(format!("{key}.{rest}"), matcher)),
        Node::Globs(_) => Err(E::custom(format!("`{key}` is a list; write {{any: [globs]}}"))),
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyNode;

        impl<'de> Visitor<'de> for AnyNode {
            type Value = Node;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a glob as a string, {any: [globs]}, or a map of parameters")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Node, E> {
                Ok(Node::Leaf(Matcher::glob(text)))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
                let mut globs = Vec::new();
                while let Some(glob) = list.next_element()? {
                    globs.push(glob);
                }
                Ok(Node::Globs(globs))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
                let mut flat = BTreeMap::new();
                let mut any = None;
                let mut others = false;
                while let Some(key) = map.next_key::<String>()? {
                    match map.next_value()? {
                        Node::Globs(globs) if key == "any" && any.is_none() => any = Some(globs),
                        node => {
                            others = true;
                            add(&mut flat, &key, node)?;
                        }
                    }
                }
                match any {
                    None => Ok(Node::Inner(flat)),
                    Some(globs) if !others => Ok(Node::Leaf(Matcher::any(globs))),
                    Some(_) => Err(A::Error::custom("`any` with a list must be alone in its map")),
                }
            }
        }

        deserializer.deserialize_any(AnyNode)
    }
}

/// The parameters as a file shows them, nested. `None` when nesting would not read back as the same: a
/// parameter that is also the beginning of another, empty parts, or too many parts.
pub(super) fn nested(flat: &BTreeMap<&str, &L7QueryMatcher>) -> Option<Map<String, Value>> {
    let mut top = Map::new();
    for (key, value) in flat {
        let parts: Vec<&str> = key.split('.').collect();
        if parts.len() > NESTING_MAX || parts.contains(&"") {
            return None;
        }
        let (last, inner) = parts.split_last()?;
        let mut at = &mut top;
        for part in inner {
            let next = at.entry((*part).to_owned()).or_insert_with(|| Value::Object(Map::new()));
            at = next.as_object_mut()?;
        }
        if at.insert((*last).to_owned(), matcher(value)).is_some() {
            return None;
        }
    }
    let read = serde_yaml::to_value(&top).ok().and_then(|value| serde_yaml::from_value::<Params>(value).ok())?;
    let same = read.0.len() == flat.len() && flat.iter().all(|(key, value)| read.0.get(*key) == Some(*value));
    same.then_some(top)
}
