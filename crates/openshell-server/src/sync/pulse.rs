//! What keeps quiet streams alive: a few beats that all of them share, so that a node looks at no stream by
//! itself, and does not speak to all of them at once.

use std::sync::Arc;

use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::sessions::Sessions;

/// So many, one after the other, within the time that a stream may be quiet.
pub(super) const BEATS: usize = 8;

impl Sessions {
    /// Strikes the beats until the node stops.
    pub(crate) async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(self.limits.quiet / u32::try_from(BEATS).expect("there are few beats"));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let striking = async {
            for beat in (0..BEATS).cycle() {
                ticks.tick().await;
                self.strike(beat, Instant::now());
            }
        };
        stop.run_until_cancelled(striking).await;
    }
}
