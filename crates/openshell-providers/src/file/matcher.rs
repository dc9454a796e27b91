//! The two places of a profile file that take either a plain string or an object: matchers and
//! binaries. An unquoted number or boolean is no string there (providers.md F-PARSE-6).

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::ser::SerializeStruct;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::shape::is_default;

/// How a value must look: like one glob, or like any of several.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct MatcherFile {
    #[serde(skip_serializing_if = "is_default")]
    pub(super) glob: String,
    #[serde(skip_serializing_if = "is_default")]
    pub(super) any: Vec<String>,
}

/// A program that may use the endpoints.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct BinaryFile {
    pub(super) path: String,
    pub(super) harness: bool,
}

#[derive(Deserialize)]
struct MatcherObject {
    #[serde(default)]
    glob: String,
    #[serde(default)]
    any: Vec<String>,
}

#[derive(Deserialize)]
struct BinaryObject {
    path: String,
    #[serde(default)]
    harness: bool,
}

impl From<String> for MatcherFile {
    fn from(glob: String) -> Self {
        Self { glob, any: Vec::new() }
    }
}

impl From<MatcherObject> for MatcherFile {
    fn from(object: MatcherObject) -> Self {
        Self { glob: object.glob, any: object.any }
    }
}

impl From<String> for BinaryFile {
    fn from(path: String) -> Self {
        Self { path, harness: false }
    }
}

impl From<BinaryObject> for BinaryFile {
    fn from(object: BinaryObject) -> Self {
        Self { path: object.path, harness: object.harness }
    }
}

/// Takes a string or an object `O`, and gives `T`.
struct StringOr<O, T>(&'static str, PhantomData<(O, T)>);

impl<'de, O: Deserialize<'de>, T: From<String> + From<O>> Visitor<'de> for StringOr<O, T> {
    type Value = T;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.0)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        Ok(T::from(text.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        O::deserialize(MapAccessDeserializer::new(map)).map(T::from)
    }
}

impl<'de> Deserialize<'de> for MatcherFile {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let expected = "a glob as a string, or an object with glob or any";
        from.deserialize_any(StringOr::<MatcherObject, Self>(expected, PhantomData))
    }
}

impl<'de> Deserialize<'de> for BinaryFile {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let expected = "a path as a string, or an object with path and harness";
        from.deserialize_any(StringOr::<BinaryObject, Self>(expected, PhantomData))
    }
}

/// A plain string unless it is a harness (providers.md F-EXP-5).
impl Serialize for BinaryFile {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if !self.harness {
            return to.serialize_str(&self.path);
        }
        let mut object = to.serialize_struct("Binary", 2)?;
        object.serialize_field("path", &self.path)?;
        object.serialize_field("harness", &self.harness)?;
        object.end()
    }
}
