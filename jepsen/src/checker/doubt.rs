//! For how long a write that nobody answered may still take effect.

use std::time::Duration;

use crate::history::{Operation, nanoseconds};

/// A request of which its caller knows no more is gone after this. A node works on it for 10 s at most, but a
/// connection through a cut delivers it half a minute late, one between nodes does so once more, and a node may be
/// stopped, or have a slow clock, meanwhile. The log adds nothing: an entry that was written before another one was
/// asked for never takes effect after it.
const LIFE: Duration = Duration::from_secs(120);

/// Whether a write in doubt may have taken effect after another one, which was asked for later or not.
pub(super) fn may_follow(doubtful: &Operation<'_>, other: &Operation<'_>) -> bool {
    doubtful.returned_ns.saturating_add(nanoseconds(LIFE)) >= other.invoked_ns
}
