//! From a seed to a plan. Every kind that is asked for comes in each round, in an order of the seed, so that no seed
//! proves too little; when and how is chance. A run that is short is told so: then faults are shorter, and closer together.

use std::collections::BTreeMap;
use std::ops::Range;

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

use super::{Choice, Kind, Mode, Plan, Planned, Target, damage};

/// Nothing is hurt at first.
pub(super) const QUIET_MS: u64 = 3_000;
/// After the last fault is healed, the clients work on for so long at least.
pub(super) const CALM_END_MS: u64 = 5_000;

/// What a plan is made for.
#[derive(Clone, Debug)]
pub(crate) struct Wishes {
    pub(crate) seed: u64,
    pub(crate) nodes: u64,
    pub(crate) seconds: u64,
    pub(crate) mode: Mode,
    /// What may happen.
    pub(crate) choices: Vec<Choice>,
    /// Of these, those that come first, and once more before any other comes again: without them the run proves too little,
    /// and one of them may come to nothing.
    pub(crate) first: Vec<Kind>,
    /// So many may be there at one time.
    pub(crate) overlap: usize,
}

/// How much time faults take.
struct Pace {
    /// From the end of a fault to the next one beside which no other is.
    pause_ms: Range<u64>,
    /// Faults last as long as they like; otherwise they come to the point.
    is_patient: bool,
}

/// From the one that clusters and people like best to the last resort.
const PACES: [Pace; 3] = [
    Pace { pause_ms: 1_000..3_500, is_patient: true },
    Pace { pause_ms: 1_000..2_600, is_patient: false },
    Pace { pause_ms: 300..900, is_patient: false },
];

/// The plan of these wishes: the same for the same. It takes the first pace at which everything that is to come at least once
/// has room, or else the last one.
pub(crate) fn expand(wishes: &Wishes) -> Plan {
    let mut faults = Vec::new();
    for pace in &PACES {
        let (planned, is_complete) = at_pace(wishes, pace);
        faults = planned;
        if is_complete {
            break;
        }
    }
    faults.sort_by_key(|fault| fault.at_ms);
    for (number, fault) in (0..).zip(&mut faults) {
        fault.number = number;
    }
    let Wishes { seed, nodes, seconds, mode, .. } = *wishes;
    Plan { seed, nodes, seconds, mode, faults, left_out: BTreeMap::new() }
}

/// Faults until the time is over, and whether what the first round has is all there.
fn at_pace(wishes: &Wishes, pace: &Pace) -> (Vec<Planned>, bool) {
    let mut random = StdRng::seed_from_u64(wishes.seed);
    let bearable = bearable(wishes);
    let is_bearable = |choice: &Choice| !targets(*choice, bearable, wishes.nodes).is_empty();
    let choices: Vec<Choice> = wishes.choices.iter().copied().filter(is_bearable).collect();
    let mut faults: Vec<Planned> = Vec::new();
    let mut lanes = vec![QUIET_MS; wishes.overlap.max(1)];
    let mut round_of = first_round(&choices, &wishes.first, &mut random);
    let (mut is_first, mut is_complete) = (true, true);
    while !round_of.is_empty() {
        for choice in round_of {
            let fault = draw(choice, (bearable, wishes.nodes), pace, &mut random);
            let lane = (0..lanes.len()).min_by_key(|lane| lanes[*lane]).unwrap_or_default();
            let at_ms = first_fit(&faults, &fault, lanes[lane], bearable, wishes.nodes);
            if at_ms + fault.lasts_ms + CALM_END_MS <= wishes.seconds * 1_000 {
                lanes[lane] = at_ms + fault.lasts_ms + random.random_range(pace.pause_ms.clone());
                faults.push(Planned { at_ms, ..fault });
            } else if is_first {
                // One that is shorter may have room.
                is_complete = false;
            } else {
                return (faults, is_complete);
            }
        }
        if !is_complete {
            break;
        }
        is_first = false;
        round_of = round(&choices, &mut random);
    }
    (faults, is_complete)
}

/// First those that are required, then all others, and among them once more those that are required and come only once.
fn first_round(choices: &[Choice], first: &[Kind], random: &mut StdRng) -> Vec<Choice> {
    let is_first = |choice: &Choice| first.contains(&choice.kind);
    let (mut required, mut others): (Vec<Choice>, Vec<Choice>) = round(choices, random).into_iter().partition(is_first);
    others.extend(choices.iter().filter(|choice| is_first(choice) && weight(choice) == 1));
    others.shuffle(random);
    required.append(&mut others);
    required
}

/// How many nodes may be damaged at one time.
fn bearable(wishes: &Wishes) -> u64 {
    match wishes.mode {
        Mode::Safe => (wishes.nodes - 1) / 2,
        Mode::Brutal => u64::MAX,
    }
}

/// Every kind as often as its weight, in an order of chance.
fn round(choices: &[Choice], random: &mut StdRng) -> Vec<Choice> {
    let repeated = choices.iter().flat_map(|choice| std::iter::repeat_n(*choice, weight(choice)));
    let mut round: Vec<Choice> = repeated.collect();
    round.shuffle(random);
    round
}

fn weight(choice: &Choice) -> usize {
    if choice.kind == Kind::Kill { 3 } else { 1 }
}

/// The earliest time from `from_ms` on at which no more is damaged than can be borne.
fn first_fit(faults: &[Planned], fault: &Planned, from_ms: u64, bearable: u64, nodes: u64) -> u64 {
    let mut at_ms = from_ms;
    loop {
        let until_ms = at_ms + fault.lasts_ms;
        let beside: Vec<&Planned> = faults
            .iter()
            .filter(|other| other.at_ms < until_ms + RECOVERY_MS && at_ms < other.until_ms() + RECOVERY_MS)
            .collect();
        let damaged: u64 = beside.iter().map(|other| other.damage(nodes)).sum();
        let is_free = !fault.kind.excludes_itself() || beside.iter().all(|other| other.kind != fault.kind);
        if is_free && (damaged == 0 || damaged.saturating_add(fault.damage(nodes)) <= bearable) {
            return at_ms;
        }
        // The one that ends first makes room.
        let ends = beside.iter().filter(|other| other.damage(nodes) > 0).map(|other| other.until_ms() + RECOVERY_MS);
        at_ms = ends.min().unwrap_or(at_ms).max(at_ms + 1);
    }
}

/// A node that was damaged needs so long to come back, where that matters.
const RECOVERY_MS: u64 = 1_500;

/// A fault, its time left open.
fn draw(choice: Choice, (bearable, nodes): (u64, u64), pace: &Pace, random: &mut StdRng) -> Planned {
    let kind = choice.kind;
    let targets = targets(choice, bearable, nodes);
    let whole: u32 = targets.iter().map(|(_, weight)| weight).sum();
    let mut dice = random.random_range(0..whole.max(1));
    let mut target = targets[0].0;
    for (candidate, weight) in targets {
        if dice < weight {
            target = candidate;
            break;
        }
        dice -= weight;
    }
    let lasts_ms = random.random_range(if pace.is_patient { lasts(kind) } else { to_the_point(lasts(kind)) });
    let amount = amount(kind, random);
    let choice = random.random_range(0..1 << 32);
    Planned { number: 0, at_ms: 0, lasts_ms, kind, target, nodes: Vec::new(), amount, choice }
}

/// Whom it may hit, with weights, as far as it can be borne.
fn targets(Choice { kind, only }: Choice, bearable: u64, nodes: u64) -> Vec<(Target, u32)> {
    let usual = usual_targets(kind);
    let all = only.map_or_else(|| usual.to_vec(), |only| vec![(only, 1)]);
    all.into_iter().filter(|(target, _)| damage(kind, *target, nodes) <= bearable).collect()
}

fn usual_targets(kind: Kind) -> &'static [(Target, u32)] {
    match kind {
        Kind::Kill | Kind::KillInRecovery | Kind::Pause => {
            &[(Target::Leader, 50), (Target::Follower, 20), (Target::Pair, 15), (Target::Everyone, 15)]
        }
        Kind::PowerLoss | Kind::Reboot => &[(Target::Leader, 40), (Target::Follower, 25), (Target::Everyone, 35)],
        Kind::Replace => &[(Target::Leader, 1), (Target::Follower, 2)],
        Kind::Rolling | Kind::Ring | Kind::Bridge => &[(Target::Everyone, 1)],
        Kind::Transfer | Kind::Isolate | Kind::PeerOnly | Kind::ClientOnly => &[(Target::Leader, 1)],
        Kind::Halves => &[(Target::Half, 1)],
        Kind::Blackhole | Kind::Corrupt => &[(Target::Follower, 1)],
        Kind::Deaf | Kind::Mute => &[(Target::Leader, 3), (Target::Follower, 1)],
        Kind::CrashPoint | Kind::Flapping | Kind::Loss | Kind::Thin | Kind::Delay | Kind::Reorder | Kind::Reset => {
            &[(Target::Leader, 1), (Target::Follower, 1)]
        }
        Kind::ClockJump | Kind::ClockRate | Kind::ClockStrobe => &[(Target::Leader, 2), (Target::Follower, 1)],
        Kind::FewFiles | Kind::LittleProcessor | Kind::LittleMemory | Kind::ThinPeer => {
            &[(Target::Leader, 2), (Target::Follower, 1)]
        }
        Kind::SlowDisk | Kind::DiskError | Kind::HungDisk | Kind::FullDisk | Kind::ReadOnlyDisk => {
            &[(Target::Leader, 2), (Target::Follower, 1)]
        }
    }
}

/// Nobody notices a short partition: it has to outlast an election.
fn lasts(kind: Kind) -> Range<u64> {
    match kind {
        Kind::Kill => 200..3_000,
        Kind::KillInRecovery => 1_500..4_000,
        Kind::Pause => 200..4_000,
        Kind::Rolling => 9_000..12_000,
        // Over as soon as it is done.
        Kind::Replace => 8_000..12_000,
        Kind::Transfer | Kind::Reset => 300..600,
        Kind::CrashPoint => 3_000..6_000,
        Kind::Reboot => 200..2_000,
        Kind::FewFiles | Kind::LittleProcessor | Kind::LittleMemory => 2_000..5_000,
        Kind::Isolate | Kind::PeerOnly | Kind::ClientOnly | Kind::Halves | Kind::Ring | Kind::Bridge => 1_500..4_500,
        Kind::Deaf | Kind::Mute => 1_500..4_500,
        Kind::Flapping => 3_000..6_000,
        // As long as it takes the others to write more than they keep.
        Kind::Blackhole => 10_000..14_000,
        Kind::Loss | Kind::Thin | Kind::ThinPeer | Kind::Delay | Kind::Reorder => 2_000..5_000,
        Kind::ClockJump | Kind::ClockRate | Kind::ClockStrobe => 3_000..6_000,
        Kind::SlowDisk => 2_000..5_000,
        // Long enough for others to be elected meanwhile, for whatever reason.
        Kind::HungDisk => 2_000..8_000,
        Kind::DiskError | Kind::FullDisk | Kind::ReadOnlyDisk => 2_000..4_000,
        Kind::PowerLoss => 300..2_000,
        Kind::Corrupt => 3_000..5_000,
    }
}

/// The same where time is short: the shorter half, and little more than it takes of what takes long.
fn to_the_point(lasts: Range<u64>) -> Range<u64> {
    match lasts.start {
        8_000..10_000 => 6_000..8_000,
        start => start..start.midpoint(lasts.end),
    }
}

/// What the kind's amount is: of a loss percent, and so on; of most nothing.
fn amount(kind: Kind, random: &mut StdRng) -> i64 {
    let amounts: &[(&[Kind], &[i64])] = &[
        // Milliseconds after the new start until the second kill.
        (&[Kind::KillInRecovery], &[5, 20, 50, 100, 200, 400]),
        // Seconds since the machine came up: nearly none, and a hundred days.
        (&[Kind::Reboot], &[1, 10, 8_640_000]),
        // Of descriptors so many more.
        (&[Kind::FewFiles], &[0, 1, 4, 16]),
        // Percent of a core.
        (&[Kind::LittleProcessor], &[5, 10, 20]),
        // MiB more.
        (&[Kind::LittleMemory], &[1, 2, 4]),
        // Milliseconds until somebody has noticed.
        (&[Kind::Replace], &[100, 500, 1_500, 3_000]),
        // Milliseconds of each state.
        (&[Kind::Flapping], &[50, 100, 200, 350, 500]),
        // Percent.
        (&[Kind::Loss], &[5, 10, 20, 30]),
        // Kilobits a second.
        (&[Kind::Thin, Kind::ThinPeer], &[64, 128, 256, 1_024]),
        // Milliseconds.
        (&[Kind::Delay], &[20, 50, 100]),
        (&[Kind::Reorder], &[10, 20, 50]),
        (&[Kind::SlowDisk], &[50, 100, 300, 1_000, 3_000]),
        // Seconds.
        (&[Kind::ClockJump], &[3_600, -3_600, 8_640_000, -8_640_000, 30, -30]),
        (&[Kind::ClockStrobe], &[1, 60, 3_600]),
        // Percent of the right rate.
        (&[Kind::ClockRate], &[50, 200]),
    ];
    let of_kind = amounts.iter().find(|(kinds, _)| kinds.contains(&kind));
    of_kind.map_or(0, |(_, amounts)| amounts[random.random_range(0..amounts.len())])
}
