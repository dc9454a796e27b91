//! Networks that are cut: between nodes, between nodes and clients, one way, for a moment over and over, or for some
//! packets only.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::ensure;
use openshell_tests::{Cut, eventually};
use tokio::time::{Instant, sleep_until};

use super::{Nemesis, Scope};
use crate::plan::Kind;

/// Who was cut off is reached again after so long, unless another fault goes on.
const HEALED_LIMIT: Duration = Duration::from_secs(3);
/// The same when nobody else cuts anybody off: links may still be thin, and processes stand still.
const LATE_LIMIT: Duration = Duration::from_secs(8);
/// A fault looks at so many pairs of places at most: each look waits.
const PROBES_MAX: usize = 3;

/// Somebody who is to reach a place, or not: a node, or clients.
type Probe = (Option<u64>, SocketAddr);

pub(super) struct Partition {
    scope: Scope,
    cut: Cut,
    /// Who does not reach what, while it lasts.
    probes: Vec<Probe>,
    is_cut: bool,
    /// Packets, not counting those of probes.
    stopped: u64,
}

impl Scope {
    /// The name of its own cut.
    pub(super) fn cut_name(&self) -> String {
        format!("f{}", self.planned.number)
    }

    /// Cuts the network as this fault does.
    pub(super) async fn cut(&self, cut: &Cut) -> anyhow::Result<()> {
        self.rig.with(|machinery| machinery.network()?.cut_as(&self.cut_name(), cut)).await
    }

    /// Takes this fault's cut away; says how many packets it stopped.
    pub(super) async fn uncut(&self) -> anyhow::Result<u64> {
        self.rig.with(|machinery| machinery.network()?.heal_of(&self.cut_name())).await
    }

    /// Where nodes listen for others.
    pub(super) fn peer_place(&self, id: u64) -> anyhow::Result<SocketAddr> {
        let node = self.rig.node(id)?;
        Ok(SocketAddr::new(node.address, node.ports.peer))
    }
}

impl Partition {
    pub(super) fn new(scope: Scope) -> Self {
        let ids: Vec<u64> = scope.rig.nodes.iter().map(|node| node.id).collect();
        let cut = cut(scope.planned.kind, &scope.victims, &ids, scope.planned.amount);
        let probes = probes(&scope, &ids, &cut);
        Self { scope, cut, probes, is_cut: false, stopped: 0 }
    }

    async fn cut_off(&mut self) -> anyhow::Result<()> {
        self.scope.cut(&self.cut).await?;
        self.is_cut = true;
        Ok(())
    }

    async fn let_through(&mut self) -> anyhow::Result<()> {
        if self.is_cut {
            self.stopped += self.scope.uncut().await?;
            self.is_cut = false;
        }
        Ok(())
    }

    fn reached(&self) -> bool {
        let mut reached = self.probes.iter().map(|(from, place)| self.scope.rig.reaches(*from, *place));
        reached.all(|reached| matches!(reached, Ok(true)))
    }

    fn unreached(&self) -> anyhow::Result<()> {
        for (from, place) in &self.probes {
            ensure!(!self.scope.rig.reaches(*from, *place)?, "{place} is still reached from {from:?}");
        }
        Ok(())
    }
}

impl Nemesis for Partition {
    async fn install(&mut self) -> anyhow::Result<String> {
        self.cut_off().await?;
        self.unreached()?;
        // Once more, since the count of packets begins anew with it: probes are nobody who feels it.
        self.cut_off().await?;
        Ok(format!("{:?}", self.cut))
    }

    async fn last(&mut self, until: Instant) -> anyhow::Result<()> {
        if self.scope.planned.kind != Kind::Flapping {
            sleep_until(until).await;
            return Ok(());
        }
        let each = Duration::from_millis(u64::try_from(self.scope.planned.amount).unwrap_or(100).max(20));
        while Instant::now() + each < until {
            sleep_until(Instant::now() + each).await;
            if self.is_cut {
                self.let_through().await?
            } else {
                self.cut_off().await?
            };
        }
        Ok(())
    }

    async fn heal(&mut self) -> anyhow::Result<String> {
        self.let_through().await?;
        let patience = Instant::now() + HEALED_LIMIT;
        let again = eventually("everybody to be reached, whom nobody cuts off any more", LATE_LIMIT, async || {
            if self.reached() {
                return Some("and they are reached again".to_owned());
            }
            let others = self.scope.rig.with(|machinery| machinery.network()?.cuts()).await.ok()?;
            let goes_on = !others.is_empty() && Instant::now() > patience;
            goes_on.then(|| format!("and not everybody is reached while {} lasts", others.join(", ")))
        });
        // The cut is gone for certain. Whether a node that does not answer comes back is judged in the end.
        let again = again.await.unwrap_or_else(|error| format!("and {error:#}"));
        Ok(format!("{} packets were stopped, {again}", self.stopped))
    }

    fn in_vain(&self) -> Option<String> {
        (self.stopped == 0).then(|| "no packet was stopped".to_owned())
    }
}

/// How the network is cut by the kinds of this file.
fn cut(kind: Kind, victims: &[u64], ids: &[u64], amount: i64) -> Cut {
    let these = victims.to_vec();
    match kind {
        Kind::Isolate => Cut::Gone(these),
        Kind::ClientOnly => Cut::Unvisited(these),
        Kind::Deaf => Cut::Deaf(these),
        Kind::Mute => Cut::Mute(these),
        Kind::Loss => Cut::Lossy(these, u8::try_from(amount).unwrap_or(10)),
        Kind::Ring => Cut::Pairs(strangers_of_a_ring(ids)),
        Kind::Bridge => Cut::Pairs(strangers_of_a_bridge(ids)),
        // The others that get here cut the same way, and differ in whom they hit, and how often.
        _ => Cut::Apart(these),
    }
}

/// Those that are no neighbours when nodes stand in a ring and each sees as many as make a majority with it.
fn strangers_of_a_ring(ids: &[u64]) -> Vec<(u64, u64)> {
    let (count, sees) = (ids.len(), ids.len() / 4);
    let are_strangers = |one: usize, other: usize| {
        let apart = one.abs_diff(other);
        apart.min(count - apart) > sees.max(1)
    };
    pairs(ids, are_strangers)
}

/// Those of different sides, when the node in the middle stands between them.
fn strangers_of_a_bridge(ids: &[u64]) -> Vec<(u64, u64)> {
    let middle = ids.len() / 2;
    pairs(ids, |one, other| one < middle && middle < other)
}

fn pairs(ids: &[u64], are: impl Fn(usize, usize) -> bool) -> Vec<(u64, u64)> {
    let all = (0..ids.len()).flat_map(|one| (one + 1..ids.len()).map(move |other| (one, other)));
    all.filter(|(one, other)| are(*one, *other)).map(|(one, other)| (ids[one], ids[other])).collect()
}

/// A few who are not to reach a place. Packets that are lost now and then are no matter of probes.
fn probes(scope: &Scope, ids: &[u64], cut: &Cut) -> Vec<Probe> {
    let between = |one: u64, other: u64| scope.peer_place(other).ok().map(|place| (Some(one), place));
    let from_clients = |id: u64| {
        let node = scope.rig.node(id).ok()?;
        Some((None, SocketAddr::new(node.address, node.ports.client)))
    };
    let others = |these: &[u64]| ids.iter().copied().find(|id| !these.contains(id));
    let mut probes: Vec<Probe> = match cut {
        Cut::Lossy(..) => Vec::new(),
        Cut::Unvisited(these) => these.iter().filter_map(|id| from_clients(*id)).collect(),
        Cut::Pairs(pairs) => pairs.iter().filter_map(|(one, other)| between(*one, *other)).collect(),
        Cut::Gone(these) => {
            let apart = others(these).zip(these.first()).and_then(|(other, one)| between(other, *one));
            these.first().and_then(|id| from_clients(*id)).into_iter().chain(apart).collect()
        }
        Cut::Apart(these) | Cut::Deaf(these) | Cut::Mute(these) => {
            let both = others(these).zip(these.first().copied());
            both.into_iter().flat_map(|(other, one)| [between(one, other), between(other, one)]).flatten().collect()
        }
        Cut::Scattered => pairs(ids, |_, _| true).iter().filter_map(|(one, other)| between(*one, *other)).collect(),
    };
    probes.truncate(PROBES_MAX);
    probes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_a_ring_everybody_sees_a_majority_and_nobody_sees_all() {
        let strangers = strangers_of_a_ring(&[1, 2, 3, 4, 5]);
        assert_eq!(strangers, [(1, 3), (1, 4), (2, 4), (2, 5), (3, 5)]);
        for id in 1..=5 {
            let sees = 4 - strangers.iter().filter(|(one, other)| *one == id || *other == id).count();
            assert_eq!(sees, 2, "node {id} sees two others: three of five");
        }
    }

    #[test]
    fn a_bridge_is_the_only_one_that_sees_both_sides() {
        assert_eq!(strangers_of_a_bridge(&[1, 2, 3]), [(1, 3)]);
        assert_eq!(strangers_of_a_bridge(&[1, 2, 3, 4, 5]), [(1, 4), (1, 5), (2, 4), (2, 5)]);
    }

    #[test]
    fn each_kind_cuts_in_its_own_way() {
        let ids = [1, 2, 3];
        assert_eq!(cut(Kind::Isolate, &[1], &ids, 0), Cut::Gone(vec![1]));
        assert_eq!(cut(Kind::PeerOnly, &[1], &ids, 0), Cut::Apart(vec![1]));
        assert_eq!(cut(Kind::ClientOnly, &[1], &ids, 0), Cut::Unvisited(vec![1]));
        assert_eq!(cut(Kind::Halves, &[1, 2], &ids, 0), Cut::Apart(vec![1, 2]));
        assert_eq!(cut(Kind::Loss, &[1], &ids, 12), Cut::Lossy(vec![1], 12));
    }
}
