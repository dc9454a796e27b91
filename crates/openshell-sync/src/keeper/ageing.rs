//! What time does to what is installed: credentials expire, and all of it grows too old.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{Installed, Keeper};
use crate::clock;
use crate::disk::StateDir;
use crate::hook::ChangeKind;
use crate::installed::Standing;

/// Before what the disk refused is written again.
const REWRITE_AGAIN: Duration = Duration::from_secs(5);

impl Keeper {
    pub(super) fn standing(&self) -> Standing {
        let is_followed = self.feed.borrow().followed;
        self.age_policy.standing(self.installed.is_some(), is_followed, self.as_of_ms, clock::now_ms())
    }

    /// What is installed grows no older while a node says so, and all that was said last is in force: a newer
    /// one that failed, or of which a part is missing, makes it older by the minute.
    pub(super) fn note_age(&mut self) {
        let now_ms = clock::now_ms();
        let feed = self.feed.borrow();
        let said_ms = if feed.is_in_force(&self.outcome.borrow()) { feed.as_of_ms.min(now_ms) } else { 0 };
        // A clock that was set back makes nothing younger for as long.
        self.as_of_ms = self.as_of_ms.min(now_ms).max(said_ms);
    }

    /// What was offered and has grown too old since is not put into force now.
    pub(super) fn is_held_back(&self) -> bool {
        let Some(candidate) = &self.candidate else { return false };
        let feed = self.feed.borrow();
        let said_ms = if candidate.offer == feed.offers && candidate.partial.is_empty() { feed.as_of_ms } else { 0 };
        let as_of_ms = candidate.as_of_ms.max(said_ms);
        self.age_policy.standing(true, feed.followed, as_of_ms, clock::now_ms()) == Standing::Closed
    }

    /// Whether a node that is current itself says that what is installed is the newest. One that was not
    /// tried, or failed, is no reason to put the one before into force again.
    pub(super) fn is_confirmed(&self) -> bool {
        let feed = self.feed.borrow();
        let is_about = |installed: &Installed| installed.offer == feed.offers && installed.partial.is_empty();
        let standing = self.age_policy.standing(true, feed.followed, feed.as_of_ms, clock::now_ms());
        self.candidate.is_none() && self.installed.as_ref().is_some_and(is_about) && standing == Standing::Current
    }

    /// Takes expired credentials out of what is installed, at once and whatever the hook says.
    pub(super) async fn drop_expired(&mut self) {
        let now_ms = clock::now_ms();
        if let Some(candidate) = &mut self.candidate
            && let Some((left, _)) = candidate.configuration.without_expired(now_ms)
        {
            candidate.configuration = Arc::new(left);
        }
        if let Some(installed) = &mut self.installed
            && let Some((left, names)) = installed.configuration.without_expired(now_ms)
        {
            tracing::info!(?names, "credentials expired and are dropped");
            // Also where the disk does not take it, nobody is given them any more.
            installed.configuration = Arc::new(left);
            self.rewrite_at = Some(Instant::now());
            self.expiry_is_news();
        }
        if self.rewrite_at.is_some_and(|at| at <= Instant::now()) {
            self.rewrite().await;
        }
    }

    /// Whoever has not been told of the rest hears of both at once.
    fn expiry_is_news(&mut self) {
        self.untold = self.untold.or((!self.is_closed).then_some(ChangeKind::CredentialsExpired));
    }

    /// Writes what is installed without what expired; again and again where the disk refuses.
    async fn rewrite(&mut self) {
        self.rewrite_at = None;
        let Some(installed) = &self.installed else { return };
        let writing = Arc::clone(&installed.configuration);
        let (as_of_ms, is_closed) = (self.as_of_ms, self.is_closed);
        let written = self.on_disk("dropping expired credentials", move |state| {
            let staged = state.stage(&writing, as_of_ms)?;
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
        self.as_of_ms = self.as_of_ms.max(self.feed.borrow().as_of_ms.min(clock::now_ms()));
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
