//! Nodes compare their digests at equal revisions while they run, and hear there whether they were
//! removed. Each judges itself: a node whose digest is not the one that a majority of all voters has
//! withdraws, for good. Where no digest has such a majority nobody can tell who is wrong, and to
//! withdraw could take the good state away: the difference is told to people, and all go on.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use openshell_proto::peer::NodeStatusResponse;
use openshell_store::Divergence;
use tokio::time::{Instant, sleep};

use crate::node::Node;
use crate::peer::{REMOVED, was_removed};

/// Between two rounds of asking. A round sees the digests of the last 4096 revisions.
const ROUND_PAUSE: Duration = Duration::from_millis(500);
/// How long a node may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(2);

type Digest = [u8; 32];
/// Digests of one node by revision.
type Digests = BTreeMap<u64, Digest>;

/// What comparing came to.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// Too few told a digest at a revision at which this node knows its own.
    Nothing,
    /// A majority of the voters has the digest of this node.
    Alike,
    /// Digests differ, and none has a majority of the voters.
    Undecided(Doubt),
    /// A majority of the voters has another digest than this node.
    Differs(Difference),
}

/// Where this node's state differs.
#[derive(Debug, PartialEq, Eq)]
struct Difference {
    found: Divergence,
    /// Who has the digest of the majority.
    nodes: Vec<u64>,
}

/// Where states differ, and who has which.
#[derive(Debug, PartialEq, Eq)]
struct Doubt {
    revision: u64,
    by_digest: BTreeMap<Digest, Vec<u64>>,
    voters: usize,
}

/// Why this node must withdraw.
enum Reason {
    /// A member says that it was removed.
    Removed,
    Differs(Difference),
}

fn list(nodes: &[u64]) -> String {
    nodes.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} (node {})", differed(&self.found), list(&self.nodes))
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the states of nodes differ: at revision {} ", self.revision)?;
        for (digest, nodes) in &self.by_digest {
            write!(formatter, "node {} has the digest {}, ", list(nodes), hex::encode(digest))?;
        }
        write!(
            formatter,
            "and none is that of a majority of the {} voters, so nobody knows which is right: all go on. Bring the \
             voters back that are missing, and the one that differs withdraws; if none is missing, stop the cluster, \
             inspect the data of each node, and restore one of them",
            self.voters
        )
    }
}

/// What a node says whose state differs, from its first moment on after a restart.
pub(crate) fn differed(found: &Divergence) -> String {
    let Divergence { revision, mine, theirs } = found;
    let (mine, theirs) = (hex::encode(mine), hex::encode(theirs));
    format!(
        "the state of this node is not the cluster's: at revision {revision} its digest was {mine}, that of a majority \
         {theirs}; it serves nothing more, also after a restart. Keep a copy of its data directory to find out why \
         (openshell-gateway inspect), then replace the node: start one with --join in an empty directory, under an id \
         that was never used, and run openshell cluster replace"
    )
}

/// Compares with every other member, again and again, until this node withdraws.
pub(crate) async fn watch(node: Arc<Node>) {
    while node.withdrawn.get().is_none() {
        let Some(reason) = round(&node).await else {
            sleep(ROUND_PAUSE).await;
            continue;
        };
        // On disk first: after a restart nobody may be there who says it again, or has what to compare.
        let written = match &reason {
            Reason::Removed => node.identity.expel().await,
            Reason::Differs(difference) => node.identity.diverge(difference.found).await,
        };
        let sentence = match reason {
            Reason::Removed => removed(node.id),
            Reason::Differs(difference) => difference.to_string(),
        };
        if let Err(error) = written {
            return node.fail(format!("it could not be written down why this node withdraws ({sentence}): {error}"));
        }
        node.withdraw(sentence).await;
    }
}

/// Why this node withdrew before it was restarted, if it did.
pub(crate) fn withdrawn_before(node: &Node) -> Option<String> {
    if node.identity.is_expelled() {
        return Some(removed(node.id));
    }
    node.identity.divergence().map(|found| differed(&found))
}

/// What a removed node says of itself.
pub(crate) fn removed(node: u64) -> String {
    format!("{}. Stop this one; nobody needs its data directory any more", was_removed(node))
}

/// Asks every other member once. Says why this node must withdraw, if it must.
async fn round(node: &Node) -> Option<Reason> {
    let deadline = Instant::now() + ANSWER_MAX;
    let peers: Vec<u64> = node.members().iter().map(|member| member.id).filter(|id| *id != node.id).collect();
    let answers = futures::future::join_all(peers.iter().map(|peer| node.ask_status(*peer, deadline))).await;
    let told = answers.iter().filter_map(|answer| answer.as_ref().err());
    let told = told.map(|status| status.metadata()).any(|said| said.contains_key(REMOVED));
    // An empty node is refused where it looks for its cluster.
    if (told || node.myself.expelled.get().is_some()) && !node.myself.cluster_id().is_empty() {
        return Some(Reason::Removed);
    }
    let own = node.status();
    let alike = |other: &&NodeStatusResponse| other.cluster_id == own.cluster_id && other.epoch == own.epoch;
    let mut known: BTreeMap<u64, Digests> =
        answers.iter().flatten().filter(alike).map(|status| (status.node, digests(status))).collect();
    known.insert(node.id, digests(&own));
    let voters = node.members().iter().filter(|member| member.voter).map(|member| member.id).collect();
    match judge(node.id, &voters, &known) {
        Verdict::Differs(difference) => Some(Reason::Differs(difference)),
        Verdict::Undecided(doubt) => {
            node.doubt(Some(doubt.to_string()));
            None
        }
        Verdict::Alike => {
            node.doubt(None);
            None
        }
        // A difference is not gone because somebody went who had it.
        Verdict::Nothing => None,
    }
}

fn digests(status: &NodeStatusResponse) -> Digests {
    let samples = status.samples.iter().map(|sample| (sample.revision, &sample.digest));
    let all = samples.chain([(status.digest_revision, &status.digest)]);
    all.filter_map(|(revision, digest)| Some((revision, digest.as_slice().try_into().ok()?))).collect()
}

/// What a node makes of what is known, at the newest revisions that tell. A voter that is not known
/// counts for nobody, and learners are judged but do not vote.
fn judge(me: u64, voters: &BTreeSet<u64>, known: &BTreeMap<u64, Digests>) -> Verdict {
    let mut verdict = Verdict::Nothing;
    for (revision, mine) in known.get(&me).into_iter().flatten().rev() {
        let mut by_digest: BTreeMap<Digest, Vec<u64>> = BTreeMap::new();
        for (node, digests) in known {
            if let Some(digest) = digests.get(revision) {
                by_digest.entry(*digest).or_default().push(*node);
            }
        }
        let votes = |nodes: &[u64]| nodes.iter().filter(|node| voters.contains(node)).count();
        let majority = by_digest.iter().find(|(_, nodes)| votes(nodes) * 2 > voters.len());
        match majority {
            Some((theirs, nodes)) if theirs != mine => {
                let found = Divergence { revision: *revision, mine: *mine, theirs: *theirs };
                return Verdict::Differs(Difference { found, nodes: nodes.clone() });
            }
            None if by_digest.len() > 1 => {
                if !matches!(verdict, Verdict::Undecided(_)) {
                    verdict = Verdict::Undecided(Doubt { revision: *revision, by_digest, voters: voters.len() });
                }
            }
            Some(_) if verdict == Verdict::Nothing => verdict = Verdict::Alike,
            Some(_) | None => {}
        }
    }
    verdict
}

impl Node {
    /// Notes for people that states differ, or that they do not any more, and says it once.
    fn doubt(&self, doubt: Option<String>) {
        let mut known = self.doubt.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if known.is_some() == doubt.is_some() {
            return;
        }
        match &doubt {
            Some(sentence) => {
                tracing::error!(node = self.id, doubt = %sentence, "states differ, and no majority decides")
            }
            None => tracing::warn!(node = self.id, "states do not differ any more"),
        }
        *known = doubt;
    }

    /// That states of nodes differ and nobody knows which is right, when it is so.
    pub(crate) fn doubted(&self) -> Option<String> {
        self.doubt.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nodes from 1, each with its digest at revision 64; 0 for one that has none there.
    fn known(digests: &[u8]) -> BTreeMap<u64, Digests> {
        let one = |digest: u8| if digest == 0 { Digests::new() } else { Digests::from([(64, [digest; 32])]) };
        (1..).zip(digests.iter().map(|digest| one(*digest))).collect()
    }

    /// Of so many voters, with ids from 1: who withdraws, and who sees a difference that nobody decides.
    fn judged(voters: u64, digests: &[u8]) -> (Vec<u64>, Vec<u64>) {
        let (voters, known) = ((1..=voters).collect(), known(digests));
        let with = |is: fn(&Verdict) -> bool| {
            known.keys().copied().filter(|node| is(&judge(*node, &voters, &known))).collect::<Vec<_>>()
        };
        (
            with(|verdict| matches!(verdict, Verdict::Differs(_))),
            with(|verdict| matches!(verdict, Verdict::Undecided(_))),
        )
    }

    #[test]
    fn who_differs_from_a_majority_of_all_voters_withdraws() {
        assert_eq!(judged(3, &[7, 7, 7]), (vec![], vec![]));
        assert_eq!(judged(3, &[7, 7, 8]), (vec![3], vec![]));
        assert_eq!(judged(3, &[8, 7, 7]), (vec![1], vec![]));
        assert_eq!(judged(5, &[7, 8, 7, 0, 7]), (vec![2], vec![]));
        assert_eq!(judged(5, &[7, 8, 7, 8, 7]), (vec![2, 4], vec![]));
    }

    #[test]
    fn without_a_majority_of_all_voters_nobody_withdraws_and_everybody_who_knows_says_so() {
        assert_eq!(judged(3, &[7, 8, 0]), (vec![], vec![1, 2]));
        assert_eq!(judged(3, &[7, 8, 9]), (vec![], vec![1, 2, 3]));
        assert_eq!(judged(5, &[7, 7, 8, 0, 0]), (vec![], vec![1, 2, 3]), "three of five are a majority, two are none");
        assert_eq!(judged(2, &[7, 8]), (vec![], vec![1, 2]));
        assert_eq!(judged(3, &[7, 7, 0]), (vec![], vec![]));
    }

    #[test]
    fn a_learner_is_judged_and_does_not_vote() {
        assert_eq!(judged(3, &[7, 7, 7, 8]), (vec![4], vec![]));
        assert_eq!(judged(3, &[7, 8, 0, 8]), (vec![], vec![1, 2, 4]));
    }

    #[test]
    fn only_equal_revisions_are_compared_and_the_sentence_has_both_digests() {
        let digests = |of: &[(u64, u8)]| of.iter().map(|(revision, digest)| (*revision, [*digest; 32])).collect();
        let (one, two): (Digests, Digests) = (digests(&[(64, 1), (128, 2)]), digests(&[(64, 1), (192, 3)]));
        let voters = BTreeSet::from([1, 2, 3]);
        let apart = BTreeMap::from([(1, one.clone()), (2, digests(&[(192, 3)]))]);
        assert_eq!(judge(2, &voters, &apart), Verdict::Nothing);
        let known = BTreeMap::from([(1, one.clone()), (2, two)]);
        assert_eq!(judge(2, &voters, &known), Verdict::Alike);
        let known = BTreeMap::from([(1, one.clone()), (2, digests(&[(128, 0xab)])), (3, one)]);
        let Verdict::Differs(difference) = judge(2, &voters, &known) else { panic!("they differ") };
        let sentence = difference.to_string();
        let (mine, theirs) = ("ab".repeat(32), "02".repeat(32));
        let says = format!("at revision 128 its digest was {mine}, that of a majority {theirs}");
        assert!(sentence.contains(&says) && sentence.ends_with("(node 1, 3)"), "{sentence}");
    }

    #[test]
    fn a_difference_of_an_earlier_revision_is_not_forgotten_because_a_later_one_agrees() {
        let digests = |early: u8| Digests::from([(64, [early; 32]), (128, [2; 32])]);
        let voters = BTreeSet::from([1, 2, 3]);
        let known = BTreeMap::from([(1, digests(1)), (2, digests(9)), (3, digests(1))]);
        assert!(
            matches!(judge(2, &voters, &known), Verdict::Differs(Difference { found, .. }) if found.revision == 64)
        );
        assert_eq!(judge(1, &voters, &known), Verdict::Alike);
    }
}
