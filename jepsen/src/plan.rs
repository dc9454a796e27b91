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

/// Of so many faults the first kills the leader and, where the network can be cut, the third cuts it:
/// from round to round in another shape, whatever the dice say, so that no seed proves too little.
const ROUND: usize = 4;
const KILL_IN_ROUND: usize = 0;
const CUT_IN_ROUND: usize = 2;

/// What is done to a process, or to the network around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Harm {
    /// SIGKILL, and a new start later.
    Kill,
    /// SIGSTOP, and SIGCONT later.
    Pause,
    /// A partition, healed later.
    Cut(Break),
}

/// How the network is broken around the targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Break {
    /// From the other nodes, both ways; clients still reach them.
    Apart,
    /// From the other nodes and from clients.
    Gone,
    /// They hear no other node, and are heard.
    Deaf,
    /// No other node hears them, and they hear.
    Mute,
    /// A fifth of what passes between them and the other nodes is lost.
    Lossy,
}

/// The shapes of partitions that every run with partitions must have seen (`reliability.md` 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// The leader alone on its side.
    Isolated,
    /// The leader with others on its side.
    Halves,
    /// Packets go one way only.
    OneWay,
}

impl Shape {
    pub(crate) const ALL: [Shape; 3] = [Shape::Isolated, Shape::Halves, Shape::OneWay];

    /// What it is called in reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Shape::Isolated => "partitions that isolate the leader",
            Shape::Halves => "partitions into halves",
            Shape::OneWay => "partitions one way",
        }
    }
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
    /// The node of the highest id, whether it leads or not.
    Last,
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

impl Fault {
    /// Of a partition that has one of the shapes that are asked for.
    pub(crate) fn shape(&self) -> Option<Shape> {
        match (self.harm, self.target) {
            (Harm::Cut(Break::Apart | Break::Gone), Target::Leader) => Some(Shape::Isolated),
            (Harm::Cut(Break::Apart), Target::Majority) => Some(Shape::Halves),
            (Harm::Cut(Break::Deaf | Break::Mute), Target::Leader | Target::Follower) => Some(Shape::OneWay),
            (Harm::Cut(_) | Harm::Kill | Harm::Pause, _) => None,
        }
    }
}

/// The faults of a run of so many seconds; with `cuts`, partitions are among them.
pub(crate) fn plan(seed: u64, seconds: u64, cuts: bool) -> Vec<Fault> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut faults = Vec::new();
    let mut at = QUIET_MS;
    loop {
        let mut target = match random.random_range(0..100) {
            0..50 => Target::Leader,
            50..70 => Target::Follower,
            70..85 => Target::Majority,
            _ => Target::Everyone,
        };
        let mut harm = match random.random_range(0..100) {
            0..40 if cuts => Harm::Cut(any_break(&mut random)),
            0..76 => Harm::Kill,
            _ => Harm::Pause,
        };
        match faults.len() % ROUND {
            KILL_IN_ROUND => (target, harm) = (Target::Leader, Harm::Kill),
            CUT_IN_ROUND if cuts => {
                let either = |one, other, random: &mut StdRng| if random.random_bool(0.5) { one } else { other };
                let (whom, how) = match Shape::ALL[faults.len() / ROUND % Shape::ALL.len()] {
                    Shape::Isolated => (Target::Leader, either(Break::Apart, Break::Gone, &mut random)),
                    Shape::Halves => (Target::Majority, Break::Apart),
                    Shape::OneWay => (Target::Leader, either(Break::Deaf, Break::Mute, &mut random)),
                };
                (target, harm) = (whom, Harm::Cut(how));
            }
            _ => {}
        }
        // Nobody notices a short partition: it has to outlast an election.
        let lasts = match harm {
            Harm::Kill | Harm::Pause => random.random_range(200..3_000),
            Harm::Cut(_) => random.random_range(1_500..4_500),
        };
        if at + lasts + CALM_END_MS > seconds * 1_000 {
            return faults;
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

/// The one fault of a control whose reads may be stale: from the quiet beginning to the calm end, the
/// last node falls behind while clients read from it.
pub(crate) fn plan_of_staleness(seconds: u64) -> Vec<Fault> {
    vec![Fault {
        at: Duration::from_millis(QUIET_MS),
        harm: Harm::Cut(Break::Apart),
        target: Target::Last,
        lasts: Duration::from_millis((seconds * 1_000).saturating_sub(QUIET_MS + CALM_END_MS)),
        choice: 0,
    }]
}

fn any_break(random: &mut StdRng) -> Break {
    match random.random_range(0..5) {
        0 => Break::Apart,
        1 => Break::Gone,
        2 => Break::Deaf,
        3 => Break::Mute,
        _ => Break::Lossy,
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let harm = match self.harm {
            Harm::Kill => "kill",
            Harm::Pause => "pause",
            Harm::Cut(Break::Apart) => "cut from the other nodes",
            Harm::Cut(Break::Gone) => "cut from nodes and clients",
            Harm::Cut(Break::Deaf) => "make deaf to the other nodes",
            Harm::Cut(Break::Mute) => "make mute to the other nodes",
            Harm::Cut(Break::Lossy) => "lose a fifth of what goes between the other nodes and",
        };
        let target = match self.target {
            Target::Leader => "the leader",
            Target::Follower => "a follower",
            Target::Majority => "the leader and a follower",
            Target::Everyone => "every node",
            Target::Last => "the last node",
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
        assert_eq!(plan(7, 120, true), plan(7, 120, true));
        assert_ne!(plan(7, 120, true), plan(8, 120, true));
    }

    #[test]
    fn faults_follow_each_other_and_end_before_the_run() {
        for seed in 0..200 {
            let faults = plan(seed, 120, seed % 2 == 0);
            assert!(faults.windows(2).all(|pair| pair[0].at + pair[0].lasts < pair[1].at));
            assert!(faults.iter().all(|fault| fault.at + fault.lasts <= Duration::from_secs(115)));
        }
    }

    #[test]
    fn two_minutes_hold_enough_of_every_harm() {
        for seed in 0..400 {
            let cuts = seed % 2 == 0;
            let faults = plan(seed, 120, cuts);
            let cuts_of_a_leader =
                faults.iter().filter(|fault| matches!(fault.harm, Harm::Cut(_)) && fault.target != Target::Follower);
            assert_eq!(cuts_of_a_leader.count() >= 4, cuts, "seed {seed}");
            for shape in Shape::ALL {
                assert_eq!(faults.iter().any(|fault| fault.shape() == Some(shape)), cuts, "seed {seed}, {shape:?}");
            }
            let kills_of_a_leader =
                faults.iter().filter(|fault| fault.harm == Harm::Kill && fault.target != Target::Follower).count();
            assert!(kills_of_a_leader >= 5, "seed {seed}: {kills_of_a_leader}");
        }
    }
}
