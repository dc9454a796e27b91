//! Spoiling the syncs of a running process with `strace`: they take longer, or fail. Who is traced is slower in
//! everything: who measures with it takes that off.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// It takes hold of one thread after the other, and lets go of them so too, each as soon as that is through with
/// what it asked of the system: of a busy machine, or of a disk that others are slow with, that is long.
const ATTACH_LIMIT: Duration = Duration::from_secs(30);
/// Then it is ended: it has been seen to wait for ever for a process that ended meanwhile.
const DETACH_LIMIT: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What happens to syncs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spoil {
    /// They take so many milliseconds longer; with none they are traced and that is all.
    Late(i64),
    /// They fail with an input/output error.
    Fail,
}

/// One process that is traced. Dropping it lets it go.
#[derive(Debug)]
pub(crate) struct Tracer {
    strace: Child,
    /// What was spoiled, a line each.
    record: PathBuf,
}

impl Tracer {
    /// Spoils the syncs of a process from now on.
    ///
    /// # Errors
    /// When it cannot be traced.
    pub(crate) fn attach(process: u32, spoil: Spoil, record: &Path) -> anyhow::Result<Self> {
        let what = match spoil {
            Spoil::Late(ms) => format!("delay_enter={}", ms * 1_000),
            Spoil::Fail => "error=EIO".to_owned(),
        };
        let mut command = Command::new("strace");
        command.args(["-qq", "-f", "-e", "trace=fsync,fdatasync", "-e", &format!("inject=fsync,fdatasync:{what}")]);
        command.arg("-o").arg(record).args(["-p", &process.to_string()]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let strace = command.spawn().context("starting strace")?;
        let mut tracer = Self { strace, record: record.to_path_buf() };
        let limit = Instant::now() + ATTACH_LIMIT;
        while !tracer.traces(process) {
            if let Some(status) = tracer.strace.try_wait()? {
                bail!("strace ended with {status}");
            }
            if Instant::now() > limit {
                bail!("strace did not attach within {ATTACH_LIMIT:?}");
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(tracer)
    }

    fn traces(&self, process: u32) -> bool {
        let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
        let tracer = status.lines().find_map(|line| line.strip_prefix("TracerPid:"));
        tracer.is_some_and(|tracer| tracer.trim() == self.strace.id().to_string())
    }

    /// Lets the process go, if it lives, and says how many syncs were spoiled.
    ///
    /// # Errors
    /// When it cannot be let go.
    pub(crate) fn detach(mut self) -> anyhow::Result<usize> {
        self.stop(DETACH_LIMIT)?;
        let record = fs::read_to_string(&self.record).unwrap_or_default();
        Ok(record.lines().filter(|line| line.contains("sync(")).count())
    }

    fn stop(&mut self, patience: Duration) -> anyhow::Result<()> {
        if self.strace.try_wait()?.is_none() {
            kill(Pid::from_raw(i32::try_from(self.strace.id())?), Signal::SIGTERM)?;
        }
        let limit = Instant::now() + patience;
        while self.strace.try_wait()?.is_none() && Instant::now() < limit {
            std::thread::sleep(LOOK_EVERY);
        }
        // If it is there still: the system lets go of whom a tracer held that is no more, and a sync that it was about
        // to spoil fails.
        self.strace.kill()?;
        self.strace.wait()?;
        Ok(())
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        // Nobody is left to hear of a failure.
        let _ = self.stop(DETACH_LIMIT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tracer_that_does_not_let_go_is_ended_and_who_was_traced_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let mut traced = Command::new("sleep").arg("60").spawn().unwrap();
        let mut tracer = Tracer::attach(traced.id(), Spoil::Fail, &folder.path().join("record")).unwrap();
        kill(Pid::from_raw(i32::try_from(tracer.strace.id()).unwrap()), Signal::SIGSTOP).unwrap();
        let stopped = tracer.stop(Duration::ZERO);
        let still_traced = fs::read_to_string(format!("/proc/{}/status", traced.id())).unwrap();
        let still_runs = traced.try_wait().unwrap().is_none();
        traced.kill().unwrap();
        traced.wait().unwrap();
        stopped.unwrap();
        assert!(still_runs && still_traced.lines().any(|line| line == "TracerPid:\t0"), "{still_traced}");
    }
}
