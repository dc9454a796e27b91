//! Names for new things, from one seeded source of randomness.

use std::sync::{Mutex, PoisonError};

use openshell_state::Identifiers;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use uuid::Builder;

/// Draws ids, letters and words.
pub(crate) struct RandomIdentifiers(Mutex<StdRng>);

impl RandomIdentifiers {
    /// Seeded by the operating system.
    pub(crate) fn from_os() -> Self {
        Self(Mutex::new(StdRng::from_os_rng()))
    }

    fn draw<T>(&self, draw: impl FnOnce(&mut StdRng) -> T) -> T {
        draw(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Tells the lives of a node apart: drawn once after each start.
    pub(crate) fn life(&self) -> u64 {
        self.draw(Rng::random)
    }

    /// A request id for a call that came without one: a UUIDv7 made at `now_ms`.
    pub(crate) fn request_id(&self, now_ms: i64) -> [u8; 16] {
        let random = self.draw(|rng| rng.random::<[u8; 10]>());
        *Builder::from_unix_timestamp_millis(u64::try_from(now_ms).unwrap_or(0), &random).into_uuid().as_bytes()
    }
}

impl Identifiers for RandomIdentifiers {
    fn uuid(&self) -> String {
        let random = self.draw(|rng| rng.random::<[u8; 16]>());
        Builder::from_random_bytes(random).into_uuid().to_string()
    }

    fn letters(&self) -> String {
        self.draw(|rng| (0..6).map(|_| char::from(rng.random_range(b'a'..=b'z'))).collect())
    }

    fn choose(&self, bound: usize) -> usize {
        self.draw(|rng| rng.random_range(0..bound))
    }

    fn key(&self) -> [u8; 32] {
        self.draw(Rng::random)
    }
}
