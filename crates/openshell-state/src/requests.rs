//! The memory of request ids: a repeated id hears the first answer and changes nothing.
//! Bounded by count, bytes and age; what is older than the memory is refused as expired,
//! never executed again.

use std::sync::Arc;

use imbl::OrdMap;
use openshell_proto::log::RememberedRequest;
use prost::Message;

/// At most this many ids are remembered.
const COUNT_MAX: usize = 200_000;
/// At most this many bytes of ids and replies are remembered.
const BYTES_MAX: u64 = 64 * 1024 * 1024;
/// An id is forgotten when it was made this long before the newest stamp. Far longer than
/// any client repeats a call.
const AGE_MAX_MS: i64 = 10 * 60 * 1000;
/// Kept beside each remembered reply: the id, the map's node and the allocation.
const OVERHEAD_BYTES: u64 = 128;

/// A request id: a UUIDv7, whose first 48 bits are the time it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId([u8; 16]);

impl RequestId {
    /// The id of these bytes, or none when they are not a UUIDv7 (RFC 9562, 5.7).
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: [u8; 16] = bytes.try_into().ok()?;
        (bytes[6] >> 4 == 7 && bytes[8] >> 6 == 0b10).then_some(Self(bytes))
    }

    /// The sixteen bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// When the id was made, by its maker's clock: milliseconds since the Unix epoch.
    #[must_use]
    pub fn made_at_ms(&self) -> i64 {
        self.0[..6].iter().fold(0, |time, byte| time << 8 | i64::from(*byte))
    }
}

/// What the memory knows of an id.
#[derive(Clone, Debug)]
pub enum Memory {
    /// Never seen, and young enough to be sure of that.
    New,
    /// It took effect; this is what its caller heard.
    Known(Arc<RememberedRequest>),
    /// Too old to know.
    Expired,
}

/// The remembered ids, ordered by the time they were made. Cheap to clone.
#[derive(Clone, Debug)]
pub struct RequestMemory {
    by_id: OrdMap<RequestId, Arc<RememberedRequest>>,
    bytes: u64,
    forgotten_through_ms: i64,
}

impl RequestMemory {
    pub(crate) fn new(forgotten_through_ms: i64) -> Self {
        Self { by_id: OrdMap::new(), bytes: 0, forgotten_through_ms }
    }

    /// What is known of an id.
    #[must_use]
    pub fn recall(&self, id: &RequestId) -> Memory {
        match self.by_id.get(id) {
            Some(request) => Memory::Known(Arc::clone(request)),
            None if id.made_at_ms() <= self.forgotten_through_ms => Memory::Expired,
            None => Memory::New,
        }
    }

    /// Ids made at or before this time and not remembered are expired.
    #[must_use]
    pub fn forgotten_through_ms(&self) -> i64 {
        self.forgotten_through_ms
    }

    /// The time at which an id is made, at `now_ms`, so that it is new and stays remembered:
    /// milliseconds since the Unix epoch.
    #[must_use]
    pub fn time_of_new_id(&self, now_ms: i64) -> i64 {
        now_ms.max(self.forgotten_through_ms.saturating_add(1))
    }

    /// How many ids are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether nothing is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&RequestId, &Arc<RememberedRequest>)> {
        self.by_id.iter()
    }

    pub(crate) fn remember(&mut self, id: RequestId, request: Arc<RememberedRequest>) {
        self.bytes += cost(&request);
        let before = self.by_id.insert(id, request);
        assert!(before.is_none(), "a request id is remembered once");
    }

    /// Forgets what is beyond the bounds at time `now_ms`, oldest first, and returns it.
    pub(crate) fn forget(&mut self, now_ms: i64) -> Vec<(RequestId, Arc<RememberedRequest>)> {
        let mut forgotten = Vec::new();
        while let Some((id, _)) = self.by_id.get_min() {
            let beyond = self.by_id.len() > COUNT_MAX
                || self.bytes > BYTES_MAX
                || id.made_at_ms() < now_ms.saturating_sub(AGE_MAX_MS);
            if !beyond {
                break;
            }
            let id = *id;
            let request = self.by_id.remove(&id).expect("the oldest id is present");
            self.bytes -= cost(&request);
            self.forgotten_through_ms = self.forgotten_through_ms.max(id.made_at_ms());
            forgotten.push((id, request));
        }
        forgotten
    }
}

fn cost(request: &RememberedRequest) -> u64 {
    request.encoded_len() as u64 + OVERHEAD_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;
    use openshell_proto::log::{Reply, reply};

    const START_MS: i64 = 1_700_000_000_000;

    fn id(made_at_ms: i64, number: u64) -> RequestId {
        let mut bytes = [0; 16];
        bytes[..6].copy_from_slice(&made_at_ms.to_be_bytes()[2..]);
        bytes[8..].copy_from_slice(&number.to_be_bytes());
        (bytes[6], bytes[8]) = (0x70, 0x80);
        RequestId::from_bytes(&bytes).expect("a UUIDv7")
    }

    fn request(id: &RequestId, reply_bytes: usize) -> Arc<RememberedRequest> {
        let reply = Reply { outcome: Some(reply::Outcome::Message(vec![1; reply_bytes])) };
        let request_id = id.as_bytes().to_vec();
        Arc::new(RememberedRequest { request_id, revision: 1, fingerprint: vec![0; 32], reply: Some(reply) })
    }

    fn remember(memory: &mut RequestMemory, id: RequestId, reply_bytes: usize) {
        memory.remember(id, request(&id, reply_bytes));
    }

    #[test]
    fn only_a_uuid_of_version_7_is_a_request_id() {
        assert_eq!(id(START_MS, 1).made_at_ms(), START_MS);
        assert!(RequestId::from_bytes(&[0; 16]).is_none());
        assert!(RequestId::from_bytes(&[0x70; 15]).is_none());
        let mut other_variant = *id(START_MS, 1).as_bytes();
        other_variant[8] = 0;
        assert!(RequestId::from_bytes(&other_variant).is_none());
    }

    #[test]
    fn an_id_is_forgotten_by_age_and_then_expired() {
        let mut memory = RequestMemory::new(0);
        let (old, young) = (id(START_MS, 1), id(START_MS + 2, 2));
        remember(&mut memory, old, 8);
        remember(&mut memory, young, 8);
        assert!(memory.forget(START_MS + AGE_MAX_MS).is_empty(), "not before its time");
        let forgotten = memory.forget(START_MS + AGE_MAX_MS + 1);
        assert_eq!(forgotten.into_iter().map(|(id, _)| id).collect::<Vec<_>>(), [old]);
        assert!(matches!(memory.recall(&old), Memory::Expired));
        assert!(matches!(memory.recall(&id(START_MS, 9)), Memory::Expired), "never seen, but who knows");
        assert!(matches!(memory.recall(&young), Memory::Known(_)));
        assert!(matches!(memory.recall(&id(START_MS + 1, 3)), Memory::New));
    }

    #[test]
    fn no_more_ids_are_kept_than_the_bound() {
        let mut memory = RequestMemory::new(0);
        for number in 0..COUNT_MAX as u64 + 3 {
            remember(&mut memory, id(START_MS + (number / 1000) as i64, number), 0);
        }
        assert_eq!(memory.forget(START_MS).len(), 3);
        assert_eq!((memory.len(), memory.is_empty()), (COUNT_MAX, false));
        // Others made in the same millisecond cannot be told from those forgotten, unless remembered.
        assert_eq!(memory.forgotten_through_ms(), START_MS);
        assert!(matches!(memory.recall(&id(START_MS, 0)), Memory::Expired));
        assert!(matches!(memory.recall(&id(START_MS, 3)), Memory::Known(_)));
    }

    #[test]
    fn no_more_bytes_are_kept_than_the_bound() {
        let mut memory = RequestMemory::new(0);
        for number in 0..70 {
            remember(&mut memory, id(START_MS + number, 0), 1024 * 1024);
        }
        let forgotten = memory.forget(START_MS);
        assert!(memory.bytes <= BYTES_MAX && memory.bytes > BYTES_MAX - 2 * 1024 * 1024, "{}", memory.bytes);
        assert_eq!(memory.len() + forgotten.len(), 70);
        assert!(forgotten.is_sorted_by_key(|(id, _)| *id), "oldest first");
    }

    #[test]
    fn what_is_forgotten_gives_its_bytes_back() {
        let mut memory = RequestMemory::new(0);
        remember(&mut memory, id(START_MS, 1), 1000);
        memory.forget(START_MS + AGE_MAX_MS + 1);
        assert_eq!((memory.bytes, memory.is_empty()), (0, true));
    }
}
