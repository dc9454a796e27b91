//! A cluster that can be hurt: its processes, and for each node what a run needs of a disk and a clock of its own. Faults
//! share it, each for a moment; what one of them holds of a node, no other touches.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::{Mutex as PlainMutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use futures::future::join_all;
use openshell_tests::{
    Access, Cluster, ClusterOptions, Gateway, GatewayPorts, Leadership, Network, Vitals, eventually, http_get_at,
    leadership_among,
};
use tokio::sync::Mutex;
use tokio::task::block_in_place;

use super::members::Members;
use crate::env::{Clock, Disk, inside};

/// How long a probe waits for a connection: packets here take no time, and lost ones are sent again after a second.
const REACH_LIMIT: Duration = Duration::from_millis(400);
/// A process that was started listens after so long at most, or has ended.
const LISTEN_LIMIT: Duration = Duration::from_secs(20);

/// What of a node a fault holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Organ {
    /// Its process, with everything that can only be done while nobody else kills or starts it.
    Process,
    /// What it sends.
    Wire,
    /// Its clock.
    Clock,
}

/// What the nodes of a run have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Equipment {
    /// Each stands in a network namespace of its own.
    pub(crate) apart: bool,
    /// Each has a file system of its own.
    pub(crate) disks: bool,
    /// Each has a clock of its own.
    pub(crate) clocks: bool,
}

/// Where a node is.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// Of the place: it stays when another member takes it.
    pub(crate) id: u64,
    pub(crate) access: Access,
    pub(crate) address: IpAddr,
    pub(crate) ports: GatewayPorts,
    pub(crate) namespace: Option<String>,
    vitals: Vitals,
}

impl Node {
    /// Does something from where it stands, where nobody is cut off from it.
    ///
    /// # Errors
    /// As `work` does, and when its namespace cannot be entered.
    fn beside<T: Send>(&self, work: impl FnOnce() -> anyhow::Result<T> + Send) -> anyhow::Result<T> {
        block_in_place(|| match self.namespace.as_deref() {
            Some(namespace) => inside(namespace, work),
            None => work(),
        })
    }

    /// A connection to its pages, from where it stands.
    ///
    /// # Errors
    /// When none is made soon.
    pub(crate) fn visit(&self) -> anyhow::Result<TcpStream> {
        let place = SocketAddr::new(self.address, self.ports.health);
        self.beside(|| Ok(TcpStream::connect_timeout(&place, REACH_LIMIT)?))
    }

    /// A number on its metrics page; none when it does not answer.
    pub(crate) async fn metric(&self, name: &str) -> Option<f64> {
        self.vitals.metrics().await?.sum(name)
    }
}

/// A cluster under faults.
#[derive(Debug)]
pub(crate) struct Rig {
    pub(crate) nodes: Vec<Node>,
    pub(crate) clocks: BTreeMap<u64, Clock>,
    /// Beside the data of the nodes, for files of the harness.
    pub(crate) folder: PathBuf,
    /// Who stands where.
    members: PlainMutex<Members>,
    /// What faults hold of nodes.
    held: PlainMutex<BTreeSet<(u64, Organ)>>,
    /// What faults found that must not be, a sentence each.
    problems: PlainMutex<Vec<String>>,
    machinery: Mutex<Machinery>,
}

/// What can be done to the cluster. Goes in the order of its parts: processes, then their file systems.
#[derive(Debug)]
pub(crate) struct Machinery {
    pub(crate) cluster: Cluster,
    pub(crate) disks: BTreeMap<u64, Disk>,
    /// Nodes whose end is somebody's doing.
    pub(crate) excused: BTreeSet<u64>,
    /// Those for which a call about a file failed, and which may notice when they come to write: a node that is cut off may do
    /// that long after the fault.
    pub(crate) forgiven: BTreeSet<u64>,
}

impl Rig {
    /// Forms a cluster, ready for work. Made anew with other ports when a process ended, as it does when a port was
    /// taken meanwhile.
    ///
    /// # Errors
    /// When it does not come about; nothing is left then.
    pub(crate) async fn new(options: ClusterOptions, equipment: Equipment) -> anyhow::Result<Self> {
        match Self::formed(options, equipment).await {
            Err(error) if error.to_string().contains(" ended with ") => Self::formed(options, equipment).await,
            outcome => outcome,
        }
    }

    async fn formed(options: ClusterOptions, equipment: Equipment) -> anyhow::Result<Self> {
        let cluster = Cluster::laid_out(options, equipment.apart)?;
        let folder = cluster.folder().context("the cluster keeps its files")?.to_path_buf();
        // From here on whatever fails, processes go before their disks.
        let mut machinery =
            Machinery { cluster, disks: BTreeMap::new(), excused: BTreeSet::new(), forgiven: BTreeSet::new() };
        let mut clocks = BTreeMap::new();
        for id in machinery.cluster.ids() {
            let gateway = machinery.cluster.gateway_mut(id);
            if equipment.disks {
                let disk = Disk::new(&format!("node-{id}"))?;
                gateway.set_argument("--data-dir", disk.data().display().to_string());
                machinery.disks.insert(id, disk);
            }
            if equipment.clocks {
                clocks.insert(id, Clock::give(gateway, &folder)?);
            }
        }
        machinery.cluster.bring_up().await?;
        let cluster = &machinery.cluster;
        let nodes = cluster.gateways().iter().map(|gateway| node(gateway, cluster.network())).collect();
        let members = PlainMutex::new(Members::first(cluster.ids()));
        let (held, problems) = (PlainMutex::default(), PlainMutex::default());
        Ok(Self { nodes, clocks, folder, members, held, problems, machinery: Mutex::new(machinery) })
    }

    /// Does something to the cluster while nobody else does. It may take a while, and nothing else waits for it.
    ///
    /// # Errors
    /// As `work` does.
    pub(crate) async fn with<T>(&self, work: impl FnOnce(&mut Machinery) -> anyhow::Result<T>) -> anyhow::Result<T> {
        let mut machinery = self.machinery.lock().await;
        block_in_place(|| work(&mut machinery))
    }

    /// Does the same to each of these nodes, while nobody else does anything.
    ///
    /// # Errors
    /// As `work` does; the nodes after the one that failed are as they were.
    pub(crate) async fn each(
        &self,
        nodes: &[u64],
        mut work: impl FnMut(&mut Machinery, u64) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        self.with(|machinery| nodes.iter().try_for_each(|id| work(machinery, *id))).await
    }

    /// Holds an organ of all these nodes, or of none; false when somebody holds one.
    pub(crate) fn hold(&self, nodes: &[u64], organ: Organ) -> bool {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if nodes.iter().any(|node| held.contains(&(*node, organ))) {
            return false;
        }
        held.extend(nodes.iter().map(|node| (*node, organ)));
        true
    }

    /// Lets it go.
    pub(crate) fn release(&self, nodes: &[u64], organ: Organ) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|(node, of)| !(*of == organ && nodes.contains(node)));
    }

    /// Something that must not be.
    pub(crate) fn complain(&self, problem: String) {
        self.problems.lock().unwrap_or_else(PoisonError::into_inner).push(problem);
    }

    /// All of it.
    pub(crate) fn complaints(&self) -> Vec<String> {
        self.problems.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How each node is reached.
    pub(crate) fn accesses(&self) -> Vec<Access> {
        self.nodes.iter().map(|node| node.access.clone()).collect()
    }

    /// One node.
    ///
    /// # Errors
    /// When there is none of this id.
    pub(crate) fn node(&self, id: u64) -> anyhow::Result<&Node> {
        self.nodes.iter().find(|node| node.id == id).with_context(|| format!("there is no node {id}"))
    }

    /// Which node leads, once a majority says the same; none when that takes longer than `limit`.
    pub(crate) async fn leader(&self, limit: Duration) -> Option<u64> {
        self.leadership(limit).await.map(|leadership| leadership.leader)
    }

    /// The same, with its term.
    pub(crate) async fn leadership(&self, limit: Duration) -> Option<Leadership> {
        let nodes = self.accesses();
        let led = async || {
            let said = leadership_among(&nodes).await?;
            // One that was replaced leads no more: others are to hear of it yet.
            let leader = self.with_members(|members| members.place(said.leader))?;
            Some(Leadership { leader, ..said })
        };
        eventually("a leader", limit, led).await.ok()
    }

    fn with_members<T>(&self, work: impl FnOnce(&mut Members) -> T) -> T {
        work(&mut self.members.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The id that a node has in the cluster.
    pub(crate) fn member(&self, id: u64) -> u64 {
        self.with_members(|members| members.at(id))
    }

    /// Those of all nodes.
    pub(crate) fn voters(&self) -> BTreeSet<u64> {
        self.with_members(|members| members.all())
    }

    /// An id for a member that takes another's place; none until the last one [has](Rig::conclude_replacement) its place.
    pub(crate) fn newcomer(&self) -> Option<u64> {
        self.with_members(Members::newcomer)
    }

    /// A node is this member from now on.
    pub(crate) fn put(&self, id: u64, member: u64) {
        self.with_members(|members| members.put(id, member));
    }

    /// The newcomer is a member.
    pub(crate) fn conclude_replacement(&self) {
        self.with_members(Members::conclude);
    }

    /// Whether a node says that it is ready.
    pub(crate) async fn is_ready(&self, id: u64) -> bool {
        let Ok(node) = self.node(id) else { return false };
        matches!(http_get_at(node.address, node.ports.health, "/readyz").await, Ok((200, _)))
    }

    /// Waits until every node is ready.
    ///
    /// # Errors
    /// When they are not in time, with those that are not.
    pub(crate) async fn whole(&self, limit: Duration) -> anyhow::Result<()> {
        let lagging = async || {
            let ready = join_all(self.nodes.iter().map(|node| self.is_ready(node.id))).await;
            let pairs = self.nodes.iter().zip(ready);
            pairs.filter(|(_, is_ready)| !is_ready).map(|(node, _)| node.id).collect::<Vec<u64>>()
        };
        let all = eventually("every node to be ready", limit, async || lagging().await.is_empty().then_some(()));
        match all.await {
            Ok(()) => Ok(()),
            Err(_) => bail!("nodes {:?} are not ready after {limit:?}", lagging().await),
        }
    }

    /// Whether a connection can be made, from a node or from clients, to a place. Refused ones count: somebody is there.
    pub(crate) fn reaches(&self, from: Option<u64>, place: SocketAddr) -> anyhow::Result<bool> {
        let connect = || match TcpStream::connect_timeout(&place, REACH_LIMIT) {
            Ok(_) => Ok(true),
            Err(error) => Ok(error.kind() == std::io::ErrorKind::ConnectionRefused),
        };
        match from {
            Some(id) => self.node(id)?.beside(connect),
            None => block_in_place(connect),
        }
    }

    /// Waits until a process that was started listens, asked from where it stands; false when it ended or does not.
    pub(crate) async fn listens(&self, id: u64) -> anyhow::Result<bool> {
        let node = self.node(id)?;
        let up = eventually("a process to listen", LISTEN_LIMIT, async || {
            let ended = self.with(|machinery| Ok(machinery.cluster.gateway_mut(id).exit_status())).await;
            if matches!(ended, Ok(Some(_))) {
                return Some(false);
            }
            node.visit().is_ok().then_some(true)
        });
        Ok(up.await.unwrap_or(false))
    }
}

impl Machinery {
    /// SIGKILL. A process whose disk is hung would not end.
    pub(crate) fn kill(&mut self, id: u64) -> anyhow::Result<()> {
        self.excused.insert(id);
        self.cluster.gateway_mut(id).kill()
    }

    /// A new start; its end is its own again.
    pub(crate) fn start(&mut self, id: u64) -> anyhow::Result<()> {
        let gateway = self.cluster.gateway_mut(id);
        let is_new = !gateway.is_running();
        gateway.start()?;
        self.excused.remove(&id);
        if is_new {
            self.forgiven.remove(&id);
        }
        Ok(())
    }

    /// How it ended, if it ended.
    pub(crate) fn ended(&mut self, id: u64) -> Option<ExitStatus> {
        self.cluster.gateway_mut(id).exit_status()
    }

    /// The id of its process.
    pub(crate) fn process(&self, id: u64) -> anyhow::Result<u32> {
        self.cluster.gateway(id).process().with_context(|| format!("node {id} does not run"))
    }

    /// Its file system.
    pub(crate) fn disk(&self, id: u64) -> anyhow::Result<&Disk> {
        self.disks.get(&id).with_context(|| format!("node {id} has no disk of its own"))
    }

    /// Its data.
    pub(crate) fn data(&self, id: u64) -> &Path {
        Path::new(self.cluster.gateway(id).argument("--data-dir"))
    }

    /// The network of a cluster whose nodes stand apart.
    pub(crate) fn network(&self) -> anyhow::Result<&Network> {
        self.cluster.network().context("a cluster without a network of its own cannot be cut")
    }
}

impl Drop for Machinery {
    fn drop(&mut self) {
        // A process whose disk is hung would not end.
        for disk in self.disks.values() {
            let _ = disk.thaw();
        }
    }
}

fn node(gateway: &Gateway, network: Option<&Network>) -> Node {
    let (id, access, ports) = (gateway.id(), gateway.access(), gateway.ports());
    let address = network.map_or(Ipv4Addr::LOCALHOST, |network| network.address(id)).into();
    let namespace = network.map(|network| network.namespace(id));
    Node { id, access, address, ports, namespace, vitals: gateway.vitals() }
}
