//! Disks that are slow, fail, hang, are full, or become read-only. A node may end of it, and must never go on as if it
//! had not happened.

use std::time::Duration;

use tokio::task::block_in_place;
use tokio::time::sleep;

use super::{Nemesis, Scope};
use crate::env::{Spoil, Tracer};
use crate::plan::Kind;

/// A process whose sync failed has ended after so long.
const END_LIMIT: Duration = Duration::from_secs(2);

/// Syncs that take longer, or fail.
pub(super) struct SpoiledSyncs {
    scope: Scope,
    tracers: Vec<(u64, Tracer)>,
    spoiled: usize,
}

impl SpoiledSyncs {
    pub(super) fn new(scope: Scope) -> Self {
        Self { scope, tracers: Vec::new(), spoiled: 0 }
    }

    fn fails(&self) -> bool {
        self.scope.planned.kind == Kind::DiskError
    }
}

impl Nemesis for SpoiledSyncs {
    async fn install(&mut self) -> anyhow::Result<String> {
        if self.fails() {
            self.scope.excuse().await?;
        }
        let spoil = if self.fails() { Spoil::Fail } else { Spoil::Late(self.scope.planned.amount) };
        for id in self.scope.victims.clone() {
            let record = self.scope.rig.folder.join(format!("strace-{}-{id}", self.scope.planned.number));
            let process = self.scope.rig.with(|machinery| machinery.process(id)).await?;
            self.tracers.push((id, block_in_place(|| Tracer::attach(process, spoil, &record))?));
        }
        Ok(if self.fails() {
            "syncs fail".to_owned()
        } else {
            format!("syncs take {} ms longer", self.scope.planned.amount)
        })
    }

    async fn heal(&mut self) -> anyhow::Result<String> {
        for (id, tracer) in self.tracers.drain(..) {
            let count = block_in_place(|| tracer.detach())?;
            self.spoiled += count;
            if self.scope.planned.kind == Kind::DiskError && count > 0 {
                sleep(END_LIMIT).await;
                if !self.scope.ended().await?.contains(&id) {
                    self.scope.rig.complain(format!("{count} syncs of node {id} failed, and it went on"));
                }
            }
        }
        let ended = self.scope.ended().await?;
        let listening = self.scope.start_all().await?;
        Ok(format!("{} syncs were spoiled, {ended:?} ended, {listening}", self.spoiled))
    }

    fn in_vain(&self) -> Option<String> {
        (self.spoiled == 0).then(|| "nothing was synced meanwhile".to_owned())
    }
}

/// A file system that answers nothing.
pub(super) struct Hung(pub(super) Scope);

impl Nemesis for Hung {
    async fn install(&mut self) -> anyhow::Result<String> {
        self.0.excuse().await?;
        self.0.rig.each(&self.0.victims, |machinery, id| machinery.disk(id)?.freeze()).await?;
        Ok("frozen".to_owned())
    }

    async fn heal(&mut self) -> anyhow::Result<String> {
        self.0.rig.each(&self.0.victims, |machinery, id| machinery.disk(id)?.thaw()).await?;
        let ended = self.0.ended().await?;
        Ok(format!("thawed, {ended:?} ended, {}", self.0.start_all().await?))
    }
}

/// A file system without room: whoever must write there ends.
pub(super) struct Full {
    scope: Scope,
    is_met: bool,
}

impl Full {
    pub(super) fn new(scope: Scope) -> Self {
        Self { scope, is_met: false }
    }
}

impl Nemesis for Full {
    async fn install(&mut self) -> anyhow::Result<String> {
        let scope = &self.scope;
        scope.excuse().await?;
        scope.rig.each(&scope.victims, |machinery, id| machinery.disk(id)?.fill()).await?;
        Ok("full".to_owned())
    }

    async fn heal(&mut self) -> anyhow::Result<String> {
        let scope = &self.scope;
        scope.rig.each(&scope.victims, |machinery, id| machinery.disk(id)?.empty()).await?;
        scope.forgive().await?;
        let ended = scope.ended().await?;
        self.is_met = !ended.is_empty();
        Ok(format!("there is room again, {ended:?} ended, {}", scope.start_all().await?))
    }

    fn in_vain(&self) -> Option<String> {
        (!self.is_met).then(|| "nobody wrote more than there was room for".to_owned())
    }
}

/// A file system that takes no writes any more, until the machine comes up again: whoever writes there ends.
pub(super) struct ReadOnly {
    scope: Scope,
    is_met: bool,
}

impl ReadOnly {
    pub(super) fn new(scope: Scope) -> Self {
        Self { scope, is_met: false }
    }
}

impl Nemesis for ReadOnly {
    async fn install(&mut self) -> anyhow::Result<String> {
        let scope = &self.scope;
        scope.excuse().await?;
        scope.rig.each(&scope.victims, |machinery, id| machinery.disk(id)?.make_read_only()).await?;
        Ok("read-only".to_owned())
    }

    async fn heal(&mut self) -> anyhow::Result<String> {
        let scope = &self.scope;
        let ended = scope.ended().await?;
        self.is_met = !ended.is_empty();
        let anew = scope.rig.each(&scope.victims, |machinery, id| {
            machinery.kill(id)?;
            machinery.disk(id)?.remount()
        });
        anew.await?;
        Ok(format!("mounted anew, {ended:?} had ended, {}", scope.start_all().await?))
    }

    fn in_vain(&self) -> Option<String> {
        (!self.is_met).then(|| "nobody wrote anything".to_owned())
    }
}
