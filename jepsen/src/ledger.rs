//! One profile that nobody else writes, and what was acknowledged of it: that must be there, once.

use std::time::Duration;

use anyhow::{bail, ensure};
use openshell_client::{CallError, id_time_ms};
use openshell_proto::v1::ProviderProfile;
use openshell_tests::{Api, Scene, eventually, profile};
use tonic::Code;

use crate::workload::workspace_through;

const ID: &str = "ledger";
/// Bytes of each version: after 200 of them a snapshot takes several pieces, since replies are remembered.
const BYTES: usize = 8 * 1024;
const LIMIT: Duration = Duration::from_secs(30);

pub(crate) struct Ledger {
    pub(crate) scene: Scene,
    /// As it was last known to be.
    profile: ProviderProfile,
    attempts: u64,
    /// Updates that may have taken effect, or still may.
    doubts: u64,
}

impl Ledger {
    /// Makes it, in a workspace of its own.
    pub(crate) async fn open(api: Api) -> anyhow::Result<Self> {
        let workspace = workspace_through(&api, "ledger").await?;
        let scene = Scene { workspace, api };
        let first = ProviderProfile { description: "-".repeat(BYTES), ..profile(ID, &["a.example.com"]) };
        let mut answer = scene.try_import(vec![first]).await?.message;
        ensure!(answer.imported, "the ledger was not imported: {:?}", answer.diagnostics);
        let Some(profile) = answer.profiles.pop() else { bail!("an import without a profile") };
        Ok(Self { scene, profile, attempts: 0, doubts: 0 })
    }

    /// Its version, as it was last known.
    pub(crate) fn version(&self) -> u64 {
        self.profile.resource_version
    }

    /// One update. It may come to nothing while nobody answers; what it contradicts is an error.
    pub(crate) async fn write(&mut self) -> anyhow::Result<()> {
        self.attempts += 1;
        let next = ProviderProfile { display_name: format!("Entry {}", self.attempts), ..self.profile.clone() };
        match self.scene.try_update(next).await {
            Ok(answer) => {
                let before = self.profile.resource_version;
                let Some(after) = answer.message.profile else {
                    bail!("an update was not accepted: {:?}", answer.message.diagnostics)
                };
                ensure!(
                    after.resource_version == before + 1,
                    "an update on version {before} made {}",
                    after.resource_version
                );
                self.profile = after;
                Ok(())
            }
            Err(CallError::NotDone { .. } | CallError::Unreachable(_)) => Ok(()),
            Err(CallError::Unknown { .. }) => {
                self.doubts += 1;
                Ok(())
            }
            // Of callers side by side one may come too late for a cluster whose time has jumped.
            Err(CallError::Refused(status)) if id_time_ms(&status).is_some() => Ok(()),
            // One in doubt may have come true meanwhile.
            Err(CallError::Refused(_)) if self.doubts > 0 => self.check(&self.scene.api.clone()).await,
            Err(refused @ CallError::Refused(_)) => Err(refused.into()),
        }
    }

    /// So many updates, each until it is acknowledged.
    pub(crate) async fn write_all(&mut self, count: u64) -> anyhow::Result<()> {
        let goal = self.profile.resource_version + count;
        let limit = tokio::time::Instant::now() + 4 * LIMIT;
        while self.profile.resource_version < goal {
            ensure!(tokio::time::Instant::now() < limit, "{count} updates took more than {:?}", 4 * LIMIT);
            self.write().await?;
        }
        Ok(())
    }

    /// What a linearizable read through `api` finds must be what was acknowledged, or an update in doubt.
    pub(crate) async fn check(&mut self, api: &Api) -> anyhow::Result<()> {
        let through = self.scene.through(api.linearizable());
        let found = eventually("the ledger to be read", LIMIT, async || match through.try_profile(ID).await {
            // It was made before anybody asked for it, and nobody deletes it.
            Err(CallError::Refused(status)) if status.code() == Code::NotFound => Some(None),
            other => other.ok().map(Some),
        });
        let Some(found) = found.await? else { bail!("nothing is left of the ledger") };
        let (known, now) = (self.profile.resource_version, found.resource_version);
        ensure!(now >= known, "version {known} was acknowledged, and the newest is {now}");
        ensure!(now - known <= self.doubts, "version {now} was made by nobody: {known} was the last");
        ensure!(
            now > known || found.display_name == self.profile.display_name,
            "version {known} is {:?}, and was acknowledged as {:?}",
            found.display_name,
            self.profile.display_name
        );
        self.doubts -= now - known;
        self.profile = found;
        Ok(())
    }
}
