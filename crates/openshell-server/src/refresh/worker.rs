//! Whoever leads mints what is due (`providers.md` 7.4, worker).

use std::sync::Arc;
use std::time::Duration;

use openshell_raft::{Clock, SystemClock};
use openshell_state::query;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::grpc::Gateway;
use crate::refresh::{Wanted, flight};

/// How often the leader looks.
const PERIOD: Duration = Duration::from_secs(1);
/// At most so many credentials are minted at once; the others wait for the next look.
const FLIGHTS_MAX: usize = 32;

/// Mints what is due while this node leads, until it stops.
pub(crate) async fn run(gateway: Arc<Gateway>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let looking = async {
        loop {
            ticks.tick().await;
            if gateway.cluster.is_leader() {
                mint_what_is_due(&gateway);
            }
        }
    };
    stop.run_until_cancelled(looking).await;
}

fn mint_what_is_due(gateway: &Arc<Gateway>) {
    let state = gateway.cluster.state();
    let now_ms = SystemClock.now_ms().max(state.last_time_ms());
    let room = FLIGHTS_MAX.saturating_sub(*gateway.refresher.flights.borrow());
    let due = state.all_refresh_states().filter(|refresh| query::refresh::is_due(refresh, now_ms));
    let wanted = due.map(|refresh| Wanted {
        workspace: refresh.metadata.as_ref().map_or_else(String::new, |metadata| metadata.workspace.clone()),
        provider: refresh.provider_name.clone(),
        credential_key: refresh.credential_key.clone(),
    });
    for minting in wanted.filter_map(|wanted| gateway.refresher.begin(wanted)).take(room) {
        let gateway = Arc::clone(gateway);
        tokio::spawn(async move {
            flight::fly_when_due(gateway, minting.wanted.clone()).await;
            drop(minting);
        });
    }
}
