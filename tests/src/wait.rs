//! Waiting for conditions, always with a deadline. Nothing waits for time to pass.

use std::time::Duration;

use anyhow::anyhow;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

const POLL: Duration = Duration::from_millis(20);

/// Asks again and again until `condition` gives a value. `what` completes "waited for".
///
/// # Errors
/// When `limit` has passed; one look that hangs counts as a look without a value.
pub async fn eventually<T, F>(what: &str, limit: Duration, mut condition: F) -> anyhow::Result<T>
where
    F: AsyncFnMut() -> Option<T>,
{
    let deadline = Instant::now() + limit;
    let mut ticks = interval(POLL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let left = deadline.saturating_duration_since(Instant::now());
        match timeout(left, condition()).await {
            Ok(Some(value)) => return Ok(value),
            Ok(None) if Instant::now() < deadline => {}
            Ok(None) | Err(_) => return Err(anyhow!("waited {limit:?} in vain for {what}")),
        }
    }
}

/// One attempt with a time limit; nothing when it is over.
pub async fn within<T>(limit: Duration, attempt: impl Future<Output = T>) -> Option<T> {
    timeout(limit, attempt).await.ok()
}
