//! Who led when, as the nodes say it: sampled while the run goes on. Hurting is not here.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::join_all;
use openshell_tests::{Access, Leadership, leadership_of};
use tokio::time::{Instant, MissedTickBehavior, interval};

const SAMPLE: Duration = Duration::from_millis(200);

/// The leaderships that the nodes named. They are ordered by term, then by node: openraft lets a node
/// of a higher id take over within a term, so two leaders of one term are lawful.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Leaders(BTreeSet<Leadership>);

impl Leaders {
    /// Changes of the leading node from one leadership to the next.
    pub(crate) fn changes(&self) -> usize {
        let leaders: Vec<u64> = self.0.iter().map(|leadership| leadership.leader).collect();
        leaders.windows(2).filter(|pair| pair[0] != pair[1]).count()
    }
}

/// Asks every node over and over until `end`.
pub(crate) async fn watch(nodes: Vec<Access>, end: Instant) -> Leaders {
    let mut leaders = Leaders::default();
    let mut ticks = interval(SAMPLE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while Instant::now() < end {
        ticks.tick().await;
        let said = join_all(nodes.iter().map(|node| leadership_of(node.api()))).await;
        leaders.0.extend(said.into_iter().flatten());
    }
    leaders
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_term_of_the_same_leader_is_no_change() {
        let named = [(1, 1), (2, 1), (5, 3), (6, 1), (6, 2)];
        let leaders = Leaders(named.into_iter().map(|(term, leader)| Leadership { term, leader }).collect());
        assert_eq!(leaders.changes(), 3);
    }
}
