//! Controls: that the scenario sees what is wrong when something is, and leaves nothing behind when
//! it is ended.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use openshell_tests::{Network, eventually, on_path, process_parent, process_state};

const LIMIT: Duration = Duration::from_secs(120);

/// A run whose files are in `folder`.
fn scenario(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_openshell-jepsen"));
    command.arg("run").args(arguments).arg("--store").arg(folder.join("store"));
    // A gateway that is missing is an error at once, and no build.
    command.env("TMPDIR", folder).env_remove("CARGO").stdin(Stdio::null());
    command
}

#[test]
fn reads_that_may_be_stale_fail_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["--seconds", "15", "--stale-reads", "--leader-changes-min", "0", "--updates-min", "20"];
    let output = scenario(folder.path(), &arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    if said.contains("partitions are required here") {
        assert!(!nix::unistd::geteuid().is_root(), "root can make networks: {said}");
        assert_eq!(output.status.code(), Some(3), "nothing was judged: {said}");
        return;
    }
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("peer-only [3] Installed"), "a node was cut off: {said}");
    assert!(said.contains("\nsearch: Violated "), "the search sees it: {said}");
    assert!(said.contains("\ncertificate: Violated "), "so do the revisions: {said}");
    assert!(said.ends_with("verdict: FAIL\n"), "{said}");
}

/// The namespaces of a process' run.
fn namespaces(process: u32) -> Vec<String> {
    let output = Command::new("ip").args(["netns", "list"]).output().unwrap();
    let listing = String::from_utf8_lossy(&output.stdout).into_owned();
    let names = listing.lines().filter_map(|line| line.split_whitespace().next());
    names.filter(|name| name.starts_with(&format!("openshell-{process}-"))).map(str::to_owned).collect()
}

/// The gateways in them, once there are a bridge and three nodes.
fn gateways_apart(process: u32) -> Vec<u32> {
    let pids = |name: &String| {
        let output = Command::new("ip").args(["netns", "pids", name]).output().unwrap();
        String::from_utf8_lossy(&output.stdout)
            .lines()
            .filter_map(|line| line.trim().parse().ok())
            .collect::<Vec<u32>>()
    };
    let namespaces = namespaces(process);
    if namespaces.len() == 4 { namespaces.iter().flat_map(pids).collect() } else { Vec::new() }
}

fn start(folder: &Path) -> Child {
    let arguments = ["--seconds", "600", "--partitions", "required"];
    scenario(folder, &arguments).stdout(Stdio::null()).spawn().unwrap()
}

/// Waits until a run has three gateways, found in this way.
async fn is_under_way(run: &mut Child, gateways: impl Fn(u32) -> Vec<u32>) -> Vec<u32> {
    let process = run.id();
    let started = eventually("three gateways", LIMIT, async || {
        if let Some(status) = run.try_wait().unwrap() {
            return Some(Err(format!("the run ended with {status}")));
        }
        Some(gateways(process)).filter(|gateways| gateways.len() == 3).map(Ok)
    });
    started.await.unwrap().unwrap()
}

fn is_alive(process: u32) -> bool {
    // An ended process whose parent has not asked yet counts as ended.
    process_state(process).is_some_and(|state| state != 'Z')
}

/// The gateways that a process started, wherever they stand.
fn gateways_of(process: u32) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let is_of = |id: &u32| {
        let name = std::fs::read_to_string(format!("/proc/{id}/comm")).unwrap_or_default();
        process_parent(*id) == Some(process) && name.starts_with("openshell-gatew")
    };
    ids.filter(is_of).collect()
}

async fn is_gone(process: u32, gateways: &[u32]) {
    let gone = eventually("namespaces and gateways to be gone", LIMIT, async || {
        (namespaces(process).is_empty() && !gateways.iter().copied().any(is_alive)).then_some(())
    });
    gone.await.unwrap();
}

#[tokio::test]
async fn a_run_that_is_ended_leaves_nothing_and_one_that_is_killed_is_cleaned_up_by_the_next() {
    let folder = tempfile::tempdir().unwrap();
    if let Some(obstacle) = Network::obstacle() {
        assert!(!nix::unistd::geteuid().is_root(), "root can make networks, but: {obstacle}");
        // In a user namespace, nobody else sees what is left.
        return;
    }
    let mut killed = start(folder.path());
    let orphans = is_under_way(&mut killed, gateways_apart).await;
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert_eq!(namespaces(killed.id()).len(), 4, "nobody was there to remove them");

    let mut ended = start(folder.path());
    let gateways = is_under_way(&mut ended, gateways_apart).await;
    is_gone(killed.id(), &orphans).await;
    kill(Pid::from_raw(i32::try_from(ended.id()).unwrap()), Signal::SIGTERM).unwrap();
    assert_eq!(ended.wait().unwrap().code(), Some(3), "a run that was ended has not passed");
    is_gone(ended.id(), &gateways).await;
}

#[tokio::test]
async fn the_gateways_of_a_run_that_is_killed_end_with_it_without_a_network_of_their_own_too() {
    if !on_path("setpriv") {
        // Nothing else ties processes to each other.
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["--seconds", "600", "--partitions", "off"];
    let mut run = scenario(folder.path(), &arguments).stdout(Stdio::null()).spawn().unwrap();
    let gateways = is_under_way(&mut run, gateways_of).await;
    // A process that is paused hears SIGKILL alone.
    kill(Pid::from_raw(i32::try_from(gateways[0]).unwrap()), Signal::SIGSTOP).unwrap();
    run.kill().unwrap();
    run.wait().unwrap();
    let gone =
        eventually("the gateways to be gone", LIMIT, async || (!gateways.iter().copied().any(is_alive)).then_some(()));
    gone.await.unwrap();
}
