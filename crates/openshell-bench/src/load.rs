//! A bounded load: tasks that repeat one call until the time is over, or so often, and how long each took.

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
    let end = Instant::now() + Duration::from_secs(seconds);
    repeat(callers, move |_| Instant::now() < end, call).await.map(|(figures, _)| figures)
}

/// Runs one task a caller, each making so many calls, and gives the callers back.
pub(crate) async fn pass<C, F>(callers: Vec<C>, calls: u64, call: F) -> anyhow::Result<(Figures, Vec<C>)>
where
    C: Send + 'static,
    F: AsyncCall<C>,
{
    repeat(callers, move |done| done < calls, call).await
}

/// `goes_on` says, by the number of calls made, whether a caller makes another.
async fn repeat<C, F>(
    callers: Vec<C>,
    goes_on: impl Fn(u64) -> bool + Copy + Send + 'static,
    call: F,
) -> anyhow::Result<(Figures, Vec<C>)>
where
    C: Send + 'static,
    F: AsyncCall<C>,
{
    let begin = Instant::now();
    let mut tasks = Vec::new();
    for mut caller in callers {
        let call = call.clone();
        tasks.push(tokio::spawn(async move {
            let mut times_us = Histogram::<u64>::new_with_max(LONGEST_US, DIGITS)?;
            while goes_on(times_us.len()) {
                let before = Instant::now();
                caller = call.call(caller).await?;
                times_us.saturating_record(u64::try_from(before.elapsed().as_micros()).unwrap_or(LONGEST_US));
            }
            anyhow::Ok((times_us, caller))
        }));
    }
    let mut figures = Figures::none()?;
    let mut callers = Vec::new();
    for task in tasks {
        let (times_us, caller) = task.await??;
        figures.times_us.add(times_us).context("adding up the times")?;
        callers.push(caller);
    }
    figures.elapsed = begin.elapsed();
    Ok((figures, callers))
}

/// One call of a caller, which it gives back for the next.
pub(crate) trait AsyncCall<C>: Clone + Send + Sync + 'static {
    /// Makes the call.
    fn call(&self, caller: C) -> impl Future<Output = anyhow::Result<C>> + Send;
}

impl Figures {
    /// Of no call yet.
    pub(crate) fn none() -> anyhow::Result<Self> {
        Ok(Self { times_us: Histogram::new_with_max(LONGEST_US, DIGITS)?, elapsed: Duration::ZERO })
    }

    /// Adds what came to pass after it.
    pub(crate) fn add(&mut self, later: &Self) -> anyhow::Result<()> {
        self.elapsed += later.elapsed;
        self.times_us.add(&later.times_us).context("adding up the times")
    }

    /// How long it all took.
    pub(crate) fn elapsed(&self) -> Duration {
        self.elapsed
    }

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
