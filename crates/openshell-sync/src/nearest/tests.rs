//! The choice of a node, simulated: many sandboxes, nodes that come and go, measurements with noise.

use std::time::Duration;

use openshell_client::EndpointUrl;
use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::{Nearest, Neighbour};

fn endpoint(node: u64) -> EndpointUrl {
    EndpointUrl::parse(&format!("http://node-{node}.example:17670")).expect("a URL")
}

fn neighbour(node: u64, zone: &str) -> Neighbour {
    Neighbour { node, endpoint: endpoint(node), zone: zone.to_owned() }
}

fn three(zone: Option<&str>) -> Nearest {
    let mut nearest = Nearest::new(&[1, 2, 3].map(endpoint), zone.map(str::to_owned));
    nearest.learn(&[neighbour(1, "a"), neighbour(2, "b"), neighbour(3, "c")]);
    nearest
}

fn ms(ms: f64) -> Duration {
    Duration::from_secs_f64(ms / 1000.0)
}

fn measure(nearest: &mut Nearest, round_trips_ms: [f64; 3]) {
    for (node, round_trip_ms) in (1..).zip(round_trips_ms) {
        nearest.answered(&endpoint(node), ms(round_trip_ms), Some(node), Duration::ZERO);
    }
}

#[test]
fn the_own_zone_comes_first_then_the_shortest_round_trip() {
    let mut random = StdRng::seed_from_u64(1);
    let mut nearest = three(Some("b"));
    measure(&mut nearest, [1.0, 30.0, 90.0]);
    assert_eq!(nearest.choose(0, &mut random), Some(endpoint(2)), "its own zone, though it is farther");
    nearest.failed(&endpoint(2), 0);
    assert_eq!(nearest.choose(0, &mut random), Some(endpoint(1)), "then the nearest of the others");
    nearest.failed(&endpoint(1), 0);
    assert_eq!(nearest.choose(0, &mut random), Some(endpoint(3)));
    nearest.failed(&endpoint(3), 10);
    assert!(nearest.all_shunned(10));
    assert_eq!(nearest.choose(10, &mut random), Some(endpoint(2)), "all failed: the first whose time is up");
}

#[test]
fn whoever_was_far_and_is_served_well_moves_only_after_several_looks_and_returns_to_its_zone() {
    let mut random = StdRng::seed_from_u64(2);
    let mut nearest = three(Some("b"));
    measure(&mut nearest, [5.0, 5.0, 5.0]);
    nearest.choose(0, &mut random);
    nearest.failed(&endpoint(2), 0);
    nearest.choose(0, &mut random);
    let now_ms = 3_600_000;
    let mut look = || {
        measure(&mut nearest, [5.0, 5.0, 5.0]);
        nearest.reconsider(now_ms, &mut random)
    };
    assert_eq!(look(), None, "one look is not enough");
    assert_eq!(look(), None);
    assert_eq!(look(), Some(endpoint(2)));
    assert_eq!(look(), None, "there it stays");
}

#[test]
fn nobody_leaves_a_good_stream_for_a_node_that_does_not_answer() {
    let mut random = StdRng::seed_from_u64(5);
    let mut nearest = three(Some("b"));
    measure(&mut nearest, [5.0, 1.0, 5.0]);
    assert_eq!(nearest.choose(0, &mut random), Some(endpoint(2)));
    nearest.failed(&endpoint(2), 0);
    let elsewhere = nearest.choose(0, &mut random).expect("another");
    nearest.served(&elsewhere);
    for look in 1..=10 {
        for node in [1, 3] {
            nearest.answered(&endpoint(node), ms(5.0), Some(node), Duration::ZERO);
        }
        nearest.unanswered(&endpoint(2));
        // Its shun is long over, and what was measured of it before is the best of all.
        assert_eq!(nearest.reconsider(look * 120_000, &mut random), None, "look {look}");
    }
    nearest.failed(&elsewhere, 2_000_000);
    let other = nearest.choose(2_000_000, &mut random).expect("the third");
    assert_ne!(other, endpoint(2), "one that answers comes first also for who has to move");
    nearest.learn(&[neighbour(1, "a"), neighbour(2, "b"), neighbour(3, "c"), neighbour(4, "b")]);
    for _ in 0..5 {
        let moved = nearest.reconsider(3_000_000, &mut random);
        assert_ne!(moved, Some(endpoint(4)), "one that was only heard of");
    }
}

#[test]
fn the_followed_node_is_judged_by_its_stream_and_not_by_a_look() {
    let mut random = StdRng::seed_from_u64(6);
    let mut nearest = three(Some("b"));
    measure(&mut nearest, [1.0, 5.0, 1.0]);
    assert_eq!(nearest.choose(0, &mut random), Some(endpoint(2)));
    for _ in 0..5 {
        nearest.unanswered(&endpoint(2));
        assert_eq!(nearest.reconsider(0, &mut random), None);
    }
}

#[test]
fn a_node_that_has_not_heard_of_its_cluster_is_left_at_once_if_another_has() {
    let mut random = StdRng::seed_from_u64(3);
    let mut nearest = three(Some("a"));
    measure(&mut nearest, [1.0, 1.0, 1.0]);
    assert_eq!(nearest.choose(0, &mut random), Some(endpoint(1)));
    nearest.aged(&endpoint(1), Duration::from_secs(7));
    let moved = nearest.reconsider(0, &mut random).expect("a move");
    assert_ne!(moved, endpoint(1));
    for node in [1, 2, 3] {
        nearest.aged(&endpoint(node), Duration::from_secs(60));
    }
    let back = nearest.reconsider(0, &mut random);
    assert!(back.is_none_or(|back| back == endpoint(1)), "where all are old, only the zone counts");
}

#[test]
fn what_the_cluster_says_of_its_members_is_followed_but_never_out_of_tls() {
    let mut nearest = three(None);
    nearest.learn(&[neighbour(1, ""), neighbour(4, "")]);
    assert_eq!(nearest.endpoints().count(), 4, "what was given stays, a newcomer is added");
    nearest.learn(&[neighbour(5, "")]);
    let known: Vec<_> = nearest.endpoints().cloned().collect();
    assert_eq!(known, [1, 2, 3, 5].map(endpoint), "one that was learned and is no member any more is forgotten");

    let given = EndpointUrl::parse("https://gateway.example").expect("a URL");
    let mut secure = Nearest::new(std::slice::from_ref(&given), None);
    secure.learn(&[neighbour(1, ""), neighbour(2, "")]);
    assert_eq!(secure.endpoints().collect::<Vec<_>>(), [&given]);
}

#[test]
fn a_node_that_was_given_under_another_name_is_not_taken_for_two() {
    let given = EndpointUrl::parse("http://balanced.example").expect("a URL");
    let mut nearest = Nearest::new(std::slice::from_ref(&given), None);
    nearest.answered(&given, ms(1.0), Some(1), Duration::ZERO);
    nearest.learn(&[neighbour(1, "a"), neighbour(2, "b")]);
    assert_eq!(nearest.endpoints().cloned().collect::<Vec<_>>(), [given, endpoint(2)]);
}

/// A thousand sandboxes without a zone, all as near to all nodes.
fn crowd() -> (Vec<Nearest>, StdRng) {
    let mut random = StdRng::seed_from_u64(4);
    let crowd = (0..999).map(|_| {
        let mut nearest = three(None);
        measure(&mut nearest, [1.0, 1.2, 0.9]);
        nearest.choose(0, &mut random);
        nearest
    });
    let crowd: Vec<Nearest> = crowd.collect();
    (crowd, random)
}

fn share(crowd: &[Nearest], node: u64) -> usize {
    crowd.iter().filter(|one| one.followed == Some(endpoint(node))).count()
}

#[test]
fn the_sandboxes_of_a_lost_node_spread_over_the_others_and_do_not_all_come_back_at_once() {
    let (mut crowd, mut random) = crowd();
    for node in [1, 2, 3] {
        assert!((250..=420).contains(&share(&crowd, node)), "node {node}: {}", share(&crowd, node));
    }
    for one in crowd.iter_mut().filter(|one| one.followed == Some(endpoint(1))) {
        one.failed(&endpoint(1), 0);
        one.choose(0, &mut random);
    }
    assert_eq!(share(&crowd, 1), 0);
    for node in [2, 3] {
        assert!((430..=570).contains(&share(&crowd, node)), "node {node}: {}", share(&crowd, node));
    }
    // It is there again. Nobody is badly served, so nobody moves.
    for one in &mut crowd {
        one.answered(&endpoint(1), ms(1.0), Some(1), Duration::ZERO);
        for _ in 0..10 {
            one.reconsider(3_600_000, &mut random);
        }
    }
    assert_eq!(share(&crowd, 1), 0, "as near is no reason to move");
}

proptest! {
    #[test]
    fn noise_makes_nobody_flap(seed in any::<u64>(), zone in prop::option::of("[abc]"), base_ms in 0.2_f64..80.0) {
        let mut random = StdRng::seed_from_u64(seed);
        let mut nearest = three(zone.as_deref());
        measure(&mut nearest, [base_ms, base_ms, base_ms]);
        nearest.choose(0, &mut random);
        let mut moves = 0;
        for _ in 0..500 {
            // Up to twice as long as it should be, each of them.
            let noisy = [(); 3].map(|()| base_ms * random.random_range(0.8..1.6));
            measure(&mut nearest, noisy);
            moves += usize::from(nearest.reconsider(0, &mut random).is_some());
        }
        prop_assert!(moves <= 2, "{moves} moves in 500 looks");
    }

    #[test]
    fn some_node_is_chosen_whatever_happened(seed in any::<u64>(), events in prop::collection::vec((1_u64..=3, 0_u8..3), 0..60)) {
        let mut random = StdRng::seed_from_u64(seed);
        let mut nearest = three(Some("b"));
        for (now_ms, (node, event)) in (0..).step_by(300).zip(events) {
            match event {
                0 => nearest.failed(&endpoint(node), now_ms),
                1 => nearest.answered(&endpoint(node), ms(3.0), Some(node), Duration::from_secs(node * 3)),
                _ => nearest.served(&endpoint(node)),
            }
            let chosen = nearest.choose(now_ms, &mut random).expect("there are endpoints");
            prop_assert!(nearest.endpoints().any(|known| *known == chosen));
            prop_assert_eq!(nearest.followed.as_ref(), Some(&chosen));
        }
    }
}
