//! What waits for a reader, and who is cut off.

use super::super::tests::{text_of, timed};
use super::*;

fn queue(limits: Limits) -> (Queue, Arc<Waiting>) {
    let waiting = Arc::new(Waiting::default());
    (Queue::new(limits, Arc::clone(&waiting)), waiting)
}

fn lines(times: &[i64]) -> Vec<Arc<Line>> {
    times.iter().map(|time_ms| timed(*time_ms, &time_ms.to_string())).collect()
}

/// What there is to take, in words.
fn taken(queue: &Queue) -> Vec<String> {
    let mut taken = Vec::new();
    loop {
        taken.push(match queue.take() {
            Taken::Item(Item::Line(line)) => text_of(&line),
            Taken::Item(Item::Tail(..)) => panic!("it is taken apart"),
            Taken::Item(Item::Missing(node, _)) => format!("missing {node}"),
            Taken::Item(Item::Late(node)) => format!("late {node}"),
            Taken::Item(Item::Back(node)) => format!("back {node}"),
            Taken::Item(Item::Lost(node, lines)) => format!("lost {lines} of {node}"),
            Taken::Cut(dropped) => format!("cut {dropped}"),
            Taken::Nothing => return taken,
        });
        if queue.is_cut() {
            return taken;
        }
    }
}

#[test]
fn sr_49_a_reader_that_takes_nothing_is_cut_off_told_how_much_it_missed_and_holds_nothing_any_more() {
    let (queue, waiting) = queue(Limits { queue_lines: 3, ..Limits::default() });
    queue.offer(lines(&[1, 2, 3]).into_iter());
    assert!(!queue.is_cut() && waiting.bytes() > 0);
    queue.offer(lines(&[4, 5]).into_iter());
    assert!(queue.is_cut());
    assert_eq!((waiting.bytes(), waiting.cut_off()), (0, 1));
    queue.offer(lines(&[6]).into_iter());
    assert_eq!(taken(&queue), ["cut 6"], "three that waited, and three that found no room");
    assert_eq!((waiting.bytes(), waiting.cut_off()), (0, 1), "it is cut off once");
}

#[test]
fn bytes_are_bounded_as_well_and_one_line_may_be_larger_than_the_bound() {
    let large = timed(1, &"x".repeat(10_000));
    let (queue, waiting) = queue(Limits { queue_bytes: large.cost() / 2, ..Limits::default() });
    queue.offer([Arc::clone(&large)].into_iter());
    assert!(!queue.is_cut());
    queue.offer(lines(&[2]).into_iter());
    assert!(queue.is_cut());
    drop(queue);
    assert_eq!(waiting.bytes(), 0);
}

#[test]
fn what_waited_goes_with_its_reader() {
    let (queue, waiting) = queue(Limits::default());
    queue.say(Item::Tail(1, lines(&[1, 2])));
    queue.say(Item::Missing(2, "down".to_owned()));
    queue.offer(lines(&[3]).into_iter());
    assert_eq!(waiting.bytes(), queue.bytes() as u64);
    drop(queue);
    assert_eq!((waiting.bytes(), waiting.cut_off()), (0, 0));
}

#[test]
fn sr_46_what_the_nodes_had_comes_first_as_one_list() {
    let (queue, waiting) = queue(Limits::default());
    queue.say(Item::Tail(1, lines(&[1, 4])));
    queue.offer(lines(&[5]).into_iter());
    assert_eq!(queue.unheard([2, 3].into_iter()), [2, 3]);
    queue.say(Item::Tail(3, lines(&[2, 3])));
    queue.say(Item::Missing(2, "down".to_owned()));
    assert_eq!(queue.unheard([2, 3].into_iter()), [0; 0]);
    queue.settle(3);
    assert_eq!(taken(&queue), ["2", "3", "4", "5", "missing 2"], "the last three of what there was");
    assert_eq!(waiting.bytes(), 0);
}

#[test]
fn what_a_node_had_and_says_late_comes_where_it_is_said() {
    let (queue, waiting) = queue(Limits::default());
    queue.settle(10);
    queue.offer(lines(&[7]).into_iter());
    queue.say(Item::Back(2));
    queue.say(Item::Tail(2, lines(&[1, 2])));
    queue.offer(lines(&[8]).into_iter());
    assert_eq!(taken(&queue), ["7", "back 2", "1", "2", "8"]);
    assert_eq!(waiting.bytes(), 0);
}

#[test]
fn what_there_was_leaves_room_for_what_comes() {
    let limits = Limits { queue_lines: 4, sandbox_lines: 2, ..Limits::default() };
    let (queue, _) = queue(limits);
    queue.say(Item::Tail(1, lines(&[1, 2])));
    queue.say(Item::Tail(2, lines(&[3, 4])));
    queue.offer(lines(&[5, 6]).into_iter());
    queue.settle(2);
    assert_eq!(taken(&queue), ["3", "4", "5", "6"]);
}

#[test]
fn more_dropped_lines_than_can_be_counted_are_borne() {
    let (queue, _) = queue(Limits { queue_lines: 1, ..Limits::default() });
    queue.offer(lines(&[1]).into_iter());
    queue.cut(u64::MAX);
    queue.offer(lines(&[2]).into_iter());
    queue.cut(1);
    assert_eq!(taken(&queue), [format!("cut {}", u64::MAX)]);
}
