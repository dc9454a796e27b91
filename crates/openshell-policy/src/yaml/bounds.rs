//! How much a file may ask of its reader. A YAML parser keeps some hundred bytes for each comma, and follows an
//! alias as often as it is written: what would grow beyond all proportion is refused before it is read.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess, Visitor};

/// Memory that any file may take, in bytes, however short it is.
const ALLOWANCE: usize = 48 * 1024 * 1024;
/// And how many times its own length on top.
const FACTOR: usize = 10;
/// What one value costs: the parser's event, the room that its list keeps, and its share of what is made of it.
const VALUE_BYTES: usize = 400;
/// As [`ALLOWANCE`], for texts with every alias followed: who judges a policy holds them several times over.
const FOLLOWED_ALLOWANCE: usize = 8 * 1024 * 1024;
/// What one value adds to those, beside its text.
const FOLLOWED_VALUE_BYTES: usize = 64;
/// Brackets that may be open at a time. The parser looks at all of them again for each word.
const DEPTH_MAX: usize = 500;

/// Whether a YAML or JSON text may be read: its values, with every alias followed, fit into memory that is in
/// proportion to its length.
///
/// Errors: a sentence that says what there is too much of. The file must be changed first.
pub fn check(text: &str) -> Result<(), String> {
    let budget = FACTOR * text.len() + ALLOWANCE;
    let marks = marks(text.as_bytes())?;
    if marks.saturating_mul(VALUE_BYTES) > budget {
        return Err(format!("the file holds about {marks} values, more than can be read; make several files of it"));
    }
    if text.contains('*') && text.contains('&') {
        let left = Cell::new(Some(FACTOR * text.len() + FOLLOWED_ALLOWANCE));
        // What else may be wrong is said by who reads the file for good.
        drop(Counted(&left).deserialize(serde_yaml::Deserializer::from_str(text)));
        if left.get().is_none() {
            return Err("aliases (*) repeat so much that the file grows beyond reason; write less of it".to_owned());
        }
    }
    Ok(())
}

/// Places at which a value may begin or end, at least half as many as there are values.
fn marks(text: &[u8]) -> Result<usize, String> {
    let (mut marks, mut depth, mut before) = (0, 0_usize, b'\n');
    let mut skipping = Skipping::Nothing;
    let mut bytes = text.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        let is_dash = matches!(byte, b'-' | b'?') && bytes.peek().is_none_or(u8::is_ascii_whitespace);
        match byte {
            // Counted in texts too: who misleads this about what is a text hides no bracket.
            b'[' | b'{' if skipping != Skipping::Comment => depth += 1,
            b']' | b'}' if skipping == Skipping::Nothing => depth = depth.saturating_sub(1),
            _ => {}
        }
        marks += usize::from(is_dash || matches!(byte, b'[' | b'{' | b']' | b'}' | b',' | b':' | b'\n'));
        if depth > DEPTH_MAX {
            return Err(format!("more than {DEPTH_MAX} brackets are open at a time; the file is nested too deeply"));
        }
        let is_escape = match skipping {
            Skipping::Double => byte == b'\\',
            Skipping::Single => byte == b'\'' && bytes.peek() == Some(&b'\''),
            Skipping::Nothing | Skipping::Comment => false,
        };
        if is_escape {
            bytes.next();
        } else {
            skipping = skipping.after(before, byte);
        }
        before = byte;
    }
    Ok(marks)
}

/// Where brackets mean nothing to a parser.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Skipping {
    Nothing,
    Comment,
    Double,
    Single,
}

impl Skipping {
    fn after(self, before: u8, byte: u8) -> Skipping {
        let begins = before.is_ascii_whitespace() || matches!(before, b'[' | b'{' | b',' | b':');
        match (self, byte) {
            (Skipping::Nothing, b'"') if begins => Skipping::Double,
            (Skipping::Nothing, b'\'') if begins => Skipping::Single,
            (Skipping::Nothing, b'#') if begins => Skipping::Comment,
            (Skipping::Double, b'"') | (Skipping::Single, b'\'') | (Skipping::Comment, b'\n') => Skipping::Nothing,
            (same, _) => same,
        }
    }
}

/// Reads anything, keeps nothing, and stops when nothing is left of the budget.
#[derive(Clone, Copy)]
struct Counted<'a>(&'a Cell<Option<usize>>);

impl Counted<'_> {
    fn spend<E: Error>(self, bytes: usize) -> Result<(), E> {
        let left = self.0.get().and_then(|left| left.checked_sub(FOLLOWED_VALUE_BYTES + bytes));
        self.0.set(left);
        left.map(|_| ()).ok_or_else(|| E::custom("too much"))
    }
}

impl<'de> DeserializeSeed<'de> for Counted<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Counted<'_> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("anything")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.spend(0)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.spend(0)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        self.spend(0)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        self.spend(0)
    }

    fn visit_i128<E: Error>(self, _: i128) -> Result<(), E> {
        self.spend(0)
    }

    fn visit_u128<E: Error>(self, _: u128) -> Result<(), E> {
        self.spend(0)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        self.spend(0)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.spend(text.len())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        self.spend(0)?;
        while list.next_element_seed(self)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        self.spend(0)?;
        while map.next_key_seed(self)?.is_some() {
            map.next_value_seed(self)?;
        }
        Ok(())
    }

    /// A value with a tag.
    fn visit_enum<A: EnumAccess<'de>>(self, tagged: A) -> Result<(), A::Error> {
        let ((), value) = tagged.variant_seed(self)?;
        value.newtype_variant_seed(self)
    }
}
