//! A cluster, its clients and its faults, from the beginning to what the checkers say.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use futures::future::join_all;
use openshell_chaos::Bug;
use openshell_client::{Consistency, methods};
use openshell_proto::cluster::{GetDigestRequest, GetMembersRequest};
use openshell_tests::{ClusterOptions, eventually};
use tokio::task::{JoinSet, block_in_place};

use super::arguments::{Partitions, Settings};
use super::guard;
use super::leak;
use super::rig::{Equipment, Rig};
use super::store::Store;
use crate::canary::Canary;
use crate::checker::{self, Expectations, Finding, Findings, Limits, Required, Verdict};
use crate::controls::Trial;
use crate::env::{Capability, Machine};
use crate::history::Line;
use crate::nemesis;
use crate::observer::Observer;
use crate::plan::{Choice, Kind, Mode, Plan, Rows, Wishes, expand, hit_by};
use crate::recorder::Recorder;
use crate::report::say;
use crate::workload::{self, Workload};

/// For how long one set of keys is contended for; short histories are checked faster.
const SHIFT: Duration = Duration::from_secs(10);
/// Within so long after the last fault, all nodes must be ready, and then equal.
const RECOVERY_LIMIT: Duration = Duration::from_secs(60);
/// Entries between two snapshots, and entries kept behind one. What a node lacks that is cut off is in nobody's log any more
/// after both together: twenty writes a second are enough for that in the ten seconds that `blackhole` lasts at least. Not
/// smaller, so that a node that was away for a moment catches up from the log.
const SNAPSHOT_EVERY: u64 = 100;
const LOG_KEPT: u64 = 100;
/// While no more than a minority is hurt, nobody waits longer for an acknowledged write.
const SAFE_GAP_MAX_MS: u64 = 15_000;
/// Of each node's log, when a run does not come about.
const LINES_SHOWN: usize = 30;
/// What a process may say that ends because calls about its files or memory failed, where a fault has made them.
pub(super) const OF_CALLS: [&str; 6] =
    ["os error 5", "os error 12", "os error 24", "os error 28", "os error 30", "IO error"];

/// Everything that decides what happens.
pub(super) struct Scenario {
    settings: Settings,
    pub(super) plan: Plan,
    machine: Arc<Machine>,
    equipment: Equipment,
    bug: Option<Bug>,
    limits: Option<Limits>,
}

impl Scenario {
    /// A run of these settings; the plan is expanded from the seed, unless there is one.
    ///
    /// # Errors
    /// When a name means nothing, or nodes must stand apart and cannot.
    pub(super) fn new(settings: Settings, partitions: Partitions, plan: Option<Plan>) -> anyhow::Result<Self> {
        let choices = settings.choices()?;
        let kinds: BTreeSet<Kind> = match &plan {
            Some(plan) => plan.faults.iter().map(|fault| fault.kind).collect(),
            None => choices.iter().map(|choice| choice.kind).collect(),
        };
        let needs: BTreeSet<Capability> = kinds.iter().flat_map(|kind| kind.needs()).copied().collect();
        let mut machine = Machine::tried(needs.into_iter().filter(|need| *need != Capability::Namespaces));
        let partitions = if settings.stale_reads { Partitions::Required } else { partitions };
        let apart = apart(partitions, &mut machine)?;
        let plan = match plan {
            Some(plan) => plan,
            None if settings.stale_reads => Plan::of_staleness(settings.seed, settings.nodes, settings.seconds),
            None => planned(&settings, &choices, &machine),
        };
        let equipment = Equipment { apart, disks: plan.has(Kind::needs_disks), clocks: plan.has(Kind::needs_clocks) };
        let limits = (!settings.stale_reads).then(Limits::default);
        Ok(Self { settings, plan, machine: Arc::new(machine), equipment, bug: None, limits })
    }

    /// A run that a control asks for: what it must see is the control's business.
    ///
    /// # Errors
    /// When a name means nothing.
    pub(super) fn of_trial(trial: &Trial) -> anyhow::Result<Self> {
        let settings = Settings {
            profile: None,
            seed: trial.seed,
            nodes: trial.nodes,
            seconds: trial.seconds,
            mode: Mode::Brutal,
            overlap: 1,
            clients: trial.clients,
            hot: 5,
            workloads: trial.workloads.clone(),
            nemeses: trial.faults.clone(),
            required: Vec::new(),
            required_where_possible: Vec::new(),
            leader_changes_min: 0,
            updates_min: 0,
            stale_reads: false,
            rows: Rows::default(),
        };
        let needs_networks = |choice: &Choice| choice.kind.needs().contains(&Capability::Namespaces);
        let is_cut = settings.choices()?.iter().any(needs_networks);
        let partitions = if is_cut { Partitions::Auto } else { Partitions::Off };
        Ok(Self { bug: trial.bug, limits: None, ..Self::new(settings, partitions, None)? })
    }

    /// Prints what is going to happen, and what cannot.
    pub(super) fn say_plan(&self) {
        for fault in &self.plan.faults {
            say(&fault.to_string());
        }
        for (kind, why) in &self.plan.left_out {
            say(&format!("left out: {}: {why}", kind.name()));
        }
        let Equipment { apart, disks, clocks } = self.equipment;
        say(if apart {
            "partitions: each node runs in a network namespace of its own"
        } else {
            "partitions: NOT AVAILABLE here, nodes share the loopback address"
        });
        say(&format!("disks of their own: {disks}; clocks of their own: {clocks}"));
    }

    /// Does all of it.
    ///
    /// # Errors
    /// When it does not come about, which says nothing about the cluster.
    pub(super) async fn perform(&self, store: Option<&Store>) -> anyhow::Result<Findings> {
        let file = store.map(|store| store.file("history.jsonl"));
        let recorder = Arc::new(Recorder::new(file.as_deref())?);
        let options = ClusterOptions {
            nodes: self.settings.nodes,
            snapshot_after_entries: SNAPSHOT_EVERY,
            log_entries_kept: LOG_KEPT,
            history_entries_kept: 20_000,
            bug: self.bug,
            ..ClusterOptions::default()
        };
        let rig = Arc::new(Rig::new(options, self.equipment).await?);
        let canary = Arc::new(Canary::of(self.settings.seed));
        let recovery = match self.drive(&rig, &recorder, &canary).await {
            Ok(recovery) => recovery,
            Err(error) => {
                say(&rig.with(|machinery| Ok(machinery.cluster.logs(LINES_SHOWN))).await?);
                return Err(error);
            }
        };
        self.read_logs(&rig, &recorder).await?;
        let lines = recorder.finish()?;
        if let Some(store) = store {
            let resolved = self.plan.resolved(&lines).to_text()?;
            std::fs::write(store.file("plan-resolved.json"), resolved).context("writing the plan as it went")?;
        }
        let mut findings = block_in_place(|| checker::judge(&lines, &self.expectations()))?;
        findings.0.push(recovery);
        findings.0.push(self.faults(&rig));
        findings.0.extend(self.safe(&findings));
        if leak::is_asked_for(&self.expectations()) {
            findings.0.push(leak::look(&rig, &lines, &canary).await);
        }
        if let Some(store) = store {
            // The verdict stands without it.
            if let Err(error) = store.keep_nodes(&rig, findings.verdict() == Verdict::Violated).await {
                say(&format!("{error:#}"));
            }
        }
        Ok(findings)
    }

    /// Clients work, faults happen, and the cluster recovers; whether it did.
    async fn drive(&self, rig: &Arc<Rig>, recorder: &Arc<Recorder>, canary: &Arc<Canary>) -> anyhow::Result<Finding> {
        let mut beside = JoinSet::new();
        beside.spawn(guard::guard(Arc::clone(rig), Arc::clone(recorder)));
        let observer = rig.with(|machinery| Ok(Observer::start(&machinery.cluster, recorder))).await?;
        let accesses = rig.accesses();
        let mut running = workload::start(&self.settings.workloads, self.wishes(canary), accesses, recorder).await?;
        let times = (running.begun(), running.end());
        nemesis::work(rig, &self.plan, &self.machine, times, recorder).await?;
        running.ended().await?;
        let mut recovery = Finding::of("recovery");
        match rig.whole(RECOVERY_LIMIT).await {
            Ok(()) => {
                running.settle().await?;
                for error in [equal(rig).await, has_its_members(rig).await].into_iter().filter_map(Result::err) {
                    recovery.violated(format!("{error:#}"));
                }
            }
            Err(error) => recovery.violated(format!("the cluster did not recover: {error:#}")),
        }
        recovery.count("nodes", rig.nodes.len());
        drop(observer);
        beside.shutdown().await;
        Ok(recovery)
    }

    fn wishes(&self, canary: &Arc<Canary>) -> workload::Wishes {
        let Settings { seed, seconds, clients, hot, nodes, stale_reads, .. } = self.settings;
        let nodes = usize::try_from(nodes).unwrap_or(usize::MAX);
        workload::Wishes {
            seed,
            lasts: Duration::from_secs(seconds),
            clients,
            hot,
            shift: SHIFT,
            reads: if stale_reads { Consistency::Local } else { Consistency::Linearizable },
            canary: Arc::clone(canary),
            // In the control, nobody writes through the node that is cut off: clients would wait there.
            written_through: if stale_reads { nodes - 1 } else { nodes },
        }
    }

    /// What it must come to, beside what every run must hold.
    pub(super) fn expectations(&self) -> Expectations {
        let mut required = self.settings.required.clone();
        let is_left_out = |name: &str| self.plan.left_out.keys().any(|kind| kind.name() == name);
        let possible = self.settings.required_where_possible.iter().filter(|one| !one.kinds().all(is_left_out));
        required.extend(possible.cloned());
        Expectations {
            workloads: self.settings.workloads.clone(),
            nodes: self.settings.nodes,
            required,
            leader_changes_min: self.settings.leader_changes_min,
            acknowledged_min: self.settings.updates_min,
            limits: self.limits,
            ..Expectations::default()
        }
    }

    /// Each node's log to its end.
    async fn read_logs(&self, rig: &Rig, recorder: &Recorder) -> anyhow::Result<()> {
        let hit = recorder.with_lines(|lines| hit_by(lines, Kind::fails_calls));
        let ids: Vec<u64> = rig.nodes.iter().map(|node| node.id).collect();
        let read = rig.each(&ids, |machinery, node| {
            let log = machinery.cluster.gateway(node).log_text();
            let allowed: &[&str] = if hit.contains(&node) { &OF_CALLS } else { &[] };
            let (lines, suspicious) = (log.lines().count() as u64, checker::suspicious(&log, allowed));
            recorder.add(Line::Log { node, lines, suspicious });
            Ok(())
        });
        read.await
    }

    /// What faults found that must not be.
    fn faults(&self, rig: &Rig) -> Finding {
        let mut finding = Finding::of("faults");
        for complaint in rig.complaints() {
            finding.violated(complaint);
        }
        finding.count("planned", self.plan.faults.len());
        finding.count("kinds left out", self.plan.left_out.len());
        finding
    }

    /// In safe mode: that writes went on.
    fn safe(&self, findings: &Findings) -> Option<Finding> {
        if self.plan.mode != Mode::Safe {
            return None;
        }
        let mut finding = Finding::of("safe");
        let kinds: BTreeSet<&str> = self.plan.faults.iter().map(|fault| fault.kind.name()).collect();
        for kind in kinds {
            let gap_ms = findings.number("availability", &format!("ms of the longest gap at {kind}"));
            if gap_ms > SAFE_GAP_MAX_MS {
                finding
                    .violated(format!("{gap_ms} ms without an acknowledged write at {kind}, which hurts a minority"));
            }
        }
        Some(finding)
    }
}

/// Whether nodes stand apart; notes in `machine` whether they do.
fn apart(partitions: Partitions, machine: &mut Machine) -> anyhow::Result<bool> {
    match partitions {
        Partitions::Off => machine.without(Capability::Namespaces, "not asked for"),
        Partitions::Auto | Partitions::Required => machine.attempt(Capability::Namespaces),
    }
    match machine.lacks(&[Capability::Namespaces]) {
        None => Ok(true),
        Some(why) if partitions == Partitions::Required => anyhow::bail!("partitions are required here: {why}"),
        Some(_) => Ok(false),
    }
}

/// The plan of what the machine can do of what is asked for.
fn planned(settings: &Settings, choices: &[Choice], machine: &Machine) -> Plan {
    let why_not = |kind: Kind| machine.lacks(kind.needs()).or_else(|| kind.obstacle(settings.nodes));
    let left_out: BTreeMap<Kind, String> =
        choices.iter().filter_map(|choice| Some((choice.kind, why_not(choice.kind)?))).collect();
    let choices: Vec<Choice> = choices.iter().copied().filter(|choice| !left_out.contains_key(&choice.kind)).collect();
    let required = settings.required.iter().chain(&settings.required_where_possible);
    let wishes = Wishes {
        seed: settings.seed,
        nodes: settings.nodes,
        seconds: settings.seconds,
        mode: settings.mode,
        first: required.filter_map(|one| first_of(one, &choices)).collect(),
        choices,
        overlap: settings.overlap,
    };
    Plan { left_out, ..expand(&wishes) }
}

/// Of kinds of which any counts, the one that a plan begins with.
fn first_of(required: &Required, choices: &[Choice]) -> Option<Kind> {
    choices.iter().map(|choice| choice.kind).find(|kind| required.kinds().any(|name| name == kind.name()))
}

/// Waits until every node has the same state.
async fn equal(rig: &Rig) -> anyhow::Result<()> {
    let digest = async |access: &openshell_tests::Access| {
        let answer = access.api().once().call(&methods::GET_DIGEST, GetDigestRequest {}).await.ok()?;
        Some((answer.message.revision, answer.message.digest))
    };
    let all = rig.accesses();
    let equal = eventually("all nodes to have the same state", RECOVERY_LIMIT, async || {
        let digests: Option<Vec<_>> = join_all(all.iter().map(&digest)).await.into_iter().collect();
        digests.filter(|digests| digests.iter().all(|one| *one == digests[0])).map(drop)
    });
    equal.await.context("at rest")
}

/// Waits until every node says that those vote who were put into the places of the cluster, and nobody else.
async fn has_its_members(rig: &Rig) -> anyhow::Result<()> {
    let voters = async |access: &openshell_tests::Access| {
        let answer = access.api().once().call(&methods::GET_MEMBERS, GetMembersRequest {}).await.ok()?;
        let voters = answer.message.members.into_iter().filter(|member| member.voter).map(|member| member.id);
        Some(voters.collect::<BTreeSet<u64>>())
    };
    let (all, expected) = (rig.accesses(), rig.voters());
    let same = eventually("all nodes to name the voters that there are", RECOVERY_LIMIT, async || {
        let said = join_all(all.iter().map(&voters)).await;
        said.iter().all(|voters| voters.as_ref() == Some(&expected)).then_some(())
    });
    same.await.with_context(|| format!("{expected:?} are to be the voters"))
}

/// Those whose clients did something in a history.
pub(super) fn workloads_of(lines: &[Line]) -> Vec<Workload> {
    let of = |line: &Line| match line {
        Line::Invoke { workload, .. } => Some(*workload),
        Line::Members { .. } => Some(Workload::Membership),
        _ => None,
    };
    lines.iter().filter_map(of).collect::<BTreeSet<Workload>>().into_iter().collect()
}
