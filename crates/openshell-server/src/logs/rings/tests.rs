//! What is kept, what is let go, and that the books are right.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::super::tests::{batch, key, line, texts};
use super::*;

fn add(rings: &mut Rings, id: &str, messages: &[&str]) {
    let logs = messages.iter().map(|message| line(0, message)).collect();
    rings.append(&key(id), id, batch(id, logs).lines().expect("lines"));
}

fn kept(rings: &Rings, id: &str) -> Vec<String> {
    texts(&rings.begin(id, &Filter::default(), Start::Last(usize::MAX)).lines)
}

#[test]
fn sr_51_two_thousand_lines_of_a_sandbox_are_kept() {
    let mut rings = Rings::new(Limits::default());
    for number in 0..2_001 {
        add(&mut rings, "box", &[&number.to_string()]);
    }
    let kept = kept(&rings, "box");
    assert_eq!((kept.len(), kept[0].as_str(), kept[1_999].as_str()), (2_000, "1", "2000"));
    assert_eq!((rings.lines(), rings.forgotten()), (2_000, 1));
}

#[test]
fn large_lines_of_a_sandbox_are_kept_only_as_far_as_they_fit() {
    let mut rings = Rings::new(Limits { sandbox_bytes: 10_000, ..Limits::default() });
    for _ in 0..10 {
        add(&mut rings, "box", &[&"x".repeat(3_000)]);
        assert!(rings.bytes() <= 10_000, "{}", rings.bytes());
    }
    assert_eq!(rings.lines(), 3);
}

#[test]
fn a_sandbox_that_floods_takes_nothing_from_the_quiet_ones() {
    let mut rings = Rings::new(Limits { node_bytes: 100_000, ..Limits::default() });
    for id in ["quiet", "calm"] {
        add(&mut rings, id, &["hello", "world"]);
    }
    for _ in 0..100 {
        add(&mut rings, "loud", &["x".repeat(2_000).as_str(); 10]);
        assert!(rings.bytes() <= 100_000, "{}", rings.bytes());
    }
    for id in ["quiet", "calm"] {
        assert_eq!(kept(&rings, id), ["hello", "world"]);
    }
    assert!(kept(&rings, "loud").len() > 40, "the loud one has the rest");
}

#[test]
fn who_goes_on_after_a_line_gets_the_rest_and_is_told_what_is_gone() {
    let mut rings = Rings::new(Limits { sandbox_lines: 3, ..Limits::default() });
    add(&mut rings, "box", &["1", "2", "3", "4", "5"]);
    let after = |number| {
        let began = rings.begin("box", &Filter::default(), Start::After(number));
        (texts(&began.lines), began.through, began.forgotten)
    };
    assert_eq!(after(3), (vec!["4".to_owned(), "5".to_owned()], 5, 0));
    assert_eq!(after(2).2, 0, "line 3 is there");
    assert_eq!(after(0), (vec!["3".to_owned(), "4".to_owned(), "5".to_owned()], 5, 2));
    assert_eq!(after(5), (vec![], 5, 0));
    let none = rings.begin("none", &Filter::default(), Start::After(0));
    assert_eq!((none.lines.len(), none.through, none.forgotten), (0, 0, 0));
}

#[test]
fn the_last_lines_are_the_last_of_those_that_fit() {
    let mut rings = Rings::new(Limits::default());
    let levels = ["INFO", "ERROR", "INFO", "ERROR", "INFO"];
    let logs = (0..).zip(levels).map(|(time_ms, level)| {
        let level = level.to_owned();
        openshell_proto::v1::SandboxLogLine { level, ..line(time_ms, &time_ms.to_string()) }
    });
    rings.append(&key("box"), "box", batch("box", logs.collect()).lines().expect("lines"));
    let last = |since_ms, level, most| {
        let filter = Filter::read(since_ms, &[], level).expect("a filter");
        texts(&rings.begin("box", &filter, Start::Last(most)).lines)
    };
    assert_eq!(last(0, "", 2), ["3", "4"]);
    assert_eq!(last(0, "ERROR", 2), ["1", "3"]);
    assert_eq!(last(2, "ERROR", 2), ["3"]);
    assert_eq!(last(0, "", 0), [""; 0]);
}

#[test]
fn whatever_happens_the_books_say_what_is_there() {
    let mut random = StdRng::seed_from_u64(5);
    let limits = Limits { sandbox_lines: 20, sandbox_bytes: 9_000, node_bytes: 40_000, ..Limits::default() };
    let mut rings = Rings::new(limits);
    for _ in 0..3_000 {
        let id = format!("box-{}", random.random_range(0..12));
        if random.random_range(0..20) == 0 {
            rings.forget(&id);
        } else {
            let length = random.random_range(0..1_500);
            let messages = vec!["x".repeat(length); random.random_range(1..6)];
            add(&mut rings, &id, &messages.iter().map(String::as_str).collect::<Vec<_>>());
        }
        let bytes = |ring: &Ring| RING_COST + ring.lines.iter().map(|line| line.cost()).sum::<usize>();
        for (id, ring) in &rings.rings {
            assert_eq!(ring.bytes, bytes(ring));
            assert!(rings.by_bytes.contains(&(ring.bytes, Arc::clone(id))) && rings.by_key[&ring.key].contains(id));
            assert!(ring.lines.len() <= 20 && ring.bytes <= 9_000);
            assert!(ring.lines.iter().is_sorted_by_key(|line| line.number));
        }
        assert_eq!(rings.bytes, rings.rings.values().map(bytes).sum::<usize>());
        assert_eq!(rings.lines, rings.rings.values().map(|ring| ring.lines.len()).sum::<usize>());
        assert_eq!((rings.by_bytes.len(), rings.by_key.len()), (rings.rings.len(), rings.rings.len()));
        assert!(rings.bytes <= 40_000);
    }
}

#[test]
fn a_position_that_no_line_ever_had_is_borne() {
    let mut rings = Rings::new(Limits::default());
    add(&mut rings, "box", &["1"]);
    let began = rings.begin("box", &Filter::default(), Start::After(u64::MAX));
    assert_eq!((began.lines.len(), began.through, began.forgotten), (0, 1, 0));
}
