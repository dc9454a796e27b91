//! Exports: a state as one stream of bytes that outlives its cluster. A first line, then frames of
//! a length, a checksum and a message: a header, and the parts of a snapshot. Every byte is
//! covered by a checksum or compared, so that a damaged export is noticed before it is used.

use std::io::{self, Read, Write};

use openshell_proto::log::{ExportHeader, SnapshotPart};
use prost::Message;
use sha2::{Digest, Sha256};

use crate::offline::Stopped;
use crate::snapshot::{Assembler, Limits, PART_BYTES_MAX, SnapshotData, SnapshotError, parts};

/// The format of exports.
pub const EXPORT_FORMAT: u32 = 1;

/// How every export begins.
const FIRST_LINE: &[u8] = b"openshell export\n";
/// One record may be larger than a part; an entry of the log never was.
const FRAME_BYTES_MAX: usize = 16 * PART_BYTES_MAX;
/// The state is held in memory.
const EXPORT_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;

/// An export that was read and verified whole.
pub struct Export {
    /// The state, in the epoch and under the cluster id that it was exported from.
    pub data: SnapshotData,
    /// Check value of the secrets key that its secrets are sealed with.
    pub secrets_key: [u8; 32],
    /// Digest of its records, hexadecimal.
    pub records_digest: String,
    /// The node that was exported.
    pub node: u64,
    /// SHA-256 over the whole export: what nodes compare that are restored from it.
    pub sha256: [u8; 32],
}

/// Why an export was refused. Nothing was written; no retry helps.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
    /// It is no export, or not all of one, or not as it was written.
    #[error("it is damaged at byte {at}: {what}")]
    Damaged {
        /// Where the damaged frame begins.
        at: u64,
        /// What is wrong.
        what: String,
    },
    /// It was written in a format that this build does not read.
    #[error("it has format {found}, this build reads {EXPORT_FORMAT}; use the release that wrote it, or a later one")]
    Format {
        /// As written.
        found: u32,
    },
    /// The parts do not make a snapshot.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
}

/// Writes an export of a stopped node. The caller syncs.
///
/// # Errors
/// The writer's.
pub fn write(stopped: &Stopped, to: &mut dyn Write) -> io::Result<()> {
    to.write_all(FIRST_LINE)?;
    let header = ExportHeader {
        format_version: EXPORT_FORMAT,
        secrets_key: stopped.owner.secrets_key.to_vec(),
        records_digest: stopped.data.state().records_digest().to_bytes().to_vec(),
        node: stopped.owner.node_id,
    };
    write_frame(&header, to)?;
    parts(&stopped.data).try_for_each(|part| write_frame(&part, to))
}

fn write_frame(message: &impl Message, to: &mut dyn Write) -> io::Result<()> {
    let bytes = message.encode_to_vec();
    let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    to.write_all(&length.to_be_bytes())?;
    to.write_all(&crc32c::crc32c(&bytes).to_be_bytes())?;
    to.write_all(&bytes)
}

/// Reads an export to its end and verifies all of it.
///
/// # Errors
/// [`ExportError`]: what is wrong, and where.
pub fn read(from: &mut dyn Read) -> Result<Export, ExportError> {
    let mut frames = Frames { from, at: 0, hash: Sha256::new() };
    frames.first_line()?;
    let header = frames.next()?.ok_or_else(|| frames.damaged("it ends after its first line"))?;
    let header = ExportHeader::decode(header.as_slice()).map_err(|error| frames.damaged(error))?;
    if header.format_version != EXPORT_FORMAT {
        return Err(ExportError::Format { found: header.format_version });
    }
    let secrets_key = <[u8; 32]>::try_from(header.secrets_key.as_slice())
        .map_err(|_| frames.damaged("its header has no check value of the secrets key"))?;
    let mut assembler = Assembler::new(Limits { cluster_id: None, leader: None, bytes_max: EXPORT_BYTES_MAX });
    while let Some(frame) = frames.next()? {
        let part = SnapshotPart::decode(frame.as_slice()).map_err(|error| frames.damaged(error))?;
        assembler.push(&part)?;
    }
    let data = assembler.finish()?;
    let digest = data.state().records_digest();
    if digest.to_bytes() != header.records_digest.as_slice() {
        return Err(frames.damaged(format!("its records have the digest {digest}, it was written with another")));
    }
    let sha256 = frames.hash.finalize().into();
    Ok(Export { data, secrets_key, records_digest: digest.to_string(), node: header.node, sha256 })
}

struct Frames<'a> {
    from: &'a mut dyn Read,
    at: u64,
    hash: Sha256,
}

impl Frames<'_> {
    fn damaged(&self, what: impl ToString) -> ExportError {
        ExportError::Damaged { at: self.at, what: what.to_string() }
    }

    fn first_line(&mut self) -> Result<(), ExportError> {
        let line = self.exactly(FIRST_LINE.len())?;
        if line != FIRST_LINE {
            return Err(self.damaged("it does not begin as an export does"));
        }
        Ok(())
    }

    /// The next frame's message; none at the end.
    fn next(&mut self) -> Result<Option<Vec<u8>>, ExportError> {
        let mut head = Vec::new();
        self.from.take(8).read_to_end(&mut head)?;
        if head.is_empty() {
            return Ok(None);
        }
        let Some((length, checksum)) = head.split_first_chunk::<4>() else { return Err(self.damaged("it is cut off")) };
        let length = u32::from_be_bytes(*length) as usize;
        let checksum = <[u8; 4]>::try_from(checksum).map_err(|_| self.damaged("it is cut off"))?;
        if length > FRAME_BYTES_MAX {
            return Err(self.damaged(format!("a frame of {length} bytes")));
        }
        self.hash.update(&head);
        let bytes = self.exactly(length)?;
        if crc32c::crc32c(&bytes) != u32::from_be_bytes(checksum) {
            return Err(self.damaged("the checksum does not fit"));
        }
        self.at += head.len() as u64;
        Ok(Some(bytes))
    }

    fn exactly(&mut self, length: usize) -> Result<Vec<u8>, ExportError> {
        let mut bytes = Vec::new();
        self.from.take(length as u64).read_to_end(&mut bytes)?;
        if bytes.len() != length {
            return Err(self.damaged("it is cut off"));
        }
        self.hash.update(&bytes);
        self.at += length as u64;
        Ok(bytes)
    }
}
