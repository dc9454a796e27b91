//! What can be done to a cluster: every kind of fault, what it is called, what it needs of the machine, and how many nodes
//! it damages. Doing it is in `nemesis`.

use serde::{Deserialize, Serialize};

use super::Target;
use crate::env::Capability;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// SIGKILL, and a new start later.
    Kill,
    /// The same, and again while it recovers.
    KillInRecovery,
    /// SIGSTOP, and SIGCONT later.
    Pause,
    /// Each node in turn is asked to stop, and started again.
    Rolling,
    /// A node is lost with all its data, and another member takes its place.
    Replace,
    /// Leadership is moved by an administrator.
    Transfer,
    /// The process ends at a point of its own code.
    CrashPoint,
    /// SIGKILL, and a new start on a machine that has been up for another time.
    Reboot,
    /// It may have few more files and connections open than it has.
    FewFiles,
    /// It gets little of the processor.
    LittleProcessor,
    /// It gets little more memory than it has.
    LittleMemory,
    /// The leader reaches neither nodes nor clients.
    Isolate,
    /// It reaches no node, and clients reach it.
    PeerOnly,
    /// Clients do not reach it, and nodes do.
    ClientOnly,
    /// Two groups that do not reach each other.
    Halves,
    /// Each node reaches as many neighbours as make a majority with it, and each has other neighbours.
    Ring,
    /// Two groups that only one node reaches.
    Bridge,
    /// It is heard by the other nodes and hears none.
    Deaf,
    /// It hears the other nodes, and none hears it.
    Mute,
    /// Cut off and healed, over and over.
    Flapping,
    /// Cut off until the log that it lacks is gone, so that it needs a snapshot.
    Blackhole,
    /// Some packets between it and the other nodes are lost.
    Loss,
    /// All that it sends goes through a thin link.
    Thin,
    /// The same of what it sends to one other node.
    ThinPeer,
    /// All that it sends comes late.
    Delay,
    /// What it sends comes late and out of order.
    Reorder,
    /// Its connections are reset.
    Reset,
    /// Its wall clock jumps, and back later.
    ClockJump,
    /// Its clock runs at another rate.
    ClockRate,
    /// Its wall clock jumps to and fro.
    ClockStrobe,
    /// Every sync of its disk takes longer.
    SlowDisk,
    /// Syncs of its disk fail.
    DiskError,
    /// Its disk answers nothing for a while.
    HungDisk,
    /// Its disk is full.
    FullDisk,
    /// Its file system becomes read-only.
    ReadOnlyDisk,
    /// What was not synced is gone.
    PowerLoss,
    /// A file of a stopped node is damaged.
    Corrupt,
}

/// Kinds that are asked for together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Group {
    Process,
    Partition,
    Wire,
    Clock,
    Disk,
    Corruption,
}

impl Kind {
    /// Every one.
    pub(crate) const ALL: [Kind; 37] = [
        Kind::Kill,
        Kind::KillInRecovery,
        Kind::Pause,
        Kind::Rolling,
        Kind::Replace,
        Kind::Transfer,
        Kind::CrashPoint,
        Kind::Reboot,
        Kind::FewFiles,
        Kind::LittleProcessor,
        Kind::LittleMemory,
        Kind::Isolate,
        Kind::PeerOnly,
        Kind::ClientOnly,
        Kind::Halves,
        Kind::Ring,
        Kind::Bridge,
        Kind::Deaf,
        Kind::Mute,
        Kind::Flapping,
        Kind::Blackhole,
        Kind::Loss,
        Kind::Thin,
        Kind::ThinPeer,
        Kind::Delay,
        Kind::Reorder,
        Kind::Reset,
        Kind::ClockJump,
        Kind::ClockRate,
        Kind::ClockStrobe,
        Kind::SlowDisk,
        Kind::DiskError,
        Kind::HungDisk,
        Kind::FullDisk,
        Kind::ReadOnlyDisk,
        Kind::PowerLoss,
        Kind::Corrupt,
    ];

    /// What it is called on command lines, in plans and in histories.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Kill => "kill",
            Kind::KillInRecovery => "kill-in-recovery",
            Kind::Pause => "pause",
            Kind::Rolling => "rolling",
            Kind::Replace => "replace",
            Kind::Transfer => "transfer",
            Kind::CrashPoint => "crash-point",
            Kind::Reboot => "reboot",
            Kind::FewFiles => "few-files",
            Kind::LittleProcessor => "little-processor",
            Kind::LittleMemory => "little-memory",
            Kind::Isolate => "isolate",
            Kind::PeerOnly => "peer-only",
            Kind::ClientOnly => "client-only",
            Kind::Halves => "halves",
            Kind::Ring => "ring",
            Kind::Bridge => "bridge",
            Kind::Deaf => "deaf",
            Kind::Mute => "mute",
            Kind::Flapping => "flapping",
            Kind::Blackhole => "blackhole",
            Kind::Loss => "loss",
            Kind::Thin => "thin",
            Kind::ThinPeer => "thin-peer",
            Kind::Delay => "delay",
            Kind::Reorder => "reorder",
            Kind::Reset => "reset",
            Kind::ClockJump => "clock-jump",
            Kind::ClockRate => "clock-rate",
            Kind::ClockStrobe => "clock-strobe",
            Kind::SlowDisk => "slow-disk",
            Kind::DiskError => "disk-error",
            Kind::HungDisk => "hung-disk",
            Kind::FullDisk => "full-disk",
            Kind::ReadOnlyDisk => "read-only-disk",
            Kind::PowerLoss => "power-loss",
            Kind::Corrupt => "corrupt",
        }
    }

    /// The one of this name.
    pub(crate) fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    fn group(self) -> Group {
        match self {
            Kind::Kill | Kind::KillInRecovery | Kind::Pause | Kind::Rolling | Kind::Transfer | Kind::CrashPoint => {
                Group::Process
            }
            Kind::Replace | Kind::Reboot => Group::Process,
            Kind::FewFiles | Kind::LittleProcessor | Kind::LittleMemory => Group::Process,
            Kind::Isolate | Kind::PeerOnly | Kind::ClientOnly | Kind::Halves | Kind::Ring | Kind::Bridge => {
                Group::Partition
            }
            Kind::Deaf | Kind::Mute | Kind::Flapping | Kind::Blackhole => Group::Partition,
            Kind::Loss | Kind::Thin | Kind::ThinPeer | Kind::Delay | Kind::Reorder | Kind::Reset => Group::Wire,
            Kind::ClockJump | Kind::ClockRate | Kind::ClockStrobe => Group::Clock,
            Kind::SlowDisk | Kind::DiskError | Kind::HungDisk | Kind::FullDisk | Kind::ReadOnlyDisk => Group::Disk,
            Kind::PowerLoss => Group::Disk,
            Kind::Corrupt => Group::Corruption,
        }
    }

    /// What the machine must be able to do.
    pub(crate) fn needs(self) -> &'static [Capability] {
        match self {
            Kind::Kill | Kind::KillInRecovery | Kind::Pause | Kind::Rolling | Kind::Transfer | Kind::Corrupt => &[],
            Kind::Replace => &[],
            Kind::CrashPoint => &[Capability::CrashPoints],
            Kind::Reboot => &[Capability::TimeNamespaces],
            Kind::FewFiles => &[Capability::ProcessLimits],
            Kind::LittleProcessor | Kind::LittleMemory => &[Capability::ControlGroups],
            Kind::Isolate | Kind::PeerOnly | Kind::ClientOnly | Kind::Halves | Kind::Ring | Kind::Bridge => {
                &[Capability::Namespaces]
            }
            Kind::Deaf | Kind::Mute | Kind::Flapping | Kind::Blackhole | Kind::Loss => &[Capability::Namespaces],
            Kind::Thin => &[Capability::Namespaces, Capability::ThinLinks],
            Kind::ThinPeer => &[Capability::Namespaces, Capability::LinkShares],
            Kind::Delay | Kind::Reorder => &[Capability::Namespaces, Capability::PacketQueue],
            Kind::Reset => &[Capability::Namespaces, Capability::SocketReset],
            Kind::ClockJump | Kind::ClockRate | Kind::ClockStrobe => &[Capability::FakeClock],
            Kind::SlowDisk | Kind::DiskError => &[Capability::SystemCallFaults],
            Kind::HungDisk => &[Capability::LoopMounts, Capability::Freeze],
            Kind::FullDisk => &[Capability::LoopMounts],
            Kind::ReadOnlyDisk => &[Capability::LoopMounts, Capability::EmergencyReadOnly],
            Kind::PowerLoss => &[Capability::LoopMounts, Capability::Shutdown],
        }
    }

    /// Whether each node needs a file system of its own for it.
    pub(crate) fn needs_disks(self) -> bool {
        self.needs().contains(&Capability::LoopMounts)
    }

    /// Whether each node needs a clock of its own for it.
    pub(crate) fn needs_clocks(self) -> bool {
        self.needs().contains(&Capability::FakeClock)
    }

    /// Only one of them may be there at a time: whoever loses another node's data before the first one's place is
    /// taken may lose what was acknowledged.
    pub(crate) fn excludes_itself(self) -> bool {
        self == Kind::Replace
    }

    /// There must be nodes that it does not hit.
    fn spares_others(self) -> bool {
        matches!(self, Kind::Replace | Kind::ThinPeer)
    }

    /// Calls about the victim's files or its memory fail, and its process may end of it and say so.
    pub(crate) fn fails_calls(self) -> bool {
        let of_disks = [Kind::DiskError, Kind::HungDisk, Kind::FullDisk, Kind::ReadOnlyDisk, Kind::PowerLoss];
        [Kind::FewFiles, Kind::LittleMemory].contains(&self) || of_disks.contains(&self)
    }

    /// Why it cannot be done to a cluster of so many nodes.
    pub(crate) fn obstacle(self, nodes: u64) -> Option<String> {
        let least = if self == Kind::Ring { 5 } else { 3 };
        (nodes < least).then(|| format!("it takes {least} nodes, and there are {nodes}"))
    }

    /// The kinds of a name: of one kind, of a group, or all; none when there is no such name.
    fn named(name: &str) -> Vec<Kind> {
        let groups: &[Group] = match name {
            "process" => &[Group::Process],
            "partition" => &[Group::Partition],
            "network" => &[Group::Partition, Group::Wire],
            "clock" => &[Group::Clock],
            "disk" => &[Group::Disk],
            "all" => &[Group::Process, Group::Partition, Group::Wire, Group::Clock, Group::Disk, Group::Corruption],
            _ => &[],
        };
        Kind::ALL.into_iter().filter(|kind| kind.name() == name || groups.contains(&kind.group())).collect()
    }
}

/// A kind that may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) kind: Kind,
    /// Whom it hits, where that is not left to chance.
    pub(crate) only: Option<Target>,
}

impl Choice {
    /// What a name means: a kind, a group, or all, and behind it `-leader`, `-follower` or `-all` for whom it hits.
    ///
    /// # Errors
    /// When there is no such name, with those that there are; when it is of all nodes and of one at a time.
    pub(crate) fn named(name: &str) -> Result<Vec<Choice>, String> {
        let suffixes = [("-leader", Target::Leader), ("-follower", Target::Follower), ("-all", Target::Everyone)];
        let suffixed =
            suffixes.into_iter().find_map(|(suffix, target)| Some((name.strip_suffix(suffix)?, Some(target))));
        let meant = [Some((name, None)), suffixed].into_iter().flatten();
        let meant = meant.map(|(name, only)| (Kind::named(name), only)).find(|(kinds, _)| !kinds.is_empty());
        let Some((kinds, only)) = meant else {
            let known: Vec<&str> = Kind::ALL.into_iter().map(Kind::name).collect();
            return Err(format!(
                "there is no fault {name:?}; there are {}, and the groups process, partition, network, clock, disk and all",
                known.join(", ")
            ));
        };
        let is_possible = |kind: &Kind| only != Some(Target::Everyone) || !kind.spares_others();
        let choices: Vec<Choice> = kinds.into_iter().filter(is_possible).map(|kind| Choice { kind, only }).collect();
        if choices.is_empty() {
            return Err(format!("{name:?}: that fault does not hit all nodes at a time"));
        }
        Ok(choices)
    }
}
