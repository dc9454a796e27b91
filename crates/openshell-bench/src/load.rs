//! A bounded load: tasks that repeat one call until the time is over, and how long each took.

use std::time::{Duration, Instant};

use anyhow::Context;
use hdrhistogram::Histogram;

/// Longest time that is told apart, microseconds.
const LONGEST_US: u64 = 60_000_000;
/// Significant digits of a percentile.
const DIGITS: u8 = 3;

/// What a load came to.
pub(crate) struct Figures {
    times_us: Histogram<u64>,
    elapsed: Duration,
}

/// Runs one task a caller, each repeating its call until `seconds` are over.
pub(crate) async fn run<C, F>(callers: Vec<C>, seconds: u64, call: F) -> anyhow::Result<Figures>
where
    C: Send + 'static,
    F: AsyncCall<C>,
{
    let begin = Instant::now();
    let end = begin + Duration::from_secs(seconds);
    let mut tasks = Vec::new();
    for mut caller in callers {
        let call = call.clone();
        tasks.push(tokio::spawn(async move {
            let mut times_us = Histogram::<u64>::new_with_max(LONGEST_US, DIGITS)?;
            while Instant::now() < end {
                let before = Instant::now();
                caller = call.call(caller).await?;
                times_us.saturating_record(u64::try_from(before.elapsed().as_micros()).unwrap_or(LONGEST_US));
            }
            anyhow::Ok(times_us)
        }));
    }
    let mut times_us = Histogram::<u64>::new_with_max(LONGEST_US, DIGITS)?;
    for task in tasks {
        times_us.add(task.await??).context("adding up the times")?;
    }
    Ok(Figures { times_us, elapsed: begin.elapsed() })
}

/// One call of a caller, which it gives back for the next.
pub(crate) trait AsyncCall<C>: Clone + Send + Sync + 'static {
    /// Makes the call.
    fn call(&self, caller: C) -> impl Future<Output = anyhow::Result<C>> + Send;
}

impl Figures {
    /// The figures in one line.
    pub(crate) fn line(&self, what: &str) -> String {
        let ms =
            |quantile: f64| Duration::from_micros(self.times_us.value_at_quantile(quantile)).as_secs_f64() * 1000.0;
        let count = self.times_us.len();
        let rate = Duration::from_secs(count).as_secs_f64() / self.elapsed.as_secs_f64();
        format!(
            "{what}: {count} in {:.1} s, {rate:.0} a second; p50 {:.2} ms, p99 {:.2} ms, maximum {:.2} ms",
            self.elapsed.as_secs_f64(),
            ms(0.5),
            ms(0.99),
            ms(1.0)
        )
    }
}
