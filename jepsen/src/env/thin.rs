//! Links with a rate, of all that a node sends or of what it sends to one other. All of it happens inside of the node's
//! network namespace, and goes with it.

use std::net::IpAddr;

use anyhow::{Context, ensure};
use openshell_tests::run_program;

use super::link::DEVICE;

/// The class of the one whose link is thin.
const CLASS: &str = "1:2";
/// So many packets wait; more are lost, as with everybody else's router.
const WAITING_MAX: &str = "16";

/// A thin link. Dropping it makes it wide again.
#[derive(Debug)]
pub(crate) struct Thin {
    namespace: String,
    /// Whether only what goes to one other node is meant.
    is_shared: bool,
}

impl Thin {
    /// Makes the link of a node one of so many kilobits a second.
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) fn new(namespace: &str, kbit: i64) -> anyhow::Result<Self> {
        let rate = format!("{kbit}kbit");
        let shape = ["root", "tbf", "rate", &rate, "burst", "8kb", "latency", "400ms"];
        tc(namespace, &[&["qdisc", "replace", "dev", DEVICE][..], &shape].concat())?;
        let link = Self { namespace: namespace.to_owned(), is_shared: false };
        let shown = tc(namespace, &["qdisc", "show", "dev", DEVICE])?;
        ensure!(shown.contains("tbf"), "the link has no rate: {shown}");
        Ok(link)
    }

    /// Lets a node send so many kilobits a second to another one; to all others it sends as before.
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) fn toward(namespace: &str, kbit: i64, other: IpAddr) -> anyhow::Result<Self> {
        let (rate, other) = (format!("{kbit}kbit"), format!("{other}/32"));
        tc(namespace, &["qdisc", "replace", "dev", DEVICE, "root", "handle", "1:", "htb"])?;
        let link = Self { namespace: namespace.to_owned(), is_shared: true };
        let class = ["parent", "1:", "classid", CLASS, "htb", "rate", &rate, "burst", "8kb", "quantum", "1600"];
        tc(namespace, &[&["class", "add", "dev", DEVICE][..], &class].concat())?;
        tc(namespace, &["qdisc", "add", "dev", DEVICE, "parent", CLASS, "pfifo", "limit", WAITING_MAX])?;
        let filter = ["parent", "1:", "protocol", "ip", "u32", "match", "ip", "dst", &other, "flowid", CLASS];
        tc(namespace, &[&["filter", "add", "dev", DEVICE][..], &filter].concat())?;
        Ok(link)
    }

    /// Makes it wide again, and says how often somebody had to wait.
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) fn widen(self) -> anyhow::Result<u64> {
        let what = if self.is_shared { "class" } else { "qdisc" };
        let shown = tc(&self.namespace, &["-s", what, "show", "dev", DEVICE])?;
        let (_, rest) = shown.split_once("overlimits ").context("no count of packets that waited")?;
        let waited = rest.split_whitespace().next().context("no count of packets that waited")?.parse()?;
        self.remove()?;
        Ok(waited)
    }

    fn remove(&self) -> anyhow::Result<()> {
        tc(&self.namespace, &["qdisc", "delete", "dev", DEVICE, "root"]).map(drop)
    }
}

impl Drop for Thin {
    fn drop(&mut self) {
        // It fails where it was widened before; else nobody is left to hear of a failure.
        let _ = self.remove();
    }
}

fn tc(namespace: &str, arguments: &[&str]) -> anyhow::Result<String> {
    run_program("tc", &[&["-n", namespace][..], arguments].concat(), "")
}
