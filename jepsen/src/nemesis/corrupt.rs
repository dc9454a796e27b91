//! A stopped node one of whose files is damaged: it must refuse to start and say why, or have everything that it had reported
//! as synced. What is put back of one that refuses is what it had when it was stopped: nothing was written since.

use std::fs;
use std::path::Path;

use anyhow::ensure;
use openshell_tests::run_program;
use tempfile::TempDir;
use tokio::task::block_in_place;

use super::damage::{Damaged, damage};
use super::process::stop;
use super::stored::Stored;
use super::{Nemesis, Scope};
use crate::env::Disk;
use crate::run::{Machinery, Rig};

/// A start is waited for so often, twenty seconds each time.
const STARTS: u32 = 3;
/// One of these is in what a node says that refuses to start because of its data.
const WORDS: [&str; 4] = ["damaged", "entries were lost", "orruption", "the data directory cannot be used"];
/// Of a log.
const LINES: usize = 3;

/// What became of a node that was damaged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It ended by itself, and said why.
    Refused(String),
    /// It ended without a word about damage, or neither ended nor started.
    Mute(String),
    /// It started with everything that it had, or with what leads there.
    Whole,
    /// It runs with everything that it had, on data in which `inspect` still finds damage.
    Unnoticed(String),
    /// It started with less than it had, or with something else.
    Silent(String),
}

impl Fate {
    /// What must not be, in words.
    pub(crate) fn wrong(&self) -> Option<&str> {
        match self {
            Self::Mute(why) | Self::Silent(why) => Some(why),
            Self::Refused(_) | Self::Whole | Self::Unnoticed(_) => None,
        }
    }
}

/// A node that was stopped and damaged, and what it had before.
pub(crate) struct Injury {
    id: u64,
    /// Goes with the value.
    intact: TempDir,
    /// What was damaged, and how.
    pub(crate) damaged: Damaged,
    pub(crate) fate: Fate,
}

/// Damages a file of a node that was stopped in order, and starts it. Nobody else may touch it meanwhile.
///
/// # Errors
/// When the harness cannot do that, which says nothing about the node.
pub(crate) async fn injure(rig: &Rig, id: u64, choice: u64) -> anyhow::Result<Injury> {
    let data = rig.with(|machinery| Ok(machinery.data(id).to_path_buf())).await?;
    let (intact, damaged, before, after) = block_in_place(|| {
        let intact = tempfile::Builder::new().prefix("intact-").tempdir_in(&rig.folder)?;
        copy(&data, intact.path())?;
        let before = Stored::of(&data)?;
        ensure!(before.is_sound(), "a node that nobody has damaged is damaged: {:?}", before.damage);
        let damaged = damage(&data, choice)?;
        let after = Stored::of(&data)?;
        anyhow::Ok((intact, damaged, before, after))
    })?;
    let start = rig.with(|machinery| {
        let said = machinery.cluster.gateway(id).log_text().len();
        machinery.settle(id)?;
        machinery.start(id)?;
        machinery.excused.insert(id);
        Ok(said)
    });
    let said_before = start.await?;
    let fate = match listens(rig, id).await? {
        Start::Listens if after.is_sound() => on_sound_data(&damaged.said, &before, &after),
        Start::Listens => {
            // It may have mended what was damaged, or not have met it: what counts is what it goes on with.
            let now = rig.with(|machinery| {
                machinery.kill(id)?;
                Stored::of(machinery.data(id))
            });
            on_damaged_data(&damaged.said, &before, &now.await?)
        }
        Start::Ended => {
            let log = rig.with(|machinery| Ok(machinery.cluster.gateway(id).log_text())).await?;
            ended(&damaged.said, log.get(said_before..).unwrap_or_default())
        }
        Start::Neither => Fate::Mute(format!("{}: it neither started nor ended", damaged.said)),
    };
    Ok(Injury { id, intact, damaged, fate })
}

/// What became of a start.
enum Start {
    Listens,
    Ended,
    Neither,
}

async fn listens(rig: &Rig, id: u64) -> anyhow::Result<Start> {
    for _ in 0..STARTS {
        if rig.listens(id).await? {
            return Ok(Start::Listens);
        }
        if rig.with(|machinery| Ok(machinery.ended(id))).await?.is_some() {
            return Ok(Start::Ended);
        }
    }
    Ok(Start::Neither)
}

/// Of a node that started on data in which no damage was found.
fn on_sound_data(said: &str, before: &Stored, after: &Stored) -> Fate {
    // A log that ends early looks as after a crash: a state that was not synced is made again, from entries that were.
    if after.is_same_as(before) || after.leads_to(before) {
        return Fate::Whole;
    }
    Fate::Silent(format!("{said}: it has other contents than it had, found no damage, and started"))
}

/// Of a node that started although there was damage: what it is worth is what it has afterwards.
fn on_damaged_data(said: &str, before: &Stored, now: &Stored) -> Fate {
    match (now.has_all_of(before), now.is_sound()) {
        (true, true) => Fate::Whole,
        (true, false) => Fate::Unnoticed(format!("{said}: it runs on damaged data: {:?}", now.damage)),
        (false, _) => Fate::Silent(format!(
            "{said}: it started on damaged data and lacks what it had; damage now: {:?}",
            now.damage
        )),
    }
}

/// Of a node that ended, by what it said.
fn ended(said: &str, log: &str) -> Fate {
    let lines: Vec<&str> = log.lines().collect();
    let last = lines[lines.len().saturating_sub(LINES)..].join("\n");
    if WORDS.iter().any(|words| log.contains(words)) {
        Fate::Refused(last)
    } else {
        Fate::Mute(format!("{said}: it ended without a word about damage: {last}"))
    }
}

impl Injury {
    /// Starts the node with everything that it had, if it did not start: then it has spoken to nobody.
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) async fn heal(self, rig: &Rig) -> anyhow::Result<()> {
        if matches!(self.fate, Fate::Refused(_) | Fate::Mute(_)) {
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
            copy(self.intact.path(), &data)?;
            machinery.settle(self.id)
        });
        undone.await
    }
}

/// Copies what is in a folder into another one, made when it is not there.
fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to)?;
    let (from, to) = (from.join(".").display().to_string(), to.display().to_string());
    run_program("cp", &["-a", &from, &to], "").map(drop)
}

impl Machinery {
    /// What the harness has written for a node is there after a loss of power, as what the node synced was before. Only one
    /// with a disk of its own loses power.
    fn settle(&self, id: u64) -> anyhow::Result<()> {
        self.disks.get(&id).map_or(Ok(()), Disk::settle)
    }
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
        let said = format!("{}: {:?}", injury.damaged.said, injury.fate);
        if let Some(why) = injury.fate.wrong() {
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

    fn stored(lines: &[&str]) -> Stored {
        Stored::read(&lines.join("\n")).unwrap()
    }

    const ENTRY: &str = r#"{"type":"entry","index":3}"#;
    const DAMAGE: &str = r#"{"type":"damage","place":"log","what":"x"}"#;

    #[test]
    fn a_node_that_starts_on_damaged_data_is_silent_unless_everything_is_there() {
        let before = stored(&[ENTRY]);
        assert!(matches!(on_damaged_data("x", &before, &stored(&[DAMAGE])), Fate::Silent(_)));
        assert!(matches!(on_damaged_data("x", &before, &stored(&[])), Fate::Silent(_)), "it cut the damage off");
        assert!(matches!(on_damaged_data("x", &before, &stored(&[DAMAGE, ENTRY])), Fate::Unnoticed(_)));
        assert_eq!(on_damaged_data("x", &before, &stored(&[ENTRY])), Fate::Whole);
    }

    #[test]
    fn a_node_that_starts_on_other_data_than_it_had_is_silent() {
        let before = stored(&[ENTRY]);
        assert_eq!(on_sound_data("x", &before, &before), Fate::Whole);
        assert!(matches!(on_sound_data("x", &before, &stored(&[])), Fate::Silent(_)));
    }

    #[test]
    fn to_refuse_is_to_say_why() {
        let damaged = "node 1\nError: stored data is damaged: db/000012.log: the record at byte 7 is damaged\n";
        assert!(matches!(ended("x", damaged), Fate::Refused(said) if said.starts_with("node 1")));
        let lost = "Error: the database holds 3 synced writes, but 5 were reported: acknowledged entries were lost";
        assert!(matches!(ended("x", lost), Fate::Refused(_)));
        for mute in ["", "Error: listening on --peer-bind 127.0.0.1:1", "thread panicked"] {
            let fate = ended("x", mute);
            assert!(matches!(&fate, Fate::Mute(_)) && fate.wrong().is_some(), "{mute}");
        }
    }
}
