//! Which faults happen when: expanded from a seed before the run, so that a plan can be read first
//! and provoked again. Carrying it out is in `nemesis`.

use std::fmt;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Nothing is hurt at first.
const QUIET_MS: u64 = 3_000;
/// After the last fault is healed, the clients work on for so long at least.
const CALM_END_MS: u64 = 5_000;

/// The first of so many faults kills the leader, whatever the dice say, so that no seed proves too little.
const SURE_KILL_EVERY: usize = 3;

/// What is done to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Harm {
    /// SIGKILL, and a new start later.
    Kill,
    /// SIGSTOP, and SIGCONT later.
    Pause,
}

/// To whom; resolved when it happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Leader,
    /// One of the others.
    Follower,
    /// The leader and one other.
    Majority,
    Everyone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// After the start.
    pub(crate) at: Duration,
    pub(crate) harm: Harm,
    pub(crate) target: Target,
    /// Until it is healed. Faults do not overlap.
    pub(crate) lasts: Duration,
    /// Chooses among followers.
    pub(crate) choice: u64,
}

/// The faults of a run of so many seconds.
pub(crate) fn plan(seed: u64, seconds: u64) -> Vec<Fault> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut faults = Vec::new();
    let mut at = QUIET_MS;
    loop {
        let lasts = random.random_range(200..3_000);
        if at + lasts + CALM_END_MS > seconds * 1_000 {
            return faults;
        }
        let mut target = match random.random_range(0..100) {
            0..50 => Target::Leader,
            50..70 => Target::Follower,
            70..85 => Target::Majority,
            _ => Target::Everyone,
        };
        let mut harm = if random.random_bool(0.6) { Harm::Kill } else { Harm::Pause };
        if faults.len().is_multiple_of(SURE_KILL_EVERY) {
            (target, harm) = (Target::Leader, Harm::Kill);
        }
        faults.push(Fault {
            at: Duration::from_millis(at),
            harm,
            target,
            lasts: Duration::from_millis(lasts),
            choice: random.random(),
        });
        at += lasts + random.random_range(1_000..3_500);
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let harm = match self.harm {
            Harm::Kill => "kill",
            Harm::Pause => "pause",
        };
        let target = match self.target {
            Target::Leader => "the leader",
            Target::Follower => "a follower",
            Target::Majority => "the leader and a follower",
            Target::Everyone => "every node",
        };
        let (at, lasts) = (self.at.as_secs_f64(), self.lasts.as_secs_f64());
        write!(formatter, "{at:6.1} s  {harm} {target} for {lasts:.1} s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_plan() {
        assert_eq!(plan(7, 120), plan(7, 120));
        assert_ne!(plan(7, 120), plan(8, 120));
    }

    #[test]
    fn faults_follow_each_other_and_end_before_the_run() {
        for seed in 0..200 {
            let faults = plan(seed, 120);
            assert!(faults.windows(2).all(|pair| pair[0].at + pair[0].lasts < pair[1].at));
            assert!(faults.iter().all(|fault| fault.at + fault.lasts <= Duration::from_secs(115)));
        }
    }

    #[test]
    fn two_minutes_hold_enough_of_every_harm() {
        for seed in 0..200 {
            let faults = plan(seed, 120);
            let kills_of_a_leader =
                faults.iter().filter(|fault| fault.harm == Harm::Kill && fault.target != Target::Follower).count();
            assert!(kills_of_a_leader >= 6, "seed {seed}: {kills_of_a_leader}");
            assert!(faults.iter().any(|fault| fault.harm == Harm::Pause), "seed {seed}");
        }
    }
}
