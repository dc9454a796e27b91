//! Every way in which pages and writes may meet, on a list in memory.

use std::collections::BTreeSet;

use openshell_client::Seen;

use super::{Ask, Reading};
use crate::pages::{Identity, Listed, PAGE_FIRST, Window};

/// A list as a gateway keeps it: in the order of creation, its pages cut by position.
#[derive(Default)]
struct Shelf {
    items: Vec<Item>,
    made: u64,
    revision: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Item {
    name: String,
    id: u64,
}

impl Shelf {
    fn of(count: u64) -> Self {
        let mut shelf = Self::default();
        (0..count).for_each(|number| shelf.create(&format!("n{number}")));
        shelf
    }

    fn create(&mut self, name: &str) {
        self.made += 1;
        self.revision += 1;
        self.items.push(Item { name: name.to_owned(), id: self.made });
    }

    fn delete(&mut self, index: usize) -> Item {
        self.revision += 1;
        self.items.remove(index)
    }

    fn page(&self, asked: Ask) -> Vec<Item> {
        self.items.iter().skip(asked.offset as usize).take(asked.limit as usize).cloned().collect()
    }

    fn seen(&self) -> Seen {
        Seen { epoch: Some(1), revision: Some(self.revision), ..Seen::default() }
    }
}

fn identity(item: &Item) -> Identity {
    Identity { name: item.name.clone(), id: item.id.to_string() }
}

fn window(offset: u32, limit: u32) -> Window {
    Window { offset, limit: Some(limit), page_first: limit }
}

/// Reads a list to its end, with `between` after each page; also the pages that were asked for.
fn read(shelf: &mut Shelf, window: Window, mut between: impl FnMut(&mut Shelf)) -> (Listed<Item>, Vec<(u32, u32)>) {
    let mut reading = Reading::new(window, identity);
    let mut asked_for = Vec::new();
    loop {
        let asked = reading.ask();
        asked_for.push((asked.offset, asked.limit));
        if reading.take(asked, shelf.page(asked), &shelf.seen()) {
            return (reading.finish(), asked_for);
        }
        between(shelf);
    }
}

#[test]
fn a_list_that_fits_on_the_first_page_is_one_call() {
    let (listed, asked) = read(&mut Shelf::of(99), Window::all(), |_| {});
    assert_eq!((listed.items.len(), listed.has_more, asked), (99, false, vec![(0, 100)]));
}

#[test]
fn a_list_of_many_pages_is_read_to_its_end() {
    for count in [100, 101, 1099, 1100, 2500] {
        let mut shelf = Shelf::of(count);
        let (listed, _) = read(&mut shelf, Window::all(), |_| {});
        assert_eq!(listed, Listed { items: shelf.items, has_more: false });
    }
}

#[test]
fn a_limit_is_kept_and_more_are_noticed() {
    let mut shelf = Shelf::of(30);
    let (listed, asked) = read(&mut shelf, window(0, 10), |_| {});
    assert_eq!((listed.items.as_slice(), listed.has_more), (&shelf.items[..10], true));
    assert_eq!(asked, [(0, 10), (9, 2)], "the first request is what was typed");
    let (listed, _) = read(&mut shelf, window(25, 10), |_| {});
    assert_eq!((listed.items.as_slice(), listed.has_more), (&shelf.items[25..], false));
    let (listed, _) = read(&mut shelf, window(20, 10), |_| {});
    assert_eq!((listed.items.as_slice(), listed.has_more), (&shelf.items[20..], false), "just enough");
    let (listed, _) = read(&mut shelf, window(31, 10), |_| {});
    assert_eq!(listed, Listed { items: Vec::new(), has_more: false });
    let (listed, _) = read(&mut shelf, window(0, 1), |_| {});
    assert_eq!((listed.items.len(), listed.has_more), (1, true));
}

#[test]
fn a_limit_above_the_largest_page_is_kept_over_several() {
    let mut shelf = Shelf::of(2500);
    let (listed, _) = read(&mut shelf, Window { page_first: 1000, ..window(100, 2000) }, |_| {});
    assert_eq!((listed.items.as_slice(), listed.has_more), (&shelf.items[100..2100], true));
}

#[test]
fn a_list_that_changed_between_pages_is_read_anew() {
    let mut shelf = Shelf::of(200);
    let mut changes = 1;
    let (listed, asked) = read(&mut shelf, Window::all(), |shelf| {
        if changes > 0 {
            changes -= 1;
            shelf.delete(0);
        }
    });
    assert_eq!(listed.items, shelf.items, "the state of one revision");
    assert_eq!(asked, [(0, 100), (99, 1000), (0, 100), (99, 1000)]);
}

#[test]
fn where_writes_never_pause_what_stays_is_read_once_whatever_is_deleted_before_it() {
    for deletions in [1, 2, 50, 99, 100] {
        let mut shelf = Shelf::of(300);
        let stays: Vec<Item> = shelf.items[100..].to_vec();
        let mut pages = 0;
        let (listed, _) = read(&mut shelf, Window::all(), |shelf| {
            pages += 1;
            // The first reading and the two anew: a write each; then the deletions.
            match pages {
                1..=4 => shelf.revision += 1,
                5 => (0..deletions).for_each(|_| drop(shelf.delete(0))),
                _ => {}
            }
        });
        let listed: Vec<Item> = listed.items.into_iter().filter(|item| stays.contains(item)).collect();
        assert_eq!(listed, stays, "after {deletions} deletions");
    }
}

#[test]
fn under_any_mixture_of_writes_what_stays_is_read_once_and_nothing_twice() {
    for seed in 1..200_u64 {
        let mut random = seed;
        let mut next = move |below: usize| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(random >> 33).expect("31 bits") % below
        };
        let mut shelf = Shelf::of(250);
        let mut gone = BTreeSet::new();
        let born = shelf.made;
        let mut pages = 0;
        let (listed, _) = read(&mut shelf, Window { page_first: 20, ..Window::all() }, |shelf| {
            pages += 1;
            for _ in 0..next(80) {
                if pages < 30 && shelf.items.len() > 20 {
                    let index = next(shelf.items.len());
                    let deleted = shelf.delete(index);
                    gone.insert(deleted.id);
                    // Some come again under their names, some as others.
                    match next(3) {
                        0 => shelf.create(&deleted.name),
                        1 => shelf.create("new"),
                        _ => {}
                    }
                }
            }
        });
        let ids: Vec<u64> = listed.items.iter().map(|item| item.id).collect();
        let stayed: Vec<u64> = (1..=born).filter(|id| !gone.contains(id)).collect();
        let found: Vec<u64> = ids.iter().copied().filter(|id| stayed.contains(id)).collect();
        assert_eq!(found, stayed, "seed {seed}");
        let names: BTreeSet<&str> = listed.items.iter().map(|item| item.name.as_str()).collect();
        assert_eq!(names.len(), listed.items.len(), "seed {seed}: no name twice");
    }
}

#[test]
fn a_gateway_that_says_no_revision_is_read_in_pages_that_overlap() {
    let mut reading = Reading::new(Window::all(), identity);
    let mut shelf = Shelf::of(150);
    let asked = reading.ask();
    assert!(!reading.take(asked, shelf.page(asked), &Seen::default()));
    shelf.delete(3);
    shelf.delete(3);
    loop {
        let asked = reading.ask();
        if reading.take(asked, shelf.page(asked), &Seen::default()) {
            break;
        }
    }
    let names: Vec<_> = reading.finish().items.into_iter().map(|item| item.name).collect();
    assert_eq!(names.len(), 150, "the two deleted ones were read before: {names:?}");
}

#[test]
fn pages_that_are_too_large_are_asked_for_again_half_as_large_down_to_two_items() {
    let shelf = Shelf::of(60);
    let mut reading = Reading::new(Window::all(), identity);
    loop {
        let asked = reading.ask();
        if asked.limit > 7 {
            assert!(reading.asks_for_less(asked));
        } else if reading.take(asked, shelf.page(asked), &shelf.seen()) {
            break;
        }
    }
    assert_eq!(reading.finish().items, shelf.items);
    let mut reading = Reading::new(Window::all(), identity);
    assert_eq!(PAGE_FIRST, 100);
    let mut limits = Vec::new();
    loop {
        let asked = reading.ask();
        limits.push(asked.limit);
        if !reading.asks_for_less(asked) {
            break;
        }
    }
    assert_eq!(limits, [100, 50, 25, 12, 6, 3, 2]);
}
