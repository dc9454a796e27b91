//! What a process needs and gets too little of: descriptors, the processor, memory. It may end of the
//! first and the last, and must never go on as if nothing had happened.

use std::net::TcpStream;
use std::time::Duration;

use openshell_tests::eventually;
use tokio::task::block_in_place;

use super::{Nemesis, Scope};
use crate::env::{Descriptors, Group, Scarce};
use crate::plan::Kind;

/// More connections than a process is left descriptors for.
const BEYOND: u64 = 16;
/// A process has taken the connections that it can by then.
const USED_UP_LIMIT: Duration = Duration::from_secs(1);
const MEBIBYTE: u64 = 1024 * 1024;

/// So few descriptors that its clients use them up: connections that say nothing, and all others after them.
pub(super) struct FewFiles {
    scope: Scope,
    limited: Vec<Descriptors>,
    connections: Vec<TcpStream>,
    used_up: usize,
}

impl FewFiles {
    pub(super) fn new(scope: Scope) -> Self {
        Self { scope, limited: Vec::new(), connections: Vec::new(), used_up: 0 }
    }
}

impl Nemesis for FewFiles {
    async fn install(&mut self) -> anyhow::Result<String> {
        self.scope.excuse().await?;
        let more = u64::try_from(self.scope.planned.amount)?;
        for id in self.scope.victims.clone() {
            let process = self.scope.rig.with(|machinery| machinery.process(id)).await?;
            let limited = block_in_place(|| Descriptors::limit(process, more))?;
            let node = self.scope.rig.node(id)?;
            self.connections.extend((0..more + BEYOND).filter_map(|_| node.visit().ok()));
            let used_up = async || limited.are_used_up().then_some(());
            self.used_up += usize::from(eventually("the last descriptor", USED_UP_LIMIT, used_up).await.is_ok());
            self.limited.push(limited);
        }
        Ok(format!("{more} descriptors more than there are"))
    }

    async fn heal(&mut self) -> anyhow::Result<String> {
        let lifted: Vec<_> = block_in_place(|| self.limited.iter().map(Descriptors::lift).collect());
        self.connections.clear();
        self.scope.forgive().await?;
        let ended = self.scope.ended().await?;
        let listening = self.scope.start_all().await?;
        lifted.into_iter().collect::<anyhow::Result<()>>()?;
        Ok(format!("{} nodes had none left, {ended:?} ended, {listening}", self.used_up))
    }

    fn in_vain(&self) -> Option<String> {
        (self.used_up == 0).then(|| "no node used up its descriptors".to_owned())
    }
}

/// Little of the processor, or little more memory than there is already.
pub(super) struct Squeezed {
    scope: Scope,
    groups: Vec<Group>,
    felt: u64,
}

impl Squeezed {
    pub(super) fn new(scope: Scope) -> Self {
        Self { scope, groups: Vec::new(), felt: 0 }
    }

    fn scarce(&self) -> anyhow::Result<Scarce> {
        let amount = u64::try_from(self.scope.planned.amount)?;
        Ok(match self.scope.planned.kind {
            Kind::LittleMemory => Scarce::Memory(amount * MEBIBYTE),
            _ => Scarce::Processor(amount),
        })
    }
}

impl Nemesis for Squeezed {
    async fn install(&mut self) -> anyhow::Result<String> {
        let scarce = self.scarce()?;
        if matches!(scarce, Scarce::Memory(_)) {
            self.scope.excuse().await?;
        }
        for id in self.scope.victims.clone() {
            let process = self.scope.rig.with(|machinery| machinery.process(id)).await?;
            self.groups.push(block_in_place(|| Group::around(process, scarce))?);
        }
        Ok(match scarce {
            Scarce::Memory(bytes) => format!("{} MiB more than there are", bytes / MEBIBYTE),
            Scarce::Processor(percent) => format!("{percent} % of a core"),
        })
    }

    async fn heal(&mut self) -> anyhow::Result<String> {
        let felt: Vec<_> = block_in_place(|| self.groups.drain(..).map(Group::end).collect());
        let ended = self.scope.ended().await?;
        // Who has little of the processor has no reason to end, and is the guard's to start again.
        let listening = match self.scope.planned.kind {
            Kind::LittleMemory => self.scope.start_all().await?,
            _ => self.scope.all_listen().await?,
        };
        self.felt = felt.into_iter().sum::<anyhow::Result<u64>>()?;
        Ok(format!("felt {} times, {ended:?} ended, {listening}", self.felt))
    }

    fn in_vain(&self) -> Option<String> {
        (self.felt == 0).then(|| "there was enough for everything".to_owned())
    }
}
