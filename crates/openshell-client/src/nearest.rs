//! Which endpoint comes next: the one that answered last, then the nearest ones. How near an endpoint
//! is, is how long connecting to it takes; all are tried at once before the first call. Nothing of it
//! is kept: what was near an hour ago may be gone.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OnceCell, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

use crate::line::Line;

/// No endpoint answered last.
const NOBODY: usize = usize::MAX;
/// Endpoints beyond are asked after all others.
const PROBED_MAX: usize = 16;
/// For the first of them to take the connection; after that they are asked in the order given.
const FIRST_WITHIN: Duration = Duration::from_secs(1);
/// Endpoints whose round trips differ by less are equally near. So long the others have after the first.
const EQUALLY_NEAR: Duration = Duration::from_millis(1);

/// How near each endpoint is, and who answered last.
pub(crate) struct Nearness {
    /// Round trips by endpoint; shared with the probes.
    trips: Arc<Mutex<Vec<Trip>>>,
    preferred: AtomicUsize,
    is_wanted: bool,
    probes: OnceCell<JoinSet<()>>,
    /// The first call has chosen: what connects from now on is measured and closed.
    has_chosen: Arc<AtomicBool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trip {
    Unknown,
    Took(Duration),
    Failed,
}

impl Nearness {
    /// Of so many endpoints. Without `is_wanted` nothing is measured, and they keep their order.
    pub(crate) fn new(endpoints: usize, is_wanted: bool) -> Self {
        Self {
            trips: Arc::new(Mutex::new(vec![Trip::Unknown; endpoints])),
            preferred: AtomicUsize::new(NOBODY),
            is_wanted: is_wanted && endpoints > 1,
            probes: OnceCell::new(),
            has_chosen: Arc::new(AtomicBool::new(false)),
        }
    }

    /// Lets the next call begin at an endpoint.
    pub(crate) fn prefer(&self, index: usize) {
        self.preferred.store(index, Ordering::Relaxed);
    }

    /// The same for the one after the preferred one.
    pub(crate) fn prefer_next(&self) {
        let endpoints = self.trips().len();
        self.prefer((self.preferred().unwrap_or(0) + 1) % endpoints);
    }

    pub(crate) fn preferred(&self) -> Option<usize> {
        Some(self.preferred.load(Ordering::Relaxed)).filter(|index| *index != NOBODY)
    }

    /// The endpoint to ask, of those not asked in this round; nothing when all of them were.
    pub(crate) fn next(&self, asked: &[bool]) -> Option<usize> {
        let trips = self.trips();
        let preferred = self.preferred();
        let candidates = (0..trips.len()).filter(|index| !asked[*index]);
        candidates.min_by_key(|index| rank(&trips, preferred, *index))
    }

    /// Tries to connect to every endpoint, once in the client's life, and returns as soon as it is known
    /// which one is nearest. The connection to that one is left with its line.
    pub(crate) async fn measure(&self, lines: &[Line]) {
        if self.is_wanted {
            self.probes.get_or_init(|| self.probe(lines)).await;
        }
    }

    async fn probe(&self, lines: &[Line]) -> JoinSet<()> {
        let begun = Instant::now();
        let probed = lines.len().min(PROBED_MAX);
        let (told, mut heard) = mpsc::channel(probed);
        let mut probes = JoinSet::new();
        for (index, line) in lines.iter().enumerate().take(probed) {
            let (trips, has_chosen) = (Arc::clone(&self.trips), Arc::clone(&self.has_chosen));
            let (dialling, place, told) = (line.dial(), line.dialled(), told.clone());
            probes.spawn(async move {
                let outcome = dialling.await;
                let trip = if outcome.is_ok() { Trip::Took(begun.elapsed()) } else { Trip::Failed };
                trips.lock().unwrap_or_else(PoisonError::into_inner)[index] = trip;
                if let Ok(stream) = outcome {
                    // Asked under the lock, which `hang_up` takes after the choice.
                    let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
                    *place = Some(stream).filter(|_| !has_chosen.load(Ordering::Relaxed));
                }
                // Nobody listens once the choice is made.
                let _ = told.send(trip).await;
            });
        }
        drop(told);
        let first = async { while heard.recv().await.is_some_and(|trip| trip == Trip::Failed) {} };
        // Without any, the calls themselves say why.
        let _ = timeout(FIRST_WITHIN, first).await;
        let others = async { while heard.recv().await.is_some() {} };
        let _ = timeout_at(Instant::now() + EQUALLY_NEAR, others).await;
        self.has_chosen.store(true, Ordering::Relaxed);
        let nearest = self.next(&vec![false; lines.len()]);
        // An idle connection would be broken by the time that it is needed.
        for (_, line) in lines.iter().enumerate().filter(|(index, _)| Some(*index) != nearest) {
            line.hang_up();
        }
        probes
    }

    fn trips(&self) -> std::sync::MutexGuard<'_, Vec<Trip>> {
        self.trips.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sorts the preferred endpoint first, then by how much farther than the nearest one it is, then as
/// given, beginning after the preferred one.
fn rank(trips: &[Trip], preferred: Option<usize>, index: usize) -> (bool, u128, usize) {
    let took = |trip: &Trip| match trip {
        Trip::Took(took) => Some(*took),
        Trip::Unknown | Trip::Failed => None,
    };
    let nearest = trips.iter().filter_map(took).min().unwrap_or_default();
    let farther = match trips[index] {
        Trip::Took(took) => (took - nearest).as_nanos() / EQUALLY_NEAR.as_nanos(),
        Trip::Unknown => u128::MAX - 1,
        Trip::Failed => u128::MAX,
    };
    let given = (index + trips.len() - preferred.unwrap_or(0)) % trips.len();
    (preferred != Some(index), farther, given)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Nearness, Trip};

    /// The order of a whole round.
    fn order(nearness: &Nearness) -> Vec<usize> {
        let mut asked = vec![false; nearness.trips().len()];
        std::iter::from_fn(|| {
            let index = nearness.next(&asked)?;
            asked[index] = true;
            Some(index)
        })
        .collect()
    }

    fn measured(trips: &[Trip]) -> Nearness {
        let nearness = Nearness::new(trips.len(), true);
        nearness.trips().copy_from_slice(trips);
        nearness
    }

    fn took(micros: u64) -> Trip {
        Trip::Took(Duration::from_micros(micros))
    }

    #[test]
    fn without_measures_endpoints_keep_their_order_and_go_on_after_who_answered_last() {
        let nearness = Nearness::new(3, false);
        assert_eq!(order(&nearness), [0, 1, 2]);
        nearness.prefer(1);
        assert_eq!(order(&nearness), [1, 2, 0]);
        nearness.prefer_next();
        assert_eq!(order(&nearness), [2, 0, 1]);
    }

    #[test]
    fn nearer_endpoints_come_first_and_those_that_failed_last() {
        let nearness = measured(&[Trip::Failed, took(52_000), Trip::Unknown, took(2_000), took(9_000)]);
        assert_eq!(order(&nearness), [3, 4, 1, 2, 0]);
        nearness.prefer(1);
        assert_eq!(order(&nearness), [1, 3, 4, 2, 0], "who answered last is asked first");
    }

    #[test]
    fn equally_near_endpoints_keep_their_order() {
        assert_eq!(order(&measured(&[took(900), took(200), took(1_100)])), [0, 1, 2]);
        assert_eq!(order(&measured(&[took(1_300), took(200), took(1_100)])), [1, 2, 0]);
    }
}
