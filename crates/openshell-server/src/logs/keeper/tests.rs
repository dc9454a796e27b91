//! Readers of one node's lines, those of this node and those of others.

use futures::{FutureExt, StreamExt};
use openshell_proto::peer::{LogLines, LogPosition, ReadLogsRequest};
use openshell_proto::v1::SandboxLogLine;
use prost::Message;

use super::super::queue::{Item, Taken};
use super::super::tests::{line, push, text_of};
use super::*;

const LIFE: u64 = 7;

fn numbered(numbers: std::ops::Range<i64>) -> Vec<SandboxLogLine> {
    numbers.map(|number| line(number, &number.to_string())).collect()
}

fn waiting(queue: &Queue) -> Vec<String> {
    let mut texts = Vec::new();
    while let Taken::Item(Item::Line(line)) = queue.take() {
        texts.push(text_of(&line));
    }
    texts
}

fn said(lines: &LogLines) -> Vec<String> {
    let read = |line: &openshell_proto::peer::LogLine| SandboxLogLine::decode(&*line.line).expect("a line").message;
    lines.lines.iter().map(read).collect()
}

fn asked(after: Option<LogPosition>) -> ReadLogsRequest {
    ReadLogsRequest { sandbox_id: "box".to_owned(), lines: 2, after, ..ReadLogsRequest::default() }
}

#[test]
fn what_was_there_and_what_comes_is_everything_and_each_line_once() {
    let keeper = Keeper::new(Limits::default(), LIFE);
    push(&keeper, "box", numbered(0..3));
    let queue = keeper.queue();
    let (began, following) = keeper.follow("box", Filter::default(), Start::Last(2), &queue);
    assert_eq!(
        (began.lines.iter().map(|line| text_of(line)).collect::<Vec<_>>(), began.through),
        (vec!["1".into(), "2".into()], 3)
    );
    push(&keeper, "other", numbered(7..8));
    push(&keeper, "box", numbered(3..5));
    assert_eq!(waiting(&queue), ["3", "4"]);
    drop(following);
    push(&keeper, "box", numbered(5..6));
    assert_eq!(waiting(&queue), [""; 0]);
    assert!(keeper.lock().readers.is_empty(), "who is gone is forgotten");
}

#[test]
fn a_reader_is_handed_only_what_it_asks_for() {
    let keeper = Keeper::new(Limits { queue_lines: 1, ..Limits::default() }, LIFE);
    let queue = keeper.queue();
    let filter = Filter::read(100, &["sandbox".to_owned()], "WARN").expect("a filter");
    let (_, _following) = keeper.follow("box", filter, Start::Last(0), &queue);
    let level = |level: &str| SandboxLogLine { level: level.to_owned(), ..line(0, level) };
    push(&keeper, "box", vec![level("INFO"), level("ERROR"), level("DEBUG"), level("OCSF")]);
    assert_eq!(
        waiting(&queue),
        ["ERROR"],
        "the time is about what was there before, and what does not fit takes no room"
    );
}

#[test]
fn when_too_much_waits_for_all_the_reader_for_whom_most_waits_is_cut_off() {
    let keeper = Keeper::new(Limits { queued_bytes: 3_000, ..Limits::default() }, LIFE);
    let follow = |id: &str| {
        let queue = keeper.queue();
        let (_, following) = keeper.follow(id, Filter::default(), Start::Last(0), &queue);
        (queue, following)
    };
    let (quick, slow) = (follow("box"), follow("loud"));
    push(&keeper, "box", numbered(0..2));
    while !slow.0.is_cut() {
        push(&keeper, "loud", numbered(0..3));
        assert!(keeper.gauges().queued_bytes <= 3_000);
    }
    assert_eq!(waiting(&quick.0), ["0", "1"]);
    assert_eq!((keeper.gauges().queued_bytes, keeper.gauges().cut_off), (0, 1));
}

#[tokio::test]
async fn another_node_goes_on_where_it_was_and_is_told_what_is_gone() {
    let keeper = Keeper::new(Limits { sandbox_lines: 3, ..Limits::default() }, LIFE);
    push(&keeper, "box", numbered(0..3));
    let mut lines = keeper.serve(&asked(None));
    let first = lines.next().await.expect("at once");
    assert_eq!((said(&first), first.forgotten), (vec!["1".to_owned(), "2".to_owned()], 0));
    assert!(lines.next().now_or_never().is_none());
    push(&keeper, "box", numbered(3..5));
    let live = lines.next().await.expect("what came");
    assert_eq!(said(&live), ["3", "4"]);
    drop(lines);
    push(&keeper, "box", numbered(5..6));
    let rest = keeper.read(&asked(live.through));
    assert_eq!((said(&rest), rest.forgotten), (vec!["5".to_owned()], 0));
    // From a position that is too old, and from one of another life.
    let gone = keeper.read(&asked(first.through));
    assert_eq!((said(&gone).len(), gone.forgotten), (3, 0));
    push(&keeper, "box", numbered(6..8));
    assert_eq!(keeper.read(&asked(first.through)).forgotten, 2);
    let other = LogPosition { life: keeper.life().wrapping_add(1), number: 100 };
    assert_eq!(said(&keeper.read(&asked(Some(other)))), ["5", "6", "7"]);
}

#[tokio::test]
async fn another_node_that_does_not_read_is_told_how_much_it_missed_and_costs_no_more() {
    let keeper = Keeper::new(Limits { queue_lines: 5, ..Limits::default() }, LIFE);
    let mut lines = keeper.serve(&asked(None));
    assert_eq!(lines.next().await.map(|first| first.lines.len()), Some(0));
    push(&keeper, "box", numbered(0..8));
    assert_eq!(keeper.gauges().queued_bytes, 0);
    let last = lines.next().await.expect("the end is said");
    assert_eq!((last.lines.len(), last.dropped), (0, 8));
    assert!(lines.next().await.is_none());
    assert!(keeper.lock().readers.is_empty());
}
