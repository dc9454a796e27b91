//! A process that ends at a point of its own code, chosen by chance among those that a node passes while clients work.
//! Each point by itself, with what must have happened before it, is `crashpoints`' business.

use std::time::Duration;

use anyhow::bail;
use openshell_chaos::{FILE_VARIABLE, POINT_VARIABLE, Point};
use tokio::time::{Instant, sleep};

use super::{Nemesis, Scope};

const LOOK_EVERY: Duration = Duration::from_millis(50);
/// A point is passed so often at most before the process ends there.
const COUNT_MAX: u64 = 30;

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
        Self { scope, until, trap: format!("{}:{count}", point.name()) }
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
}

impl Nemesis for CrashPoint {
    async fn install(&mut self) -> anyhow::Result<String> {
        let id = self.scope.victim()?;
        self.restart(Some(&self.trap)).await?;
        while Instant::now() < self.until {
            if let Some(status) = self.scope.rig.with(|machinery| Ok(machinery.ended(id))).await? {
                return Ok(format!("it ended at {} with {status}", self.trap));
            }
            sleep(LOOK_EVERY).await;
        }
        bail!("it did not come to {}", self.trap)
    }

    async fn heal(&mut self) -> anyhow::Result<String> {
        self.restart(None).await?;
        self.scope.start_all().await
    }
}
