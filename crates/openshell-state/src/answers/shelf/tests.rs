//! What a shelf gives back, and what goes for what.

use super::*;

/// Ids that fall into one part.
fn ids(shelf: &Shelf<u32>, count: usize) -> Vec<String> {
    let part: *const Part<u32> = shelf.part("0");
    (0..).map(|number| number.to_string()).filter(|id| std::ptr::eq(shelf.part(id), part)).take(count).collect()
}

/// Room for so many values of a hundred bytes in each part.
fn shelf(room: usize) -> Shelf<u32> {
    Shelf::new(PARTS * room * (100 + ENTRY_BYTES))
}

fn kept(shelf: &Shelf<u32>, id: &str, since: u64) -> Option<u32> {
    shelf.recall(id, since, |_| true).map(|kept| kept.value)
}

#[test]
fn what_is_kept_is_given_to_who_is_at_the_same_state() {
    let shelf = shelf(10);
    shelf.keep("a", 5, 1, 100, |_, _| true);
    assert_eq!([4, 5, 6].map(|since| kept(&shelf, "a", since)), [None, Some(1), None]);
    assert_eq!(kept(&shelf, "b", 5), None);
    assert!(shelf.recall("a", 5, |value| *value != 1).is_none(), "and only if it holds");
    let usage = shelf.usage();
    assert_eq!((usage.kept, usage.recalled, usage.missed), (1, 1, 4));
}

#[test]
fn a_newer_one_takes_the_place_of_an_older_and_never_the_other_way() {
    let shelf = shelf(10);
    for (since, value) in [(5, 1), (7, 2), (6, 3)] {
        shelf.keep("a", since, value, 100, |_, _| true);
    }
    assert_eq!(kept(&shelf, "a", 7), Some(2));
    assert_eq!((shelf.usage().kept, shelf.usage().bytes), (1, (100 + ENTRY_BYTES) as u64));
}

#[test]
fn it_stays_below_its_bound_and_keeps_what_is_asked_for() {
    let shelf = shelf(4);
    let ids = ids(&shelf, 40);
    shelf.keep(&ids[0], 1, 0, 100, |_, _| true);
    for (value, id) in (1..).zip(&ids[1..]) {
        shelf.keep(id, 1, value, 100, |_, _| true);
        assert_eq!(kept(&shelf, &ids[0], 1), Some(0), "it was asked for all the time");
        assert_eq!(kept(&shelf, id, 1), Some(value), "the newest is there");
        assert!(shelf.usage().bytes <= 4 * (100 + ENTRY_BYTES) as u64);
    }
    assert_eq!(shelf.usage().kept, 4);
    let order = shelf.part(&ids[0]).order.lock().expect("nobody panicked");
    assert_eq!(order.queue.len(), 4);
}

#[test]
fn what_no_longer_holds_goes_before_what_does_and_without_being_asked_for() {
    let shelf = shelf(40);
    let ids = ids(&shelf, 30);
    for (value, id) in (0..).zip(&ids[..20]) {
        shelf.keep(id, 1, value, 100, |_, _| true);
    }
    // Nothing of the first twenty holds any more: each that is added looks at two of them.
    for id in &ids[20..30] {
        shelf.keep(id, 2, 0, 100, |_, since| since == 2);
    }
    assert_eq!(shelf.usage().kept, 10);
    assert!(ids[20..30].iter().all(|id| kept(&shelf, id, 2).is_some()));
}

#[test]
fn what_is_too_large_is_not_kept_and_pushes_nothing_out() {
    let shelf = shelf(4);
    shelf.keep("0", 1, 1, 100, |_, _| true);
    shelf.keep("1", 1, 2, usize::from(u16::MAX), |_, _| true);
    assert_eq!((kept(&shelf, "0", 1), kept(&shelf, "1", 1)), (Some(1), None));
}

#[test]
fn many_who_read_and_add_at_once_find_what_they_added() {
    let shelf = shelf(1_000);
    std::thread::scope(|scope| {
        for thread in 0..4_u32 {
            let shelf = &shelf;
            scope.spawn(move || {
                for round in 0..500_u32 {
                    let id = format!("{thread}-{}", round % 50);
                    shelf.keep(&id, u64::from(round), round, 100, |_, _| true);
                    assert_eq!(kept(shelf, &id, u64::from(round)), Some(round));
                }
            });
        }
    });
    assert_eq!(shelf.usage().kept, 200);
}
