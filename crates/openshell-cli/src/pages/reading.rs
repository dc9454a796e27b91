//! One list put together from pages that are counted by position, while others may create and delete. Pure.
//!
//! Pages of one revision are exact, so a list whose pages turn out to be of several is read anew, twice at
//! most: where writes never pause, more would not help. From then on every page begins with an item that was
//! read already. As the order of a list does not change, whatever stands before that item was read before,
//! if it was there: so an item that is in the list all the time is read once, whatever is created and deleted
//! around it. If no such item is found, because those were deleted, the page is asked for further to the
//! front. What is created or deleted meanwhile may be missing or present; nothing is there twice.

use std::collections::HashSet;

use openshell_client::Seen;

use super::{Identity, Listed, PAGE_MAX, Window};

/// How often a list is read anew for the sake of one revision.
const ANEW_MAX: u32 = 2;
/// One item that was read already, and one that was not.
const PAGE_MIN: u32 = 2;

/// One page, by position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ask {
    pub(super) offset: u32,
    pub(super) limit: u32,
}

/// A list as far as it was read.
pub(super) struct Reading<T> {
    window: Window,
    identity: fn(&T) -> Identity,
    page_max: u32,
    items: Vec<T>,
    known: HashSet<Identity>,
    /// The position behind the last page.
    next: u32,
    /// By how much the next page goes back before that.
    back: u32,
    /// Of the pages so far: epoch and revision.
    revision: Option<(u64, u64)>,
    anew: u32,
}

impl<T> Reading<T> {
    pub(super) fn new(window: Window, identity: fn(&T) -> Identity) -> Self {
        Self {
            window,
            identity,
            page_max: PAGE_MAX,
            items: Vec::new(),
            known: HashSet::new(),
            next: window.offset,
            back: 0,
            revision: None,
            anew: 0,
        }
    }

    pub(super) fn items(&self) -> &[T] {
        &self.items
    }

    /// The page to be asked for now.
    pub(super) fn ask(&self) -> Ask {
        if self.items.is_empty() {
            return Ask { offset: self.window.offset, limit: self.window.page_first.min(self.page_max) };
        }
        let offset = self.next.saturating_sub(self.back).max(self.window.offset);
        // One more than the limit tells whether there are more.
        let missing = self.window.limit.map_or(u32::MAX, |limit| limit.saturating_add(1).saturating_sub(self.count()));
        Ask { offset, limit: missing.saturating_add(self.next - offset).clamp(PAGE_MIN, self.page_max) }
    }

    /// Takes the page that was asked for; says whether the list is over, at its end or at the limit.
    pub(super) fn take(&mut self, asked: Ask, page: Vec<T>, seen: &Seen) -> bool {
        let revision = seen.epoch.zip(seen.revision);
        if self.revision.is_some_and(|first| revision.is_some_and(|now| now != first)) && self.anew < ANEW_MAX {
            *self = Self { page_max: self.page_max, anew: self.anew + 1, ..Self::new(self.window, self.identity) };
            return false;
        }
        self.revision = self.revision.or(revision);
        let is_at_the_front = self.items.is_empty() || asked.offset == self.window.offset;
        if !is_at_the_front && !page.iter().any(|item| self.known.contains(&(self.identity)(item))) {
            self.back = self.back.saturating_mul(2);
            return false;
        }
        let count = u32::try_from(page.len()).unwrap_or(u32::MAX);
        for item in page {
            if self.known.insert((self.identity)(&item)) {
                self.items.push(item);
            }
        }
        self.next = asked.offset.saturating_add(count);
        self.back = 1;
        count < asked.limit || self.window.limit.is_some_and(|limit| self.count() > limit)
    }

    /// After an answer that was too large: asks for smaller pages. Not so when they are the smallest already.
    pub(super) fn asks_for_less(&mut self, asked: Ask) -> bool {
        self.page_max = (asked.limit / 2).max(PAGE_MIN);
        self.page_max < asked.limit
    }

    /// What was read, up to the limit. Of an item that was deleted and made again meanwhile only the newer is
    /// left.
    pub(super) fn finish(self) -> Listed<T> {
        let mut names = HashSet::new();
        let mut items: Vec<T> =
            self.items.into_iter().rev().filter(|item| names.insert((self.identity)(item).name)).collect();
        items.reverse();
        let limit = self.window.limit.map_or(usize::MAX, |limit| limit as usize);
        let has_more = items.len() > limit;
        items.truncate(limit);
        Listed { items, has_more }
    }

    fn count(&self) -> u32 {
        u32::try_from(self.items.len()).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests;
