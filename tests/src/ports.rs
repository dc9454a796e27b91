//! Ports for processes that are about to start. They are chosen below the range from which the
//! system takes ports for outgoing connections, so that a stopped node finds its own free again.

use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use anyhow::bail;

const FIRST: u16 = 10_240;
/// A process takes so many at a time.
const BLOCK: u16 = 64;
const BLOCKS: u16 = 350;

/// What this process has.
static OURS: Mutex<Ours> = Mutex::new(Ours { left: 0..0, held: Vec::new(), tried: 0 });

struct Ours {
    /// Of the newest block.
    left: Range<u16>,
    /// On the first port of each block, until the process ends: whoever finds it taken leaves the block alone, so that nobody
    /// takes a port while the node that it was given to is down.
    held: Vec<TcpListener>,
    /// Blocks that were asked for, ours or not.
    tried: u16,
}

/// So many ports on which nobody listens on loopback. None is given twice in one process, nor to another one that asks here
/// while this one lives.
///
/// # Errors
/// When there are not enough.
pub fn free_ports(count: usize) -> anyhow::Result<Vec<u16>> {
    let mut ours = OURS.lock().unwrap_or_else(PoisonError::into_inner);
    let mut ports = Vec::with_capacity(count);
    while ports.len() < count {
        match ours.left.next() {
            Some(port) if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() => ports.push(port),
            Some(_) => {}
            None => ours.take_block()?,
        }
    }
    Ok(ports)
}

impl Ours {
    fn take_block(&mut self) -> anyhow::Result<()> {
        while self.tried < BLOCKS {
            // Processes that run side by side begin at different places.
            let start = u16::try_from(std::process::id().wrapping_mul(97) % u32::from(BLOCKS))?;
            let first = FIRST + (start + self.tried) % BLOCKS * BLOCK;
            self.tried += 1;
            if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, first)) {
                self.held.push(listener);
                self.left = first + 1..first + BLOCK;
                return Ok(());
            }
        }
        bail!("all {BLOCKS} blocks of {BLOCK} ports from {FIRST} on are taken; {} by this process", self.held.len())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_port_is_given_twice_and_none_of_a_block_that_another_holds() {
        let count = usize::from(BLOCK) * 3;
        let ports: BTreeSet<u16> = free_ports(count).expect("free ports").into_iter().collect();
        assert_eq!(ports.len(), count);
        for port in ports {
            let first = FIRST + (port - FIRST) / BLOCK * BLOCK;
            assert_ne!(port, first);
            let other = TcpListener::bind((Ipv4Addr::LOCALHOST, first));
            assert!(other.is_err(), "whoever comes to {first} sees that its block is taken");
        }
    }
}
