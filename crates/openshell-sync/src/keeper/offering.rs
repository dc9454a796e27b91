//! What is said by nodes: the newest offer becomes what is to be installed, and the others no longer count.

use std::sync::Arc;

use tokio::time::Instant;

use super::{Candidate, Keeper, Work};
use crate::clock;
use crate::configuration::Configuration;
use crate::hook::ChangeKind;

impl Candidate {
    /// The same has failed before: it is not tried sooner because somebody offers it again.
    pub(super) fn tried_like(&mut self, before: &Self) {
        (self.attempts, self.at) = (before.attempts, before.at);
        self.problem.clone_from(&before.problem);
    }
}

impl Keeper {
    /// Takes note of the newest offer: the ones before it no longer count.
    pub(super) fn take_offer(&mut self) {
        let feed = self.feed.borrow_and_update().clone();
        if feed.offers == self.offers {
            return;
        }
        self.offers = feed.offers;
        let Some(offer) = feed.offer else { return };
        let last = self.newest();
        let (made, partial) = offer.onto(last.as_deref());
        // A policy that is too old does not come back with a new environment.
        let is_too_old = self.is_closed && offer.config.is_err();
        let Some(made) = made.filter(|_| !is_too_old) else {
            tracing::warn!(problem = partial, "nothing new can be installed");
            self.candidate = None;
            self.settle(self.offers, partial, None, false);
            return;
        };
        // Time may have passed since it was composed.
        let made = made.without_expired(clock::now_ms()).map_or(made, |(left, _)| left);
        let mut candidate = Candidate {
            configuration: Arc::new(made),
            kind: ChangeKind::Installed,
            offer: self.offers,
            partial,
            // With the last policy it is as old as that.
            as_of_ms: if offer.config.is_ok() { feed.as_of_ms } else { self.as_of_ms },
            attempts: 0,
            at: Instant::now(),
            problem: String::new(),
        };
        let same = |before: &&Candidate| before.configuration.is_like(&candidate.configuration);
        if let Some(before) = self.candidate.take().as_ref().filter(same).filter(|before| before.attempts > 0) {
            candidate.tried_like(before);
            self.settle(self.offers, candidate.problem.clone(), Some(&candidate.configuration), false);
        }
        self.candidate = Some(candidate);
    }

    /// What is being installed, or is.
    fn newest(&self) -> Option<Arc<Configuration>> {
        let working = self.applying.as_ref().and_then(|(work, _)| match work {
            Work::Installing(candidate, _) => Some(&candidate.configuration),
            Work::Telling(_) => None,
        });
        let waiting = self.candidate.as_ref().map(|candidate| &candidate.configuration);
        let installed = self.installed.as_ref().map(|installed| &installed.configuration);
        waiting.or(working).or(installed).cloned()
    }
}
