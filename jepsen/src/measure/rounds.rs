//! Rounds in which clients write and then lose something of the cluster, until so many of them count.

use std::time::Duration;

use openshell_tests::Access;
use rand::Rng;
use rand::rngs::StdRng;

use super::progress::Progress;
use super::writers::{Writers, Written};
use crate::report::say;

/// What the figures count.
pub(super) const UNIT: &str = "rounds";
/// So many rounds for each that counts, at most.
const ATTEMPTS: u64 = 2;

/// How many rounds lost something, and how many there were that count: where nothing was acknowledged, nothing could be
/// lost. `round` is told for how long clients write before it happens.
///
/// # Errors
/// As `round` does, and when the cluster takes no first writes.
pub(super) async fn rounds(
    nodes: &[Access],
    count: u64,
    random: &mut StdRng,
    what: &str,
    mut round: impl AsyncFnMut(&mut Writers, Duration) -> anyhow::Result<Written>,
) -> anyhow::Result<(u32, u64)> {
    let mut writers = Writers::open(nodes).await?;
    let (mut lost, mut samples) = (0, 0);
    let mut progress = Progress::new(what, count);
    for number in 0..ATTEMPTS * count {
        if samples == count {
            break;
        }
        progress.done(samples);
        let working = Duration::from_millis(random.random_range(100..500));
        let Written { acknowledged, sound } = round(&mut writers, working).await?;
        samples += u64::from(acknowledged > 0 || sound.is_err());
        if let Err(error) = sound {
            lost += 1;
            say(&format!("round {number}, {what}: {error:#}"));
            writers = Writers::open(nodes).await?;
        }
    }
    Ok((lost, samples))
}
