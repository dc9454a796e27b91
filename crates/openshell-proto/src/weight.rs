//! How much memory a message takes once it is decoded, known before it is. Two bytes of a request can mean an
//! empty message that takes hundreds in memory: what would grow beyond all proportion is refused unread.

use std::collections::HashMap;
use std::sync::OnceLock;

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor};

use crate::pool;

/// Memory that any request may take, in bytes, however short it is.
pub const ALLOWANCE: usize = 8 * 1024 * 1024;
/// And how many times its own length on top.
pub const FACTOR: usize = 10;
/// No message of ours takes so many times its length; what is shorter than the allowance by that is not looked at.
const GROWTH_MAX: usize = 4096;
/// As deep as the decoder goes.
const DEPTH_MAX: usize = 100;
/// A B-tree's node has room for so many entries, and is not half empty once there are two.
const NODE_ENTRIES: usize = 11;

/// A message that would take more memory than its length justifies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooHeavy {
    /// Length of the message, in bytes.
    pub length: usize,
}

impl std::fmt::Display for TooHeavy {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mebibytes = ALLOWANCE / 1024 / 1024;
        write!(
            out,
            "the request of {} bytes holds so many small messages that it would take more than {FACTOR} times its \
             length and {mebibytes} MiB of memory; send less in one request",
            self.length
        )
    }
}

impl std::error::Error for TooHeavy {}

/// Whether a message of this name (`openshell.v1.Provider`), decoded, keeps within [`FACTOR`] times its length
/// and [`ALLOWANCE`]. What is no such message is taken as far as it is one: the decoder says what is wrong.
///
/// The estimate errs to the upper side, with vectors that double and half empty maps. Linear in the length; short
/// messages cost nothing.
///
/// # Errors
/// It would not. A retry is of no use.
pub fn check(name: &str, bytes: &[u8]) -> Result<(), TooHeavy> {
    if bytes.len() < ALLOWANCE / GROWTH_MAX {
        return Ok(());
    }
    weigh(shapes().names.get(name), bytes)
}

/// As [`check`], for the request of an RPC by its full name (`openshell.v1.OpenShell/Health`).
///
/// # Errors
/// As [`check`].
pub fn check_request(method: &str, bytes: &[u8]) -> Result<(), TooHeavy> {
    if bytes.len() < ALLOWANCE / GROWTH_MAX {
        return Ok(());
    }
    weigh(shapes().requests.get(method), bytes)
}

fn weigh(shape: Option<&usize>, bytes: &[u8]) -> Result<(), TooHeavy> {
    let Some(&start) = shape else { return Ok(()) };
    let mut scale = Scale { left: FACTOR * bytes.len() + ALLOWANCE };
    match scale.message(start, bytes, 0) {
        Some(()) => Ok(()),
        None => Err(TooHeavy { length: bytes.len() }),
    }
}

/// What of a message has to be known.
struct Shape {
    /// Upper bound of its size in memory, without what it points to.
    size: usize,
    fields: Vec<(u32, Field)>,
}

#[derive(Clone, Copy)]
struct Field {
    holds: Holds,
    is_repeated: bool,
    /// Of one element.
    size: usize,
}

#[derive(Clone, Copy)]
enum Holds {
    Scalar,
    Bytes,
    Message(usize),
    /// A map: its entry's shape.
    Map(usize),
}

struct Shapes {
    names: HashMap<String, usize>,
    /// By RPC.
    requests: HashMap<String, usize>,
    shapes: Vec<Shape>,
}

fn shapes() -> &'static Shapes {
    static SHAPES: OnceLock<Shapes> = OnceLock::new();
    SHAPES.get_or_init(|| {
        let messages: Vec<MessageDescriptor> = pool().all_messages().collect();
        let names: HashMap<String, usize> =
            messages.iter().enumerate().map(|(at, message)| (message.full_name().to_owned(), at)).collect();
        let shape = |message: &MessageDescriptor| Shape {
            size: size(message, &mut Vec::new()),
            fields: message.fields().map(|field| (field.number(), describe(&field, &names))).collect(),
        };
        let shapes = messages.iter().map(shape).collect();
        let methods = pool().services().flat_map(|service| service.methods().collect::<Vec<_>>());
        let request = |method: MethodDescriptor| {
            let name = format!("{}/{}", method.parent_service().full_name(), method.name());
            (name, names[method.input().full_name()])
        };
        let requests = methods.map(request).collect();
        Shapes { names, requests, shapes }
    })
}

fn describe(field: &FieldDescriptor, names: &HashMap<String, usize>) -> Field {
    let holds = match field.kind() {
        Kind::Message(of) if field.is_map() => Holds::Map(names[of.full_name()]),
        Kind::Message(of) => Holds::Message(names[of.full_name()]),
        Kind::String | Kind::Bytes => Holds::Bytes,
        _ => Holds::Scalar,
    };
    Field { holds, is_repeated: field.is_list(), size: element(&field.kind(), &mut Vec::new()) }
}

/// Texts, vectors and maps are three words; each part is taken as a whole number of words, and each that may be
/// absent as a word more.
fn size(message: &MessageDescriptor, within: &mut Vec<String>) -> usize {
    within.push(message.full_name().to_owned());
    let plain = message.fields().filter(|field| field.containing_oneof().is_none());
    let plain: usize = plain.map(|field| part(&field, within)).sum();
    let choice =
        |one: prost_reflect::OneofDescriptor| one.fields().map(|field| part(&field, within)).max().unwrap_or(0);
    let choices: usize = message.oneofs().map(choice).sum();
    within.pop();
    (plain + choices).max(8)
}

fn part(field: &FieldDescriptor, within: &mut Vec<String>) -> usize {
    if field.is_list() || field.is_map() { 24 } else { element(&field.kind(), within) + 8 }
}

fn element(kind: &Kind, within: &mut Vec<String>) -> usize {
    match kind {
        // What holds itself is boxed.
        Kind::Message(of) if within.iter().any(|name| name == of.full_name()) => 8,
        Kind::Message(of) => size(of, within),
        Kind::String | Kind::Bytes => 24,
        _ => 8,
    }
}

/// Memory that is left.
struct Scale {
    left: usize,
}

impl Scale {
    /// None when nothing is left.
    fn take(&mut self, bytes: usize) -> Option<()> {
        self.left = self.left.checked_sub(bytes)?;
        Some(())
    }

    /// All of a message beside its own size.
    fn message(&mut self, shape: usize, mut bytes: &[u8], depth: usize) -> Option<()> {
        // How many there are of each field so far.
        let mut counts: Vec<(u32, usize)> = Vec::new();
        while let Some((number, value)) = next(&mut bytes) {
            let fields = &shapes().shapes[shape].fields;
            let Some((_, field)) = fields.iter().find(|(found, _)| *found == number) else { continue };
            let at = counts.iter().position(|(found, _)| *found == number).unwrap_or_else(|| {
                counts.push((number, 0));
                counts.len() - 1
            });
            let count = counts[at].1;
            counts[at].1 += 1;
            self.field(*field, count, value, depth)?;
        }
        Some(())
    }

    /// One occurrence of a field of which there are `count` already.
    fn field(&mut self, field: Field, count: usize, value: Option<&[u8]>, depth: usize) -> Option<()> {
        match (field.holds, value) {
            // Packed: each at least a byte.
            (Holds::Scalar, Some(packed)) => return self.take(2 * field.size * packed.len()),
            (Holds::Bytes, Some(text)) => self.take(text.len().next_multiple_of(16))?,
            (Holds::Message(shape), Some(inner)) => {
                if !field.is_repeated && count == 0 && field.size == 8 {
                    self.take(shapes().shapes[shape].size)?;
                }
                if depth < DEPTH_MAX {
                    self.message(shape, inner, depth + 1)?;
                }
            }
            (Holds::Map(entry), Some(inner)) => {
                let size = shapes().shapes[entry].size + 16;
                self.take(if count == 0 { NODE_ENTRIES * size } else { 3 * size })?;
                if depth < DEPTH_MAX {
                    self.message(entry, inner, depth + 1)?;
                }
            }
            (_, None) => {}
        }
        // A vector begins with room for four and doubles.
        match count {
            _ if !field.is_repeated => Some(()),
            0 => self.take(4 * field.size),
            _ if count >= 4 && count.is_power_of_two() => self.take(count * field.size),
            _ => Some(()),
        }
    }
}

/// The next field's number, and its bytes when it has a length; none at the end, or where it is no message.
fn next<'a>(bytes: &mut &'a [u8]) -> Option<(u32, Option<&'a [u8]>)> {
    let key = varint(bytes)?;
    let number = u32::try_from(key >> 3).ok()?;
    match key & 7 {
        0 => varint(bytes).map(|_| (number, None)),
        1 => skip(bytes, 8).map(|_| (number, None)),
        2 => {
            let length = usize::try_from(varint(bytes)?).ok()?;
            // What is cut off is taken as far as it goes, as the decoder does.
            let length = length.min(bytes.len());
            skip(bytes, length).map(|value| (number, Some(value)))
        }
        5 => skip(bytes, 4).map(|_| (number, None)),
        // Groups: no field of ours is one, and its inside is not kept.
        _ => Some((0, None)),
    }
}

fn skip<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (value, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(value)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..70).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        if shift < 64 {
            value |= u64::from(byte & 0x7F) << shift;
        }
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}
