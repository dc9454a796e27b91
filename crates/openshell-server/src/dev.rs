//! `openshell-gateway dev`: several real nodes on this machine, each a process of its own, so
//! that one of them can be killed. The parent starts them, waits, and stops them on Ctrl-C.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getppid};
use openshell_proto::v1::open_shell_client::OpenShellClient;
use openshell_proto::v1::{HealthRequest, ServiceStatus};
use tokio::process::{Child, Command};

use crate::options::Dev;
use crate::{secrets, signals};

/// Set for a child, with the process id of its parent.
const PARENT: &str = "OPENSHELL_DEV_PARENT";
/// Between two looks at a node that is starting.
const READY_PAUSE: Duration = Duration::from_millis(50);
/// Ports of one kind lie this far from the next kind's.
const PORT_STRIDE: u16 = 100;
/// How long nodes may take to stop before they are killed.
const STOP_MAX: Duration = Duration::from_secs(20);

/// Runs the nodes until Ctrl-C or until one cannot start.
pub(crate) async fn run(dev: &Dev) -> anyhow::Result<()> {
    ensure!(matches!(dev.nodes, 1 | 3 | 5), "--nodes must be 1, 3 or 5");
    ensure!(dev.port.checked_add(3 * PORT_STRIDE + dev.nodes).is_some(), "--port {} leaves no room above it", dev.port);
    std::fs::create_dir_all(&dev.data_dir).with_context(|| format!("making --data-dir {}", dev.data_dir.display()))?;
    let data_dir = dev.data_dir.canonicalize()?;
    let key = data_dir.join("secrets.key");
    if !key.exists() {
        secrets::make_key_file(&key)?;
    }
    let mut nodes = Vec::new();
    for node in 1..=dev.nodes {
        nodes.push(start(dev, &data_dir, &key, node)?);
    }
    let endpoints: Vec<String> = (0..dev.nodes).map(|node| format!("http://127.0.0.1:{}", dev.port + node)).collect();
    let ended = tokio::select! {
        signal = signals::asked_to_stop() => signal.map(|_| ()).map_err(Into::into),
        result = watch(&data_dir, &mut nodes, &endpoints) => result,
    };
    tokio::select! {
        () = stop(&data_dir, nodes) => ended,
        // The nodes that still run are killed when this process lets go of them.
        signal = signals::asked_to_stop() => bail!("{} came while the nodes were stopping: they were killed", signal?),
    }
}

/// Says when every node is ready, and then which of them end. Ends itself when a node cannot
/// start, or when none is left: a killed node does not end the cluster.
#[allow(clippy::print_stdout)] // What a person needs to use the cluster.
async fn watch(data_dir: &Path, nodes: &mut [Child], endpoints: &[String]) -> anyhow::Result<()> {
    let pids: Vec<u32> = nodes.iter().map(|node| node.id().unwrap_or(0)).collect();
    let mut endings: FuturesUnordered<_> =
        nodes.iter_mut().enumerate().map(|(index, node)| async move { (index + 1, node.wait().await) }).collect();
    tokio::select! {
        () = all_ready(endpoints) => {}
        Some((node, status)) = endings.next() => {
            let log = std::fs::read_to_string(data_dir.join(format!("node-{node}/log"))).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            bail!("node {node} did not start ({}):\n{}", status?, lines[lines.len().saturating_sub(10)..].join("\n"));
        }
    }
    println!("{} nodes run in {}", endpoints.len(), data_dir.display());
    for ((node, endpoint), pid) in (1..).zip(endpoints).zip(pids) {
        println!("  node {node}: clients {endpoint}, process {pid}");
    }
    println!("use them: openshell --gateway-endpoint {} status", endpoints.join(","));
    println!("stop them: Ctrl-C");
    while let Some((node, status)) = endings.next().await {
        println!("node {node} ended: {}", status?);
    }
    bail!("every node has ended; see the files node-*/log in the data directory")
}

/// Ends when every node says that it is healthy.
async fn all_ready(endpoints: &[String]) {
    for endpoint in endpoints {
        while !is_healthy(endpoint).await {
            tokio::time::sleep(READY_PAUSE).await;
        }
    }
}

async fn is_healthy(endpoint: &str) -> bool {
    let Ok(mut client) = OpenShellClient::connect(endpoint.to_owned()).await else { return false };
    client.health(HealthRequest {}).await.is_ok_and(|health| health.get_ref().status() == ServiceStatus::Healthy)
}

fn start(dev: &Dev, data_dir: &Path, key: &Path, node: u16) -> anyhow::Result<Child> {
    let place = data_dir.join(format!("node-{node}"));
    std::fs::create_dir_all(&place).with_context(|| format!("making {}", place.display()))?;
    let log = std::fs::OpenOptions::new().create(true).append(true).open(place.join("log"))?;
    let address = |kind: u16, node: u16| dev.port + kind * PORT_STRIDE + node - 1;
    let cluster: Vec<String> = (1..=dev.nodes).map(|node| format!("{node}=127.0.0.1:{}", address(1, node))).collect();
    let mut command = Command::new(std::env::current_exe()?);
    // The parent's own variables are about no node in particular.
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"OPENSHELL_")) {
        command.env_remove(name);
    }
    let child = command
        .arg("--node-id")
        .arg(node.to_string())
        .arg("--data-dir")
        .arg(&place)
        .arg("--port")
        .arg(address(0, node).to_string())
        .arg("--peer-bind")
        .arg(format!("127.0.0.1:{}", address(1, node)))
        .arg("--health-port")
        .arg(address(2, node).to_string())
        .arg("--metrics-port")
        .arg(address(3, node).to_string())
        .arg("--initial-cluster")
        .arg(cluster.join(","))
        .arg("--secrets-key-file")
        .arg(key)
        .arg("--log-level")
        .arg(&dev.log_level)
        .env(PARENT, std::process::id().to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        // Ctrl-C goes to the parent alone, which stops the nodes one after the other.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("starting node {node}"))?;
    let pid = child.id().context("a started process has an id")?;
    std::fs::write(place.join("pid"), format!("{pid}\n"))?;
    Ok(child)
}

/// Asks every node to stop and waits; a stopping leader hands over to one that still runs.
async fn stop(data_dir: &Path, nodes: Vec<Child>) {
    for mut child in nodes {
        let Some(pid) = child.id() else { continue };
        let asked = i32::try_from(pid).ok().map(|pid| kill(Pid::from_raw(pid), Signal::SIGTERM));
        if !matches!(asked, Some(Ok(()))) || tokio::time::timeout(STOP_MAX, child.wait()).await.is_err() {
            // It ends with this process at the latest.
            if let Err(error) = child.kill().await {
                tracing::warn!(pid, %error, data_dir = %data_dir.display(), "a node did not stop");
            }
        }
    }
}

/// A node of `dev` ends when its parent does, however that happened.
pub(crate) fn end_with_parent() -> anyhow::Result<()> {
    let Ok(parent) = std::env::var(PARENT) else { return Ok(()) };
    prctl::set_pdeathsig(Signal::SIGTERM).context("asking to be told when the parent ends")?;
    // It may have ended before the line above.
    ensure!(getppid().to_string() == parent, "the process that started this node has ended");
    Ok(())
}
