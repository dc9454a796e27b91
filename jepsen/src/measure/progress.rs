//! How far a measurement has come, said now and then: some take a quarter of an hour.

use std::time::{Duration, Instant};

use crate::report::say;

/// No more than a line in this time.
const EVERY: Duration = Duration::from_secs(20);

/// Counts what is done of something.
pub(super) struct Progress {
    what: String,
    of: u64,
    said: Instant,
}

impl Progress {
    /// None is done yet of so many.
    pub(super) fn new(what: &str, of: u64) -> Self {
        Self { what: what.to_owned(), of, said: Instant::now() }
    }

    /// So many are done. Says it unless something was said a moment ago.
    pub(super) fn done(&mut self, done: u64) {
        if let Some(line) = self.line(done, Instant::now()) {
            say(&line);
        }
    }

    fn line(&mut self, done: u64, now: Instant) -> Option<String> {
        if now.duration_since(self.said) < EVERY {
            return None;
        }
        self.said = now;
        Some(format!("{}: {done} of {}", self.what, self.of))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_said_only_after_a_while() {
        let mut progress = Progress::new("kills of all", 500);
        let begin = progress.said;
        assert_eq!(progress.line(1, begin + EVERY / 2), None);
        assert_eq!(progress.line(2, begin + EVERY).as_deref(), Some("kills of all: 2 of 500"));
        assert_eq!(progress.line(3, begin + EVERY + EVERY / 2), None);
        assert_eq!(progress.line(4, begin + 2 * EVERY).as_deref(), Some("kills of all: 4 of 500"));
    }
}
