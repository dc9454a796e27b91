//! A process that ends at a point of its own code, chosen by chance among those that a node passes while clients work.
//! Each point by itself, with what must have happened before it, is `crashpoints`' business.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::bail;
use nix::sys::signal::Signal;
use openshell_chaos::{FILE_VARIABLE, POINT_VARIABLE, Point};
use tokio::time::{Instant, sleep};

use super::{Nemesis, Scope};

const LOOK_EVERY: Duration = Duration::from_millis(50);
/// A point is passed so often at most before the process ends there.
const COUNT_MAX: u64 = 30;
/// Of the log of one that ended otherwise.
const LINES: usize = 5;

/// Those that every node passes sooner or later under load.
const POINTS: [Point; 17] = [
    Point::AppendBeforeWrite,
    Point::AppendAfterSync,
    Point::VoteBeforeSave,
    Point::VoteAfterSave,
    Point::PurgeBeforeWrite,
    Point::PurgeAfterWrite,
    Point::BeforeSync,
    Point::AfterSync,
    Point::MarkBeforeRename,
    Point::SnapshotBuildBegin,
    Point::SnapshotBuildEnd,
    Point::ApplyBegin,
    Point::ApplyBeforeWrite,
    Point::ApplyAfterWrite,
    Point::ApplyAfterPublish,
    Point::ProposeBeforeAnswer,
    Point::WatchBeforeSend,
];

pub(super) struct CrashPoint {
    scope: Scope,
    until: Instant,
    trap: String,
    /// How often a trap had sprung before.
    sprung: usize,
    has_ended: bool,
}

impl CrashPoint {
    pub(super) fn new(scope: Scope, until: Instant) -> Self {
        let choice = scope.planned.choice;
        let point = POINTS[usize::try_from(choice % POINTS.len() as u64).unwrap_or_default()];
        // What comes once in a while is not waited for twice.
        let count = match point {
            Point::VoteBeforeSave | Point::VoteAfterSave | Point::SnapshotBuildBegin | Point::SnapshotBuildEnd => 1,
            Point::PurgeBeforeWrite | Point::PurgeAfterWrite | Point::MarkBeforeRename => 1,
            _ => 1 + choice / 64 % COUNT_MAX,
        };
        Self { scope, until, trap: format!("{}:{count}", point.name()), sprung: 0, has_ended: false }
    }

    async fn restart(&self, trap: Option<&str>) -> anyhow::Result<()> {
        let id = self.scope.victim()?;
        let restarted = self.scope.rig.with(|machinery| {
            machinery.kill(id)?;
            let gateway = machinery.cluster.gateway_mut(id);
            gateway.set_variable(POINT_VARIABLE, trap);
            gateway.set_variable(FILE_VARIABLE, None);
            machinery.start(id)?;
            if trap.is_some() {
                machinery.excused.insert(id);
            }
            Ok(())
        });
        restarted.await
    }

    /// How it ended, if it did. It may end at its trap and of nothing else: nobody else may touch its process.
    async fn fallen(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        let id = self.scope.victim()?;
        let looked = self.scope.rig.with(|machinery| {
            let Some(status) = machinery.ended(id) else { return Ok(None) };
            Ok(Some((status, machinery.cluster.springs(id), machinery.cluster.gateway(id).log_tail(LINES))))
        });
        let Some((status, sprung, log)) = looked.await? else { return Ok(None) };
        self.has_ended = true;
        if !is_by_trap(status, self.sprung, sprung) {
            let why = format!("node {id} was to end at {} and ended otherwise, with {status}", self.trap);
            self.scope.rig.complain(format!("{why}: {log}"));
            bail!("{why}");
        }
        Ok(Some(status))
    }
}

/// Whether a process with traps ended at one: it says so, and aborts.
fn is_by_trap(status: ExitStatus, before: usize, now: usize) -> bool {
    status.signal() == Some(Signal::SIGABRT as i32) && now > before
}

impl Nemesis for CrashPoint {
    async fn install(&mut self) -> anyhow::Result<String> {
        let id = self.scope.victim()?;
        self.sprung = self.scope.rig.with(|machinery| Ok(machinery.cluster.springs(id))).await?;
        self.restart(Some(&self.trap)).await?;
        while Instant::now() < self.until {
            if let Some(status) = self.fallen().await? {
                return Ok(format!("it ended at {} with {status}", self.trap));
            }
            sleep(LOOK_EVERY).await;
        }
        bail!("it did not come to {}", self.trap)
    }

    async fn heal(&mut self) -> anyhow::Result<String> {
        if !self.has_ended {
            // It may have ended since the last look; what there is to say is said there.
            let _ = self.fallen().await;
        }
        self.restart(None).await?;
        self.scope.start_all().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_says_so_and_aborts_ended_at_a_trap() {
        let (aborted, killed, failed) =
            (ExitStatus::from_raw(6), ExitStatus::from_raw(9), ExitStatus::from_raw(101 << 8));
        assert!(is_by_trap(aborted, 2, 3));
        assert!(!is_by_trap(aborted, 2, 2), "it aborted of something else");
        assert!(!is_by_trap(killed, 2, 3) && !is_by_trap(failed, 2, 3));
    }
}
