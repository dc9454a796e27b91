//! Samples, and the figures that they come to.

use std::time::Duration;

use crate::scoreboard::Measured;

/// Times of one thing.
#[derive(Clone, Debug, Default)]
pub(super) struct Times(Vec<Duration>);

impl Times {
    pub(super) fn add(&mut self, time: Duration) {
        self.0.push(time);
    }

    /// The time within which so many percent of all were done; none of nothing.
    pub(super) fn quantile(&self, percent: usize) -> Option<Duration> {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let place = (sorted.len() * percent).div_ceil(100).max(1) - 1;
        sorted.get(place).copied()
    }

    /// A figure of them, in seconds. Whether that is fast enough is for the scoreboard.
    pub(super) fn figure(&self, row: &str, percent: usize, seed: u64) -> Measured {
        let value = self.quantile(percent).map(|time| time.as_secs_f64());
        Measured {
            row: row.to_owned(),
            value,
            unit: "s".to_owned(),
            samples: self.0.len() as u64,
            seeds: vec![seed],
            passed: value.is_some(),
            ..Measured::default()
        }
    }
}

/// So many failures among so many rounds: where there was none, nothing was measured.
pub(super) fn failures(row: &str, unit: &str, failed: u32, rounds: u64, seed: u64) -> Measured {
    Measured {
        row: row.to_owned(),
        value: (rounds > 0).then_some(f64::from(failed)),
        unit: unit.to_owned(),
        samples: rounds,
        seeds: vec![seed],
        passed: failed == 0,
        ..Measured::default()
    }
}

/// What this machine cannot measure.
pub(super) fn skipped(row: &str, unit: &str, why: &str) -> Measured {
    Measured { row: row.to_owned(), unit: unit.to_owned(), skipped: Some(why.to_owned()), ..Measured::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_a_time_that_was_measured() {
        let mut times = Times::default();
        assert_eq!(times.quantile(50), None);
        assert!(!times.figure("3.p50", 50, 7).passed, "nothing was measured");
        for ms in [40, 10, 30, 20] {
            times.add(Duration::from_millis(ms));
        }
        let of = |percent| times.quantile(percent).map(|time| time.as_millis());
        assert_eq!([of(1), of(50), of(75), of(99), of(100)], [Some(10), Some(20), Some(30), Some(40), Some(40)]);
    }
}
