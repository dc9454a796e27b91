//! Where a field stands in a YAML or JSON text. The parser is asked: the text is read once more, down to the
//! field and no further, and the place of the error that ends the reading is the field's.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// One step of a path such as `endpoints[0].host`.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
}

/// Line and column, from 1, of a field; of what is around it when the field itself is not there, as when
/// it is missing. Nothing when not even the first step is there, or the text cannot be read. A key may have dots
/// in it, as the name of a host has: of the keys that the path can mean, the longest one that is there is taken.
pub(crate) fn locate(text: &str, field: &str) -> Option<(usize, usize)> {
    let all = steps(field);
    let (mut steps, mut path, mut place) = (all.as_slice(), Vec::new(), None);
    while !steps.is_empty() {
        let keys = steps.iter().take_while(|step| matches!(step, Step::Key(_))).count();
        let found = (1..=keys.max(1)).rev().find_map(|length| {
            let path = [&path[..], &[as_one(&steps[..length])]].concat();
            place_of(text, &path).map(|place| (length, path, place))
        });
        let Some((length, longer, deeper)) = found else { break };
        (steps, path, place) = (&steps[length..], longer, Some(deeper));
    }
    place
}

/// One key made of several, or the only step there is.
fn as_one(steps: &[Step]) -> Step {
    let name = |step: &Step| match step {
        Step::Key(name) => name.clone(),
        Step::Index(index) => index.to_string(),
    };
    match steps {
        [only] => only.clone(),
        several => Step::Key(several.iter().map(name).collect::<Vec<_>>().join(".")),
    }
}

fn steps(field: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    for part in field.split('.').filter(|part| !part.is_empty()) {
        let (key, indexes) = part.split_once('[').unwrap_or((part, ""));
        if !key.is_empty() {
            steps.push(Step::Key(key.to_owned()));
        }
        let indexes = indexes.split(['[', ']']).filter_map(|index| index.parse().ok());
        steps.extend(indexes.map(Step::Index));
    }
    steps
}

fn place_of(text: &str, steps: &[Step]) -> Option<(usize, usize)> {
    let is_found = Cell::new(false);
    let seek = Seek { steps, is_found: &is_found };
    let error = seek.deserialize(serde_yaml::Deserializer::from_str(text)).err().filter(|_| is_found.get())?;
    error.location().map(|place| (place.line(), place.column()))
}

/// Reads down to a field and ends with an error there.
#[derive(Clone, Copy)]
struct Seek<'a> {
    steps: &'a [Step],
    is_found: &'a Cell<bool>,
}

/// Reads a key, and ends with an error when it is the field that is looked for.
struct Key<'a> {
    name: &'a str,
    is_last: bool,
    is_found: &'a Cell<bool>,
}

/// Ends with an error at whatever stands there.
struct Here<'a>(&'a Cell<bool>);

impl<'de> DeserializeSeed<'de> for Seek<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seek<'_> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a mapping or a list")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let [Step::Key(name), rest @ ..] = self.steps else { return Err(A::Error::custom("a list was expected")) };
        let key = || Key { name, is_last: rest.is_empty(), is_found: self.is_found };
        while let Some(is_it) = map.next_key_seed(key())? {
            match is_it {
                true => map.next_value_seed(Seek { steps: rest, ..self })?,
                false => map.next_value::<IgnoredAny>().map(|_| ())?,
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let [Step::Index(index), rest @ ..] = self.steps else {
            return Err(A::Error::custom("a mapping was expected"));
        };
        for _ in 0..*index {
            if list.next_element::<IgnoredAny>()?.is_none() {
                return Ok(());
            }
        }
        match rest.is_empty() {
            true => list.next_element_seed(Here(self.is_found))?,
            false => list.next_element_seed(Seek { steps: rest, ..self })?,
        };
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = bool;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<bool, E> {
        if key == self.name && self.is_last {
            self.is_found.set(true);
            return Err(E::custom("here"));
        }
        Ok(key == self.name)
    }
}

impl<'de> DeserializeSeed<'de> for Here<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        self.0.set(true);
        deserializer.deserialize_any(self)
    }
}

/// Takes nothing, so that the parser's own error says where it is.
impl Visitor<'_> for Here<'_> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("nothing")
    }
}

#[cfg(test)]
mod tests {
    use super::locate;

    const TEXT: &str = "\
id: acme
credentials:
  - name: token
    env_vars: [ACME_TOKEN, \"\"]
  - name: other
endpoints:
- host: api.example.com
  rules:
    - allow: {method: GET, path: /}
";

    #[test]
    fn a_field_is_found_by_its_path() {
        for (field, place) in [
            ("id", (1, 1)),
            ("credentials", (2, 1)),
            ("credentials[0].name", (3, 5)),
            ("credentials[0].env_vars[1]", (4, 28)),
            ("credentials[1]", (5, 5)),
            ("endpoints[0].rules[0].allow", (9, 7)),
            ("endpoints[0].rules[0].allow.path", (9, 28)),
        ] {
            assert_eq!(locate(TEXT, field), Some(place), "{field}");
        }
    }

    #[test]
    fn for_what_is_missing_the_place_around_it_is_given() {
        assert_eq!(locate(TEXT, "endpoints[0].port"), Some((7, 3)));
        assert_eq!(locate(TEXT, "endpoints[7]"), Some((6, 1)));
        assert_eq!(locate(TEXT, "id.x.y"), Some((1, 1)));
        for field in ["resource_version", "", "[0]", "[", "x[", "..."] {
            assert_eq!(locate(TEXT, field), None, "{field}");
        }
    }

    #[test]
    fn json_is_read_too_and_what_cannot_be_read_has_no_places() {
        assert_eq!(
            locate("{\n  \"id\": \"acme\",\n  \"endpoints\": [{\"host\": 3}]\n}\n", "endpoints[0].host"),
            Some((3, 18))
        );
        for text in ["", "[", "- a", "text", "a: 1\n---\na: 2\n"] {
            assert_eq!(locate(text, "id"), None, "{text}");
        }
    }

    #[test]
    fn a_key_may_have_dots_and_the_longest_one_is_meant() {
        let text = "\
network_policies:
  api: {name: short}
  api.example: {name: longer}
  api.example.com:
    endpoints:
    - host: api.example.com
";
        for (field, place) in [
            ("network_policies.api.name", (2, 9)),
            ("network_policies.api.example.name", (3, 17)),
            ("network_policies.api.example.com", (4, 3)),
            ("network_policies.api.example.com.endpoints[0].host", (6, 7)),
            ("network_policies.api.example.com.name", (4, 3)),
            ("network_policies.api.org.name", (2, 3)),
        ] {
            assert_eq!(locate(text, field), Some(place), "{field}");
        }
    }

    #[test]
    fn an_alias_is_followed_and_keys_may_be_anything() {
        let text = "one: &x {port: 1}\n2: y\ntrue: z\ntwo: *x\n";
        assert_eq!(locate(text, "two.port"), Some((1, 10)));
        assert_eq!(locate(text, "two"), Some((4, 1)));
    }
}
