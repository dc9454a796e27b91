//! The framing of RocksDB's write-ahead logs and manifests, checked record by record. Nothing is
//! interpreted: this is for telling whether a file is sound, and which one is not. RocksDB itself
//! names no file when a log is damaged, takes a manifest with a damaged length for a shorter one,
//! and reads some damaged files for ever: 11.8 does not go on from a record whose kind says that it is
//! in a recycled file when the first record of the file did not.
//!
//! A file is blocks of 32 KiB; a record is `[crc u32][length u16][type u8][content]`, numbers
//! little-endian, and never crosses a block. The checksum is CRC-32C over type and content,
//! masked. Source: RocksDB's description of its log format.

use std::fs;
use std::io;
use std::path::Path;

const BLOCK: usize = 32 * 1024;
const HEADER: usize = 7;

/// How a file ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// With a whole record.
    Whole,
    /// Within a record, as after a write that was cut off: the sound part has so many bytes.
    Torn(usize),
}

/// Checks every record of a file.
///
/// # Errors
/// The file's, and `InvalidData` naming file and offset of the first record that is damaged.
pub(super) fn check(path: &Path) -> io::Result<End> {
    check_bytes(&fs::read(path)?).map_err(|at| damaged(path, at))
}

fn damaged(path: &Path, at: usize) -> io::Error {
    let text = format!("{}: the record at byte {at} is damaged", path.display());
    io::Error::new(io::ErrorKind::InvalidData, text)
}

/// As [`check`], with the offset of the first damaged record for an error.
fn check_bytes(bytes: &[u8]) -> Result<End, usize> {
    let mut at = 0;
    while at < bytes.len() {
        let block_end = (at / BLOCK + 1) * BLOCK;
        if block_end - at < HEADER {
            // Too short for a record: filled with zeroes.
            let fill = &bytes[at..block_end.min(bytes.len())];
            if fill.iter().any(|byte| *byte != 0) {
                return Err(at);
            }
            at = block_end;
            continue;
        }
        // Space that was set aside and not written.
        if bytes[at..].iter().all(|byte| *byte == 0) {
            return Ok(End::Torn(at));
        }
        let Some(header) = bytes[at..].first_chunk::<HEADER>() else { return Ok(End::Torn(at)) };
        let [c0, c1, c2, c3, l0, l1, kind] = *header;
        // Files are never recycled here, so one that says so is damaged; RocksDB would not leave it.
        if is_recycled(kind) {
            return Err(at);
        }
        let end = at + HEADER + usize::from(u16::from_le_bytes([l0, l1]));
        if end > block_end {
            return Err(at);
        }
        let Some(covered) = bytes.get(at + 6..end) else { return Ok(End::Torn(at)) };
        if mask(crc32c::crc32c(covered)) != u32::from_le_bytes([c0, c1, c2, c3]) {
            return Err(at);
        }
        at = end;
    }
    Ok(End::Whole)
}

fn is_recycled(kind: u8) -> bool {
    matches!(kind, 5..=8 | 11 | 131)
}

/// Refuses a file in which RocksDB, told to pass over what is damaged, would come to a record that it
/// never leaves.
///
/// # Errors
/// The file's, and `InvalidData` naming file and offset of that record.
pub(super) fn refuse_endless(path: &Path) -> io::Result<()> {
    match endless_at(&fs::read(path)?) {
        Some(at) => Err(damaged(path, at)),
        None => Ok(()),
    }
}

/// Walks as RocksDB does, which goes on with the next block after a record that is damaged.
fn endless_at(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Some(header) = bytes.get(at..).and_then(<[u8]>::first_chunk::<HEADER>) {
        let block_end = (at / BLOCK + 1) * BLOCK;
        let [c0, c1, c2, c3, l0, l1, kind] = *header;
        let end = at + HEADER + usize::from(u16::from_le_bytes([l0, l1]));
        if block_end - at >= HEADER && is_recycled(kind) {
            return Some(at);
        }
        let covered = bytes.get(at + 6..end).filter(|_| end <= block_end && kind != 0);
        let sound =
            covered.is_some_and(|covered| mask(crc32c::crc32c(covered)) == u32::from_le_bytes([c0, c1, c2, c3]));
        at = if sound { end } else { block_end };
    }
    None
}

/// RocksDB stores checksums masked, so that a checksum of data with checksums in it is one.
fn mask(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(content: &[u8]) -> Vec<u8> {
        let covered = [&[1], content].concat();
        let length = u16::try_from(content.len()).expect("short");
        [&mask(crc32c::crc32c(&covered)).to_le_bytes()[..], &length.to_le_bytes(), &covered].concat()
    }

    #[test]
    fn sound_files_pass_and_every_flipped_bit_is_found_or_looks_torn() {
        let first = record(b"first");
        let file = [first.clone(), record(&[7; 300])].concat();
        assert_eq!(check_bytes(&file), Ok(End::Whole));
        assert_eq!(check_bytes(&file[..file.len() - 1]), Ok(End::Torn(first.len())));
        assert_eq!(check_bytes(&[first.clone(), vec![0; 50]].concat()), Ok(End::Torn(first.len())));
        for byte in 0..file.len() {
            for bit in 0..8 {
                let mut damaged = file.clone();
                damaged[byte] ^= 1 << bit;
                assert_ne!(check_bytes(&damaged), Ok(End::Whole), "byte {byte} bit {bit}");
            }
        }
    }

    #[test]
    fn a_record_that_claims_to_be_recycled_is_damaged_and_never_left() {
        let block = record(&vec![7; BLOCK - HEADER]);
        let sound = [block.clone(), record(b"first"), record(b"second")].concat();
        assert_eq!(endless_at(&sound), None);
        let at = block.len() + record(b"first").len() + 6;
        let mut damaged = sound.clone();
        damaged[at] ^= 1 << 2;
        // Also where it is the last one, whose longer header would go beyond the end as a torn record does.
        assert_eq!(check_bytes(&damaged), Err(at - 6));
        assert_eq!(endless_at(&damaged), Some(at - 6));
        // Damage before it, in another block, does not hide it; damage of another kind is passed over.
        damaged[100] ^= 1;
        assert_eq!(endless_at(&damaged), Some(at - 6));
        damaged[at] = sound[at];
        assert!(check_bytes(&damaged).is_err() && endless_at(&damaged).is_none());
    }

    #[test]
    fn a_record_never_crosses_a_block() {
        let mut file = record(&vec![1; BLOCK - HEADER - 3]);
        file.extend([0; 3]);
        file.extend(record(b"next block"));
        assert_eq!(check_bytes(&file), Ok(End::Whole));
        file[BLOCK - 2] = 1;
        assert_eq!(check_bytes(&file), Err(BLOCK - 3));
    }
}
