//! Ports for processes that are about to start. They are chosen below the range from which the
//! system takes ports for outgoing connections, so that a stopped node finds its own free again.

use std::fs::{self, File, TryLockError};
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, bail};

const FIRST: u16 = 10_240;
/// A process takes so many at a time.
const BLOCK: u16 = 64;
const BLOCKS: u16 = 350;

/// What this process has.
static OURS: Mutex<Ours> = Mutex::new(Ours { left: 0..0, held: Vec::new(), tried: 0 });

struct Ours {
    /// Of the newest block.
    left: Range<u16>,
    /// A lock on each block, until the process ends: no other process takes a port while the node that it was given to is down.
    held: Vec<File>,
    /// Blocks that were asked for, ours or not.
    tried: u16,
}

/// So many ports on which nobody listens on loopback. None is given twice in one process, nor to another process of the same
/// user while this one lives.
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
        let folder = folder()?;
        while self.tried < BLOCKS {
            // Processes that run side by side begin at different places.
            let start = u16::try_from(std::process::id().wrapping_mul(97) % u32::from(BLOCKS))?;
            let block = (start + self.tried) % BLOCKS;
            self.tried += 1;
            let path = folder.join(block.to_string());
            let file = File::create(&path).with_context(|| format!("making {}", path.display()))?;
            match file.try_lock() {
                Ok(()) => {
                    self.held.push(file);
                    self.left = FIRST + block * BLOCK..FIRST + (block + 1) * BLOCK;
                    return Ok(());
                }
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => {
                    return Err(error).with_context(|| format!("locking {}", path.display()));
                }
            }
        }
        bail!("all {BLOCKS} blocks of {BLOCK} ports from {FIRST} on are taken; {} by this process", self.held.len())
    }
}

/// Where the locks are, which each user has for himself: nobody may write into another's.
fn folder() -> anyhow::Result<PathBuf> {
    let user = fs::metadata("/proc/self").context("asking who runs this")?.uid();
    let folder = std::env::temp_dir().join(format!("openshell-ports-{user}"));
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    Ok(folder)
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
        let blocks: BTreeSet<u16> = ports.iter().map(|port| (port - FIRST) / BLOCK).collect();
        for block in blocks {
            // As another process has it: a description of its own.
            let file = File::open(folder().expect("a folder").join(block.to_string())).expect("a lock's file");
            assert!(matches!(file.try_lock(), Err(TryLockError::WouldBlock)), "block {block} is held");
        }
    }
}
