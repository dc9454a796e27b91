//! How a gateway's process is, read beside whoever starts and hurts it: its metrics page, and what the system
//! says that it takes.

use std::fs;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::metrics::{Metrics, scrape_at};

/// A look at one gateway, over all its lives. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Vitals {
    /// Of the gateway, whichever node it is.
    pub id: u64,
    pub(crate) address: IpAddr,
    pub(crate) metrics_port: u16,
    pub(crate) process: Arc<AtomicU32>,
    pub(crate) node: Arc<AtomicU64>,
}

impl Vitals {
    /// The process that was started last; 0 before the first.
    #[must_use]
    pub fn process(&self) -> u32 {
        self.process.load(Ordering::Relaxed)
    }

    /// The node that it is in its cluster, or is to be at its next start.
    #[must_use]
    pub fn node(&self) -> u64 {
        self.node.load(Ordering::Relaxed)
    }

    /// Its metrics page; none when it does not answer.
    pub async fn metrics(&self) -> Option<Metrics> {
        scrape_at(self.address, self.metrics_port).await.ok()
    }

    /// How many bytes of memory the process has, of its own and shared; none when there is none.
    #[must_use]
    pub fn resident_bytes(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        Some(line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()? * 1024)
    }

    /// How many files and connections it has open; none when there is none.
    #[must_use]
    pub fn descriptors(&self) -> Option<u64> {
        Some(fs::read_dir(format!("/proc/{}/fd", self.process())).ok()?.count() as u64)
    }
}
