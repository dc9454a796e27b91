//! The search for an order that explains every answer: Wing and Gong's algorithm with Lowe's
//! memory of what was tried (Wing, Gong 1993; Lowe 2017). An operation whose outcome is unknown is
//! tried only where nothing else leads on, and is left out where it leads nowhere.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::register::{Operation, Register};

/// What the search may spend on one profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Budget {
    pub(crate) time: Duration,
    /// Situations remembered.
    pub(crate) situations: usize,
}

/// What it found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// There is an order.
    Linearizable,
    /// There is none.
    Violation,
    /// The budget was spent first.
    Undecided,
}

/// The verdict with what it rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) verdict: Verdict,
    /// The longest order found, as indexes of operations; when linearizable, the proof.
    pub(super) longest: Vec<usize>,
    /// An operation that could not be placed after it.
    pub(super) blocked: Option<usize>,
}

/// How often the clock is looked at, in steps.
const STEPS_BETWEEN_LOOKS: u64 = 1 << 12;

/// One placed operation, and where the search goes on when it is taken back.
struct Placed {
    operation: usize,
    before: Register,
    /// For an unknown one: the next to try, and the return that nothing else got past.
    resume: Option<(usize, usize)>,
}

/// Calls and returns of operations that ended, as a list from which pairs are taken and put back.
struct Events {
    /// (operation, is a return), in time order; a call comes before a return of the same instant.
    events: Vec<(usize, bool)>,
    /// Neighbours; the place after the last event is the head of the ring.
    next: Vec<usize>,
    previous: Vec<usize>,
    /// Of each operation: the places of call and return.
    places: Vec<(usize, usize)>,
}

impl Events {
    fn of(operations: &[Operation]) -> Self {
        let ended = operations.iter().enumerate().filter_map(|(index, one)| Some((index, one.invoked, one.returned?)));
        let mut timed: Vec<(u64, bool, usize)> =
            ended.flat_map(|(index, call, end)| [(call, false, index), (end, true, index)]).collect();
        timed.sort_unstable();
        let head = timed.len();
        let mut places = vec![(head, head); operations.len()];
        for (place, (_, is_return, operation)) in timed.iter().enumerate() {
            let (call, end) = &mut places[*operation];
            *(if *is_return { end } else { call }) = place;
        }
        Self {
            events: timed.into_iter().map(|(_, is_return, operation)| (operation, is_return)).collect(),
            next: (1..=head).chain([0]).collect(),
            previous: std::iter::once(head).chain(0..head).collect(),
            places,
        }
    }

    fn first(&self) -> usize {
        self.next[self.events.len()]
    }

    fn take_out(&mut self, operation: usize) {
        let (call, end) = self.places[operation];
        for place in [call, end] {
            self.next[self.previous[place]] = self.next[place];
            self.previous[self.next[place]] = self.previous[place];
        }
    }

    /// Undoes the last [`Events::take_out`] that was not undone.
    fn put_back(&mut self, operation: usize) {
        let (call, end) = self.places[operation];
        for place in [end, call] {
            self.next[self.previous[place]] = place;
            self.previous[self.next[place]] = place;
        }
    }
}

/// Where the search stands.
struct Search<'a> {
    operations: &'a [Operation],
    /// Indexes of operations with an unknown outcome, in order of their calls.
    unknown: Vec<usize>,
    events: Events,
    /// One bit an operation.
    done: Box<[u64]>,
    register: Register,
    placed: Vec<Placed>,
    /// Ended operations not placed yet.
    left: usize,
    tried: HashSet<(Box<[u64]>, Register)>,
    longest: Vec<usize>,
    blocked: Option<usize>,
}

/// Looks for an order of all ended operations, and some of the unknown ones, in which each takes
/// its step, and none comes before one that had returned before it was called.
pub(super) fn search(initial: Register, operations: &[Operation], budget: Budget) -> Found {
    let mut unknown: Vec<usize> = (0..operations.len()).filter(|index| operations[*index].returned.is_none()).collect();
    unknown.sort_by_key(|index| operations[*index].invoked);
    let mut search = Search {
        operations,
        left: operations.len() - unknown.len(),
        unknown,
        events: Events::of(operations),
        done: vec![0; operations.len().div_ceil(64)].into(),
        register: initial,
        placed: Vec::new(),
        tried: HashSet::new(),
        longest: Vec::new(),
        blocked: None,
    };
    let verdict = search.run(budget);
    if verdict == Verdict::Linearizable {
        search.longest = search.placed.iter().map(|placed| placed.operation).collect();
        search.blocked = None;
    }
    Found { verdict, longest: search.longest, blocked: search.blocked }
}

impl Search<'_> {
    fn run(&mut self, budget: Budget) -> Verdict {
        let started = Instant::now();
        let mut steps: u64 = 0;
        let mut place = self.events.first();
        // Set while unknown operations are tried: the next of them, and the return in the way.
        let mut resume: Option<(usize, usize)> = None;
        while self.left > 0 {
            steps += 1;
            let look = steps.is_multiple_of(STEPS_BETWEEN_LOOKS) && started.elapsed() > budget.time;
            if look || self.tried.len() > budget.situations {
                return Verdict::Undecided;
            }
            let advanced = match resume {
                Some((from, way)) => self.place_unknown(from, way),
                None => {
                    let (operation, is_return) = self.events.events[place];
                    if is_return {
                        self.note(operation);
                        resume = Some((0, place));
                        continue;
                    }
                    if !self.place(operation, None) {
                        place = self.events.next[place];
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
            let Some(back) = self.take_back() else { return Verdict::Violation };
            match back.resume {
                Some(later) => resume = Some(later),
                None => {
                    resume = None;
                    place = self.events.next[self.events.places[back.operation].0];
                }
            }
        }
        Verdict::Linearizable
    }

    /// Places an operation if its step can be taken and leads to a situation not tried before.
    fn place(&mut self, operation: usize, resume: Option<(usize, usize)>) -> bool {
        let Some(after) = self.operations[operation].step.take(self.register) else { return false };
        self.done[operation / 64] |= 1 << (operation % 64);
        if !self.tried.insert((self.done.clone(), after)) {
            self.done[operation / 64] &= !(1 << (operation % 64));
            return false;
        }
        self.placed.push(Placed { operation, before: self.register, resume });
        self.register = after;
        if resume.is_none() {
            self.left -= 1;
            self.events.take_out(operation);
        }
        true
    }

    /// Places the first unknown operation from number `from` on that was called before the return
    /// in the way, changes the register and leads somewhere new.
    fn place_unknown(&mut self, from: usize, way: usize) -> bool {
        let limit = self.operations[self.events.events[way].0].returned.unwrap_or(u64::MAX);
        for number in from..self.unknown.len() {
            let operation = self.unknown[number];
            if self.operations[operation].invoked > limit {
                return false;
            }
            let is_done = self.done[operation / 64] >> (operation % 64) & 1 == 1;
            let changes = self.operations[operation].step.take(self.register).is_some_and(|to| to != self.register);
            if !is_done && changes && self.place(operation, Some((number + 1, way))) {
                return true;
            }
        }
        false
    }

    fn take_back(&mut self) -> Option<Placed> {
        let last = self.placed.pop()?;
        self.register = last.before;
        self.done[last.operation / 64] &= !(1 << (last.operation % 64));
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
