//! Carries out a plan on a cluster, and undoes it. Each fault looks whether it took effect, and whether undoing it did.
//! Only processes that the cluster started are touched, each by its id, and only what belongs to the run is spoiled.

mod clock;
mod corrupt;
mod damage;
mod disk;
mod journal;
mod partition;
mod point;
mod power;
mod process;
mod replace;
mod rolling;
mod scarce;
mod snapshot;
mod stored;
mod target;
mod transfer;
mod wire;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt};
use tokio::time::{Instant, sleep_until};

use crate::env::Machine;
use crate::plan::{Kind, Mode, Plan, Planned};
use crate::recorder::Recorder;
use crate::run::Rig;
use journal::Journal;

pub(crate) use corrupt::{Fate, injure};
pub(crate) use damage::{WAYS, way};
pub(crate) use process::stop;
pub(crate) use stored::Stored;

/// Undoing a fault may take so long beyond its time, before the clients stop.
const HEALING_MS: u64 = 1_000;
/// What did not take effect is tried so often again, each time after so long.
const MORE_ATTEMPTS: u32 = 2;
const RETRY_AFTER: Duration = Duration::from_secs(4);
const LATE: &str = "it would not be undone before the end";

/// One kind of fault, done to some nodes.
trait Nemesis {
    /// Does it, looks whether it took effect, and says what was done.
    ///
    /// # Errors
    /// When that is not certain; it is undone then all the same.
    async fn install(&mut self) -> anyhow::Result<String>;

    /// Goes on while it lasts.
    ///
    /// # Errors
    /// When the harness cannot go on.
    async fn last(&mut self, until: Instant) -> anyhow::Result<()> {
        sleep_until(until).await;
        Ok(())
    }

    /// Undoes it, looks whether that took effect, and says what it came to.
    ///
    /// # Errors
    /// When it cannot be undone: the run is over.
    async fn heal(&mut self) -> anyhow::Result<String>;

    /// Why nobody felt it although it was done, where that shows only in the end. Asked once it is undone.
    fn in_vain(&self) -> Option<String> {
        None
    }
}

/// What a fault knows.
#[derive(Clone)]
struct Scope {
    rig: Arc<Rig>,
    planned: Planned,
    /// Whom it hits.
    victims: Vec<u64>,
}

/// Does every fault of the plan at its time, and undoes it. What would not be undone before `end` is skipped; what did not
/// take effect is tried again a little later, under a number that no other fault has.
///
/// # Errors
/// When a fault cannot be undone. The cluster is then as it is.
pub(crate) async fn work(
    rig: &Arc<Rig>,
    plan: &Plan,
    machine: &Arc<Machine>,
    (start, end): (Instant, Instant),
    recorder: &Arc<Recorder>,
) -> anyhow::Result<()> {
    journal::left_out(recorder, plan.faults.len() as u64, &plan.left_out);
    let mut number = (plan.faults.len() + plan.left_out.len()) as u64;
    let attempt = |planned: Planned, due: Instant, left: u32| async move {
        sleep_until(due).await;
        let journal = Journal::new(recorder, planned.number, planned.kind);
        let felt = fault(rig, &planned, plan.mode, journal, end).await?;
        let fits = Instant::now() + RETRY_AFTER + span(&planned) <= end;
        anyhow::Ok((!felt && left > 0 && fits).then(|| (planned, left - 1)))
    };
    let mut under_way = FuturesUnordered::new();
    for planned in &plan.faults {
        let journal = Journal::new(recorder, planned.number, planned.kind);
        match machine.lacks(planned.kind.needs()).or_else(|| planned.kind.obstacle(plan.nodes)) {
            Some(why) => journal.skipped(&why),
            None => {
                let due = start + Duration::from_millis(planned.at_ms);
                under_way.push(attempt(planned.clone(), due, MORE_ATTEMPTS));
            }
        }
    }
    while let Some(done) = under_way.next().await {
        if let Some((planned, left)) = done? {
            under_way.push(attempt(Planned { number, ..planned }, Instant::now() + RETRY_AFTER, left));
            number += 1;
        }
    }
    Ok(())
}

/// How long a fault and its undoing take.
fn span(planned: &Planned) -> Duration {
    Duration::from_millis(planned.lasts_ms + HEALING_MS)
}

/// Chooses whom a fault hits, does it, and undoes it; whether it took effect.
async fn fault(rig: &Arc<Rig>, planned: &Planned, mode: Mode, journal: Journal, end: Instant) -> anyhow::Result<bool> {
    let is_late = || Instant::now() + span(planned) > end;
    if is_late() {
        journal.skipped(LATE);
        return Ok(false);
    }
    let victims = match target::choose(rig, planned, mode).await {
        Ok(victims) => victims,
        Err(why) => {
            journal.skipped(&why);
            return Ok(false);
        }
    };
    let journal = journal.about(&victims);
    let until = Instant::now() + Duration::from_millis(planned.lasts_ms);
    let outcome = if is_late() {
        journal.skipped(LATE);
        Ok(false)
    } else {
        one(Scope { rig: Arc::clone(rig), planned: planned.clone(), victims: victims.clone() }, &journal, until).await
    };
    if let Some(organ) = target::organ(planned.kind) {
        rig.release(&victims, organ);
    }
    outcome
}

/// One fault from its beginning to its end; whether it took effect.
async fn one(scope: Scope, journal: &Journal, until: Instant) -> anyhow::Result<bool> {
    match scope.planned.kind {
        Kind::Kill => live(process::Kill(scope), journal, until).await,
        Kind::KillInRecovery => live(process::KillInRecovery(scope), journal, until).await,
        Kind::Pause => live(process::Pause(scope), journal, until).await,
        Kind::Rolling => live(rolling::Rolling::new(scope), journal, until).await,
        Kind::Replace => live(replace::Replace::new(scope, journal.clone(), until), journal, until).await,
        Kind::Transfer => live(transfer::Transfer(scope), journal, until).await,
        Kind::CrashPoint => live(point::CrashPoint::new(scope, until), journal, until).await,
        Kind::Reboot => live(process::Reboot::new(scope), journal, until).await,
        Kind::FewFiles => live(scarce::FewFiles::new(scope), journal, until).await,
        Kind::LittleProcessor | Kind::LittleMemory => live(scarce::Squeezed::new(scope), journal, until).await,
        Kind::Isolate
        | Kind::PeerOnly
        | Kind::ClientOnly
        | Kind::Halves
        | Kind::Ring
        | Kind::Bridge
        | Kind::Deaf
        | Kind::Mute
        | Kind::Flapping
        | Kind::Loss => live(partition::Partition::new(scope), journal, until).await,
        Kind::Blackhole => live(snapshot::Blackhole::new(scope), journal, until).await,
        Kind::Thin | Kind::ThinPeer => live(wire::ThinLink::new(scope), journal, until).await,
        Kind::Delay | Kind::Reorder => live(wire::LatePackets::new(scope), journal, until).await,
        Kind::Reset => live(wire::Reset(scope), journal, until).await,
        Kind::ClockJump | Kind::ClockRate | Kind::ClockStrobe => live(clock::WrongClock(scope), journal, until).await,
        Kind::SlowDisk | Kind::DiskError => live(disk::SpoiledSyncs::new(scope), journal, until).await,
        Kind::HungDisk => live(disk::Hung(scope), journal, until).await,
        Kind::FullDisk => live(disk::Full::new(scope), journal, until).await,
        Kind::ReadOnlyDisk => live(disk::ReadOnly::new(scope), journal, until).await,
        Kind::PowerLoss => live(power::PowerLoss(scope), journal, until).await,
        Kind::Corrupt => live(corrupt::Corrupt::new(scope), journal, until).await,
    }
}

/// From its beginning to its end; whether it was felt.
async fn live<N: Nemesis>(mut nemesis: N, journal: &Journal, until: Instant) -> anyhow::Result<bool> {
    journal.begun("");
    let installed = nemesis.install().await;
    match &installed {
        Ok(said) => journal.installed(said),
        Err(error) => journal.indeterminate(&format!("{error:#}")),
    }
    let lasted = nemesis.last(until).await;
    let healed = nemesis.heal().await;
    let in_vain = nemesis.in_vain().filter(|_| installed.is_ok() && healed.is_ok());
    if let Some(why) = &in_vain {
        // While it is there: who reads the history closes it when it is healed.
        journal.indeterminate(why);
    }
    journal.healed(healed.as_deref().unwrap_or("it could not be undone"));
    lasted?;
    healed.map(|_| installed.is_ok() && in_vain.is_none())
}
