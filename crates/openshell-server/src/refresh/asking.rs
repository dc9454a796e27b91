//! The call to a token endpoint under a claim: it is made only while enough of the claim is left for it
//! and for settling what it comes to. A node that was paused in between may find that another minted.

use std::time::Duration;

use openshell_proto::peer::{MintFailure, Minted};
use openshell_proto::v1::{
    ProviderCredentialRefreshRecoveryAction as Recovery, StoredProviderCredentialRefreshState, StoredRefreshClaim,
};
use openshell_raft::Clock;
use openshell_state::{Code, Opener};

use crate::refresh::grant;
use crate::refresh::issuer::{Issuer, PATIENCE};

/// A result is carried to a leader for so long.
pub(super) const SETTLE_MAX: Duration = Duration::from_secs(25);
/// Clocks of nodes may differ by so much.
const CLOCKS: Duration = Duration::from_secs(5);
/// From the stamp of a claim to the call: the claim's way through the log, with room.
const START_MAX: Duration = Duration::from_secs(10);
/// What has to be left of a claim when the call is made.
const NEEDED_MS: i64 = (PATIENCE.as_millis() + SETTLE_MAX.as_millis() + CLOCKS.as_millis()) as i64;
/// After so long a claim is given up.
pub(super) const CLAIM_MS: i64 = NEEDED_MS + START_MAX.as_millis() as i64;

/// What is needed to ask.
pub(super) struct Asking<'a> {
    pub(super) issuer: &'a Issuer,
    pub(super) opener: &'a (dyn Opener + Sync),
    pub(super) clock: &'a dyn Clock,
}

impl Asking<'_> {
    /// Asks for a token by this refresh state, under its claim. `last_time_ms` is the newest stamp that
    /// this node has seen: it is no earlier than that.
    ///
    /// # Errors
    /// Why there is none, without a secret in it.
    pub(super) async fn ask(
        &self,
        refresh: &StoredProviderCredentialRefreshState,
        last_time_ms: i64,
    ) -> Result<Minted, MintFailure> {
        let claim = refresh.claim.clone().unwrap_or_default();
        let grant = grant::prepared(self.opener, refresh, claim.started_at_ms)?;
        // As late as can be: nothing but the call comes after it.
        if !is_time_left(&claim, self.clock.now_ms().max(last_time_ms)) {
            return Err(not_asked());
        }
        self.issuer.ask(grant).await
    }
}

/// Whether a call that begins now is over and settled before anybody else may call.
fn is_time_left(claim: &StoredRefreshClaim, now_ms: i64) -> bool {
    claim.deadline_ms.saturating_sub(now_ms) >= NEEDED_MS
}

fn not_asked() -> MintFailure {
    MintFailure {
        code: Code::Unavailable as u32,
        message: "the token endpoint was not asked: too much time had gone by since the node that mints said so"
            .to_owned(),
        failure_code: "not_asked".to_owned(),
        recovery_action: Recovery::Retry as i32,
        ..MintFailure::default()
    }
}

#[cfg(test)]
mod tests;
