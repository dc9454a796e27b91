//! Why something failed, in the words of many: in one answer they share a bound.

/// Bytes of reasons in one answer, to a caller or to another node.
pub(super) const REASON_BYTES: usize = 2 * 1024 * 1024;

/// Leaves so many bytes of all of them together; what comes first has them first.
pub(super) fn bound<'a>(reasons: impl Iterator<Item = &'a mut String>, bytes: usize) {
    let mut left = bytes;
    for reason in reasons {
        let kept = reason.floor_char_boundary(left);
        reason.truncate(kept);
        left -= kept;
    }
}
