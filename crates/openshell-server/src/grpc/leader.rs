//! Between two attempts to have a call decided: until somebody leads, or for a moment when whoever is known to lead did not
//! decide it. Who leads is found in `openshell-raft`.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout_at};

/// Between two attempts to find a leader.
pub(super) const RETRY_PAUSE: Duration = Duration::from_millis(25);

/// Waits a moment where a leader is known, otherwise until one is, or until the deadline.
pub(super) async fn wait(mut leader: watch::Receiver<Option<u64>>, deadline: Instant) {
    if leader.borrow_and_update().is_some() {
        return sleep(RETRY_PAUSE).await;
    }
    let is_closed = async { leader.wait_for(Option::is_some).await.is_err() };
    match timeout_at(deadline, is_closed).await {
        Ok(false) => {}
        // The node ends, and would be asked again and again without a pause.
        Ok(true) => sleep(RETRY_PAUSE).await,
        Err(_) => tracing::debug!("no leader was found before the deadline"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOMENTS: u32 = 4;

    /// How often a call asks until its deadline, after so many moments.
    async fn asks(leader: &watch::Receiver<Option<u64>>) -> u32 {
        let deadline = Instant::now() + RETRY_PAUSE * MOMENTS;
        let mut asks = 0;
        while Instant::now() < deadline {
            asks += 1;
            wait(leader.clone(), deadline).await;
        }
        asks
    }

    #[tokio::test]
    async fn a_node_that_ends_is_not_asked_without_a_pause() {
        let (says, leader) = watch::channel(None);
        drop(says);
        assert!(asks(&leader).await <= MOMENTS);
        let (says, leader) = watch::channel(Some(1));
        drop(says);
        assert!(asks(&leader).await <= MOMENTS, "nor is one that led to the end");
    }

    #[tokio::test]
    async fn a_leader_that_does_not_decide_is_asked_again_after_a_pause() {
        let (_says, leader) = watch::channel(Some(1));
        assert!(asks(&leader).await <= MOMENTS);
    }

    #[tokio::test]
    async fn a_call_waits_for_a_leader_and_not_beyond_its_deadline() {
        let (says, leader) = watch::channel(None);
        assert_eq!(asks(&leader).await, 1, "until the deadline at once");
        let far = Instant::now() + Duration::from_secs(600);
        let waiting = tokio::spawn(wait(leader, far));
        // Until it waits: it would find the leader otherwise, and only pause.
        tokio::task::yield_now().await;
        says.send_replace(Some(2));
        timeout_at(Instant::now() + Duration::from_secs(60), waiting)
            .await
            .expect("as soon as there is one")
            .expect("it ends");
    }
}
