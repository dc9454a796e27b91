//! For how long a node may say nothing. What it said is read later than it arrived when this process, or the whole
//! machine, stood still meanwhile: an age that is counted from then would make young what is old.

use std::time::Duration;

use tokio::time::Instant;

use crate::clock;

/// What is known of the last message.
pub(crate) struct Silence {
    limit: Duration,
    end: Instant,
    heard_at: Instant,
    heard_ms: i64,
}

impl Silence {
    /// From now on, when the first message may take longer than those that follow.
    pub(crate) fn begin(limit: Duration, first: Duration) -> Self {
        let now = Instant::now();
        Self { limit, end: now + first.max(limit), heard_at: now, heard_ms: clock::now_ms() }
    }

    /// From when on the node counts as gone.
    pub(crate) fn end(&self) -> Instant {
        self.end
    }

    /// Something arrived. Whether it came in time: only then it is known how old what it says is.
    pub(crate) fn heard(&mut self, now: Instant, now_ms: i64) -> bool {
        // The monotonic clock stands still with a machine that is suspended; the other one does not.
        let by_the_clock = clock::span(now_ms.saturating_sub(self.heard_ms));
        let suspended = by_the_clock.saturating_sub(now.saturating_duration_since(self.heard_at));
        let is_in_time = now < self.end && suspended <= self.limit;
        (self.end, self.heard_at, self.heard_ms) = (now + self.limit, now, now_ms);
        is_in_time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(5);

    #[test]
    fn a_message_that_was_read_after_the_process_or_the_machine_stood_still_does_not_count() {
        let second = Duration::from_secs(1);
        let mut silence = Silence::begin(LIMIT, LIMIT * 6);
        let (now, now_ms) = (silence.heard_at, silence.heard_ms);
        assert!(silence.heard(now + 29 * second, now_ms + 29_000), "the first one may take longer");
        assert!(silence.heard(now + 33 * second, now_ms + 33_000));
        assert!(silence.heard(now + 37 * second, now_ms), "a clock that was set back");
        assert!(!silence.heard(now + 43 * second, now_ms + 6_000), "it was stopped");
        assert!(silence.heard(now + 45 * second, now_ms + 8_000));
        assert!(!silence.heard(now + 46 * second, now_ms + 60_000), "the machine was suspended");
    }
}
