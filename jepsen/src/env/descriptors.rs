//! How many files and connections a running process may have open.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, ensure};
use openshell_tests::run_program;

/// A process that may open a few more and then none. Dropping it gives the process back what it had. The system bounds the
/// number that each is given, the least that is free, and not how many there are.
#[derive(Debug)]
pub(crate) struct Descriptors {
    process: u32,
    before: u64,
    /// Beyond the last number.
    end: u64,
}

impl Descriptors {
    /// Lets a process open so many more than it has open now.
    ///
    /// # Errors
    /// When it is gone, or the system refuses.
    pub(crate) fn limit(process: u32, more: u64) -> anyhow::Result<Self> {
        let limited = Self { process, before: limit_of(process)?, end: end(&open_of(process), more) };
        limited.set(limited.end)?;
        let now = limit_of(process)?;
        ensure!(now == limited.end, "the limit of process {process} is {now} and not {}", limited.end);
        Ok(limited)
    }

    /// Whether none is left to it; a process that is gone has all of them left.
    pub(crate) fn are_used_up(&self) -> bool {
        open_of(self.process).range(..self.end).count() as u64 == self.end
    }

    /// Lets it have as many as before, if it lives.
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) fn lift(&self) -> anyhow::Result<()> {
        // One that ended has no limit left, and says so here or there.
        if limit_of(self.process).is_err() {
            return Ok(());
        }
        self.set(self.before).or_else(|error| if limit_of(self.process).is_err() { Ok(()) } else { Err(error) })
    }

    /// What the process may not exceed by itself; the limit of that limit stays.
    fn set(&self, limit: u64) -> anyhow::Result<()> {
        let (process, limit) = (self.process.to_string(), format!("--nofile={limit}:"));
        run_program("prlimit", &["--pid", &process, &limit], "").map(drop)
    }
}

impl Drop for Descriptors {
    fn drop(&mut self) {
        // Nobody is left to hear of a failure.
        let _ = self.lift();
    }
}

/// The numbers that a process has open; none of one that is gone.
fn open_of(process: u32) -> BTreeSet<u64> {
    let open = fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten().flatten();
    open.filter_map(|entry| entry.file_name().to_string_lossy().parse().ok()).collect()
}

/// The number below which so many are free.
fn end(open: &BTreeSet<u64>, free: u64) -> u64 {
    let mut numbers = (0..).filter(|number| !open.contains(number));
    let last = (0..=free).filter_map(|_| numbers.next()).last();
    last.unwrap_or_default()
}

/// How many it may have.
fn limit_of(process: u32) -> anyhow::Result<u64> {
    let limits = fs::read_to_string(format!("/proc/{process}/limits")).context("the process is gone")?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().next()).context("a process without a limit")?;
    soft.parse().with_context(|| format!("a limit of {soft}"))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn so_many_numbers_are_free_below_the_end() {
        let open = BTreeSet::from([0, 1, 2, 5, 9]);
        assert_eq!([0, 1, 2, 3, 6].map(|free| end(&open, free)), [3, 4, 6, 7, 11]);
        assert_eq!(end(&BTreeSet::new(), 0), 0);
    }

    #[test]
    fn a_process_has_its_limit_until_it_is_lifted() {
        // One that answers has loaded what it needs.
        let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (mut input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        writeln!(input, "here").unwrap();
        BufReader::new(output).read_line(&mut String::new()).unwrap();
        let before = limit_of(child.id()).unwrap();
        let limited = Descriptors::limit(child.id(), 2).unwrap();
        assert_eq!(limit_of(child.id()).unwrap(), end(&open_of(child.id()), 2));
        assert!(!limited.are_used_up(), "two are left");
        limited.lift().unwrap();
        assert_eq!(limit_of(child.id()).unwrap(), before);
        let none = Descriptors::limit(child.id(), 0).unwrap();
        assert!(none.are_used_up());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!none.are_used_up());
        none.lift().unwrap();
    }
}
