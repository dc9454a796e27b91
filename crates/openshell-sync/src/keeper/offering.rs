//! What is said by nodes: the newest offer becomes what is to be installed, and the others no longer count.

use std::sync::Arc;

use tokio::time::Instant;

use super::{Candidate, Keeper, Work};
use crate::configuration::Configuration;
use crate::hook::ChangeKind;
use crate::installed::AsOf;

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
        let (last, before) = self.newest().unzip();
        let (made, lack) = offer.onto(last.as_deref());
        // A policy that is too old does not come back with a new environment.
        let is_too_old = self.is_closed && lack.config;
        let Some(made) = made.filter(|_| !is_too_old) else {
            tracing::warn!(problem = lack.reason, "nothing new can be installed");
            self.candidate = None;
            self.settle(self.offers, lack.reason, None, false);
            return;
        };
        let as_of = lack.as_of(feed.as_of_ms, before.unwrap_or_default());
        // Time may have passed since it was composed.
        let left = self.age_policy.usable(&made, &lack, as_of, self.clock.now_ms());
        let mut candidate = Candidate {
            configuration: Arc::new(left.map_or(made, |(left, _)| left)),
            kind: ChangeKind::Installed,
            offer: self.offers,
            lack,
            as_of,
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

    /// What is being installed, or is, and as of when.
    fn newest(&self) -> Option<(Arc<Configuration>, AsOf)> {
        let working = self.applying.as_ref().and_then(|(work, _)| match work {
            Work::Installing(candidate, _) => Some(candidate),
            Work::Telling(_) => None,
        });
        let to_be = self.candidate.as_ref().or(working);
        let to_be = to_be.map(|candidate| (Arc::clone(&candidate.configuration), candidate.as_of));
        to_be.or_else(|| self.installed.as_ref().map(|installed| (Arc::clone(&installed.configuration), self.as_of)))
    }
}
