//! One stream, as others see it: what it took, what its sandbox reported, and whether it goes on. Revisions are
//! of the cluster's epoch; 0 is none.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use openshell_proto::peer::SandboxSession;
use tokio::time::Instant;

use super::whole_ms;

/// As much as is kept of why a configuration could not be composed or applied, bytes.
const FAILURE_BYTES: usize = 4 * 1024;

/// Why a stream was ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Nobody took what it had to say.
    Slow,
    /// The sandbox began another one.
    Replaced,
}

/// A stream of this node, or one that has ended.
pub(super) struct Session {
    /// Tells the streams of this node apart, and which beat they live by.
    pub(super) number: u64,
    /// Names it in reports. Nobody can guess it.
    pub(super) id: String,
    pub(super) sandbox: Arc<str>,
    opened: Instant,
    inner: Mutex<Inner>,
}

struct Inner {
    is_open: bool,
    end: Option<End>,
    /// When the last message was taken.
    taken: Instant,
    /// When the sandbox itself last said something: that a message went out says nothing of it.
    heard: Instant,
    /// It was noticed that this is long ago.
    is_silent: bool,
    /// Of the configuration that was taken last.
    sent: u64,
    /// What was taken holds at this one, too.
    holds: u64,
    /// What the sandbox said that it has when it came.
    brought: u64,
    applied: u64,
    failed: u64,
    failure: String,
}

impl Session {
    /// `holds` is what the sandbox says that it has: others are told that it does, and it may report about that.
    /// Of what is sent here nothing counts as applied before it says so.
    pub(super) fn new(number: u64, id: String, sandbox: Arc<str>, holds: u64) -> Self {
        let now = Instant::now();
        let inner = Inner {
            is_open: true,
            end: None,
            taken: now,
            heard: now,
            is_silent: false,
            sent: 0,
            holds,
            brought: holds,
            applied: 0,
            failed: 0,
            failure: String::new(),
        };
        Self { number, id, sandbox, opened: now, inner: Mutex::new(inner) }
    }

    /// A message without a configuration was taken, which says that the last one holds at `revision`.
    pub(super) fn took(&self, revision: u64) {
        let mut inner = self.lock();
        inner.taken = Instant::now();
        inner.holds = inner.holds.max(revision);
    }

    /// The configuration of a revision was taken. When the sandbox has it already, it is applied; when there is
    /// none, `refusal` says why.
    pub(super) fn took_configuration(&self, revision: u64, is_unchanged: bool, refusal: Option<&str>) {
        self.took(revision);
        let mut inner = self.lock();
        inner.sent = revision;
        if is_unchanged {
            inner.has_applied(revision);
        }
        if let Some(refusal) = refusal {
            inner.has_failed(revision, refusal);
        }
    }

    /// The sandbox says what became of the configuration of a revision; false when it was never sent.
    pub(super) fn reported(&self, revision: u64, failure: Option<&str>) -> bool {
        let mut inner = self.lock();
        if revision > inner.holds {
            return false;
        }
        match failure {
            None => inner.has_applied(revision),
            Some(failure) if revision >= inner.failed => inner.has_failed(revision, failure),
            Some(_) => {}
        }
        true
    }

    /// The sandbox itself says something, whatever it is; true when it had been silent.
    pub(super) fn hears(&self, now: Instant) -> bool {
        let mut inner = self.lock();
        inner.heard = now;
        std::mem::take(&mut inner.is_silent)
    }

    /// Whether it has fallen silent since this was asked last: the sandbox has said nothing for so long.
    pub(super) fn falls_silent(&self, now: Instant, limit: Duration) -> bool {
        let mut inner = self.lock();
        let is_silent = now.duration_since(inner.heard) > limit;
        is_silent && !std::mem::replace(&mut inner.is_silent, true)
    }

    /// How long ago the sandbox itself last said something.
    pub(super) fn heard_ago(&self, now: Instant) -> Duration {
        now.duration_since(self.lock().heard)
    }

    /// Whether somebody is there: it goes on, and has not fallen silent.
    pub(super) fn is_connected(&self) -> bool {
        let inner = self.lock();
        inner.is_open && !inner.is_silent
    }

    /// Whether the sandbox has what was sent last in force, as far as it has said.
    pub(super) fn is_current(&self) -> bool {
        let inner = self.lock();
        inner.sent > 0 && inner.applied >= inner.sent && inner.failed < inner.sent
    }

    /// Whether nothing was taken for so long.
    pub(super) fn is_slow(&self, limit: Duration) -> bool {
        self.lock().taken.elapsed() > limit
    }

    pub(super) fn is_open(&self) -> bool {
        self.lock().is_open
    }

    /// It goes on no more; false when it did not before. The first reason counts.
    pub(super) fn close(&self, end: Option<End>) -> bool {
        let mut inner = self.lock();
        inner.end = inner.end.or(end);
        std::mem::replace(&mut inner.is_open, false)
    }

    /// Why it was ended, if it was.
    pub(super) fn end(&self) -> Option<End> {
        self.lock().end
    }

    /// What other nodes are told.
    pub(super) fn to_peer(&self) -> SandboxSession {
        let inner = self.lock();
        SandboxSession {
            sandbox_id: self.sandbox.to_string(),
            open: inner.is_open,
            opened_ms: Some(whole_ms(self.opened.elapsed())),
            heard_ms: Some(whole_ms(inner.heard.elapsed())),
            sent_revision: inner.sent,
            applied_revision: inner.applied.max(inner.brought),
            failed_revision: inner.failed,
            failure: inner.failure.clone(),
            ..SandboxSession::default()
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// What failed before and is applied now has failed no more.
    fn has_applied(&mut self, revision: u64) {
        self.applied = self.applied.max(revision);
        if self.failed <= revision {
            self.failed = 0;
            self.failure.clear();
        }
    }

    fn has_failed(&mut self, revision: u64, text: &str) {
        self.failed = revision;
        text[..text.floor_char_boundary(FAILURE_BYTES)].clone_into(&mut self.failure);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_about_what_was_sent_and_never_goes_back() {
        let session = Session::new(1, "s".to_owned(), "box".into(), 0);
        assert!(!session.reported(5, None), "nothing was sent yet");
        session.took_configuration(5, false, None);
        assert!(!session.is_current(), "nobody has said so");
        assert!(session.reported(5, None) && session.reported(3, None));
        assert_eq!(session.to_peer().applied_revision, 5);
        assert!(session.is_current());
        session.took_configuration(7, false, None);
        assert!(session.reported(7, Some("hook")));
        assert!(session.reported(6, Some("older")));
        let said = session.to_peer();
        assert_eq!((said.sent_revision, said.applied_revision, said.failed_revision), (7, 5, 7));
        assert_eq!(said.failure, "hook");
        session.took(9);
        assert!(session.reported(9, None), "what was sent holds at 9, too");
        let said = session.to_peer();
        assert_eq!(
            (said.applied_revision, said.failed_revision, said.failure.as_str()),
            (9, 0, ""),
            "it took it later"
        );
        assert!(!session.reported(10, None) && session.is_current());
        assert!(session.reported(9, Some("later")) && !session.is_current(), "the last word counts");
    }

    #[test]
    fn what_the_sandbox_has_already_is_applied_and_what_cannot_be_composed_has_failed() {
        let session = Session::new(1, "s".to_owned(), "box".into(), 4);
        assert_eq!(session.to_peer().applied_revision, 4, "it says that it has it");
        assert!(!session.is_current(), "which may not be what it is to have");
        session.took_configuration(6, true, None);
        assert!(session.to_peer().applied_revision == 6 && session.is_current());
        session.took_configuration(8, false, Some("no such provider"));
        let said = session.to_peer();
        assert_eq!((said.applied_revision, said.failed_revision), (6, 8));
        assert!(!session.is_current());
        session.took_configuration(9, false, Some(&format!("x{}", "ü".repeat(FAILURE_BYTES))));
        assert_eq!(session.to_peer().failure.len(), FAILURE_BYTES - 1, "whoever gives the reason");
    }

    #[test]
    fn what_it_says_that_it_has_it_may_report() {
        let session = Session::new(1, "s".to_owned(), "box".into(), 4);
        assert!(!session.reported(5, None) && session.reported(4, None));
        assert!(!session.is_current(), "it was sent nothing yet");
        session.took_configuration(4, false, None);
        assert!(session.is_current());
    }

    #[test]
    fn only_the_sandbox_itself_is_heard_of() {
        let session = Session::new(1, "s".to_owned(), "box".into(), 0);
        let (limit, later) = (Duration::from_secs(10), session.opened + Duration::from_secs(11));
        session.took_configuration(5, false, None);
        session.took(6);
        assert_eq!(session.lock().heard, session.opened, "what goes out says nothing of it");
        assert!(!session.falls_silent(session.opened + limit, limit) && session.is_connected());
        assert!(session.falls_silent(later, limit) && session.is_open() && !session.is_connected());
        assert!(!session.falls_silent(later, limit), "that is noticed once");
        assert_eq!(session.heard_ago(later), Duration::from_secs(11));
        assert!(session.hears(later) && session.is_connected());
        assert!(!session.hears(later), "it was not silent");
        assert!(session.falls_silent(later + limit + limit, limit), "and can fall silent again");
    }

    #[test]
    fn the_first_reason_to_end_counts_and_it_ends_once() {
        let session = Session::new(1, "s".to_owned(), "box".into(), 0);
        assert!(session.close(Some(End::Slow)));
        assert!(!session.close(Some(End::Replaced)) && !session.close(None));
        assert_eq!((session.end(), session.is_open()), (Some(End::Slow), false));
    }
}
