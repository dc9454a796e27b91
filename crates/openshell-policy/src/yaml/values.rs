//! Values of a policy file that serde has no ready form for: maps that notice a repeated key, matchers, and
//! free configuration.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use openshell_proto::sandbox::L7QueryMatcher;
use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value};
use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// A map in which no key may come twice; the parser alone would keep the last and drop the first.
pub(super) struct UniqueMap<V>(BTreeMap<String, V>);

impl<V> Default for UniqueMap<V> {
    fn default() -> Self {
        UniqueMap(BTreeMap::new())
    }
}

impl<V> UniqueMap<V> {
    /// The map with every value translated, which may look at its key.
    pub(super) fn map<T>(self, translate: impl Fn(V, &str) -> T) -> BTreeMap<String, T> {
        self.0
            .into_iter()
            .map(|(key, value)| {
                let value = translate(value, &key);
                (key, value)
            })
            .collect()
    }
}

/// Reads all entries of a map, each key once.
fn unique<'de, V: Deserialize<'de>, A: MapAccess<'de>>(mut map: A) -> Result<BTreeMap<String, V>, A::Error> {
    let mut entries = BTreeMap::new();
    while let Some(key) = map.next_key::<String>()? {
        if entries.contains_key(&key) {
            return Err(repeated(&key));
        }
        entries.insert(key, map.next_value()?);
    }
    Ok(entries)
}

/// The error for a key that is there twice.
pub(super) fn repeated<E: Error>(key: &str) -> E {
    E::custom(format!("key `{key}` is given twice; keep one"))
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for UniqueMap<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<V>(PhantomData<V>);

        impl<'de, V: Deserialize<'de>> Visitor<'de> for Entries<V> {
            type Value = UniqueMap<V>;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a map")
            }

            fn visit_unit<E: Error>(self) -> Result<UniqueMap<V>, E> {
                Ok(UniqueMap::default())
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<UniqueMap<V>, A::Error> {
                unique(map).map(UniqueMap)
            }
        }

        deserializer.deserialize_map(Entries(PhantomData))
    }
}

/// A glob, or `{any: [globs]}` (config.md PM-7).
pub(super) struct Matcher(pub(super) L7QueryMatcher);

impl Matcher {
    pub(super) fn glob(text: &str) -> L7QueryMatcher {
        L7QueryMatcher { glob: text.to_owned(), any: Vec::new() }
    }

    pub(super) fn any(globs: Vec<String>) -> L7QueryMatcher {
        L7QueryMatcher { glob: String::new(), any: globs }
    }
}

impl<'de> Deserialize<'de> for Matcher {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct GlobOrAny;

        impl<'de> Visitor<'de> for GlobOrAny {
            type Value = Matcher;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a glob as a string, or {any: [globs]}")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Matcher, E> {
                Ok(Matcher(Matcher::glob(text)))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Matcher, A::Error> {
                let mut entries: BTreeMap<String, Vec<String>> = unique(map)?;
                match (entries.remove("any"), entries.keys().next()) {
                    (Some(globs), None) => Ok(Matcher(Matcher::any(globs))),
                    (_, Some(other)) => Err(A::Error::unknown_field(other, &["any"])),
                    (None, None) => Err(A::Error::missing_field("any")),
                }
            }
        }

        deserializer.deserialize_any(GlobOrAny)
    }
}

/// The free configuration of a middleware.
#[derive(Default)]
pub(super) struct ConfigMap(pub(super) Struct);

impl<'de> Deserialize<'de> for ConfigMap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let fields = UniqueMap::<ConfigValue>::deserialize(deserializer)?;
        Ok(ConfigMap(Struct { fields: fields.map(|value, _| value.0) }))
    }
}

struct ConfigValue(Value);

impl ConfigValue {
    fn of(kind: Kind) -> ConfigValue {
        ConfigValue(Value { kind: Some(kind) })
    }
}

impl<'de> Deserialize<'de> for ConfigValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = ConfigValue;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a text, number, flag, null, list or map")
    }

    fn visit_unit<E: Error>(self) -> Result<ConfigValue, E> {
        Ok(ConfigValue::of(Kind::NullValue(0)))
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<ConfigValue, E> {
        Ok(ConfigValue::of(Kind::BoolValue(flag)))
    }

    // The wire has only 64-bit floats: integers beyond 2^53 lose their last digits there, as in every gateway.
    fn visit_i64<E: Error>(self, number: i64) -> Result<ConfigValue, E> {
        Ok(ConfigValue::of(Kind::NumberValue(number as f64)))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<ConfigValue, E> {
        Ok(ConfigValue::of(Kind::NumberValue(number as f64)))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<ConfigValue, E> {
        if !number.is_finite() {
            return Err(E::custom("a number must be finite"));
        }
        Ok(ConfigValue::of(Kind::NumberValue(number)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<ConfigValue, E> {
        Ok(ConfigValue::of(Kind::StringValue(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<ConfigValue, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element::<ConfigValue>()? {
            values.push(value.0);
        }
        Ok(ConfigValue::of(Kind::ListValue(ListValue { values })))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ConfigValue, A::Error> {
        let fields: BTreeMap<String, ConfigValue> = unique(map)?;
        let fields = fields.into_iter().map(|(key, value)| (key, value.0)).collect();
        Ok(ConfigValue::of(Kind::StructValue(Struct { fields })))
    }
}
