//! Whom a fault hits: resolved when it happens.

use std::time::Duration;

use openshell_tests::eventually;

use crate::plan::{Kind, Mode, Planned, Target};
use crate::run::{Organ, Rig};

/// How long a fault waits for a leader to hurt.
const LEADER_LIMIT: Duration = Duration::from_secs(4);
/// How long it waits for others to let go of its victims: as long as one of them holds them, and a start.
const HOLD_LIMIT: Duration = Duration::from_secs(12);
/// How long it waits, in safe mode, until nobody else is hurt.
const WHOLE_LIMIT: Duration = Duration::from_secs(10);

/// What a kind of fault holds of its victims.
pub(super) fn organ(kind: Kind) -> Option<Organ> {
    match kind {
        Kind::Kill | Kind::KillInRecovery | Kind::Pause | Kind::CrashPoint | Kind::Corrupt | Kind::PowerLoss => {
            Some(Organ::Process)
        }
        Kind::SlowDisk | Kind::DiskError | Kind::HungDisk | Kind::FullDisk | Kind::ReadOnlyDisk => Some(Organ::Process),
        Kind::Replace | Kind::Reboot => Some(Organ::Process),
        Kind::FewFiles | Kind::LittleProcessor | Kind::LittleMemory => Some(Organ::Process),
        Kind::Thin | Kind::ThinPeer | Kind::Delay | Kind::Reorder => Some(Organ::Wire),
        Kind::ClockJump | Kind::ClockRate | Kind::ClockStrobe => Some(Organ::Clock),
        // Cuts add up, and the others hold what they need for a moment.
        Kind::Isolate | Kind::PeerOnly | Kind::ClientOnly | Kind::Halves | Kind::Ring | Kind::Bridge => None,
        Kind::Deaf | Kind::Mute | Kind::Flapping | Kind::Blackhole | Kind::Loss | Kind::Reset => None,
        Kind::Rolling | Kind::Transfer => None,
    }
}

/// Chooses the victims of a fault, and holds what it needs of them.
///
/// # Errors
/// Why it cannot be done now, in words.
pub(super) async fn choose(rig: &Rig, planned: &Planned, mode: Mode) -> Result<Vec<u64>, String> {
    if mode == Mode::Safe && planned.damage(rig.nodes.len() as u64) > 0 {
        let minority = (rig.nodes.len() as u64 - 1) / 2;
        let whole = eventually("enough nodes to be ready", WHOLE_LIMIT, async || {
            let mut hurt = 0;
            for node in &rig.nodes {
                hurt += u64::from(!rig.is_ready(node.id).await);
            }
            (hurt + planned.damage(rig.nodes.len() as u64) <= minority).then_some(())
        });
        whole.await.map_err(|error| format!("{error:#}"))?;
    }
    let victims = if planned.nodes.is_empty() {
        let leader = rig.leader(LEADER_LIMIT).await;
        let ids: Vec<u64> = rig.nodes.iter().map(|node| node.id).collect();
        victims(planned, leader.unwrap_or(ids[0]), &ids)
    } else {
        planned.nodes.clone()
    };
    let Some(organ) = organ(planned.kind) else { return Ok(victims) };
    let held = eventually("the victims to be free", HOLD_LIMIT, async || rig.hold(&victims, organ).then_some(())).await;
    held.map_err(|_| format!("another fault holds one of the nodes {victims:?}"))?;
    Ok(victims)
}

/// Whom it hits when this node leads. Without a leader to be found, it hits as if the first node led.
fn victims(planned: &Planned, leader: u64, ids: &[u64]) -> Vec<u64> {
    let mut followers: Vec<u64> = ids.iter().copied().filter(|id| *id != leader).collect();
    if !followers.is_empty() {
        let turn = usize::try_from(planned.choice % followers.len() as u64).unwrap_or_default();
        followers.rotate_left(turn);
    }
    let count = usize::try_from(planned.target.count(ids.len() as u64)).unwrap_or(ids.len());
    match planned.target {
        Target::Follower => followers.into_iter().take(1).collect(),
        Target::Leader | Target::Pair | Target::Half => [leader].into_iter().chain(followers).take(count).collect(),
        Target::Everyone => ids.to_vec(),
        Target::Last => ids.iter().copied().max().into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(target: Target, choice: u64) -> Planned {
        let (kind, nodes) = (Kind::Kill, Vec::new());
        Planned { number: 0, at_ms: 0, lasts_ms: 1, kind, target, nodes, amount: 0, choice }
    }

    #[test]
    fn the_leader_is_the_first_victim_and_followers_take_turns() {
        let ids = [1, 2, 3, 4, 5];
        assert_eq!(victims(&planned(Target::Leader, 3), 2, &ids), [2]);
        assert_eq!(victims(&planned(Target::Pair, 0), 2, &ids), [2, 1]);
        assert_eq!(victims(&planned(Target::Half, 2), 2, &ids), [2, 4]);
        assert_eq!(victims(&planned(Target::Half, 1), 2, &ids[..3]), [2, 3]);
        assert_eq!(victims(&planned(Target::Follower, 5), 2, &ids), [3]);
        assert_eq!(victims(&planned(Target::Everyone, 0), 2, &ids), ids);
        assert_eq!(victims(&planned(Target::Last, 0), 2, &ids), [5]);
    }
}
