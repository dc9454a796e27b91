//! What was replaced on disk: whoever has just followed the link `current` reads there, and so does a hook
//! that was told of it. It goes when neither does any more.

use std::time::Duration;

use tokio::time::Instant;

use super::{Keeper, Work};
use crate::disk::Staged;

/// For whoever has followed the link and not opened the files yet.
pub(super) const LINGER: Duration = Duration::from_secs(1);

impl Keeper {
    /// Keeps what was replaced for a moment.
    pub(super) fn linger(&mut self, replaced: Vec<Staged>) {
        let until = Instant::now() + LINGER;
        self.leaving.extend(replaced.into_iter().map(|folder| (folder, until)));
    }

    /// Keeps nothing for longer than a hook reads it: neither this nor what was replaced before.
    pub(super) fn leave_at_once(&mut self, replaced: Vec<Staged>) {
        self.linger(replaced);
        let now = Instant::now();
        for (_, until) in &mut self.leaving {
            *until = now;
        }
    }

    /// Removes what has been kept for long enough.
    pub(super) async fn remove_left(&mut self) {
        if self.is_hook_reading() {
            return;
        }
        let now = Instant::now();
        let leaving = std::mem::take(&mut self.leaving);
        let (due, later): (Vec<_>, Vec<_>) = leaving.into_iter().partition(|(_, until)| *until <= now);
        self.leaving = later;
        for (folder, _) in due {
            self.discard(folder).await;
        }
    }

    /// When the next one is to be removed; while a hook reads, its end is what is waited for.
    pub(super) fn next_to_leave(&self) -> Option<Instant> {
        self.leaving.iter().map(|(_, until)| *until).min().filter(|_| !self.is_hook_reading())
    }

    /// Whether a hook was told of what was in its place. One that is to be installed was in none yet.
    fn is_hook_reading(&self) -> bool {
        matches!(self.applying, Some((Work::Telling(_), _)))
    }
}
