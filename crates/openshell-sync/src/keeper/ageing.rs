//! What time does to what is installed: credentials expire, and all of it, or the environment alone, grows too
//! old.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{Candidate, Installed, Keeper};
use crate::disk::StateDir;
use crate::feed::Feed;
use crate::hook::ChangeKind;
use crate::installed::{AsOf, Standing};

/// Before what the disk refused is written again.
const REWRITE_AGAIN: Duration = Duration::from_secs(5);

impl Keeper {
    pub(super) fn standing(&self) -> Standing {
        let is_followed = self.feed.borrow().followed;
        self.age_policy.standing(self.installed.is_some(), is_followed, self.as_of, self.clock.now_ms())
    }

    /// What is installed grows no older while a node says so and it is what was said last: a newer one that
    /// failed makes all of it older by the minute, a part that is lacking only itself.
    pub(super) fn note_age(&mut self) {
        let now_ms = self.clock.now_ms();
        // A clock that was set back makes nothing younger for as long.
        let before = self.as_of.until(now_ms);
        let said = {
            let feed = self.feed.borrow();
            let lack = self.installed.as_ref().filter(|installed| self.is_newest(installed, &feed));
            lack.map(|newest| newest.lack.as_of(feed.as_of_ms.min(now_ms), before))
        };
        self.as_of = before.later(said.unwrap_or_default());
    }

    /// Whether it is in force and made of what was said last.
    fn is_newest(&self, installed: &Installed, feed: &Feed) -> bool {
        self.is_accepted && self.candidate.is_none() && installed.offer == feed.offers
    }

    /// What was offered and has grown too old since is not put into force now.
    pub(super) fn is_held_back(&self) -> bool {
        self.candidate.as_ref().is_some_and(|candidate| self.is_too_old(candidate))
    }

    pub(super) fn is_too_old(&self, candidate: &Candidate) -> bool {
        let feed = self.feed.borrow();
        let is_said = candidate.offer == feed.offers;
        let said = if is_said { candidate.lack.as_of(feed.as_of_ms, candidate.as_of) } else { candidate.as_of };
        let as_of = candidate.as_of.later(said);
        self.age_policy.standing(true, feed.followed, as_of, self.clock.now_ms()) == Standing::Closed
    }

    /// Whether a node that is current itself says that the policy that is installed is the newest. One that was
    /// not tried, or failed, is no reason to put the one before into force again.
    pub(super) fn is_confirmed(&self) -> bool {
        let feed = self.feed.borrow();
        let is_about = |installed: &Installed| installed.offer == feed.offers && !installed.lack.config;
        let said = AsOf { config_ms: feed.as_of_ms, environment_ms: feed.as_of_ms };
        let standing = self.age_policy.standing(true, feed.followed, said, self.clock.now_ms());
        self.candidate.is_none() && self.installed.as_ref().is_some_and(is_about) && standing == Standing::Current
    }

    /// Takes out of what is installed, and of what is to be, what may not be used any more: at once, and whatever
    /// the hook says. What is closed keeps an environment that is only old: it is in force no more, and may be
    /// confirmed together with the policy.
    pub(super) async fn drop_unusable(&mut self) {
        let (now_ms, policy) = (self.clock.now_ms(), self.age_policy);
        if let Some(candidate) = &mut self.candidate
            && let Some((left, _)) = policy.usable(&candidate.configuration, &candidate.lack, candidate.as_of, now_ms)
        {
            candidate.configuration = Arc::new(left);
        }
        if let Some(installed) = &mut self.installed {
            let left = match self.is_closed {
                true => installed.configuration.without_expired(now_ms),
                false => policy.usable(&installed.configuration, &installed.lack, self.as_of, now_ms),
            };
            if let Some((left, names)) = left {
                tracing::info!(?names, "credentials expired, or nobody stands for them any more: they are dropped");
                // Also where the disk does not take it, nobody is given them any more.
                installed.configuration = Arc::new(left);
                self.rewrite_at = Some(Instant::now());
                self.expiry_is_news();
            }
        }
        if self.rewrite_at.is_some_and(|at| at <= Instant::now()) {
            self.rewrite().await;
        }
    }

    /// Whoever has not been told of the rest hears of both at once.
    fn expiry_is_news(&mut self) {
        self.untold = self.untold.or((!self.is_closed).then_some(ChangeKind::CredentialsExpired));
    }

    /// Writes what is installed without what was dropped; again and again where the disk refuses.
    async fn rewrite(&mut self) {
        self.rewrite_at = None;
        let Some(installed) = &self.installed else { return };
        let writing = Arc::clone(&installed.configuration);
        let (as_of, is_closed) = (self.as_of, self.is_closed);
        let written = self.on_disk("dropping credentials", move |state| {
            let staged = state.stage(&writing, as_of)?;
            match state.commit(&staged, is_closed) {
                Ok(replaced) => Ok((staged, replaced)),
                Err(error) => {
                    state.discard(&staged);
                    Err(error)
                }
            }
        });
        let written = written.await;
        let Some(installed) = &mut self.installed else { return };
        match written {
            Some((staged, replaced)) => {
                installed.staged = staged;
                // What expired does not linger.
                self.leave_at_once(replaced);
                // Who was told meanwhile was shown the files of before.
                self.expiry_is_news();
            }
            None => self.rewrite_at = Some(Instant::now() + REWRITE_AGAIN),
        }
    }

    pub(super) fn shut(&mut self) {
        tracing::warn!("what is installed is older than the maximum age: nothing is in force");
        (self.is_closed, self.is_accepted) = (true, false);
        self.untold = Some(ChangeKind::Closed);
        // It is not in force, whatever was said of it.
        self.outcome.send_modify(|outcome| {
            (outcome.settled, outcome.applied, outcome.revisions) = (None, None, (0, 0));
        });
    }

    pub(super) fn open(&mut self) {
        tracing::info!("what was closed is current, and in force again");
        self.is_closed = false;
        let said_ms = self.feed.borrow().as_of_ms.min(self.clock.now_ms());
        let lack = self.installed.as_ref().map(|installed| installed.lack.clone()).unwrap_or_default();
        self.as_of = self.as_of.later(lack.as_of(said_ms, self.as_of));
        self.untold = Some(ChangeKind::Reopened);
    }

    /// Shows or hides what is installed, as it is; again with the next look where the disk refuses.
    pub(super) async fn match_disk(&mut self) {
        let is_closed = self.is_closed;
        if is_closed == self.is_closed_on_disk || self.installed.is_none() {
            return;
        }
        let renaming = move |state: &mut StateDir| if is_closed { state.close() } else { state.reopen() };
        if self.on_disk("showing or hiding what is installed", renaming).await.is_some() {
            self.is_closed_on_disk = is_closed;
        }
    }
}
