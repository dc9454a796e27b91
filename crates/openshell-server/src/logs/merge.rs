//! What several nodes have of one sandbox, as one list: by the lines' own time, which is that of the
//! sandbox's clock, whichever node they reached. Lines of one node keep the order that they came in.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use super::line::Line;

/// The newest lines of all, oldest first: at most so many, of at most so many bytes.
pub(super) fn newest(parts: Vec<Vec<Arc<Line>>>, lines_max: usize, bytes_max: usize) -> Vec<Arc<Line>> {
    let merged = merged(parts);
    let mut bytes = 0;
    let kept = merged.iter().rev().take(lines_max).take_while(|line| {
        bytes += line.cost();
        bytes <= bytes_max
    });
    let skipped = merged.len() - kept.count();
    merged.into_iter().skip(skipped).collect()
}

/// All lines: of those that come next in their part, always the one with the least time, and of equal
/// ones that of the first part.
fn merged(parts: Vec<Vec<Arc<Line>>>) -> Vec<Arc<Line>> {
    let mut merged = Vec::with_capacity(parts.iter().map(Vec::len).sum());
    let mut parts: Vec<_> = parts.into_iter().map(|part| part.into_iter().peekable()).collect();
    let next = |part: &mut std::iter::Peekable<std::vec::IntoIter<Arc<Line>>>, at: usize| {
        part.peek().map(|line| Reverse((line.time_ms, at)))
    };
    let mut heads: BinaryHeap<_> = parts.iter_mut().enumerate().filter_map(|(at, part)| next(part, at)).collect();
    while let Some(Reverse((_, at))) = heads.pop() {
        let part = &mut parts[at];
        merged.extend(part.next());
        heads.extend(next(part, at));
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::super::tests::{text_of, texts, timed};
    use super::*;

    fn part(name: &str, times: &[i64]) -> Vec<Arc<Line>> {
        times.iter().map(|time_ms| timed(*time_ms, &format!("{name}{time_ms}"))).collect()
    }

    fn newest_of(parts: &[(&str, &[i64])], lines_max: usize) -> Vec<String> {
        let parts = parts.iter().map(|(name, times)| part(name, times)).collect();
        texts(&newest(parts, lines_max, usize::MAX))
    }

    #[test]
    fn lines_of_several_nodes_are_in_the_order_of_their_times_each_once() {
        let parts: [(&str, &[i64]); 3] = [("a", &[1, 4, 6]), ("b", &[2, 3, 7]), ("c", &[])];
        assert_eq!(newest_of(&parts, 10), ["a1", "b2", "b3", "a4", "a6", "b7"]);
        assert_eq!(newest_of(&parts, 2), ["a6", "b7"], "the newest are kept");
        assert_eq!(newest_of(&[], 2), [""; 0]);
    }

    #[test]
    fn equal_times_and_clocks_that_jump_leave_the_order_within_a_node_alone() {
        assert_eq!(newest_of(&[("a", &[5, 5]), ("b", &[5])], 10), ["a5", "a5", "b5"]);
        assert_eq!(newest_of(&[("a", &[9, 1, 2]), ("b", &[3])], 10), ["b3", "a9", "a1", "a2"]);
    }

    #[test]
    fn no_more_bytes_than_fit_are_kept() {
        let lines: Vec<_> = (0..4).map(|time_ms| timed(time_ms, "x")).collect();
        let two = lines[2].cost() + lines[3].cost();
        let kept = |bytes_max| newest(vec![lines.clone()], 10, bytes_max).len();
        assert_eq!((kept(two), kept(two - 1), kept(0)), (2, 1, 0));
        assert_eq!(text_of(&lines[0]), "x");
    }
}
