//! Nodes compare their digests at equal revisions while they run, and hear there whether they were
//! removed. Each judges itself: a node whose digest is not that of the majority withdraws; where no
//! three are known, or no majority agrees, the follower that differs from its leader does.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use openshell_proto::peer::NodeStatusResponse;
use tokio::time::{Instant, sleep};

use crate::node::Node;
use crate::peer::{REMOVED, was_removed};

/// Between two rounds of asking. A round sees the digests of the last 4096 revisions.
const ROUND_PAUSE: Duration = Duration::from_millis(500);
/// How long a node may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// Digests of one node by revision.
type Digests = BTreeMap<u64, Vec<u8>>;

/// Where this node's state differs.
#[derive(Debug, PartialEq, Eq)]
struct Difference {
    revision: u64,
    mine: Vec<u8>,
    /// What it should be.
    theirs: Vec<u8>,
    /// Who has that.
    nodes: Vec<u64>,
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { revision, mine, theirs, nodes } = self;
        let nodes = nodes.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
        let (mine, theirs) = (hex::encode(mine), hex::encode(theirs));
        write!(
            formatter,
            "the state of this node is not the cluster's: at revision {revision} its digest is {mine}, that of node \
             {nodes} is {theirs}; it serves nothing more. Keep a copy of its data directory to find out why. After a \
             restart it reads its state from disk again; if it differs still, replace the node"
        )
    }
}

/// Compares with every other member, again and again, until this node withdraws.
pub(crate) async fn watch(node: Arc<Node>) {
    while node.withdrawn.get().is_none() {
        sleep(ROUND_PAUSE).await;
        if let Some(reason) = round(&node).await {
            node.withdraw(reason).await;
        }
    }
}

/// Asks every other member once. Says why this node must withdraw, if it must.
async fn round(node: &Node) -> Option<String> {
    let deadline = Instant::now() + ANSWER_MAX;
    let peers: Vec<u64> = node.members().iter().map(|member| member.id).filter(|id| *id != node.id).collect();
    let answers = futures::future::join_all(peers.iter().map(|peer| node.ask_status(*peer, deadline))).await;
    let told = answers.iter().filter_map(|answer| answer.as_ref().err());
    if node.myself.expelled.get().is_some()
        || told.map(|status| status.metadata()).any(|said| said.contains_key(REMOVED))
    {
        let removed = was_removed(node.id);
        return Some(format!("{removed}. Stop this one; nobody needs its data directory any more"));
    }
    let own = node.status();
    let alike = |other: &&NodeStatusResponse| other.cluster_id == own.cluster_id && other.epoch == own.epoch;
    let mut known: BTreeMap<u64, Digests> =
        answers.iter().flatten().filter(alike).map(|status| (status.node, digests(status))).collect();
    known.insert(node.id, digests(&own));
    // Asked last: who led while the others answered is of no use.
    differs(node.id, node.leader(), &known).map(|difference| difference.to_string())
}

fn digests(status: &NodeStatusResponse) -> Digests {
    let samples = status.samples.iter().map(|sample| (sample.revision, sample.digest.clone()));
    samples.chain([(status.digest_revision, status.digest.clone())]).collect()
}

/// Whether this node's state is the one that differs, at the newest revision that tells.
fn differs(me: u64, leader: Option<u64>, known: &BTreeMap<u64, Digests>) -> Option<Difference> {
    known.get(&me)?.iter().rev().find_map(|(revision, mine)| {
        let mut by_digest: BTreeMap<&[u8], Vec<u64>> = BTreeMap::new();
        for (node, digests) in known {
            if let Some(digest) = digests.get(revision) {
                by_digest.entry(digest).or_default().push(*node);
            }
        }
        let count: usize = by_digest.values().map(Vec::len).sum();
        let majority = by_digest.iter().find(|(_, nodes)| count >= 3 && nodes.len() * 2 > count);
        let of_leader = || by_digest.iter().find(|(_, nodes)| leader.is_some_and(|leader| nodes.contains(&leader)));
        let (theirs, nodes) = majority.or_else(of_leader)?;
        (*theirs != mine.as_slice()).then(|| Difference {
            revision: *revision,
            mine: mine.clone(),
            theirs: theirs.to_vec(),
            nodes: nodes.clone(),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nodes from 1, each with its digest at revision 64; 0 for one that has none there.
    fn known(digests: &[u8]) -> BTreeMap<u64, Digests> {
        let one = |digest: u8| if digest == 0 { Digests::new() } else { Digests::from([(64, vec![digest])]) };
        (1..).zip(digests.iter().map(|digest| one(*digest))).collect()
    }

    fn withdrawing(leader: Option<u64>, digests: &[u8]) -> Vec<u64> {
        let known = known(digests);
        known.keys().copied().filter(|node| differs(*node, leader, &known).is_some()).collect()
    }

    #[test]
    fn of_three_the_one_that_differs_withdraws_also_when_it_leads() {
        assert!(withdrawing(Some(1), &[7, 7, 7]).is_empty());
        assert_eq!(withdrawing(Some(1), &[7, 7, 8]), [3]);
        assert_eq!(withdrawing(Some(3), &[7, 7, 8]), [3]);
        assert_eq!(withdrawing(None, &[7, 7, 8]), [3]);
        assert_eq!(withdrawing(Some(5), &[7, 8, 7, 0, 7]), [2]);
    }

    #[test]
    fn without_a_majority_the_follower_that_differs_from_its_leader_withdraws() {
        assert_eq!(withdrawing(Some(1), &[7, 8, 0]), [2]);
        assert_eq!(withdrawing(Some(2), &[7, 8, 0]), [1]);
        assert_eq!(withdrawing(Some(1), &[7, 8, 9]), [2, 3]);
        assert!(withdrawing(None, &[7, 8, 0]).is_empty());
        assert!(withdrawing(Some(3), &[7, 8, 0]).is_empty(), "the leader's digest at that revision is not known");
    }

    #[test]
    fn only_equal_revisions_are_compared_and_the_sentence_has_both_digests() {
        let one = Digests::from([(64, vec![1]), (128, vec![2])]);
        let two = Digests::from([(64, vec![1]), (192, vec![3])]);
        let known = BTreeMap::from([(1, one), (2, two)]);
        assert_eq!(differs(2, Some(1), &known), None);
        let other = BTreeMap::from([(1, known[&1].clone()), (2, Digests::from([(128, vec![0xab])]))]);
        let sentence = differs(2, Some(1), &other).expect("they differ").to_string();
        assert!(sentence.contains("at revision 128 its digest is ab, that of node 1 is 02"), "{sentence}");
    }
}
