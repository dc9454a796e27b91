//! What a run was, in one number: two runs of one seed that differ anywhere differ in it.

use std::hash::{Hash, Hasher};

/// FNV-1a, 64 bits: the same on every machine and in every build, which the standard hasher does not promise.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trace(u64);

impl Default for Trace {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Trace {
    /// Adds what was seen.
    pub(crate) fn note(&mut self, seen: &impl Hash) {
        seen.hash(self);
    }
}

impl Hasher for Trace {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        }
    }
}
