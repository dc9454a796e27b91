//! The scoreboard: what runs and single measurements came to, against what they must be and what others have.
//! Measuring is elsewhere; those who measure write `row`s.

mod board;
mod catalogue;
mod kept;
mod observed;
mod results;
mod row;
mod samples;

#[cfg(test)]
mod tests;

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use serde::Serialize;

use crate::checker::Verdict;
use crate::report;

pub(crate) use board::{Board, Line, Standing, Targets};
pub(crate) use row::{Measured, append};

/// Name of the file in a folder.
const FILE: &str = "scoreboard.json";

/// The board of all these folders together. It is written into the last one, and what was measured is added to the
/// folder `kept`, if there is to be one.
///
/// # Errors
/// When a folder has nothing that was measured, or cannot be read or written; and when what is to be kept is already.
fn of_folders(folders: &[PathBuf], targets: Targets, kept: Option<&Path>) -> anyhow::Result<Board> {
    let mut measured = Vec::new();
    for folder in folders {
        let found = measured_in(folder)?;
        ensure!(!found.is_empty(), "{} has neither {} nor results of a run", folder.display(), row::FILE);
        measured.extend(found);
    }
    let board = Board::of(&measured, targets);
    if let Some(last) = folders.last() {
        write(last, FILE, &board)?;
    }
    if let Some(kept) = kept {
        kept::keep(&measured, kept)?;
    }
    Ok(board)
}

/// Writes a value into a file of a folder as JSON.
fn write(folder: &Path, name: &str, value: &impl Serialize) -> anyhow::Result<()> {
    let path = folder.join(name);
    let text = serde_json::to_string_pretty(value)?;
    fs::write(&path, text + "\n").with_context(|| format!("writing {}", path.display()))
}

/// The end of a run, once everything is measured: writes the board of its folder, held to the limits of its profile,
/// prints which figures failed, and says what they make of the run.
///
/// # Errors
/// When the folder cannot be read or written.
pub(crate) fn conclude(folder: &Path, profile: Option<&str>) -> anyhow::Result<Verdict> {
    let board = Board::of(&measured_in(folder)?, Targets::of(profile));
    write(folder, FILE, &board)?;
    for line in board.lines.iter().filter(|line| line.standing == Standing::Failed) {
        let value = line.value.map_or_else(|| "none".to_owned(), |value| format!("{value} {}", line.unit));
        let why = line.why.as_deref().unwrap_or_default();
        report::say(&format!("FAILED {}: {value}; limit: {}; {why}; {}", line.figure, line.limit, line.what));
    }
    Ok(board.of_run())
}

/// The board that was written into a folder; where there is none, that of the folder alone, held to the limits of its
/// run's profile.
///
/// # Errors
/// When a file is there that cannot be read.
pub(crate) fn of_folder(folder: &Path) -> anyhow::Result<Board> {
    let path = folder.join(FILE);
    if !path.exists() {
        let config = report::json(folder, "config.json")?.unwrap_or_default();
        return Ok(Board::of(&measured_in(folder)?, Targets::of(config["profile"].as_str())));
    }
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("reading {}", path.display()))
}

/// Rows that commands wrote, and those that follow from the results of a run.
fn measured_in(folder: &Path) -> anyhow::Result<Vec<Measured>> {
    let mut measured = row::read(folder)?;
    measured.extend(results::read(folder)?);
    Ok(measured)
}

/// Prints the board of these folders, and makes the page of the last one again, if a run left it. What was measured is
/// added to the folder `kept`, if there is to be one. What the program ends with.
///
/// # Errors
/// As [`of_folders`].
pub(crate) fn show(folders: &[PathBuf], targets: Targets, kept: Option<&Path>) -> anyhow::Result<u8> {
    let board = of_folders(folders, targets, kept)?;
    report::say(&table(&board));
    if let Some(run) = folders.last().filter(|folder| report::lines(folder).is_ok()) {
        report::rebuild(run)?;
    }
    Ok(board.exit_code())
}

/// The board as a table for a terminal.
fn table(board: &Board) -> String {
    let mut table = String::new();
    let mut row = None;
    for line in &board.lines {
        if row != Some(line.row) {
            row = Some(line.row);
            let _ = writeln!(table, "{:>2}  {}", line.row, line.title);
            let _ = writeln!(table, "    of others: {}", line.anchor);
        }
        let standing = format!("    {:<10} {:<17}", line.standing.name(), line.figure);
        if line.standing == Standing::NotThere {
            let _ = writeln!(table, "{standing} {}", line.why.as_deref().unwrap_or_default());
            continue;
        }
        let value = line.value.map_or_else(|| "none".to_owned(), |value| format!("{value} {}", line.unit));
        let bound = line.bound.map_or_else(String::new, |bound| format!("; a failure is below {bound:.1e} at 95 %"));
        let samples = line.samples;
        let _ = writeln!(table, "{standing} {value}, {samples} samples; limit: {}{bound}; {}", line.limit, line.what);
        if !line.seeds.is_empty() {
            let seeds: Vec<String> = line.seeds.iter().map(ToString::to_string).collect();
            let _ = writeln!(table, "    {:<10} seeds: {}", "", seeds.join(", "));
        }
        if let Some(why) = &line.why {
            let _ = writeln!(table, "    {:<10} {why}", "");
        }
    }
    table + &board.verdict()
}
