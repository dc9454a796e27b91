//! How a value is wrapped on disk: `[format u8][crc32c u32 little-endian][content]`. Records,
//! fences and requests are not wrapped: the state's digest covers them.

/// The format byte that this build writes and reads.
pub(crate) const FORMAT: u8 = 1;
/// Bytes before the content.
pub(crate) const OVERHEAD: usize = 5;

/// Why a wrapped value was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Damage {
    /// Shorter than the wrapping.
    #[error("the value is cut off after {0} bytes")]
    Short(usize),
    /// Written by a later build, or overwritten.
    #[error("the value has format {0}, this build reads format {FORMAT}")]
    Format(u8),
    /// The checksum does not fit the content.
    #[error("the checksum is {found:08x}, it was written as {stored:08x}")]
    Checksum {
        /// Computed now.
        found: u32,
        /// As stored.
        stored: u32,
    },
}

/// Wraps content.
pub(crate) fn seal(content: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(OVERHEAD + content.len());
    value.push(FORMAT);
    value.extend_from_slice(&crc32c::crc32c(content).to_le_bytes());
    value.extend_from_slice(content);
    value
}

/// Unwraps a value.
///
/// # Errors
/// [`Damage`] when it is not what [`seal`] made.
pub(crate) fn open(value: &[u8]) -> Result<&[u8], Damage> {
    let Some((head, content)) = value.split_first_chunk::<OVERHEAD>() else {
        return Err(Damage::Short(value.len()));
    };
    let [format, stored @ ..] = *head;
    if format != FORMAT {
        return Err(Damage::Format(format));
    }
    let stored = u32::from_le_bytes(stored);
    let found = crc32c::crc32c(content);
    if found == stored { Ok(content) } else { Err(Damage::Checksum { found, stored }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_survives_and_every_flipped_bit_is_noticed() {
        let value = seal(b"content");
        assert_eq!(open(&value), Ok(b"content".as_slice()));
        for byte in 0..value.len() {
            for bit in 0..8 {
                let mut damaged = value.clone();
                damaged[byte] ^= 1 << bit;
                assert!(open(&damaged).is_err(), "byte {byte} bit {bit}");
            }
        }
        assert_eq!(open(&value[..3]), Err(Damage::Short(3)));
    }
}
