//! Seeds that once failed: a text file, on each line a seed, how many steps it runs, and a sentence
//! about what it showed. They are run before all others.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A line of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The seed.
    pub seed: u64,
    /// The number of steps with faults.
    pub ticks: u64,
    /// What it showed.
    pub sentence: String,
}

/// Where they are kept.
fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds/failed.txt")
}

/// All of them.
///
/// # Errors
/// When the file cannot be read, or a line of it is something else.
pub fn kept() -> io::Result<Vec<Kept>> {
    read(&fs::read_to_string(file())?)
}

fn read(text: &str) -> io::Result<Vec<Kept>> {
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| parse(line).ok_or_else(|| io::Error::other(format!("not a kept seed: {line}")))).collect()
}

fn parse(line: &str) -> Option<Kept> {
    let mut words = line.splitn(3, ' ');
    let (seed, ticks) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    Some(Kept { seed, ticks, sentence: words.next()?.to_owned() })
}

/// Adds one, unless it is there.
///
/// # Errors
/// When the file cannot be read or written.
pub fn keep(new: &Kept) -> io::Result<()> {
    if kept()?.iter().any(|old| (old.seed, old.ticks) == (new.seed, new.ticks)) {
        return Ok(());
    }
    let mut file = OpenOptions::new().append(true).open(file())?;
    let sentence = new.sentence.replace('\n', " ");
    writeln!(file, "{} {} {sentence}", new.seed, new.ticks)
}

#[cfg(test)]
mod tests {
    use super::{Kept, read};

    #[test]
    fn a_line_is_a_seed_its_steps_and_a_sentence() {
        let found = read("# all of them\n\n7 20000 a vote was lost\n").expect("readable");
        assert_eq!(found, [Kept { seed: 7, ticks: 20_000, sentence: "a vote was lost".to_owned() }]);
        assert!(read("seven").is_err());
    }
}
