//! What is left of a run for people to look at: its verdict in words (`text`), what the program ends with (`outcome`),
//! and one page (`html`) that is made from the files of the run's folder alone, so that it can be made again. Judging
//! is not here.

mod faults;
mod folder;
mod gaps;
mod html;
mod latency;
mod outcome;
mod strip;
mod svg;
mod text;
mod timeline;
mod violations;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::history::Story;
use crate::{edn, scoreboard};

pub(crate) use folder::{findings, json, lines, lines_of};
pub(crate) use latency::Kind;
pub(crate) use outcome::Outcome;
pub(crate) use text::{NO_VERDICT, NOT_JUDGED, exit_code, say, summary};

/// Name of the page in the folder.
const FILE: &str = "report.html";

/// Makes the page of a run's folder, and the history in EDN, from what else is there. Returns where the page is.
///
/// # Errors
/// When there is no history, or a file cannot be read or written.
pub(crate) fn rebuild(folder: &Path) -> anyhow::Result<PathBuf> {
    let lines = lines(folder)?;
    edn::write(&lines, &folder.join("history.edn"))?;
    let story = Story::of(&lines).context("the history")?;
    let name = folder.canonicalize().ok().and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
    let content = html::Content {
        title: name.unwrap_or_else(|| folder.display().to_string()),
        facts: folder::facts(folder)?,
        story: &story,
        findings: findings(folder)?,
        outcome: folder::outcome(folder)?,
        board: scoreboard::of_folder(folder)?,
        replay: folder::replay(folder)?,
    };
    let path = folder.join(FILE);
    fs::write(&path, html::page(&content)).with_context(|| format!("writing {}", path.display()))?;
    Ok(path)
}
