//! Where request ids and jitter come from: one clock and one seeded generator, so that a simulated
//! run can be repeated. Nothing else in this crate reads a wall clock.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};
use uuid::Uuid;

type Clock = Box<dyn Fn() -> u64 + Send + Sync>;

pub(crate) struct Source {
    clock_ms: Clock,
    random: Mutex<StdRng>,
}

impl Source {
    pub(crate) fn of_this_machine() -> Self {
        let clock_ms = || {
            let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
        };
        Self { clock_ms: Box::new(clock_ms), random: Mutex::new(StdRng::from_os_rng()) }
    }

    pub(crate) fn seeded(seed: u64, clock_ms: Clock) -> Self {
        Self { clock_ms, random: Mutex::new(StdRng::seed_from_u64(seed)) }
    }

    /// A new UUIDv7: the time in milliseconds, then random bits.
    pub(crate) fn request_id(&self) -> Uuid {
        self.request_id_at((self.clock_ms)())
    }

    /// The same at a time that somebody else has told, in milliseconds since the Unix epoch.
    pub(crate) fn request_id_at(&self, time_ms: u64) -> Uuid {
        let mut bytes = [0; 10];
        self.random.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(&mut bytes);
        uuid::Builder::from_unix_timestamp_millis(time_ms, &bytes).into_uuid()
    }

    /// Between half of `pause` and all of it, so that callers that failed together do not return
    /// together.
    pub(crate) fn jittered(&self, pause: Duration) -> Duration {
        let factor = self.random.lock().unwrap_or_else(PoisonError::into_inner).random_range(0.5..=1.0);
        pause.mul_f64(factor)
    }
}

#[cfg(test)]
mod tests {
    use super::Source;

    #[test]
    fn the_same_seed_and_clock_give_the_same_request_ids_in_time_order() {
        let ids = |seed| {
            let source = Source::seeded(seed, Box::new(|| 1_700_000_000_000));
            [source.request_id(), source.request_id()]
        };
        assert_eq!(ids(7), ids(7));
        assert_ne!(ids(7), ids(8));
        assert_eq!(ids(7)[0].get_version_num(), 7);
        assert_eq!(ids(7)[0].get_timestamp().map(|stamp| stamp.to_unix().0), Some(1_700_000_000));
    }
}
