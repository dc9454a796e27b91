//! Signals to processes that were started here, by their id.

use std::process::Child;

use anyhow::Context;
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

/// Sends a signal, and says to which id.
///
/// # Errors
/// When the system refuses.
pub(crate) fn send(child: &Child, signal: Signal) -> anyhow::Result<Pid> {
    let pid = Pid::from_raw(i32::try_from(child.id())?);
    kill(pid, signal).with_context(|| format!("sending {signal} to process {pid}"))?;
    Ok(pid)
}

/// SIGSTOP: once this returns the process lives, keeps its ports and does nothing.
///
/// # Errors
/// When the system refuses.
pub(crate) fn pause(child: &Child) -> anyhow::Result<()> {
    let pid = send(child, Signal::SIGSTOP)?;
    // One thread takes the signal and stops the rest: on a busy machine others go on until it runs.
    let stopped = WaitPidFlag::WSTOPPED | WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
    loop {
        match waitid(Id::Pid(pid), stopped) {
            Err(Errno::EINTR) => {}
            outcome => return outcome.map(drop).with_context(|| format!("pausing process {pid}")),
        }
    }
}
