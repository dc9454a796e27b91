//! The rows of the scoreboard: which figures each has, what they must be, and what others have. A change of a limit is a
//! change of what is promised. Measuring is elsewhere, comparing in `board`.

/// Whether a figure must not be above its limit, or not below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// The value is the limit or less.
    AtMost,
    /// The value is the limit or more.
    AtLeast,
}

/// How the values of several commands become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Several {
    /// Counts are added.
    Sum,
    /// Of times, the worst one counts: quantiles cannot be added.
    Worst,
}

/// How the samples of several commands become one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counted {
    /// All that were taken; what has a name counts once.
    All,
    /// As many as if each crash point had had the rounds of the one that had the fewest.
    EachPoint,
}

/// What a figure beyond its limit makes of the run that came to it. The scoreboard itself is strict about all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Breach {
    /// Something was lost or wrong: the run failed.
    Wrong,
    /// It is not decided.
    Doubtful,
    /// A busy machine is slow, so nothing; far beyond the limit it is not decided.
    Slow,
    /// Nothing: too little was done, which is for the checker `coverage` to judge; or what is quick on this machine became slower
    /// by a factor, which is the greater the quicker it was.
    Nothing,
}

/// What a figure must be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Limit {
    pub(super) value: f64,
    /// Resting on fewer samples than this, the value proves too little.
    pub(super) samples: u64,
}

/// One number of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Figure {
    /// Number of the row and what of it: what `rows.json` calls it.
    pub(super) id: &'static str,
    pub(super) what: &'static str,
    pub(super) unit: &'static str,
    pub(super) side: Side,
    pub(super) several: Several,
    pub(super) counted: Counted,
    /// The value counts failures among the samples, so that none among N bounds their probability.
    pub(super) is_count_of_failures: bool,
    pub(super) breach: Breach,
    /// What it must be in the gate; none where it is not asked for there.
    pub(super) ci: Option<Limit>,
    /// And in a long run.
    pub(super) long: Option<Limit>,
}

/// One row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Row {
    pub(super) number: u8,
    pub(super) title: &'static str,
    /// The same of others, measured or quoted.
    pub(super) anchor: &'static str,
    pub(super) figures: &'static [Figure],
    /// Why it has no figures yet.
    pub(super) not_there: Option<&'static str>,
}

const fn limit(value: f64, samples: u64) -> Option<Limit> {
    Some(Limit { value, samples })
}

/// Of failures none is allowed; `least` samples in the gate and in a long run.
const fn none_of(id: &'static str, what: &'static str, unit: &'static str, least: (u64, u64)) -> Figure {
    Figure {
        id,
        what,
        unit,
        side: Side::AtMost,
        several: Several::Sum,
        counted: Counted::All,
        is_count_of_failures: true,
        breach: Breach::Wrong,
        ci: limit(0.0, least.0),
        long: limit(0.0, least.1),
    }
}

/// At least so many, in the gate and in a long run.
const fn at_least(id: &'static str, what: &'static str, unit: &'static str, least: (f64, f64)) -> Figure {
    Figure {
        id,
        what,
        unit,
        side: Side::AtLeast,
        several: Several::Sum,
        counted: Counted::All,
        is_count_of_failures: false,
        breach: Breach::Nothing,
        ci: limit(least.0, 0),
        long: limit(least.1, 0),
    }
}

/// A time or a ratio that has a limit.
const fn at_most(
    id: &'static str,
    what: &'static str,
    unit: &'static str,
    ci: Option<Limit>,
    long: Option<Limit>,
) -> Figure {
    let (side, several, counted) = (Side::AtMost, Several::Worst, Counted::All);
    Figure { id, what, unit, side, several, counted, is_count_of_failures: false, breach: Breach::Slow, ci, long }
}

/// The same of a factor.
const fn relative(figure: Figure) -> Figure {
    Figure { breach: Breach::Nothing, ..figure }
}

/// The same, where more than is allowed is no proof that something is wrong.
const fn doubtful(figure: Figure) -> Figure {
    Figure { breach: Breach::Doubtful, ..figure }
}

/// The same, of which each crash point must have its share.
const fn each_point(figure: Figure) -> Figure {
    Figure { counted: Counted::EachPoint, ..figure }
}

const fn row(number: u8, title: &'static str, anchor: &'static str, figures: &'static [Figure]) -> Row {
    Row { number, title, anchor, figures, not_there: None }
}

const fn not_there(number: u8, title: &'static str, anchor: &'static str, why: &'static str) -> Row {
    Row { number, title, anchor, figures: &[], not_there: Some(why) }
}

/// Crash points that the product has, and bugs that can be planted in it.
const POINTS: u64 = openshell_chaos::Point::ALL.len() as u64;
const BUGS: u64 = openshell_chaos::Bug::ALL.len() as u64;

const ELECTION: &str = "etcd on two cores: p50 1.29, p90 1.80, max 2.42 s by default; 0.52, 0.58, 0.70 s at 50/300 ms";

/// All of them, in order of their numbers.
pub(super) const ROWS: [Row; 19] = [
    row(
        1,
        "operations checked under mixed faults",
        "Jepsen's etcd test: 200/s for 60 s; openraft's: about 600 operations; Restate's in CI: 60 s at rate 10",
        &[
            at_least("1.operations", "operations checked", "operations", (30_000.0, 1_000_000.0)),
            at_least("1.faults", "faults that were felt", "faults", (12.0, 150.0)),
            none_of("1.violations", "violations among them", "operations", (30_000, 1_000_000)),
            doubtful(none_of("1.undecided", "objects left undecided", "objects", (1, 1))),
        ],
    ),
    row(
        2,
        "acknowledged writes lost",
        "etcd: none known since its issue 14370; NATS 2.12.1: 131,418 of 930,005 after a power loss",
        &[
            none_of("2.kill-all", "kill -9 of all nodes, rounds with a loss", "rounds", (40, 500)),
            none_of("2.power-all", "power loss of all nodes, rounds with a loss", "rounds", (10, 100)),
            none_of("2.power-one", "power loss of one and a partition, rounds with a loss", "rounds", (5, 50)),
        ],
    ),
    row(
        3,
        "failover after kill -9 of the leader, to the first acknowledged write",
        ELECTION,
        &[
            at_most("3.p50", "median", "s", limit(0.6, 20), limit(0.6, 200)),
            at_most("3.p99", "99th percentile", "s", None, limit(1.2, 200)),
            at_most("3.max", "longest", "s", limit(1.2, 20), None),
        ],
    ),
    row(
        4,
        "failover by other means, 99th percentile",
        "the same election timeouts",
        &[
            at_most("4.partition", "the leader is cut off", "s", limit(1.5, 5), limit(1.5, 50)),
            at_most("4.pause", "the leader is stopped (SIGSTOP)", "s", limit(1.5, 5), limit(1.5, 50)),
            at_most("4.graceful", "the leader is asked to stop", "s", limit(0.1, 5), limit(0.1, 50)),
            at_most("4.hang", "the leader's disk stands still, not the others'", "s", limit(0.5, 5), limit(0.5, 50)),
        ],
    ),
    row(
        5,
        "recovery after kill -9 of all nodes, to the first acknowledged write",
        "etcd on two cores: p50 0.44, max 0.64 s by default; 0.17 and 0.28 s tuned",
        &[
            at_most("5.p50", "median", "s", limit(0.5, 12), limit(0.5, 100)),
            at_most("5.max", "longest", "s", limit(2.0, 12), limit(2.0, 100)),
            at_most("5.large", "with 1 GB of state, longest", "s", None, limit(10.0, 1)),
        ],
    ),
    row(
        6,
        "crash points: stopped there, started again, verified",
        "etcd: 41 fail points, one a run",
        &[each_point(none_of(
            "6.failed",
            "rounds that failed; each point once, or 20 times",
            "rounds",
            (POINTS, 20 * POINTS),
        ))],
    ),
    row(
        7,
        "corruption that stayed silent",
        "etcd on two cores: 36 of 60 flips in its database silent; Jepsen: TigerBeetle recovers, NATS loses",
        &[none_of("7.silent", "injections with a silent loss or a wrong value", "injections", (120, 2_000))],
    ),
    row(
        8,
        "planted bugs caught by the right checker",
        "openraft finds its 1802 in about 50 iterations; etcd proves old issues again before a change of its tests",
        &[
            none_of("8.missed", "controls missed", "controls", (8, BUGS)),
            at_most("8.slowest", "slowest to be caught", "s", limit(60.0, 8), limit(60.0, BUGS)),
        ],
    ),
    row(
        9,
        "simulation: seeds of three to five nodes",
        "openraft's CI: 5 runs of 10,000 steps; FoundationDB: tens of thousands of runs a night",
        &[none_of("9.failed", "seeds that failed", "seeds", (40, 1_500))],
    ),
    row(
        10,
        "stale reads from followers, paused leaders and nodes cut off",
        "etcd's 20418: there since 3.5.0 (2021), repaired in 2026",
        &[none_of("10.stale", "stale reads in such windows", "reads", (5_000, 200_000))],
    ),
    row(
        11,
        "watch: events missed, doubled or out of order",
        "8 of the 17 issues that etcd's tests keep proving are of watches",
        &[
            none_of("11.wrong", "such events", "events", (20_000, 1_000_000)),
            at_least("11.leader-changes", "changes of the leader meanwhile", "changes", (5.0, 5.0)),
        ],
    ),
    row(
        12,
        "digests of the state at one revision",
        "etcd compares the hashes of its members at the end of a test",
        &[none_of("12.unequal", "comparisons that differ", "comparisons", (1, 1))],
    ),
    not_there(13, "fuzzing", "none", "bounded runs are tests of openshell-fuzz, and no command here counts them yet"),
    not_there(
        14,
        "hostile inputs, and permissions of every call on the wire",
        "OpenShell checks its annotations, not the wire",
        "there is no client here that breaks the protocol yet",
    ),
    not_there(15, "load: idle connections and overload", "none", "no command here measures overload yet"),
    row(
        16,
        "secrets found where they must not be",
        "none",
        &[none_of("16.leaks", "places and forms in which one was found", "files", (1, 1))],
    ),
    row(
        17,
        "slow disk (fsync takes 100 ms longer), 99th percentile of writes against the quiet one, less what tracing costs",
        "TigerBeetle had a higher latency with one slow node (Jepsen, 2025)",
        &[
            relative(at_most("17.leader", "on the leader", "times", limit(3.0, 200), limit(3.0, 2_000))),
            relative(at_most("17.follower", "on a follower", "times", limit(1.1, 200), limit(1.1, 2_000))),
        ],
    ),
    row(
        18,
        "clocks: jumps of an hour, twice the rate on one node",
        "Jepsen's clock faults",
        &[
            none_of("18.violations", "violations and lost writes under such faults", "faults", (1, 1)),
            doubtful(none_of("18.leader-changes", "jumps, alone, after which another leads", "jumps", (4, 40))),
        ],
    ),
    not_there(
        19,
        "upgrade and downgrade under load",
        "TigerBeetle: most crashes were of upgrades",
        "there is one release",
    ),
];

/// The figure of an id.
pub(super) fn figure(id: &str) -> Option<&'static Figure> {
    ROWS.iter().flat_map(|row| row.figures).find(|figure| figure.id == id)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn rows_are_numbered_from_one_and_each_has_figures_or_a_reason() {
        for (index, row) in ROWS.iter().enumerate() {
            assert_eq!(usize::from(row.number), index + 1);
            assert_eq!(row.figures.is_empty(), row.not_there.is_some(), "row {}", row.number);
        }
    }

    #[test]
    fn ids_are_unique_begin_with_their_row_and_are_asked_for_somewhere() {
        let mut ids = BTreeSet::new();
        for row in &ROWS {
            for figure in row.figures {
                assert!(ids.insert(figure.id), "{} is there twice", figure.id);
                assert!(figure.id.starts_with(&format!("{}.", row.number)), "{}", figure.id);
                assert!(figure.ci.is_some() || figure.long.is_some(), "{} has no limit", figure.id);
            }
        }
    }

    #[test]
    fn failures_are_counted_against_none() {
        for figure in ROWS.iter().flat_map(|row| row.figures).filter(|figure| figure.is_count_of_failures) {
            for limit in [figure.ci, figure.long].into_iter().flatten() {
                assert_eq!(limit.value, 0.0, "{}", figure.id);
                assert!(limit.samples > 0, "{}: none of nothing proves nothing", figure.id);
            }
        }
    }
}
