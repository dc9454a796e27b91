//! Request ids of the cluster's time. A clock that was wrong may have moved that on, and nothing moves it back: clients whose
//! ids are of another time would be refused from then on, and little would be tried any more.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use openshell_client::{Uuid, id_time_ms};
use tonic::Status;
use uuid::Builder;

/// Milliseconds from this machine's time to that of the cluster, as it was told last.
static AHEAD_MS: AtomicI64 = AtomicI64::new(0);

/// A new id.
pub(super) fn new_id() -> Uuid {
    let time_ms = now_ms().saturating_add(AHEAD_MS.load(Ordering::Relaxed));
    Builder::from_unix_timestamp_millis(u64::try_from(time_ms).unwrap_or_default(), &rand::random()).into_uuid()
}

/// Takes over what a refusal says about the time.
pub(super) fn note(refusal: &Status) {
    if let Some(told_ms) = id_time_ms(refusal).and_then(|told_ms| i64::try_from(told_ms).ok()) {
        AHEAD_MS.store(told_ms.saturating_sub(now_ms()), Ordering::Relaxed);
    }
}

fn now_ms() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_of_the_time_that_was_told() {
        let hour_ms = 3_600_000;
        let mut refusal = Status::failed_precondition("request id: it is too old");
        note(&refusal);
        refusal.metadata_mut().insert("x-openshell-id-time-ms", (now_ms() + hour_ms).into());
        note(&refusal);
        let made_s = new_id().get_timestamp().map_or(0, |stamp| stamp.to_unix().0);
        let now_s = u64::try_from(now_ms() / 1_000).unwrap();
        assert!((3_590..3_610).contains(&(made_s - now_s)), "{made_s} {now_s}");
    }
}
