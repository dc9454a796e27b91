//! What is said of how it stands: to the embedding program, to the task that follows, and on disk.

use std::sync::Arc;
use std::time::Duration;

use openshell_proto::sandbox::PolicySource;
use tokio::time::Instant;

use super::{AGAIN, Keeper, Work};
use crate::configuration::Configuration;
use crate::disk::StandingFile;
use crate::feed::Feed;
use crate::position::Position;
use crate::status::Status;

/// While nothing else changes, how old it is is said this often.
const SAY: Duration = Duration::from_secs(30);

impl Keeper {
    /// An offer was dealt with: this is, or was to be, in force. `failed` also says why it is only a part.
    pub(super) fn settle(&self, offer: u64, failed: String, about: Option<&Configuration>, is_in_force: bool) {
        let own = about.filter(|about| about.config.policy_source() == PolicySource::Sandbox);
        let policy_version = own.map_or(0, |own| own.config.version);
        self.outcome.send_modify(|outcome| {
            if let Some(about) = about.filter(|_| failed.is_empty()) {
                outcome.applied = about.position;
            }
            if outcome.settled.is_some_and(|settled| settled > offer) {
                // What became of a newer one is what counts.
                return;
            }
            // What failed is to be sent again by the next node, not said to be there.
            let whole = about.filter(|_| failed.is_empty());
            outcome.revisions = whole.map(Configuration::revisions).unwrap_or_default();
            outcome.policy_error = if is_in_force { String::new() } else { failed.clone() };
            (outcome.settled, outcome.failed, outcome.policy_version) = (Some(offer), failed, policy_version);
        });
    }

    /// The newest position that what is installed is known to be of, whether it is in force or not.
    fn known(&self) -> Option<Position> {
        let outcome = self.outcome.borrow();
        self.feed.borrow().in_force(&outcome).max(outcome.kept)
    }

    pub(super) fn publish(&self) {
        let in_force = self.installed.as_ref().filter(|_| !self.is_closed);
        // Before what is said is held: asking for it twice may wait for ever for who follows.
        let (standing, position) = (self.standing(), self.known());
        let closed = self.closed_for();
        self.outcome.send_if_modified(|outcome| std::mem::replace(&mut outcome.closed, closed) != closed);
        let feed = self.feed.borrow();
        let status = Status {
            standing,
            configuration: in_force.map(|installed| Arc::clone(&installed.configuration)),
            position,
            as_of_ms: self.as_of.config_ms,
            node: feed.node,
            problem: self.problem(&feed),
        };
        self.status.send_if_modified(|last| {
            let is_news = !status.is_like(last);
            *last = Arc::new(status);
            is_news
        });
    }

    /// The newest offer, when it is closed and nothing of that may open it.
    fn closed_for(&self) -> Option<u64> {
        let is_installing = matches!(self.applying, Some((Work::Installing(..), _)));
        let may_open = is_installing || (self.candidate.is_some() && !self.is_held_back());
        (self.is_closed && !may_open).then_some(self.offers)
    }

    fn problem(&self, feed: &Feed) -> String {
        let failed = &self.outcome.borrow().failed;
        if failed.is_empty() { feed.problem.clone() } else { failed.clone() }
    }

    /// Writes down how it stands, when there is news, when a position waits to be reported that the disk has to
    /// have before, or when it was not done for a while.
    pub(super) async fn say(&mut self, at_the_end: bool) {
        if self.is_unsaid && !at_the_end && self.said_at.elapsed() < AGAIN {
            return;
        }
        // As above.
        let standing = self.standing().as_str().to_owned();
        let (file, is_owed) = {
            let (feed, outcome) = (self.feed.borrow(), self.outcome.borrow());
            let file = StandingFile {
                standing,
                position: feed.in_force(&outcome).max(outcome.kept),
                as_of_ms: self.as_of.config_ms,
                credentials_as_of_ms: self.as_of.environment_ms,
                node: feed.node,
                problem: self.problem(&feed),
                policy_reported: feed.policy_reported,
            };
            (file, feed.is_in_force(&outcome) && feed.said > outcome.kept)
        };
        let news = |file: &StandingFile| (file.standing.clone(), file.node, file.problem.clone(), file.policy_reported);
        let is_due = at_the_end || self.said_at.elapsed() >= SAY || news(&file) != news(&self.said);
        if !is_owed && (file == self.said || !is_due) {
            self.is_unsaid = false;
            return;
        }
        let writing = file.clone();
        let written = self.on_disk("writing how it stands", move |state| state.say(&writing)).await;
        (self.is_unsaid, self.said_at) = (written.is_none(), Instant::now());
        if written.is_some() {
            self.outcome.send_if_modified(|outcome| {
                let is_news = outcome.kept < file.position;
                outcome.kept = outcome.kept.max(file.position);
                is_news
            });
            self.said = file;
        }
    }
}
