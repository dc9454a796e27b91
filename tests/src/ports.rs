//! Ports for processes that are about to start. They are chosen below the range from which the
//! system takes ports for outgoing connections, so that a stopped node finds its own free again.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Mutex, PoisonError};

use anyhow::bail;

const FIRST: u16 = 10_240;
const LAST: u16 = 32_700;

/// Ports that this process gave away, and where to look next.
static GIVEN: Mutex<(BTreeSet<u16>, u16)> = Mutex::new((BTreeSet::new(), 0));

/// So many ports on which nobody listens on loopback. None is given twice in one process; another
/// process may still take one, which the caller notices when its child cannot listen.
///
/// # Errors
/// When there are not enough.
pub fn free_ports(count: usize) -> anyhow::Result<Vec<u16>> {
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    let span = u32::from(LAST - FIRST);
    if given.1 == 0 {
        // Processes that run side by side begin at different places.
        given.1 = FIRST + u16::try_from(std::process::id().wrapping_mul(97) % span)?;
    }
    let mut ports = Vec::with_capacity(count);
    for _ in 0..span {
        if ports.len() == count {
            return Ok(ports);
        }
        let port = given.1;
        given.1 = if port >= LAST { FIRST } else { port + 1 };
        if !given.0.contains(&port) && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            given.0.insert(port);
            ports.push(port);
        }
    }
    bail!("found {} of {count} free ports between {FIRST} and {LAST}", ports.len())
}
