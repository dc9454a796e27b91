//! The state's digest: a 256-bit sum over hashes of what the state holds, so that it can
//! be kept up to date item by item and does not depend on order.

use std::fmt;

use sha2::{Digest as _, Sha256};

/// Sum modulo 2^256 of the SHA-256 of every item. Equal states have equal digests.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Digest([u64; 4]);

/// What an item is, so that equal bytes of different kinds hash apart.
#[derive(Clone, Copy)]
pub(crate) enum Item {
    Record = 1,
    Fence = 2,
    Request = 3,
    Forgotten = 4,
}

impl Digest {
    /// The digest as 32 bytes, little-endian.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for (chunk, limb) in bytes.chunks_exact_mut(8).zip(self.0) {
            chunk.copy_from_slice(&limb.to_le_bytes());
        }
        bytes
    }

    /// Adds an item.
    pub(crate) fn add(&mut self, item: Item, key: &[u8], bytes: &[u8]) {
        let mut carry = false;
        for (limb, other) in self.0.iter_mut().zip(limbs(item, key, bytes)) {
            let (sum, over) = limb.overflowing_add(other);
            let (sum, over_carry) = sum.overflowing_add(u64::from(carry));
            (*limb, carry) = (sum, over || over_carry);
        }
    }

    /// Takes away an item that was added before.
    pub(crate) fn remove(&mut self, item: Item, key: &[u8], bytes: &[u8]) {
        let mut borrow = false;
        for (limb, other) in self.0.iter_mut().zip(limbs(item, key, bytes)) {
            let (difference, under) = limb.overflowing_sub(other);
            let (difference, under_borrow) = difference.overflowing_sub(u64::from(borrow));
            (*limb, borrow) = (difference, under || under_borrow);
        }
    }
}

fn limbs(item: Item, key: &[u8], bytes: &[u8]) -> [u64; 4] {
    let mut hasher = Sha256::new();
    hasher.update([item as u8]);
    hasher.update((key.len() as u64).to_le_bytes());
    hasher.update(key);
    hasher.update(bytes);
    let hash: [u8; 32] = hasher.finalize().into();
    let mut limbs = [0; 4];
    for (limb, chunk) in limbs.iter_mut().zip(hash.chunks_exact(8)) {
        *limb = u64::from_le_bytes(chunk.try_into().expect("chunks of eight bytes"));
    }
    limbs
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&hex::encode(self.to_bytes()))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Digest({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_and_removed_leaves_no_trace() {
        let mut digest = Digest::default();
        digest.add(Item::Record, b"a", b"1");
        let one = digest;
        for number in 0..100_u32 {
            digest.add(Item::Fence, b"b", &number.to_le_bytes());
        }
        for number in (0..100_u32).rev() {
            digest.remove(Item::Fence, b"b", &number.to_le_bytes());
        }
        assert_eq!(digest, one);
        digest.remove(Item::Record, b"a", b"1");
        assert_eq!(digest, Digest::default());
    }

    #[test]
    fn order_does_not_matter_but_kind_and_key_do() {
        let sum = |items: &[(Item, &[u8], &[u8])]| {
            items.iter().fold(Digest::default(), |mut digest, (item, key, bytes)| {
                digest.add(*item, key, bytes);
                digest
            })
        };
        let (a, b) =
            ((Item::Record, b"k".as_slice(), b"v".as_slice()), (Item::Record, b"l".as_slice(), b"w".as_slice()));
        assert_eq!(sum(&[a, b]), sum(&[b, a]));
        assert_ne!(sum(&[a]), sum(&[(Item::Fence, a.1, a.2)]));
        assert_ne!(sum(&[(Item::Record, b"kv", b"")]), sum(&[a]));
    }
}
