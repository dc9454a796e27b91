//! One run from the first process to the verdict. The parts are elsewhere: plan, faults, clients,
//! checks, words.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use openshell_client::Consistency;
use openshell_tests::{Access, Cluster, ClusterOptions, Gateway, Network, Scene, profile};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::checker::{self, Budget};
use crate::history::{Action, Line, Outcome, by_key};
use crate::recorder::Recorder;
use crate::report::{self, Report};
use crate::worker::{self, Shared};
use crate::{Partitions, RunArguments};
use crate::{nemesis, observer, plan};

const BUDGET: Budget = Budget { time: Duration::from_secs(20), situations: 2_000_000 };
/// For how long one set of profiles is contended for; short histories are checked faster.
const SHIFT: Duration = Duration::from_secs(10);
/// Within so long after the last fault, all nodes must be ready and equal.
const RECOVERY_LIMIT: Duration = Duration::from_secs(60);

/// Runs the scenario.
///
/// # Errors
/// When it does not come about: the cluster does not form, or a process cannot be hurt.
pub(crate) fn run(arguments: &RunArguments) -> anyhow::Result<Report> {
    let seed = arguments.seed.unwrap_or_else(rand::random);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        // Whoever loses is dropped, and the cluster with it: its processes, files and namespaces.
        tokio::select! {
            report = scenario(arguments, seed) => report,
            signal = asked_to_stop() => Err(anyhow::anyhow!("{} ended it", signal?)),
        }
    })
}

/// Ctrl-C or SIGTERM.
async fn asked_to_stop() -> anyhow::Result<&'static str> {
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted.map(|()| "an interrupt")?,
        _ = terminate.recv() => "SIGTERM",
    })
}

/// Whether the network is going to be cut.
///
/// # Errors
/// When it must be, and cannot.
fn partitions(wish: Partitions) -> anyhow::Result<bool> {
    match (wish, Network::obstacle()) {
        (Partitions::Off, _) => {
            report::say("partitions: off; kills and pauses only");
            Ok(false)
        }
        (_, None) => {
            report::say("partitions: each node runs in a network namespace of its own");
            Ok(true)
        }
        (Partitions::Auto, Some(obstacle)) => {
            report::say(&format!("partitions: NOT AVAILABLE here, kills and pauses only: {obstacle}"));
            Ok(false)
        }
        (Partitions::Required, Some(obstacle)) => anyhow::bail!("partitions are required here: {obstacle}"),
    }
}

/// Judges a history in a file, as [`Line`]s.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn check_file(path: &Path) -> anyhow::Result<Report> {
    let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    let mut lines = Vec::new();
    for (number, text) in BufReader::new(file).lines().enumerate() {
        let line =
            serde_json::from_str(&text?).with_context(|| format!("line {} of {}", number + 1, path.display()))?;
        lines.push(line);
    }
    judged(&lines, Report::default())
}

async fn scenario(arguments: &RunArguments, seed: u64) -> anyhow::Result<Report> {
    let wish = if arguments.stale_reads { Partitions::Required } else { arguments.partitions };
    let partitions = partitions(wish)?;
    let faults = if arguments.stale_reads {
        plan::plan_of_staleness(arguments.seconds)
    } else {
        plan::plan(seed, arguments.seconds, partitions)
    };
    report::say(&format!("seed {seed}, {} s, {} clients; the plan:", arguments.seconds, arguments.clients));
    for fault in &faults {
        report::say(&fault.to_string());
    }
    let recorder = Arc::new(Recorder::new(arguments.history.as_deref())?);
    let options = ClusterOptions::default();
    let mut cluster =
        if partitions { Cluster::start_apart(options).await? } else { Cluster::start_with(options).await? };
    let (workspace, keys) = prepare(&cluster, &recorder, arguments).await?;
    let start = Instant::now();
    let end = start + Duration::from_secs(arguments.seconds);
    let nodes: Vec<Access> = cluster.gateways().iter().map(Gateway::access).collect();
    let watching = tokio::spawn(observer::watch(nodes.clone(), end));
    let shared = Arc::new(Shared {
        recorder: recorder.clone(),
        // In the control, nobody writes through the node that is cut off: clients would wait there.
        written_through: if arguments.stale_reads { nodes.len() - 1 } else { nodes.len() },
        nodes,
        reads: if arguments.stale_reads { Consistency::Local } else { Consistency::Linearizable },
        workspace: workspace.clone(),
        keys: keys.clone(),
        hot: usize::try_from(arguments.profiles)?,
        shift: SHIFT,
        start,
        end,
    });
    let mut clients = JoinSet::new();
    for client in 0..arguments.clients {
        clients.spawn(worker::work(shared.clone(), seed.wrapping_add(client)));
    }
    let mut report = Report::of_run(arguments, seed, partitions);
    report.done = nemesis::work(&mut cluster, &faults, start, end, &recorder).await?;
    while let Some(client) = clients.join_next().await {
        client.context("a client failed")?;
    }
    report.leaders = watching.await.context("the observer failed")?;
    converge(&mut cluster, &recorder, &workspace, &keys, &mut report).await;
    let report = judged(&recorder.finish()?, report)?;
    if !report.passed() {
        report::say(&cluster.logs(30));
        if let Some(folder) = cluster.keep_files() {
            report::say(&format!("data and logs of the nodes are kept in {}", folder.display()));
        }
    }
    Ok(report)
}

/// Makes the profiles of all shifts.
async fn prepare(
    cluster: &Cluster,
    recorder: &Recorder,
    arguments: &RunArguments,
) -> anyhow::Result<(String, Vec<String>)> {
    let shifts = arguments.seconds.div_ceil(SHIFT.as_secs());
    let keys: Vec<String> = (0..shifts * arguments.profiles).map(|number| format!("profile-{number}")).collect();
    let scene = Scene::open(cluster.api_of_all()).await;
    let profiles = keys.iter().map(|key| profile(key, &["api.example.com"])).collect();
    let answer = scene.try_import(profiles).await?.message;
    anyhow::ensure!(answer.imported, "the profiles were not imported: {:?}", answer.diagnostics);
    for profile in &answer.profiles {
        recorder.profile(&profile.id, profile.resource_version, &profile.display_name);
    }
    Ok((scene.workspace, keys))
}

/// Waits until the cluster is whole, then reads every profile through every node and compares the
/// nodes' digests. What does not come about is a failure of the run.
async fn converge(cluster: &mut Cluster, recorder: &Recorder, workspace: &str, keys: &[String], report: &mut Report) {
    if let Err(error) = cluster.ready(RECOVERY_LIMIT).await {
        report.failures.push(format!("the cluster did not recover: {error:#}"));
        return;
    }
    let process = recorder.new_process();
    for gateway in cluster.gateways() {
        let api = gateway.api();
        for key in keys {
            let operation = recorder.invoke(process, gateway.id(), key, Action::Read);
            let heard = worker::read(&api, workspace, key, Consistency::Linearizable).await;
            if let Outcome::Unknown { why } = &heard.outcome {
                report.failures.push(format!("node {} did not answer a last read: {why}", gateway.id()));
            }
            recorder.returned(operation, heard);
        }
    }
    match cluster.digests_at_rest(RECOVERY_LIMIT).await {
        Ok(digests) if digests.iter().all(|digest| digest.digest == digests[0].digest) => {
            report.digest_revision = digests.first().map(|digest| digest.revision);
        }
        Ok(digests) => report.failures.push(format!("the nodes differ at one revision: {digests:?}")),
        Err(error) => report.failures.push(format!("{error:#}")),
    }
}

/// The report, with what the history says.
fn judged(lines: &[Line], mut report: Report) -> anyhow::Result<Report> {
    let keys = by_key(lines)?;
    report.count(&keys);
    report.contradictions = checker::contradicting_revisions(&keys);
    report.keys = checker::check(&keys, BUDGET);
    report.operations_by_key =
        keys.iter().map(|(key, history)| (key.clone(), history.operations.len())).collect::<BTreeMap<_, _>>();
    Ok(report)
}
