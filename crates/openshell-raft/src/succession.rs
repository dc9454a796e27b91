//! Whoever waits for a leader's answer stops waiting once another node leads: a leader that is cut
//! off says nothing, and its connections take seconds to be found broken.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

/// Ends once another node than `asked` is known to lead, and still is after `grace`. A leader that
/// is not known is no other leader, and a watch that is closed (this node stops) tells of none.
pub(crate) async fn superseded(mut leader: watch::Receiver<Option<u64>>, asked: u64, grace: Duration) {
    let is_other = |leader: &Option<u64>| leader.is_some_and(|leader| leader != asked);
    loop {
        if leader.wait_for(is_other).await.is_err() {
            return std::future::pending().await;
        }
        sleep(grace).await;
        if is_other(&leader.borrow_and_update()) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures::{FutureExt, poll};
    use tokio::time::{Instant, timeout};

    use super::*;

    const GRACE: Duration = Duration::from_millis(100);
    const PATIENCE: Duration = Duration::from_secs(40);

    #[tokio::test]
    async fn another_leader_ends_the_wait_and_no_leader_does_not() {
        let watched = watch::Sender::new(Some(1));
        let mut waiting = pin!(superseded(watched.subscribe(), 1, GRACE));
        assert!(poll!(&mut waiting).is_pending(), "it leads still");
        watched.send_replace(None);
        assert!(poll!(&mut waiting).is_pending(), "nobody leads");
        watched.send_replace(Some(2));
        let begin = Instant::now();
        timeout(PATIENCE, waiting).await.expect("another leads");
        assert!(begin.elapsed() >= GRACE, "answers on their way have a moment");
    }

    #[tokio::test]
    async fn a_leader_that_is_back_within_the_grace_is_waited_for() {
        let watched = watch::Sender::new(Some(2));
        let mut waiting = pin!(superseded(watched.subscribe(), 1, GRACE));
        assert!(poll!(&mut waiting).is_pending());
        watched.send_replace(Some(1));
        assert!(timeout(GRACE * 3, waiting).await.is_err());
    }

    #[tokio::test]
    async fn a_watch_that_is_closed_tells_of_no_other_leader() {
        let watched = watch::Sender::new(Some(1));
        let waiting = superseded(watched.subscribe(), 1, Duration::ZERO);
        drop(watched);
        assert!(waiting.now_or_never().is_none());
    }
}
