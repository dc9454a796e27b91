//! Calls and returns as a list from which operations are taken and put back in constant time. What is
//! taken is the search's choice.

use super::model::Operation;

/// Calls and returns of the operations that ended, in time order.
pub(super) struct Events {
    /// (operation, is a return); a call comes before a return of the same instant.
    events: Vec<(usize, bool)>,
    /// Neighbours; the place after the last event is the head of the ring.
    next: Vec<usize>,
    previous: Vec<usize>,
    /// Of each operation: the places of call and return.
    places: Vec<(usize, usize)>,
}

impl Events {
    pub(super) fn of(operations: &[Operation]) -> Self {
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

    /// The operation at a place, and whether it returns there.
    pub(super) fn at(&self, place: usize) -> (usize, bool) {
        self.events[place]
    }

    pub(super) fn first(&self) -> usize {
        self.next[self.events.len()]
    }

    pub(super) fn after(&self, place: usize) -> usize {
        self.next[place]
    }

    pub(super) fn call_of(&self, operation: usize) -> usize {
        self.places[operation].0
    }

    pub(super) fn take_out(&mut self, operation: usize) {
        let (call, end) = self.places[operation];
        for place in [call, end] {
            self.next[self.previous[place]] = self.next[place];
            self.previous[self.next[place]] = self.previous[place];
        }
    }

    /// Undoes the last [`Events::take_out`] that was not undone.
    pub(super) fn put_back(&mut self, operation: usize) {
        let (call, end) = self.places[operation];
        for place in [end, call] {
            self.next[self.previous[place]] = place;
            self.previous[self.next[place]] = place;
        }
    }
}
