//! Putting received parts together. Everything is verified here, before openraft hears of the
//! snapshot: an inconsistent one would stop the node there.

use std::sync::Arc;

use openshell_proto::log::snapshot_part::Part;
use openshell_proto::log::{SnapshotChunk, SnapshotHeader, SnapshotItem, SnapshotPart, SnapshotTrailer, StateMarks};
use openshell_state::{Fault, State};
use prost::Message;
use sha2::{Digest, Sha256};

use super::{PART_BYTES_MAX, SNAPSHOT_FORMAT, SnapshotData};
use crate::types::{Durable, LeaderId, LogId, StoredMembership};

/// What a receiver accepts.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The cluster that the snapshot must be of; none for a node that belongs to none yet.
    pub cluster_id: Option<String>,
    /// Who sends it: no leader has entries of a later one. None where nobody sends it.
    pub leader: Option<LeaderId>,
    /// Bytes of all parts together.
    pub bytes_max: u64,
}

/// Why a snapshot was refused. Nothing was changed; the sender may send another.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The bytes of a part are not those that were sent.
    #[error("snapshot part {number}: the checksum is {found:08x}, it was sent as {sent:08x}")]
    Checksum {
        /// Counts from 0.
        number: u64,
        /// Computed now.
        found: u32,
        /// As sent.
        sent: u32,
    },
    /// A part is not the one that comes next, or not what it says.
    #[error("snapshot part {number}: {what}")]
    Part {
        /// Counts from 0.
        number: u64,
        /// What is wrong with it.
        what: String,
    },
    /// The header does not fit this node.
    #[error("the snapshot was refused: {0}")]
    Header(String),
    /// It is larger than this node takes.
    #[error("the snapshot has more than {bytes_max} bytes; raise the limit or reduce the state")]
    TooLarge {
        /// The limit.
        bytes_max: u64,
    },
    /// The trailer does not fit what came before it.
    #[error("the snapshot is not complete: {0}")]
    Trailer(String),
    /// The items are not a state that this build knows.
    #[error("the snapshot does not make a state: {0}")]
    State(#[from] Fault),
}

/// Takes parts one by one and makes the snapshot of them.
pub struct Assembler {
    limits: Limits,
    header: Option<Header>,
    items: Vec<SnapshotItem>,
    hash: Sha256,
    parts: u64,
    bytes: u64,
    data: Option<SnapshotData>,
}

struct Header {
    cluster_id: String,
    last_log_id: LogId,
    membership: StoredMembership,
    marks: StateMarks,
    item_count: u64,
}

impl Assembler {
    /// An assembler that has seen no part.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, header: None, items: Vec::new(), hash: Sha256::new(), parts: 0, bytes: 0, data: None }
    }

    /// Takes the next part. After an error the assembler is of no use any more.
    ///
    /// # Errors
    /// [`SnapshotError`] when the part is not sound, not the next one, or too much.
    pub fn push(&mut self, part: &SnapshotPart) -> Result<(), SnapshotError> {
        let number = self.parts;
        let wrong = |what: &str| SnapshotError::Part { number, what: what.to_owned() };
        self.bytes = self.bytes.saturating_add(part.bytes.len() as u64);
        if self.bytes > self.limits.bytes_max {
            return Err(SnapshotError::TooLarge { bytes_max: self.limits.bytes_max });
        }
        let found = crc32c::crc32c(&part.bytes);
        if found != part.crc32c {
            return Err(SnapshotError::Checksum { number, found, sent: part.crc32c });
        }
        match (Part::try_from(part.part), &self.header, &self.data) {
            (_, _, Some(_)) => return Err(wrong("it comes after the trailer")),
            (Ok(Part::Header), None, None) => self.header = Some(self.read_header(&part.bytes)?),
            (Ok(Part::Chunk), Some(_), None) => self.take_chunk(number, &part.bytes)?,
            (Ok(Part::Trailer), Some(_), None) => {
                self.data = Some(self.complete(&part.bytes)?);
                return Ok(());
            }
            (Ok(Part::Header), Some(_), None) => return Err(wrong("a second header")),
            (Ok(Part::Chunk | Part::Trailer), None, None) => return Err(wrong("the header must come first")),
            (Ok(Part::Unspecified) | Err(_), _, None) => return Err(wrong("it is of an unknown kind")),
        }
        self.hash.update(&part.bytes);
        self.parts += 1;
        Ok(())
    }

    /// The snapshot, once its trailer was taken.
    ///
    /// # Errors
    /// [`SnapshotError::Trailer`] when it was not.
    pub fn finish(self) -> Result<SnapshotData, SnapshotError> {
        self.data.ok_or_else(|| SnapshotError::Trailer(format!("the stream ended after {} parts", self.parts)))
    }

    fn read_header(&self, bytes: &[u8]) -> Result<Header, SnapshotError> {
        let refuse = SnapshotError::Header;
        let header = SnapshotHeader::decode(bytes).map_err(|error| refuse(format!("its header: {error}")))?;
        if header.format_version != SNAPSHOT_FORMAT {
            return Err(refuse(format!(
                "it has format {}, this build reads {SNAPSHOT_FORMAT}; upgrade this node",
                header.format_version
            )));
        }
        if let Some(expected) = &self.limits.cluster_id
            && *expected != header.cluster_id
        {
            return Err(refuse(format!("it is of cluster {:?}, this node belongs to {expected:?}", header.cluster_id)));
        }
        let lacks = |part: &str| refuse(format!("its header lacks {part}"));
        let malformed = |error: crate::types::Malformed| refuse(error.to_string());
        let last_log_id = header.last_log_id.ok_or_else(|| lacks("the last log id"))?;
        let membership = header.membership.ok_or_else(|| lacks("the membership"))?;
        let marks = header.marks.ok_or_else(|| lacks("the marks"))?;
        if marks.revision != last_log_id.index {
            return Err(refuse(format!(
                "its state has revision {}, its log ends at {}",
                marks.revision, last_log_id.index
            )));
        }
        let last_log_id = LogId::from_message(last_log_id).map_err(malformed)?;
        if let Some(leader) = &self.limits.leader
            && last_log_id.committed_leader_id() > leader
        {
            return Err(refuse(format!(
                "its log ends with entry {last_log_id}, of a later leader than its sender, {leader}"
            )));
        }
        Ok(Header {
            cluster_id: header.cluster_id,
            last_log_id,
            membership: StoredMembership::from_message(membership).map_err(malformed)?,
            marks,
            item_count: header.item_count,
        })
    }

    fn take_chunk(&mut self, number: u64, bytes: &[u8]) -> Result<(), SnapshotError> {
        let wrong = |what: String| SnapshotError::Part { number, what };
        let chunk = SnapshotChunk::decode(bytes).map_err(|error| wrong(error.to_string()))?;
        // The header is part 0, so that chunk 0 is part 1.
        if chunk.number + 1 != number {
            return Err(wrong(format!("it holds chunk {} where {} belongs", chunk.number, number.saturating_sub(1))));
        }
        // One item may be larger than a part; several may not.
        if bytes.len() > 2 * PART_BYTES_MAX && chunk.items.len() > 1 {
            return Err(wrong(format!("a chunk of {} bytes", bytes.len())));
        }
        let expected = self.header.as_ref().map_or(0, |header| header.item_count);
        self.items.extend(chunk.items);
        if self.items.len() as u64 > expected {
            return Err(wrong(format!("more items than the {expected} that the header announced")));
        }
        Ok(())
    }

    fn complete(&mut self, bytes: &[u8]) -> Result<SnapshotData, SnapshotError> {
        let refuse = SnapshotError::Trailer;
        let trailer = SnapshotTrailer::decode(bytes).map_err(|error| refuse(format!("its trailer: {error}")))?;
        let header = self.header.as_ref().ok_or_else(|| refuse("it has no header".into()))?;
        let chunks = self.parts.saturating_sub(1);
        if trailer.chunk_count != chunks {
            return Err(refuse(format!("{chunks} chunks of {} came", trailer.chunk_count)));
        }
        let items = self.items.len() as u64;
        if trailer.item_count != items || header.item_count != items {
            return Err(refuse(format!("{items} items of {} came", header.item_count)));
        }
        if trailer.sha256 != std::mem::take(&mut self.hash).finalize().as_slice() {
            return Err(refuse("the parts are not those that its sender hashed".into()));
        }
        let state = State::from_items(&header.marks, std::mem::take(&mut self.items).into_iter().map(Ok))?;
        if state.item_count() as u64 != items {
            return Err(refuse(format!("{items} items name {} keys", state.item_count())));
        }
        if trailer.digest != state.digest().to_bytes() {
            return Err(refuse(format!("its state has the digest {}, it was sent with another", state.digest())));
        }
        if let Some(cluster) = state.cluster()
            && cluster.value.cluster_id != header.cluster_id
        {
            return Err(refuse(format!(
                "its state is of cluster {:?}, its header says {:?}",
                cluster.value.cluster_id, header.cluster_id
            )));
        }
        Ok(SnapshotData {
            state: Arc::new(state),
            cluster_id: header.cluster_id.clone(),
            last_log_id: Some(header.last_log_id),
            membership: header.membership.clone(),
        })
    }
}
