//! What was asked and told: the words of it (`action`), the lines of a history (`line`), and what a
//! history amounts to once it is complete (`story`). Writing lines down is in `recorder`, judging in
//! `checker`.

mod action;
mod line;
mod story;

#[cfg(test)]
mod tests;

use std::time::Duration;

pub(crate) use action::{Action, Cell, Cells, Edit, Outcome, Position};
pub(crate) use line::{Line, News, Stage, Topic};
pub(crate) use story::{Object, Operation, Story};

/// An object has so many keys at most: what the search goes through grows with them.
pub(crate) const KEYS_MAX: usize = 4;

/// A time as lines have it.
pub(crate) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Whether a key is a profile's id. Others name a sandbox and a provider, with a slash between.
pub(crate) fn is_profile(key: &str) -> bool {
    !key.contains('/')
}
