//! The names of one run, unlike those of any other, and their removal. A name holds the process id
//! and when that process began: so the next run can tell what a dead one left behind.

use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Context;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::programs::ip;
use crate::process_table::process_began;

/// Begins every name.
const PREFIX: &str = "openshell";

/// Networks that this process made.
static MADE: AtomicU32 = AtomicU32::new(0);

/// Whose names they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    process: u32,
    /// Clock ticks between the system's start and the process'.
    began: u64,
    /// Which of the process' networks.
    network: u32,
}

impl Run {
    pub(super) fn of_this_process() -> anyhow::Result<Self> {
        let process = std::process::id();
        let began = process_began(process).context("this process is not in the process table")?;
        Ok(Self { process, began, network: MADE.fetch_add(1, Ordering::Relaxed) })
    }

    /// Far apart for runs side by side, whose process ids follow each other.
    pub(super) fn number(self) -> u32 {
        self.process.wrapping_mul(61).wrapping_add(self.network)
    }

    /// The namespace of the bridge.
    pub(super) fn switch(self) -> String {
        self.name("switch")
    }

    /// The namespace of a node.
    pub(super) fn node(self, id: u64) -> String {
        self.name(&id.to_string())
    }

    /// The interface of this process' end of the cable: at most 15 letters.
    pub(super) fn cable(self) -> String {
        format!("os{}-{}", self.process, self.network % 1000)
    }

    fn name(self, what: &str) -> String {
        let Self { process, began, network } = self;
        format!("{PREFIX}-{process}-{began}-{network}-{what}")
    }

    /// Whose name it is; nothing for a name that was not made here.
    fn of_name(name: &str) -> Option<Self> {
        let mut parts = name.split('-');
        let (prefix, process, began) = (parts.next()?, parts.next()?, parts.next()?);
        let (network, what) = (parts.next()?, parts.next()?);
        let run = Self { process: process.parse().ok()?, began: began.parse().ok()?, network: network.parse().ok()? };
        let is_ours = prefix == PREFIX && parts.next().is_none() && name == run.name(what);
        is_ours.then_some(run)
    }

    fn is_alive(self) -> bool {
        process_began(self.process) == Some(self.began)
    }

    /// Removes everything of this run, and ends what still runs in its namespaces. Nobody is left to
    /// hear of a failure; what stays is removed when the next run begins.
    pub(super) fn remove(self) {
        let names = ip(&["netns", "list"]).unwrap_or_default();
        for name in names_in(&names).filter(|name| Self::of_name(name) == Some(self)) {
            for process in ip(&["netns", "pids", name]).unwrap_or_default().lines() {
                if let Ok(process) = process.trim().parse() {
                    let _ = kill(Pid::from_raw(process), Signal::SIGKILL);
                }
            }
            let _ = ip(&["netns", "delete", name]);
        }
        // It goes with the namespace of its other end, but not at once.
        let _ = ip(&["link", "delete", "dev", &self.cable()]);
    }
}

/// Removes what runs left behind whose process is gone.
pub(super) fn sweep() -> anyhow::Result<()> {
    let names = ip(&["netns", "list"])?;
    let mut dead: Vec<Run> = names_in(&names).filter_map(Run::of_name).filter(|run| !run.is_alive()).collect();
    dead.dedup();
    dead.into_iter().for_each(Run::remove);
    Ok(())
}

/// The names in a listing, whose lines may go on with an id.
fn names_in(listing: &str) -> impl Iterator<Item = &str> {
    listing.lines().filter_map(|line| line.split_whitespace().next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_knows_its_names_and_no_others() {
        let run = Run { process: 4_194_304, began: 12, network: 0 };
        assert_eq!(Run::of_name(&run.node(3)), Some(run));
        assert_eq!(Run::of_name(&run.switch()), Some(run));
        for foreign in
            ["openshell", "openshell-12-34", "other-1-2-0-switch", "openshell-x-2-0-1", "openshell-1-2-0-1-1"]
        {
            assert_eq!(Run::of_name(foreign), None, "{foreign}");
        }
        assert!(run.cable().len() <= 15, "{}", run.cable());
    }

    #[test]
    fn this_process_is_alive_and_one_with_its_id_that_began_at_another_time_is_not() {
        let run = Run::of_this_process().expect("this process exists");
        assert!(run.is_alive());
        assert!(!Run { began: run.began + 1, ..run }.is_alive());
    }

    #[test]
    fn names_are_taken_from_listings_with_and_without_ids() {
        assert_eq!(names_in("a (id: 3)\nb\n").collect::<Vec<_>>(), ["a", "b"]);
    }
}
