//! A network of a run's own: each node in a network namespace, all of them on a bridge that stands
//! in one more, and a cable from there to this process. What is cut is decided on the bridge, in
//! one transaction. Only names and addresses that were made here are touched, and all of them go
//! with the value; those of a run that was killed go when the next one begins.

mod cut;
mod programs;
mod run;

use std::net::Ipv4Addr;

use anyhow::{Context, bail, ensure};

pub use cut::Cut;
use programs::{ip, nft};
use run::Run;

use crate::program::on_path;

/// Addresses for measurements between networks (RFC 2544, RFC 6815); nobody routes them.
const FIRST_ADDRESS: u32 = u32::from_be_bytes([198, 18, 0, 0]);
/// Blocks of 16 addresses in `198.18.0.0/15`.
const BLOCKS: u32 = 1 << 13;
const PREFIX: u8 = 28;
/// This process' place in its block; nodes have their ids.
const OWN_HOST: u32 = 14;
/// The port of the bridge that leads to this process.
const UPLINK: &str = "uplink";

/// Namespaces, cables and the bridge of one run. Dropping it removes them.
#[derive(Debug)]
pub struct Network {
    run: Run,
    nodes: u64,
    first_address: u32,
}

impl Network {
    /// Why none can be made here, as far as can be told without trying; nothing when it looks possible.
    #[must_use]
    pub fn obstacle() -> Option<String> {
        if !nix::unistd::geteuid().is_root() {
            return Some("making network namespaces needs root".to_owned());
        }
        let missing: Vec<&str> = ["ip", "nft", "nsenter"].into_iter().filter(|program| !on_path(program)).collect();
        let packages = "packages iproute2, nftables and util-linux";
        (!missing.is_empty()).then(|| format!("not installed: {} ({packages})", missing.join(", ")))
    }

    /// Removes what runs left behind whose process is gone, and ends what still runs there. Does nothing where no network
    /// can be made.
    ///
    /// # Errors
    /// When the system does not say what there is.
    pub fn sweep() -> anyhow::Result<()> {
        if Self::obstacle().is_some() {
            return Ok(());
        }
        run::sweep()
    }

    /// A network of so many nodes, with ids from 1, in which everybody reaches everybody. Removes
    /// what dead runs left behind first.
    ///
    /// # Errors
    /// Where there is an [obstacle](Network::obstacle), or the system refuses; what was made by then is
    /// removed. A retry is safe.
    pub fn new(nodes: u64) -> anyhow::Result<Self> {
        if let Some(obstacle) = Self::obstacle() {
            bail!("no network of its own can be made here: {obstacle}");
        }
        ensure!((1..OWN_HOST.into()).contains(&nodes), "a network has 1 to {} nodes", OWN_HOST - 1);
        run::sweep()?;
        let run = Run::of_this_process()?;
        let first_address = free_block(run.number())?;
        let network = Self { run, nodes, first_address };
        network.lay().context("making network namespaces")?;
        Ok(network)
    }

    fn lay(&self) -> anyhow::Result<()> {
        let switch = self.run.switch();
        ip(&["netns", "add", &switch])?;
        ip(&["-n", &switch, "link", "add", "name", "switch", "type", "bridge"])?;
        ip(&["-n", &switch, "link", "set", "dev", "switch", "up"])?;
        let cable = self.run.cable();
        ip(&["link", "add", "name", &cable, "type", "veth", "peer", "name", UPLINK, "netns", &switch])?;
        ip(&["-n", &switch, "link", "set", "dev", UPLINK, "master", "switch", "up"])?;
        ip(&["addr", "add", &format!("{}/{PREFIX}", self.host(OWN_HOST)), "dev", &cable])?;
        ip(&["link", "set", "dev", &cable, "up"])?;
        for id in 1..=self.nodes {
            let (node, port) = (self.namespace(id), cut::port(id));
            ip(&["netns", "add", &node])?;
            ip(&[
                "link", "add", "name", &port, "netns", &switch, "type", "veth", "peer", "name", "eth0", "netns", &node,
            ])?;
            ip(&["-n", &switch, "link", "set", "dev", &port, "master", "switch", "up"])?;
            ip(&["-n", &node, "addr", "add", &format!("{}/{PREFIX}", self.address(id)), "dev", "eth0"])?;
            ip(&["-n", &node, "link", "set", "dev", "eth0", "up"])?;
            ip(&["-n", &node, "link", "set", "dev", "lo", "up"])?;
        }
        nft(&switch, &(cut::PREPARE.to_owned() + &cut::empty(cut::ONLY))).map(|_| ())
    }

    /// Where a node is reached, by the others and by this process.
    #[must_use]
    pub fn address(&self, id: u64) -> Ipv4Addr {
        self.host(u32::try_from(id).unwrap_or(u32::MAX))
    }

    /// The namespace that a node's process is to run in.
    #[must_use]
    pub fn namespace(&self, id: u64) -> String {
        self.run.node(id)
    }

    /// Makes the network as `cut` says, whatever the cut before it was, at one instant.
    ///
    /// # Errors
    /// When the system refuses; the network is then as before. A retry is safe.
    pub fn cut(&self, cut: &Cut) -> anyhow::Result<()> {
        self.cut_as(cut::ONLY, cut)
    }

    /// Everybody reaches everybody again, as far as [`Network::cut`] prevented it. Says how many packets the cut had
    /// stopped: none means that nobody felt it.
    ///
    /// # Errors
    /// As [`Network::cut`].
    pub fn heal(&self) -> anyhow::Result<u64> {
        let stopped = self.stopped(cut::ONLY)?;
        nft(&self.run.switch(), &cut::empty(cut::ONLY)).context("healing the network")?;
        Ok(stopped)
    }

    /// Cuts the network beside all cuts of other names, in place of that of the same name. A name is letters and
    /// digits.
    ///
    /// # Errors
    /// As [`Network::cut`].
    pub fn cut_as(&self, name: &str, cut: &Cut) -> anyhow::Result<()> {
        nft(&self.run.switch(), &cut.rules(name, self.nodes)).map(|_| ()).context("cutting the network")
    }

    /// Takes the cut of a name away. Says how many packets it had stopped.
    ///
    /// # Errors
    /// As [`Network::cut`], and when there is none of this name.
    pub fn heal_of(&self, name: &str) -> anyhow::Result<u64> {
        let stopped = self.stopped(name)?;
        nft(&self.run.switch(), &cut::remove(name)).context("healing the network")?;
        Ok(stopped)
    }

    /// The names of all cuts that stop something.
    ///
    /// # Errors
    /// As [`Network::cut`].
    pub fn cuts(&self) -> anyhow::Result<Vec<String>> {
        Ok(cut::cutting(&nft(&self.run.switch(), cut::LIST_ALL)?))
    }

    fn stopped(&self, name: &str) -> anyhow::Result<u64> {
        Ok(cut::packets_stopped(&nft(&self.run.switch(), &cut::list(name))?))
    }

    fn host(&self, host: u32) -> Ipv4Addr {
        Ipv4Addr::from(self.first_address + host)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.run.remove();
    }
}

/// The first address of a block that is on no interface here, looking from block number `start` on.
fn free_block(start: u32) -> anyhow::Result<u32> {
    let taken = ip(&["-4", "-o", "addr", "show"])?;
    let blocks = (0..BLOCKS).map(|step| FIRST_ADDRESS + start.wrapping_add(step) % BLOCKS * 16);
    let is_free = |block: &u32| !taken.contains(&format!(" {}/", Ipv4Addr::from(block + OWN_HOST)));
    { blocks }.find(is_free).context("every block of addresses is taken")
}
