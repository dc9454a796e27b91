//! `cargo xtask chaos`: long runs of the faults in `jepsen/`, for as many minutes as one likes, in pieces that can be
//! looked at one by one. The gate has a short one.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::cargo::Cargo;
use crate::{output, setup, test};

/// No run is longer: its history is judged at once, in memory.
const PIECE_MINUTES_MAX: u64 = 40;
/// Below the root of the checkout; the runs' folders are in it.
const STORE: &str = "store";
/// What the runs end with (`jepsen/README.md`), from the best to the worst.
const CODES: [u8; 4] = [0, 2, NOT_JUDGED, 1];
const NOT_JUDGED: u8 = 3;
/// As the table of long runs in `jepsen/README.md` has it.
const HEAD: &str = "| date, commit | seed | minutes | operations | faults felt | violations | undecided |\n\
    |---|---|---|---|---|---|---|";
/// Figures of the scoreboard, in the order of the last columns.
const FIGURES: [&str; 4] = ["1.operations", "1.faults", "1.violations", "1.undecided"];

/// Builds, and runs the profile `long` for so many minutes in all; the worst that a run ended with. What the profile
/// measures is left out unless `rows` asks for it.
pub(crate) fn run(minutes: u64, seed: Option<u64>, rows: bool) -> u8 {
    let mut worst = 0;
    let done = runs(minutes, seed, rows, &mut worst);
    code(worst, done)
}

/// The worst of the runs, and of what kept others from being done. That one is no error of this program as any other task
/// has: 1 would say that a property was violated.
fn code(worst: u8, done: Result<()>) -> u8 {
    let Err(error) = done else { return worst };
    output::error(&format!("error: {error:#}"));
    worse(worst, NOT_JUDGED)
}

/// All of them; `worst` is what those came to that were done.
fn runs(minutes: u64, seed: Option<u64>, rows: bool, worst: &mut u8) -> Result<()> {
    setup::prepare()?;
    let cargo = Cargo::new()?;
    output::heading("build");
    let built = cargo.command(&["build", "--release", "--workspace"]).status().context("cargo could not be started")?;
    ensure!(built.success(), "the build failed");
    let program = cargo.programs()?.join("openshell-jepsen");
    let store = cargo.root().join(STORE);
    let first = seed.unwrap_or_else(test::random);
    let mut left = Vec::new();
    for (minutes, seed) in pieces(minutes).into_iter().zip(seeds(first)) {
        output::heading(&format!("jepsen: {minutes} min, seed {seed}"));
        let mut jepsen = Command::new(&program);
        jepsen.current_dir(cargo.root()).args(arguments(minutes, seed, rows));
        let earlier = newest(&store, seed);
        let status = jepsen.status().context("openshell-jepsen could not be started")?;
        let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(NOT_JUDGED);
        *worst = worse(*worst, code);
        // One that ended before it made its folder has none, whatever an earlier run with its seed has left.
        let folder = newest(&store, seed).filter(|folder| Some(folder) != earlier.as_ref());
        left.push(Piece { minutes, seed, code, folder });
        // What cannot be told of one run keeps no other from being done.
        if let Err(error) = tell(&left) {
            output::error(&format!("error: {error:#}"));
            *worst = worse(*worst, NOT_JUDGED);
        }
    }
    Ok(())
}

/// One run, and what it left.
struct Piece {
    minutes: u64,
    seed: u64,
    code: u8,
    folder: Option<PathBuf>,
}

/// Where all folders so far are, and a row of each.
fn tell(pieces: &[Piece]) -> Result<()> {
    output::heading("runs");
    let mut rows = vec![HEAD.to_owned()];
    for Piece { minutes, seed, code, folder } in pieces {
        let Some(folder) = folder else {
            output::line(&format!("exit code {code}: seed {seed} left no folder"));
            continue;
        };
        output::line(&format!("exit code {code}: {}", folder.display()));
        rows.extend(row(folder, *seed, *minutes)?);
    }
    output::line(&rows.join("\n"));
    Ok(())
}

/// So many minutes in as few pieces as there can be, none of them much longer than another.
fn pieces(minutes: u64) -> Vec<u64> {
    let count = minutes.div_ceil(PIECE_MINUTES_MAX).max(1);
    (0..count).map(|piece| minutes / count + u64::from(piece < minutes % count)).collect()
}

/// One for each piece.
fn seeds(first: u64) -> impl Iterator<Item = u64> {
    (0..).map(move |piece| first.wrapping_add(piece))
}

fn arguments(minutes: u64, seed: u64, rows: bool) -> Vec<String> {
    let (minutes, seed) = (minutes.to_string(), seed.to_string());
    let words = ["run", "--profile", "long", "--minutes", &minutes, "--seed", &seed, "--store", STORE];
    let without = (!rows).then_some("--no-rows");
    words.into_iter().chain(without).map(str::to_owned).collect()
}

fn worse(one: u8, other: u8) -> u8 {
    // A code that no run ends with is one of a run that was not judged.
    let place = |code: u8| CODES.iter().position(|known| *known == code).unwrap_or(2);
    if place(other) > place(one) { other } else { one }
}

/// The folder of the last run with this seed: their names begin with their times.
fn newest(store: &Path, seed: u64) -> Option<PathBuf> {
    let folders = std::fs::read_dir(store).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    let word = seed.to_string();
    let is_of_seed = |folder: &PathBuf| {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        name.split('-').nth(1) == Some(word.as_str())
    };
    folders.filter(is_of_seed).max()
}

/// The row of a run; none when it was not judged.
fn row(folder: &Path, seed: u64, minutes: u64) -> Result<Option<String>> {
    let Some(board) = json(&folder.join("scoreboard.json"))? else { return Ok(None) };
    let commit = json(&folder.join("env.json"))?.and_then(|facts| facts["commit"].as_str().map(str::to_owned));
    let commit = commit.map_or_else(|| "unknown".to_owned(), |commit| commit.chars().take(8).collect());
    let lines = board["lines"].as_array().context("a scoreboard without lines")?;
    let figure = |id: &str| {
        let value = lines.iter().find(|line| line["figure"] == id).and_then(|line| line["value"].as_f64());
        value.map_or_else(|| "none".to_owned(), |value| format!("{value:.0}"))
    };
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let date = [name.get(0..4), name.get(4..6), name.get(6..8)].map(Option::unwrap_or_default).join("-");
    let figures = FIGURES.map(figure).join(" | ");
    Ok(Some(format!("| {date}, {commit} | {seed} | {minutes} | {figures} |")))
}

/// What a file says; nothing when it is not there.
fn json(path: &Path) -> Result<Option<Value>> {
    if !path.exists() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    serde_json::from_str(&text).map(Some).with_context(|| format!("reading {}", path.display()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn no_piece_is_longer_than_it_may_be_and_none_is_lost() {
        assert_eq!(pieces(1), [1]);
        assert_eq!(pieces(40), [40]);
        assert_eq!(pieces(41), [21, 20]);
        assert_eq!(pieces(130), [33, 33, 32, 32]);
        for minutes in 1..=1_440 {
            let pieces = pieces(minutes);
            assert_eq!(pieces.iter().sum::<u64>(), minutes);
            assert!(pieces.iter().all(|piece| (1..=PIECE_MINUTES_MAX).contains(piece)), "{minutes}: {pieces:?}");
        }
    }

    #[test]
    fn each_piece_has_a_seed_of_its_own_and_measures_only_when_asked() {
        assert_eq!(seeds(u64::MAX).take(3).collect::<Vec<u64>>(), [u64::MAX, 0, 1]);
        let words = arguments(40, 7, false).join(" ");
        assert_eq!(words, "run --profile long --minutes 40 --seed 7 --store store --no-rows");
        assert!(!arguments(40, 7, true).contains(&"--no-rows".to_owned()));
    }

    #[test]
    fn a_violation_is_worse_than_a_run_that_was_not_judged_and_that_is_worse_than_a_doubt() {
        let worst = |codes: &[u8]| codes.iter().copied().fold(0, worse);
        assert_eq!(worst(&[]), 0);
        assert_eq!(worst(&[0, 2, 0]), 2);
        assert_eq!(worst(&[2, 3, 0, 2]), 3);
        assert_eq!(worst(&[3, 1, 3, 2, 0]), 1);
        assert_eq!(worst(&[2, 101]), 101);
    }

    #[test]
    fn what_keeps_a_run_from_being_done_violates_nothing() {
        let failed = || Err(anyhow::anyhow!("cargo could not be started"));
        assert_eq!(code(0, failed()), NOT_JUDGED);
        assert_eq!(code(2, failed()), NOT_JUDGED);
        assert_eq!(code(1, failed()), 1, "nor does it take back what an earlier run has seen");
        assert_eq!([0, 1, 2, 3].map(|worst| code(worst, Ok(()))), [0, 1, 2, 3]);
    }

    #[test]
    fn a_run_has_a_row_once_it_was_judged() {
        let store = tempfile::tempdir().unwrap();
        assert_eq!(newest(&store.path().join("nowhere"), 7), None);
        for name in ["20261126T180000-7", "20261125T180000-7", "20261127T180000-77", "20261128T180000-failover"] {
            std::fs::create_dir(store.path().join(name)).unwrap();
        }
        let folder = newest(store.path(), 7).expect("a folder");
        assert!(folder.ends_with("20261126T180000-7"), "{}", folder.display());
        assert_eq!(row(&folder, 7, 40).unwrap(), None);
        let line = |figure: &str, value: f64| json!({ "figure": figure, "value": value });
        let lines = [line("1.operations", 812_345.0), line("1.faults", 412.0), line("1.violations", 0.0)];
        let write = |name: &str, value: Value| std::fs::write(folder.join(name), value.to_string()).unwrap();
        write("scoreboard.json", json!({ "lines": lines }));
        write("env.json", json!({ "commit": "0123456789abcdef" }));
        let expected = "| 2026-11-26, 01234567 | 7 | 40 | 812345 | 412 | 0 | none |";
        assert_eq!(row(&folder, 7, 40).unwrap().as_deref(), Some(expected));
        assert_eq!(HEAD.lines().next().unwrap().matches('|').count(), expected.matches('|').count());
    }
}
