//! How many samples several commands have together. What proves no more when it is looked at again counts once, and
//! many rounds of one crash point say nothing of another.

use std::collections::BTreeSet;
use std::ops::Range;

use openshell_chaos::Point;

use super::catalogue::Counted;
use super::row::Measured;

/// Those of all these measurements of one figure.
pub(super) fn together(counted: Counted, measured: &[&Measured]) -> u64 {
    match counted {
        Counted::All => {
            let nameless = measured.iter().filter(|one| one.subjects.is_empty());
            nameless.map(|one| one.samples).sum::<u64>() + distinct(measured.iter().flat_map(|one| &one.subjects))
        }
        Counted::EachPoint => each_point(measured),
    }
}

/// How many things have these names.
fn distinct<'a>(names: impl Iterator<Item = &'a String>) -> u64 {
    let mut words: BTreeSet<&str> = BTreeSet::new();
    let mut ranges: Vec<Range<u64>> = Vec::new();
    for name in names {
        if let Some(range) = numbers(name) {
            ranges.push(range);
        } else {
            words.insert(name);
        }
    }
    // A number that two ranges have is one.
    ranges.sort_unstable_by_key(|range| range.start);
    let (mut count, mut counted_until) = (words.len() as u64, 0_u64);
    for Range { start, end } in ranges {
        count += end.saturating_sub(start.max(counted_until));
        counted_until = counted_until.max(end);
    }
    count
}

/// The numbers that a name such as `100..1600` or `7` stands for; none when it is another word.
fn numbers(name: &str) -> Option<Range<u64>> {
    let Some((from, to)) = name.split_once("..") else {
        let number: u64 = name.parse().ok()?;
        return Some(number..number.checked_add(1)?);
    };
    Some(from.parse().ok()?..to.parse().ok()?)
}

/// The fewest rounds that a point had, times the points. Rounds that do not say which points they were of count for
/// none.
fn each_point(measured: &[&Measured]) -> u64 {
    let rounds = |point: Point| -> u64 {
        let of_it = measured.iter().filter(|one| one.subjects.iter().any(|name| name == point.name()));
        of_it.map(|one| one.samples / one.subjects.len() as u64).sum()
    };
    let fewest = Point::ALL.into_iter().map(rounds).min().unwrap_or_default();
    fewest * Point::ALL.len() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(samples: u64, subjects: &[&str]) -> Measured {
        let subjects = subjects.iter().map(|name| (*name).to_owned()).collect();
        Measured { samples, subjects, ..Measured::default() }
    }

    fn all(measured: &[Measured]) -> u64 {
        together(Counted::All, &measured.iter().collect::<Vec<_>>())
    }

    #[test]
    fn what_has_no_name_is_added_and_what_has_one_counts_once() {
        assert_eq!(all(&[]), 0);
        assert_eq!(all(&[measured(20, &[]), measured(5, &[])]), 25);
        assert_eq!(all(&[measured(2, &["one", "another"]), measured(2, &["one", "third"]), measured(4, &[])]), 7);
    }

    #[test]
    fn a_range_is_each_of_its_numbers_and_a_number_that_was_there_before_is_none_more() {
        let seeds = |ranges: &[&str]| all(&[measured(9_999, ranges)]);
        assert_eq!(seeds(&["0..40"]), 40);
        assert_eq!(seeds(&["7", "0..40", "39", "40", "7"]), 41);
        assert_eq!(seeds(&["1000..2000", "0..1500", "1200..1300"]), 2_000);
        assert_eq!(seeds(&["5..5", "9..3"]), 0);
        assert_eq!(seeds(&["0..18446744073709551615"]), u64::MAX);
        assert_eq!(all(&[measured(1_500, &["0..1500"]), measured(1_500, &["0..1500"])]), 1_500, "run again");
        assert_eq!(seeds(&["..", "a..b", "1..", "x"]), 4, "names");
    }

    #[test]
    fn each_crash_point_counts_as_often_as_the_one_that_had_the_fewest_rounds() {
        let names = Point::ALL.map(Point::name);
        let of = |measured: &[Measured]| together(Counted::EachPoint, &measured.iter().collect::<Vec<_>>());
        let points = Point::ALL.len() as u64;
        let (first, others) = (&names[..1], &names[1..]);
        assert_eq!(of(&[]), 0);
        assert_eq!(of(&[measured(20 * points, &names)]), 20 * points);
        assert_eq!(of(&[measured(20 * points, first)]), 0, "many rounds of one");
        assert_eq!(of(&[measured(20 * points, &[])]), 0, "of whichever");
        let one_by_one: Vec<Measured> = names.iter().map(|name| measured(3, &[*name])).collect();
        assert_eq!(of(&one_by_one), 3 * points);
        assert_eq!(of(&[measured(20, first), measured(2 * (points - 1), others)]), 2 * points);
        assert_eq!(of(&[measured(points, &names), measured(points, &names), measured(7, first)]), 2 * points);
    }
}
