//! This machine's clock, in milliseconds since the Unix epoch: what expiries and ages are told by.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Now.
pub(crate) fn now_ms() -> i64 {
    ms_since_1970(SystemTime::now())
}

/// Zero for what was before 1970.
pub(crate) fn ms_since_1970(time: SystemTime) -> i64 {
    ms(time.duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// A span as a number.
pub(crate) fn ms(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// What is left of a span that may be negative: nothing then.
pub(crate) fn span(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}
