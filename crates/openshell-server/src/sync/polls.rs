//! Sandboxes that ask for their configuration with the released API: when each last did, and the revision of
//! what it got. Nobody who asks takes a lock, but for the first time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use imbl::OrdMap;
use tokio::time::Instant;

use super::whole_ms;

/// Who did not ask for so long may be forgotten for another one.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(600);
/// Nobody is looked for to be forgotten more often than this.
const LOOKED_AFTER: Duration = Duration::from_secs(60);

/// What is known of those who poll a node.
pub(super) struct Polls {
    sandboxes_max: usize,
    began: Instant,
    by_sandbox: ArcSwap<OrdMap<Arc<str>, Arc<Poll>>>,
    /// Taken by who adds a sandbox: when it was last looked for some to forget, milliseconds since it began.
    looked_ms: Mutex<Option<u64>>,
}

#[derive(Default)]
struct Poll {
    /// Milliseconds since the node began.
    at_ms: AtomicU64,
    revision: AtomicU64,
}

/// What one sandbox got last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Polled {
    pub(super) ago: Duration,
    pub(super) revision: u64,
}

impl Polls {
    pub(super) fn new(sandboxes_max: usize) -> Self {
        let by_sandbox = ArcSwap::from_pointee(OrdMap::new());
        Self { sandboxes_max, began: Instant::now(), by_sandbox, looked_ms: Mutex::default() }
    }

    /// A sandbox got the configuration of a revision. When there are too many already, nothing is noted.
    pub(super) fn note(&self, sandbox: &str, revision: u64) {
        self.note_at(sandbox, revision, whole_ms(self.began.elapsed()));
    }

    fn note_at(&self, sandbox: &str, revision: u64, now_ms: u64) {
        if let Some(poll) = self.by_sandbox.load().get(sandbox) {
            return poll.note(revision, now_ms);
        }
        let mut looked_ms = self.looked_ms.lock().unwrap_or_else(PoisonError::into_inner);
        let mut map = OrdMap::clone(&self.by_sandbox.load());
        if map.len() >= self.sandboxes_max && looked_ms.is_none_or(|last| now_ms - last > whole_ms(LOOKED_AFTER)) {
            *looked_ms = Some(now_ms);
            let oldest = now_ms.saturating_sub(whole_ms(FORGOTTEN_AFTER));
            map = map.into_iter().filter(|(_, poll)| poll.at_ms.load(Ordering::Relaxed) >= oldest).collect();
        }
        if map.len() < self.sandboxes_max {
            map.entry(sandbox.into()).or_default().note(revision, now_ms);
        }
        self.by_sandbox.store(Arc::new(map));
    }

    /// What a sandbox got last.
    pub(super) fn of(&self, sandbox: &str) -> Option<Polled> {
        self.by_sandbox.load().get(sandbox).map(|poll| poll.polled(whole_ms(self.began.elapsed())))
    }

    /// What everybody got last.
    pub(super) fn all(&self) -> Vec<(Arc<str>, Polled)> {
        let now_ms = whole_ms(self.began.elapsed());
        self.by_sandbox.load().iter().map(|(sandbox, poll)| (Arc::clone(sandbox), poll.polled(now_ms))).collect()
    }

    /// How many are known.
    pub(super) fn len(&self) -> usize {
        self.by_sandbox.load().len()
    }
}

impl Poll {
    fn note(&self, revision: u64, now_ms: u64) {
        self.revision.fetch_max(revision, Ordering::Relaxed);
        self.at_ms.store(now_ms, Ordering::Relaxed);
    }

    fn polled(&self, now_ms: u64) -> Polled {
        let ago_ms = now_ms.saturating_sub(self.at_ms.load(Ordering::Relaxed));
        Polled { ago: Duration::from_millis(ago_ms), revision: self.revision.load(Ordering::Relaxed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_polls_is_known_by_the_newest_that_it_got() {
        let polls = Polls::new(10);
        polls.note("box", 7);
        polls.note("box", 6);
        let polled = polls.of("box").expect("it is known");
        assert_eq!(polled.revision, 7);
        assert!(polled.ago < Duration::from_secs(60));
        assert_eq!(polls.of("other"), None);
    }

    #[test]
    fn no_more_than_so_many_are_known_and_who_is_gone_makes_room() {
        let polls = Polls::new(2);
        for sandbox in ["a", "b", "c"] {
            polls.note_at(sandbox, 1, 1);
        }
        assert_eq!((polls.len(), polls.of("c")), (2, None));
        let later_ms = whole_ms(FORGOTTEN_AFTER) + 1_000;
        polls.note_at("b", 2, later_ms);
        polls.note_at("c", 3, later_ms);
        let known: Vec<_> = polls.all().into_iter().map(|(sandbox, _)| sandbox.to_string()).collect();
        assert_eq!(known, ["b", "c"]);
    }
}
