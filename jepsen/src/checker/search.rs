//! The search for an order that explains every answer: Wing and Gong's algorithm with Lowe's memory of
//! what was tried (Wing, Gong 1993; Lowe 2017). Rules keep operations of unknown outcome from multiplying
//! the work: they are tried only where nothing else leads on, only if they change something, and of equal
//! ones only the one that was called first; and what led nowhere with some of them leads nowhere with more.
//! They are left out where they lead nowhere.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::events::Events;
use super::findings::Verdict;
use super::model::{Operation, State, Step};

/// What the search may spend on one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Budget {
    pub(crate) time: Duration,
    /// Situations remembered.
    pub(crate) situations: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { time: Duration::from_secs(20), situations: 2_000_000 }
    }
}

/// The verdict with what it rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) verdict: Verdict,
    /// The longest order found, as indexes of operations; when it passed, the proof.
    pub(super) longest: Vec<usize>,
    /// An operation that could not be placed after it.
    pub(super) blocked: Option<usize>,
}

/// How often the clock is looked at, in steps.
const STEPS_BETWEEN_LOOKS: u64 = 1 << 12;

/// One placed operation, and where the search goes on when it is taken back.
struct Placed {
    operation: usize,
    before: State,
    /// For an unknown one: the next to try, and the return that nothing else got past.
    resume: Option<(usize, usize)>,
}

/// A set of operations, by number. Of a long history most words at the front are full, and most at the end
/// empty, so that only those between are remembered.
#[derive(Clone, Debug)]
struct Set(Vec<u64>);

impl Set {
    fn of(count: usize) -> Self {
        Self(vec![0; count.div_ceil(64)])
    }

    fn insert(&mut self, number: usize) {
        self.0[number / 64] |= 1 << (number % 64);
    }

    fn remove(&mut self, number: usize) {
        self.0[number / 64] &= !(1 << (number % 64));
    }

    fn has(&self, number: usize) -> bool {
        self.0[number / 64] >> (number % 64) & 1 == 1
    }

    fn remembered(&self) -> Remembered {
        let full = self.0.iter().take_while(|word| **word == u64::MAX).count();
        let empty = self.0[full..].iter().rev().take_while(|word| **word == 0).count();
        Remembered { full, words: self.0[full..self.0.len() - empty].into() }
    }
}

/// A set as it was: so many full words, and those that follow.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Remembered {
    full: usize,
    words: Box<[u64]>,
}

impl Remembered {
    /// Whether a set has everything that this one had.
    fn is_within(&self, set: &Set) -> bool {
        let (front, rest) = set.0.split_at(self.full);
        front.iter().all(|word| *word == u64::MAX) && self.words.iter().zip(rest).all(|(own, word)| own & !word == 0)
    }
}

/// What was tried: which ended operations were placed, what they led to, and with which unknown ones.
#[derive(Default)]
struct Tried {
    situations: HashMap<(Remembered, State), Vec<Remembered>>,
    count: usize,
}

impl Tried {
    /// Whether this was not tried before, with these unknown ones or with fewer.
    fn insert(&mut self, done: &Set, assumed: &Set, state: State) -> bool {
        let known = self.situations.entry((done.remembered(), state)).or_default();
        if known.iter().any(|less| less.is_within(assumed)) {
            return false;
        }
        known.push(assumed.remembered());
        self.count += 1;
        true
    }
}

/// Where the search stands.
struct Search<'a> {
    operations: &'a [Operation],
    /// Indexes of the operations with an unknown outcome, in order of their calls.
    unknown: Vec<usize>,
    /// Of each operation, its number among those, or among those that ended.
    numbers: Vec<usize>,
    /// Of each unknown operation, the number of the one before it with the same step.
    twins: Vec<Option<usize>>,
    events: Events,
    done: Set,
    assumed: Set,
    state: State,
    placed: Vec<Placed>,
    /// Ended operations not placed yet.
    left: usize,
    tried: Tried,
    longest: Vec<usize>,
    blocked: Option<usize>,
}

/// Looks for an order of all ended operations, and some of the unknown ones, in which each takes
/// its step, and none comes before one that had returned before it was called.
pub(super) fn search(initial: State, operations: &[Operation], budget: Budget) -> Found {
    let mut search = Search::of(initial, operations);
    let verdict = search.run(budget);
    if verdict == Verdict::Passed {
        search.longest = search.placed.iter().map(|placed| placed.operation).collect();
        search.blocked = None;
    }
    Found { verdict, longest: search.longest, blocked: search.blocked }
}

impl<'a> Search<'a> {
    fn of(initial: State, operations: &'a [Operation]) -> Self {
        let mut order: Vec<usize> = (0..operations.len()).collect();
        order.sort_by_key(|index| operations[*index].invoked);
        let (ended, unknown): (Vec<_>, Vec<_>) =
            order.into_iter().partition(|index| operations[*index].returned.is_some());
        let mut numbers = vec![0; operations.len()];
        for (number, index) in ended.iter().enumerate().chain(unknown.iter().enumerate()) {
            numbers[*index] = number;
        }
        let mut last: BTreeMap<&Step, usize> = BTreeMap::new();
        let twins = unknown.iter().enumerate();
        let twins = twins.map(|(number, index)| last.insert(&operations[*index].step, number)).collect();
        Self {
            operations,
            events: Events::of(operations),
            done: Set::of(ended.len()),
            assumed: Set::of(unknown.len()),
            left: ended.len(),
            unknown,
            numbers,
            twins,
            state: initial,
            placed: Vec::new(),
            tried: Tried::default(),
            longest: Vec::new(),
            blocked: None,
        }
    }

    fn run(&mut self, budget: Budget) -> Verdict {
        let started = Instant::now();
        let mut steps: u64 = 0;
        let mut place = self.events.first();
        // Set while unknown operations are tried: the next of them, and the return in the way.
        let mut resume: Option<(usize, usize)> = None;
        while self.left > 0 {
            steps += 1;
            let look = steps.is_multiple_of(STEPS_BETWEEN_LOOKS) && started.elapsed() > budget.time;
            if look || self.tried.count > budget.situations {
                return Verdict::Unknown;
            }
            let advanced = match resume {
                Some((from, way)) => self.place_unknown(from, way),
                None => {
                    let (operation, is_return) = self.events.at(place);
                    if is_return {
                        self.note(operation);
                        resume = Some((0, place));
                        continue;
                    }
                    if !self.place(operation, None) {
                        place = self.events.after(place);
                        continue;
                    }
                    true
                }
            };
            if advanced {
                resume = None;
                place = self.events.first();
                continue;
            }
            let Some(back) = self.take_back() else { return Verdict::Violated };
            resume = back.resume;
            if resume.is_none() {
                place = self.events.after(self.events.call_of(back.operation));
            }
        }
        Verdict::Passed
    }

    /// Places an operation if its step can be taken and leads to a situation not tried before.
    fn place(&mut self, operation: usize, resume: Option<(usize, usize)>) -> bool {
        let Some(after) = self.operations[operation].step.take(self.state) else { return false };
        self.mark(operation, true);
        if !self.tried.insert(&self.done, &self.assumed, after) {
            self.mark(operation, false);
            return false;
        }
        self.placed.push(Placed { operation, before: self.state, resume });
        self.state = after;
        if resume.is_none() {
            self.left -= 1;
            self.events.take_out(operation);
        }
        true
    }

    fn mark(&mut self, operation: usize, is_placed: bool) {
        let set = if self.operations[operation].returned.is_some() { &mut self.done } else { &mut self.assumed };
        let number = self.numbers[operation];
        if is_placed { set.insert(number) } else { set.remove(number) }
    }

    /// Places the first unknown operation from number `from` on that was called before the return in the way,
    /// changes the state and leads somewhere new. One whose twin was called earlier and is left waits for that:
    /// whatever order has it, has the other in its place.
    fn place_unknown(&mut self, from: usize, way: usize) -> bool {
        let limit = self.operations[self.events.at(way).0].returned.unwrap_or(u64::MAX);
        for number in from..self.unknown.len() {
            let operation = self.unknown[number];
            if self.operations[operation].invoked > limit {
                return false;
            }
            let waits = self.twins[number].is_some_and(|twin| !self.assumed.has(twin));
            if waits || self.assumed.has(number) {
                continue;
            }
            let changes = self.operations[operation].step.take(self.state).is_some_and(|to| to != self.state);
            if changes && self.place(operation, Some((number + 1, way))) {
                return true;
            }
        }
        false
    }

    fn take_back(&mut self) -> Option<Placed> {
        let last = self.placed.pop()?;
        self.state = last.before;
        self.mark(last.operation, false);
        if last.resume.is_none() {
            self.left += 1;
            self.events.put_back(last.operation);
        }
        Some(last)
    }

    /// Remembers the longest order and what stood in its way.
    fn note(&mut self, blocked: usize) {
        if self.blocked.is_none() || self.placed.len() > self.longest.len() {
            self.longest = self.placed.iter().map(|placed| placed.operation).collect();
            self.blocked = Some(blocked);
        }
    }
}
