//! For how long a machine has been up, to one process: a time namespace of its own. Monotonic time
//! begins there, so that what was kept of it before a reboot means nothing, and there may be little of it to go back.

use std::fs;

use anyhow::Context;
use nix::time::{ClockId, clock_gettime};

/// To a process that is started now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Uptime {
    /// What is added to the machine's monotonic time.
    monotonic_s: i64,
    /// What is added to the time since it came up, which goes on while it sleeps.
    boot_s: i64,
}

impl Uptime {
    /// So many seconds.
    ///
    /// # Errors
    /// When the machine does not say for how long it has been up.
    pub(crate) fn of_seconds(seconds: u64) -> anyhow::Result<Self> {
        let wanted = i64::try_from(seconds)?;
        let offset = |clock| anyhow::Ok(wanted - clock_gettime(clock).context("asking for the time")?.tv_sec());
        Ok(Self { monotonic_s: offset(ClockId::CLOCK_MONOTONIC)?, boot_s: offset(ClockId::CLOCK_BOOTTIME)? })
    }

    /// The program that becomes another one to which it is so.
    pub(crate) fn words(self) -> Vec<String> {
        let (monotonic, boot) = (self.monotonic_s.to_string(), self.boot_s.to_string());
        ["unshare", "--time", "--monotonic", &monotonic, "--boottime", &boot, "--"].map(str::to_owned).to_vec()
    }

    /// Whether a process has one of its own.
    ///
    /// # Errors
    /// When it is gone.
    pub(crate) fn is_of(process: u32) -> anyhow::Result<bool> {
        let place = |process: &str| fs::read_link(format!("/proc/{process}/ns/time")).context("the process is gone");
        Ok(place(&process.to_string())? != place("self")?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_came_up_this_moment_is_told_so_by_what_is_taken_away() {
        let (young, old) = (Uptime::of_seconds(1).unwrap(), Uptime::of_seconds(8_640_000).unwrap());
        assert!((8_639_990..=8_639_999).contains(&(old.monotonic_s - young.monotonic_s)));
        assert!(young.boot_s <= young.monotonic_s, "what slept was up");
        assert!(young.words().contains(&young.monotonic_s.to_string()));
        // Not every kernel has such namespaces.
        assert!(!Uptime::is_of(std::process::id()).unwrap_or(false));
        assert!(Uptime::is_of(u32::MAX).is_err());
    }
}
