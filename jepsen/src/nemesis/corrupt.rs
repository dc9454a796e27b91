//! A stopped node one of whose files is damaged: it must refuse to start, or have everything that it had. What is put
//! back of one that refuses is what it had when it was stopped: nothing was written since.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use openshell_tests::{binary, eventually, run_program};
use tempfile::TempDir;
use tokio::task::block_in_place;

use super::damage::damage;
use super::{Nemesis, Scope};
use crate::run::Rig;

/// A gateway lets calls under way end for twelve seconds.
const STOP_LIMIT: Duration = Duration::from_secs(20);

/// What became of a node that was damaged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It did not start, and said why.
    Refused(String),
    /// It started with everything that it had.
    Whole,
    /// It started with less than it had, or with something else.
    Silent(String),
}

/// A node that was stopped and damaged, and what it had before.
pub(crate) struct Injury {
    id: u64,
    /// Goes with the value.
    intact: TempDir,
    /// What was damaged, and how.
    pub(crate) said: String,
    pub(crate) fate: Fate,
}

/// Damages a file of a node that was stopped in order, and starts it. Nobody else may touch it meanwhile.
///
/// # Errors
/// When the harness cannot do that, which says nothing about the node.
pub(crate) async fn injure(rig: &Rig, id: u64, choice: u64) -> anyhow::Result<Injury> {
    let data = rig.with(|machinery| Ok(machinery.data(id).to_path_buf())).await?;
    let (intact, said, before, after) = block_in_place(|| {
        let intact = tempfile::Builder::new().prefix("intact-").tempdir_in(&rig.folder)?;
        copy(&data, intact.path())?;
        let before = inspected(&data)?.context("a node that nobody has damaged is damaged")?;
        let said = damage(&data, choice)?;
        let after = inspected(&data)?;
        anyhow::Ok((intact, said, before, after))
    })?;
    let start = rig.with(|machinery| {
        machinery.start(id)?;
        machinery.excused.insert(id);
        Ok(())
    });
    start.await?;
    let fate = if !rig.listens(id).await? {
        let log = rig.with(|machinery| Ok(machinery.cluster.gateway(id).log_tail(1))).await?;
        Fate::Refused(log)
    } else if after.as_ref().is_some_and(|after| *after != before) {
        Fate::Silent(format!("{said}: it has other contents than it had, found no damage, and started"))
    } else {
        Fate::Whole
    };
    Ok(Injury { id, intact, said, fate })
}

impl Injury {
    /// Starts the node with everything that it had, if it refused to start.
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) async fn heal(self, rig: &Rig) -> anyhow::Result<()> {
        if matches!(self.fate, Fate::Refused(_)) {
            self.undo(rig).await?;
        }
        rig.with(|machinery| machinery.start(self.id)).await
    }

    /// Ends the node, if it lives, and puts everything back that it had. Since it was stopped, it may have spoken to
    /// nobody.
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) async fn undo(&self, rig: &Rig) -> anyhow::Result<()> {
        let undone = rig.with(|machinery| {
            machinery.kill(self.id)?;
            let data = machinery.data(self.id).to_path_buf();
            fs::remove_dir_all(&data)?;
            copy(self.intact.path(), &data)
        });
        undone.await
    }
}

/// Stops a node in order.
///
/// # Errors
/// When it does not end like that.
pub(crate) async fn stop(rig: &Rig, id: u64) -> anyhow::Result<()> {
    let asked = rig.with(|machinery| {
        machinery.excused.insert(id);
        machinery.cluster.gateway(id).ask_to_stop()
    });
    asked.await?;
    let ended = eventually("a node that was asked to stop to end", STOP_LIMIT, async || {
        rig.with(|machinery| Ok(machinery.ended(id))).await.ok().flatten()
    });
    // The mark, by which a node knows that nothing is missing, is only up to date after an orderly end.
    ensure!(ended.await?.success(), "node {id} did not end in order");
    rig.with(|machinery| machinery.kill(id)).await
}

/// Copies what is in a folder into another one, made when it is not there.
fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to)?;
    let (from, to) = (from.join(".").display().to_string(), to.display().to_string());
    run_program("cp", &["-a", &from, &to], "").map(drop)
}

/// Everything that a stopped node has stored, but for its mark, which is a file of its own; nothing when there is damage.
fn inspected(data: &Path) -> anyhow::Result<Option<Vec<String>>> {
    let mut command = Command::new(binary("openshell-gateway")?);
    command.arg("inspect").arg("--data-dir").arg(data).stdin(Stdio::null());
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("OPENSHELL_")) {
        command.env_remove(name);
    }
    let output = command.output().context("inspecting a node")?;
    if !output.status.success() {
        return Ok(None);
    }
    let text = String::from_utf8(output.stdout).context("what inspect prints")?;
    text.lines().map(without_mark).collect::<anyhow::Result<Vec<String>>>().map(Some)
}

fn without_mark(line: &str) -> anyhow::Result<String> {
    if !line.contains("\"high_water_mark\"") {
        return Ok(line.to_owned());
    }
    let mut value: serde_json::Value = serde_json::from_str(line).context("a line of inspect")?;
    if let Some(object) = value.as_object_mut() {
        object.remove("high_water_mark");
    }
    Ok(value.to_string())
}

/// The fault of a run.
pub(super) struct Corrupt {
    scope: Scope,
    injury: Option<Injury>,
}

impl Corrupt {
    pub(super) fn new(scope: Scope) -> Self {
        Self { scope, injury: None }
    }
}

impl Nemesis for Corrupt {
    async fn install(&mut self) -> anyhow::Result<String> {
        let victim = self.scope.victim()?;
        stop(&self.scope.rig, victim).await?;
        let injury = injure(&self.scope.rig, victim, self.scope.planned.choice).await?;
        let said = format!("{}: {:?}", injury.said, injury.fate);
        if let Fate::Silent(why) = &injury.fate {
            self.scope.rig.complain(format!("node {}: {why}", injury.id));
        }
        self.injury = Some(injury);
        Ok(said)
    }

    async fn heal(&mut self) -> anyhow::Result<String> {
        if let Some(injury) = self.injury.take() {
            injury.heal(&self.scope.rig).await?;
        }
        self.scope.start_all().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_is_no_part_of_what_a_node_has() {
        let line = r#"{"type":"marks","counter":7,"high_water_mark":5,"digest":"AA=="}"#;
        assert_eq!(without_mark(line).unwrap(), r#"{"type":"marks","counter":7,"digest":"AA=="}"#);
        assert_eq!(without_mark(r#"{"type":"entry"}"#).unwrap(), r#"{"type":"entry"}"#);
    }
}
