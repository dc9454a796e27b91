//! Minting of credentials: what happens between the two entries that `openshell-state` decides (claim
//! and settle). The leader calls the token endpoint; what came of it is settled by whoever leads then.

mod asking;
mod flight;
mod grant;
mod issuer;
mod worker;

pub(crate) use flight::{SETTLE, rotate, settled};
pub(crate) use worker::run;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use issuer::Issuer;

/// What a node holds for minting.
pub(crate) struct Refresher {
    issuer: Issuer,
    /// What this node mints for itself at the moment, so that a claim on its way is not made twice.
    minting: Arc<Mutex<BTreeSet<Wanted>>>,
    /// Mints under way on this node.
    flights: watch::Sender<usize>,
}

/// A credential to mint: workspace, provider and key, as the caller names them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Wanted {
    workspace: String,
    provider: String,
    credential_key: String,
}

impl Refresher {
    pub(crate) fn new() -> Self {
        Self { issuer: Issuer::new(), minting: Arc::default(), flights: watch::Sender::new(0) }
    }

    /// Waits for the mints under way, so long: their results would be lost with the node.
    pub(crate) async fn drain(&self, patience: Duration) {
        let mut flights = self.flights.subscribe();
        let landed = flights.wait_for(|flights| *flights == 0);
        if tokio::time::timeout(patience, landed).await.is_err() {
            tracing::warn!("the node stops while credentials are minted; what they come to is lost");
        }
    }

    /// This node mints it from now on, until what it returns is dropped; nothing when it does already.
    fn begin(&self, wanted: Wanted) -> Option<Minting> {
        let new = self.minting.lock().unwrap_or_else(PoisonError::into_inner).insert(wanted.clone());
        new.then(|| Minting { all: Arc::clone(&self.minting), wanted })
    }

    /// Counts a mint until what it returns is dropped.
    fn counted(&self) -> Counted<'_> {
        self.flights.send_modify(|flights| *flights += 1);
        Counted(&self.flights)
    }
}

/// What this node mints for itself, until it is dropped, also by a panic.
struct Minting {
    all: Arc<Mutex<BTreeSet<Wanted>>>,
    wanted: Wanted,
}

impl Drop for Minting {
    fn drop(&mut self) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.wanted);
    }
}

/// One mint that is under way.
struct Counted<'a>(&'a watch::Sender<usize>);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|flights| *flights -= 1);
    }
}

#[cfg(test)]
mod tests;
