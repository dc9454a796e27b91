//! A few dozen times, each worth being told.

use std::time::Duration;

use serde_json::{Value, json};

/// How long a cluster may take to be whole again between two runs.
pub(crate) const READY_MAX: Duration = Duration::from_secs(120);

/// Times of one kind of event.
#[derive(Clone, Debug, Default)]
pub(crate) struct Times(Vec<Duration>);

impl Times {
    pub(crate) fn add(&mut self, time: Duration) {
        self.0.push(time);
    }

    /// The time that this share of all is not longer than, by nearest rank.
    fn quantile(&self, percent: usize) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let rank = (sorted.len() * percent).div_ceil(100).max(1);
        sorted.get(rank - 1).copied().unwrap_or_default()
    }

    /// All of it in one line.
    pub(crate) fn line(&self, what: &str) -> String {
        let told = |time: Duration| format!("{:.1} ms", ms(time));
        let (runs, least) = (self.0.len(), self.0.iter().min().copied().unwrap_or_default());
        let [p50, p90, p99, most] = [50, 90, 99, 100].map(|percent| told(self.quantile(percent)));
        format!("{what}, {runs} runs: minimum {}, p50 {p50}, p90 {p90}, p99 {p99}, maximum {most}", told(least))
    }

    /// The same as an object.
    pub(crate) fn json(&self) -> Value {
        let [p50, p90, p99, most] = [50, 90, 99, 100].map(|percent| ms(self.quantile(percent)));
        json!({ "runs": self.0.len(), "p50_ms": p50, "p90_ms": p90, "p99_ms": p99, "maximum_ms": most })
    }
}

/// A time in milliseconds.
pub(crate) fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_times_that_were_measured() {
        let mut times = Times::default();
        (1..=50).rev().for_each(|ms| times.add(Duration::from_millis(ms)));
        assert_eq!(
            times.line("x"),
            "x, 50 runs: minimum 1.0 ms, p50 25.0 ms, p90 45.0 ms, p99 50.0 ms, maximum 50.0 ms"
        );
    }
}
