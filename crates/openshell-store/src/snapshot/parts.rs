//! A snapshot as parts: header, chunks, trailer. Items are in key order, so that equal states
//! make equal parts.

use openshell_proto::log::snapshot_part::Part;
use openshell_proto::log::{SnapshotChunk, SnapshotItem, SnapshotPart, SnapshotTrailer};
use prost::Message;
use sha2::{Digest, Sha256};

use super::{SnapshotData, part};

/// A chunk holds this many bytes of items at most, or one item.
pub const PART_BYTES_MAX: usize = 1024 * 1024;

/// The parts of a snapshot, one by one; each is encoded when it is asked for.
pub struct Parts<'a> {
    data: &'a SnapshotData,
    items: std::iter::Peekable<Box<dyn Iterator<Item = SnapshotItem> + Send + 'a>>,
    hash: Sha256,
    chunks: u64,
    stage: Stage,
}

enum Stage {
    Header,
    Chunks,
    Done,
}

/// The parts of a snapshot.
#[must_use]
pub fn parts(data: &SnapshotData) -> Parts<'_> {
    let items: Box<dyn Iterator<Item = SnapshotItem> + Send + '_> = Box::new(data.state.items());
    Parts { data, items: items.peekable(), hash: Sha256::new(), chunks: 0, stage: Stage::Header }
}

impl Parts<'_> {
    fn chunk(&mut self) -> Option<SnapshotPart> {
        let mut items = Vec::new();
        let mut bytes = 0;
        while let Some(item) = self.items.peek() {
            let length = item.encoded_len();
            if bytes > 0 && bytes + length > PART_BYTES_MAX {
                break;
            }
            bytes += length;
            items.extend(self.items.next());
        }
        if items.is_empty() {
            return None;
        }
        let chunk = SnapshotChunk { number: self.chunks, items };
        self.chunks += 1;
        Some(part(Part::Chunk, &chunk))
    }

    fn trailer(&mut self) -> SnapshotPart {
        let trailer = SnapshotTrailer {
            chunk_count: self.chunks,
            item_count: self.data.state.item_count() as u64,
            sha256: std::mem::take(&mut self.hash).finalize().to_vec(),
            digest: self.data.state.digest().to_bytes().to_vec(),
        };
        part(Part::Trailer, &trailer)
    }
}

impl Iterator for Parts<'_> {
    type Item = SnapshotPart;

    fn next(&mut self) -> Option<SnapshotPart> {
        let next = match self.stage {
            Stage::Header => {
                self.stage = Stage::Chunks;
                part(Part::Header, &self.data.header())
            }
            Stage::Chunks => match self.chunk() {
                Some(chunk) => chunk,
                None => {
                    self.stage = Stage::Done;
                    return Some(self.trailer());
                }
            },
            Stage::Done => return None,
        };
        self.hash.update(&next.bytes);
        Some(next)
    }
}
