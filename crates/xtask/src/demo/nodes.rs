//! Three nodes of `openshell-gateway dev` in a temporary folder: started, waited for, one of them killed, all
//! stopped. Processes are ended by their own ids only.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::terminal::without_our_variables;
use crate::output;

/// How many there are.
pub(super) const COUNT: u16 = 3;
/// Clients, peers, health and metrics each have a range of ports, so far apart.
const KINDS: u16 = 4;
const STRIDE: u16 = 100;
const HEALTH: u16 = 2;
const READY_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(25);
const PAUSE: Duration = Duration::from_millis(50);

/// The running nodes. Dropping them stops them.
pub(super) struct Nodes {
    /// `openshell-gateway dev`, which stops the nodes when it is interrupted.
    parent: Child,
    data: PathBuf,
    log: PathBuf,
    port: u16,
    is_left: bool,
}

impl Nodes {
    /// Starts them below `folder`. With `detached`, a Ctrl-C in this terminal does not reach them.
    pub(super) fn start(program: &Path, folder: &Path, detached: bool) -> Result<Self> {
        let port = free_port()?;
        let (data, log) = (folder.join("cluster"), folder.join("dev.log"));
        let text = format!(
            "openshell-gateway dev --nodes {COUNT} --data-dir {} --port {port} --log-level info",
            data.display()
        );
        output::heading("three nodes on this machine");
        output::line(&format!("$ {text} &"));
        let file = File::create(&log).with_context(|| format!("creating {}", log.display()))?;
        let mut command = Command::new(program);
        command.args(text.split(' ').skip(1)).stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        without_our_variables(&mut command);
        if detached {
            command.process_group(0);
        }
        let parent = command.spawn().with_context(|| format!("starting {}", program.display()))?;
        Ok(Self { parent, data, log, port, is_left: false })
    }

    /// Waits for `/readyz` of every node.
    pub(super) fn wait_until_ready(&mut self) -> Result<()> {
        let start = Instant::now();
        let mut answers = vec![String::new(); usize::from(COUNT)];
        while start.elapsed() < READY_LIMIT {
            if let Some(status) = self.parent.try_wait()? {
                bail!("openshell-gateway dev ended with {status}");
            }
            for (node, answer) in (1..=COUNT).zip(&mut answers) {
                *answer = match readiness(self.address(HEALTH, node)) {
                    Ok(answer) => answer,
                    Err(error) => format!("no answer: {error:#}"),
                };
            }
            if answers.iter().all(|answer| answer.starts_with("200")) {
                output::line(&format!("all nodes are ready after {:.1} s", start.elapsed().as_secs_f64()));
                return Ok(());
            }
            std::thread::sleep(PAUSE);
        }
        bail!("the nodes were not ready within {READY_LIMIT:?}; /readyz said: {answers:?}")
    }

    /// The URL for clients of a node, from 1.
    pub(super) fn endpoint(&self, node: u16) -> String {
        format!("http://{}", self.address(0, node))
    }

    /// Kills one node as `kill -9` does.
    pub(super) fn kill(&self, node: u16) -> Result<()> {
        let path = self.data.join(format!("node-{node}/pid"));
        let text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let pid: u32 = text.trim().parse().with_context(|| format!("{} holds no process id", path.display()))?;
        output::line(&format!("$ kill -9 {pid}    # node {node}"));
        signal("-9", pid)
    }

    /// The process to interrupt.
    pub(super) fn process(&self) -> u32 {
        self.parent.id()
    }

    /// Lets them run on when this program ends.
    pub(super) fn leave(&mut self) {
        self.is_left = true;
    }

    /// The ends of all logs, for whoever looks for the reason of a failure.
    pub(super) fn last_words(&self) -> String {
        let of_nodes = (1..=COUNT).map(|node| self.data.join(format!("node-{node}/log")));
        let parts = std::iter::once(self.log.clone()).chain(of_nodes).map(|path| {
            let text = std::fs::read_to_string(&path).unwrap_or_else(|error| error.to_string());
            let lines: Vec<_> = text.lines().rev().take(15).collect();
            let name = path.strip_prefix(self.data.parent().unwrap_or(&self.data)).unwrap_or(&path);
            format!("-- end of {}\n{}\n", name.display(), lines.into_iter().rev().collect::<Vec<_>>().join("\n"))
        });
        parts.collect()
    }

    fn address(&self, kind: u16, node: u16) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port + kind * STRIDE + node - 1).into()
    }

    fn stop(&mut self) -> Result<()> {
        if self.parent.try_wait()?.is_some() {
            return Ok(());
        }
        signal("-INT", self.parent.id())?;
        let start = Instant::now();
        while start.elapsed() < STOP_LIMIT {
            if self.parent.try_wait()?.is_some() {
                return Ok(());
            }
            std::thread::sleep(PAUSE);
        }
        output::error("openshell-gateway dev did not stop when interrupted, and is killed; its nodes end with it");
        self.parent.kill()?;
        self.parent.wait()?;
        Ok(())
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        if !self.is_left
            && let Err(error) = self.stop()
        {
            output::error(&format!("stopping the nodes: {error:#}"));
        }
    }
}

fn signal(name: &str, pid: u32) -> Result<()> {
    let status = Command::new("kill").arg(name).arg(pid.to_string()).status().context("starting kill")?;
    match status.success() {
        true => Ok(()),
        false => bail!("kill {name} {pid} failed with {status}"),
    }
}

/// The status and the words of `/readyz`.
fn readiness(address: SocketAddr) -> Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status = answer.split(' ').nth(1).context("no status line")?;
    Ok(format!("{status} {}", answer.lines().last().unwrap_or_default()))
}

/// A port from which on all that the nodes listen on are free now. Between this look and their start somebody
/// may take one, in which case the demonstration fails and says so.
fn free_port() -> Result<u16> {
    let first = 17_670_u16;
    let candidates = (0..100).map(|step| first + step * (COUNT + 7) + step / 10 * KINDS * STRIDE);
    let is_free = |port: &u16| ports_from(*port).all(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok());
    candidates.into_iter().find(is_free).context("no range of free ports was found on loopback")
}

fn ports_from(first: u16) -> impl Iterator<Item = u16> {
    (0..KINDS).flat_map(move |kind| (0..COUNT).map(move |node| first + kind * STRIDE + node))
}

#[cfg(test)]
mod tests {
    use super::{free_port, ports_from, readiness};
    use std::io::{Read, Write};
    use std::net::{Ipv4Addr, TcpListener};

    #[test]
    fn a_taken_port_anywhere_in_the_range_moves_the_whole_range() {
        let first = free_port().unwrap();
        let last = ports_from(first).last().unwrap();
        assert_eq!(last, first + 302);
        let Ok(_taken) = TcpListener::bind((Ipv4Addr::LOCALHOST, last)) else { return };
        assert_ne!(free_port().unwrap(), first);
    }

    #[test]
    fn readiness_is_the_status_and_its_words() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            assert!(stream.read(&mut request).unwrap() > 0);
            stream.write_all(b"HTTP/1.1 503 Service Unavailable\r\n\r\nnot ready: no leader").unwrap();
        });
        assert_eq!(readiness(address).unwrap(), "503 not ready: no leader");
        server.join().unwrap();
        assert!(readiness(address).is_err());
    }
}
