//! Who pushes lines to a node and who follows them through it, and the bounds on that.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tonic::Status;

use super::limits::Limits;

/// What goes on at a node.
pub(super) struct Counts {
    followers_max: u64,
    pushes_of_one_max: u64,
    followers: AtomicU64,
    /// By sandbox.
    pushes: Mutex<BTreeMap<String, u64>>,
}

/// A reader of this node that is counted until this goes.
pub(super) struct Admitted(Arc<Counts>);

/// A stream that a sandbox pushes through, counted until this goes.
pub(super) struct Pushing {
    counts: Arc<Counts>,
    sandbox: String,
}

impl Counts {
    pub(super) fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            followers_max: limits.followers,
            pushes_of_one_max: limits.pushes_of_one,
            followers: AtomicU64::new(0),
            pushes: Mutex::default(),
        })
    }

    /// Counts a reader for as long as it follows.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED` when there are too many; another node may take it.
    pub(super) fn follow(self: &Arc<Self>) -> Result<Admitted, Status> {
        // It is counted first, and no more when it is refused.
        let admitted = Admitted(Arc::clone(self));
        if self.followers.fetch_add(1, Ordering::Relaxed) < self.followers_max {
            return Ok(admitted);
        }
        Err(Status::resource_exhausted(format!(
            "this node has {} readers that follow logs and takes no more; follow through another node, or later",
            self.followers_max
        )))
    }

    /// Counts a stream of a sandbox for as long as it pushes.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED` when it has too many.
    pub(super) fn push(self: &Arc<Self>, sandbox: &str) -> Result<Pushing, Status> {
        let mut pushes = self.lock();
        let own = pushes.get(sandbox).copied().unwrap_or(0);
        if own >= self.pushes_of_one_max {
            let text = format!("the sandbox pushes logs to this node through {own} streams; end one of them first");
            return Err(Status::resource_exhausted(text));
        }
        pushes.insert(sandbox.to_owned(), own + 1);
        Ok(Pushing { counts: Arc::clone(self), sandbox: sandbox.to_owned() })
    }

    /// Readers that follow.
    pub(super) fn followers(&self) -> u64 {
        self.followers.load(Ordering::Relaxed)
    }

    /// Streams of all sandboxes.
    pub(super) fn pushes(&self) -> u64 {
        self.lock().values().sum()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, u64>> {
        self.pushes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.0.followers.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Pushing {
    fn drop(&mut self) {
        let mut pushes = self.counts.lock();
        if let Some(own) = pushes.get_mut(&self.sandbox) {
            *own -= 1;
            if *own == 0 {
                pushes.remove(&self.sandbox);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic::Code;

    #[test]
    fn a_node_takes_so_many_followers_and_so_many_streams_of_a_sandbox() {
        let counts = Counts::new(&Limits { followers: 1, pushes_of_one: 2, ..Limits::default() });
        let first = counts.follow().map_err(drop).expect("there is room");
        assert_eq!(counts.follow().err().expect("there is none").code(), Code::ResourceExhausted);
        assert_eq!(counts.followers(), 1, "who was refused is not counted");
        drop(first);
        assert!(counts.follow().is_ok());
        let pushing: Vec<_> = (0..2).map(|_| counts.push("a").map_err(drop).expect("there is room")).collect();
        assert_eq!(counts.push("a").err().expect("there is none").code(), Code::ResourceExhausted);
        let other = counts.push("b").map_err(drop).expect("another sandbox has its own");
        assert_eq!(counts.pushes(), 3);
        drop((pushing, other));
        assert!(counts.lock().is_empty(), "who pushes no more is forgotten");
    }
}
