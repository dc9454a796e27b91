//! The search and the certificate on the same histories, of clients side by side and with positions, against a reading of
//! answers and a search for orders that share nothing with them.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::concurrent::{Mutation, OBJECTS, Told, first, lines, mutated, right};
use super::naive::{Kept, about, is_explained};
use crate::checker::findings::Verdict;
use crate::checker::search::Budget;
use crate::checker::{certificate, linear};
use crate::history::Story;

/// What everybody says about one history.
struct Said {
    search: Verdict,
    certificate: Verdict,
    /// Whether there is an order.
    is_explained: bool,
    /// Whether each object has one by itself.
    is_explained_by_object: bool,
    /// Whether there is an order by revision.
    is_explained_by_revision: bool,
}

fn asked(told: &[Told]) -> Said {
    let lines = lines(told);
    let story = Story::of(&lines).expect("a history");
    let by_object = |(_, keys): &(&str, &[&str])| is_explained(&first(), &about(told, keys), Kept::Nothing);
    Said {
        search: linear::check(&story, Budget::default()).verdict,
        certificate: certificate::check(&story).verdict,
        is_explained: is_explained(&first(), told, Kept::Nothing),
        is_explained_by_object: OBJECTS.iter().all(by_object),
        is_explained_by_revision: is_explained(&first(), told, Kept::Revisions),
    }
}

fn small(random: &mut StdRng) -> Vec<Told> {
    let count = random.random_range(4..9);
    right(random, count)
}

#[test]
fn what_right_objects_answer_passes_everywhere() {
    let mut random = StdRng::seed_from_u64(21);
    for _ in 0..1_500 {
        let told = small(&mut random);
        let said = asked(&told);
        assert!(said.is_explained && said.is_explained_by_revision, "the generator is right: {told:?}");
        assert_eq!((said.search, said.certificate), (Verdict::Passed, Verdict::Passed), "{told:?}");
    }
}

/// So many histories with one mutation are judged: how many of them have no order, and with how many the certificate is
/// content.
fn judged(mutation: Mutation, count: usize) -> (usize, usize) {
    let mut random = StdRng::seed_from_u64(22 + mutation as u64);
    let (mut judged, mut violated, mut passed) = (0, 0, 0);
    while judged < count {
        let history = small(&mut random);
        let Some(told) = mutated(&mut random, &history, mutation) else { continue };
        let said = asked(&told);
        let expected = if said.is_explained_by_object { Verdict::Passed } else { Verdict::Violated };
        assert_eq!(said.search, expected, "the search, {mutation:?}: {told:?}");
        assert_ne!(said.certificate, Verdict::Unknown, "{mutation:?}: {told:?}");
        if said.certificate == Verdict::Passed {
            // So that it never contradicts the search: an order of all is one of each object.
            assert!(said.is_explained, "the certificate is no proof, {mutation:?}: {told:?}");
            passed += 1;
        }
        if said.is_explained_by_revision {
            assert_eq!(said.certificate, Verdict::Passed, "the certificate asks too much, {mutation:?}: {told:?}");
        }
        violated += usize::from(!said.is_explained);
        judged += 1;
    }
    (violated, passed)
}

/// Where an order is left though an answer is wrong, the certificate may find that it is not that of the revisions; where
/// none is left, both find that.
#[test]
fn wrong_answers_are_judged_as_by_trying_all_orders() {
    const COUNT: usize = 500;
    for mutation in Mutation::ALL {
        let (violated, passed) = judged(mutation, COUNT);
        let counts = format!("{mutation:?}: of {COUNT}, {violated} have no order, and {passed} pass the certificate");
        let enough = |number: usize| number >= 10;
        match mutation {
            // A version that is ahead has a value that is not its own: nothing explains it.
            Mutation::Ahead => assert!(enough(violated), "{counts}"),
            // The revision alone is wrong.
            Mutation::Elsewhere => assert!(enough(COUNT - passed) && enough(passed), "{counts}"),
            _ => assert!(enough(violated) && enough(COUNT - violated), "{counts}"),
        }
        if !matches!(mutation, Mutation::Ahead | Mutation::Swap) {
            assert!(enough(passed) && enough(COUNT - passed), "{counts}");
        }
    }
}
