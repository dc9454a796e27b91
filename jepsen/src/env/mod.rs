//! The machine: what it can do (`doctor`), and the handles with which a node's clock, disk, link and system calls are
//! spoiled. When they are is in `nemesis`.

mod build;
mod clock;
mod descriptors;
mod disk;
mod doctor;
mod facts;
mod group;
mod link;
mod mark;
mod rootless;
mod sweep;
mod thin;
mod tracer;
mod trial;
mod uptime;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

pub(crate) use build::build_missing;
pub(crate) use clock::{Clock, NOTICED_AFTER_S, Shift};
pub(crate) use descriptors::Descriptors;
pub(crate) use disk::Disk;
pub(crate) use doctor::{Format, doctor};
pub(crate) use facts::facts;
pub(crate) use group::{Group, Scarce};
pub(crate) use link::{Late, Passed, inside, reset_connections};
pub(crate) use mark::folder_for;
pub(crate) use rootless::{Entered, enter};
pub(crate) use sweep::sweep;
pub(crate) use thin::Thin;
pub(crate) use tracer::{Spoil, Tracer};
pub(crate) use uptime::Uptime;

/// Something that a machine can do, or cannot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Capability {
    /// Network namespaces with a bridge between them, and rules there that drop packets.
    Namespaces,
    /// The same for who is not root.
    RootlessNamespaces,
    /// Processes on one address.
    Loopback,
    /// Packets that this process passes on when it likes.
    PacketQueue,
    /// A link with a rate.
    ThinLinks,
    /// Shares of a link.
    LinkShares,
    /// Resetting the connections of a node.
    SocketReset,
    /// A file system in a file, for each node.
    LoopMounts,
    /// A file system that loses what was not synced.
    Shutdown,
    /// A file system that answers nothing.
    Freeze,
    /// A file system that becomes read-only while files are open.
    EmergencyReadOnly,
    /// A file system in memory.
    MemoryFiles,
    /// System calls of a process that take longer, or fail.
    SystemCallFaults,
    /// A clock of its own for a process.
    FakeClock,
    /// A time since the start of the machine of its own for a process.
    TimeNamespaces,
    /// Limits of a process that runs.
    ProcessLimits,
    /// Groups of processes with limits.
    ControlGroups,
    /// Gateways that end at points of their own code.
    CrashPoints,
}

impl Capability {
    /// All of them, as they are listed.
    pub(crate) const ALL: [Capability; 18] = [
        Capability::Namespaces,
        Capability::RootlessNamespaces,
        Capability::Loopback,
        Capability::PacketQueue,
        Capability::ThinLinks,
        Capability::LinkShares,
        Capability::SocketReset,
        Capability::LoopMounts,
        Capability::Shutdown,
        Capability::Freeze,
        Capability::EmergencyReadOnly,
        Capability::MemoryFiles,
        Capability::SystemCallFaults,
        Capability::FakeClock,
        Capability::TimeNamespaces,
        Capability::ProcessLimits,
        Capability::ControlGroups,
        Capability::CrashPoints,
    ];

    /// What it is, for people.
    pub(crate) fn what(self) -> &'static str {
        match self {
            Capability::Namespaces => "network namespaces, and partitions (ip, nft)",
            Capability::RootlessNamespaces => "the same without root (unshare -Urnm)",
            Capability::Loopback => "loopback",
            Capability::PacketQueue => "late and reordered packets (iptables, NFQUEUE)",
            Capability::ThinLinks => "thin links (tc, tbf)",
            Capability::LinkShares => "thin links to one node (tc, htb)",
            Capability::SocketReset => "resetting connections (ss -K)",
            Capability::LoopMounts => "a file system for each node (mkfs.ext4, loop mounts)",
            Capability::Shutdown => "power loss (ext4 shutdown by xfs_io or python3)",
            Capability::Freeze => "hung disks (fsfreeze)",
            Capability::EmergencyReadOnly => "file systems that become read-only (remount,abort)",
            Capability::MemoryFiles => "file systems in memory (tmpfs)",
            Capability::SystemCallFaults => "slow and failing syncs (strace)",
            Capability::FakeClock => "clocks of their own (libfaketime)",
            Capability::TimeNamespaces => "machines that have just come up (unshare -T)",
            Capability::ProcessLimits => "few descriptors (prlimit)",
            Capability::ControlGroups => "little processor and memory (control groups)",
            Capability::CrashPoints => "crash points (a build of the whole workspace)",
        }
    }
}

/// What does not work is tried once more after so long: somebody may have had what it takes, such as a loop device,
/// for a moment, and what is not here is not required.
const AGAIN_AFTER: Duration = Duration::from_millis(500);

/// What a machine was found to do: for each capability what was tried, or why it does not work.
#[derive(Clone, Debug, Default)]
pub(crate) struct Machine(BTreeMap<Capability, Result<String, String>>);

impl Machine {
    /// Tries each of these, and cleans up.
    pub(crate) fn tried(capabilities: impl IntoIterator<Item = Capability>) -> Self {
        let mut machine = Self::default();
        for capability in capabilities {
            machine.attempt(capability);
        }
        machine
    }

    /// Tries one more, and cleans up.
    pub(crate) fn attempt(&mut self, capability: Capability) {
        let found = || trial::attempt(capability).map_err(|why| format!("{why:#}"));
        self.0.entry(capability).or_insert_with(|| once_more(found, AGAIN_AFTER));
    }

    /// Has it do without something.
    pub(crate) fn without(&mut self, capability: Capability, why: &str) {
        self.0.insert(capability, Err(why.to_owned()));
    }

    /// Why the first of these that does not work does not.
    pub(crate) fn lacks(&self, capabilities: &[Capability]) -> Option<String> {
        capabilities.iter().find_map(|capability| match self.0.get(capability) {
            Some(Ok(_)) => None,
            Some(Err(why)) => Some(format!("{} not here: {why}", capability.what())),
            None => Some(format!("{}: not tried", capability.what())),
        })
    }
}

/// Does something, and once more after a pause when it fails.
fn once_more<T, E>(mut attempt: impl FnMut() -> Result<T, E>, pause: Duration) -> Result<T, E> {
    attempt().or_else(|_| {
        std::thread::sleep(pause);
        attempt()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_by_chance_is_tried_once_more() {
        let mut looks = 0;
        let mut nth = |least| {
            looks = 0;
            once_more(
                || {
                    looks += 1;
                    if looks < least { Err(looks) } else { Ok(looks) }
                },
                Duration::ZERO,
            )
        };
        assert_eq!(nth(1), Ok(1));
        assert_eq!(nth(2), Ok(2));
        assert_eq!(nth(3), Err(2));
    }
}
