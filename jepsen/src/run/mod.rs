//! One run from the first process to the verdict. The parts are elsewhere: plan, faults, clients, checkers, words.

mod arguments;
mod guard;
mod rig;
mod scenario;
mod store;

use std::path::Path;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};

use crate::checker::{self, Expectations, Findings, Verdict};
use crate::controls::Trial;
use crate::env::{self, facts};
use crate::measure;
use crate::plan::Plan;
use crate::report::{self, say};

pub(crate) use arguments::RunArguments;
pub(crate) use rig::{Equipment, Machinery, Organ, Rig};
pub(crate) use store::Store;

use arguments::Settings;
use scenario::Scenario;

/// Threads of the runtime: some of what is done to nodes keeps one busy for a while.
const THREADS: usize = 6;

/// Runs as often as asked; what the program ends with.
///
/// # Errors
/// When a run does not come about: the cluster does not form, or a fault cannot be undone.
pub(crate) fn run(arguments: &RunArguments) -> anyhow::Result<u8> {
    env::sweep_disks();
    let plan = arguments.plan.as_deref().map(Plan::read).transpose()?;
    let mut worst = Verdict::Passed;
    for round in 1..=arguments.repeat {
        let settings = Settings::of(arguments, plan.as_ref())?;
        let verdict = on_threads(once(&settings, arguments, plan.clone()))?;
        worst = worst.max(verdict);
        if arguments.repeat > 1 {
            say(&format!("run {round} of {}: {verdict:?}", arguments.repeat));
        }
        if arguments.until_fail && verdict != Verdict::Passed {
            break;
        }
    }
    Ok(report::exit_code(worst))
}

/// Does something with a runtime, unless it is asked to stop meanwhile: whoever loses is dropped, and with it all
/// processes, files, mounts and namespaces.
///
/// # Errors
/// As `work` does, and when it is asked to stop.
pub(crate) fn on_threads<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build()?;
    runtime.block_on(async {
        tokio::select! {
            done = work => done,
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

async fn once(settings: &Settings, arguments: &RunArguments, plan: Option<Plan>) -> anyhow::Result<Verdict> {
    let scenario = Scenario::new(settings.clone(), arguments.partitions, plan)?;
    let store = Store::new(&arguments.store, &settings.seed.to_string())?;
    std::fs::write(store.file("plan.json"), scenario.plan.to_text()?).context("writing the plan")?;
    store.write("config.json", settings)?;
    store.write("env.json", &facts())?;
    say(&format!("seed {}, {} s, results in {}; the plan:", settings.seed, settings.seconds, store.folder.display()));
    scenario.say_plan();
    // What counts injuries and no time goes on beside the run.
    let (beside, after) = settings.rows.split();
    let beside = measure::rows(&beside, settings.seed, &store);
    let (findings, beside) = tokio::join!(scenario.perform(Some(&store)), beside);
    let findings = findings?;
    let verdict = findings.verdict();
    store.write(
        "results.json",
        &serde_json::json!({
            "seed": settings.seed,
            "verdict": verdict,
            "exit_code": report::exit_code(verdict),
            "findings": findings,
        }),
    )?;
    let measured = beside? & measure::rows(&after, settings.seed, &store).await?;
    report::rebuild(&store.folder)?;
    say(&report::summary(&findings));
    Ok(if measured { verdict } else { Verdict::Violated })
}

/// A run that a control asks for.
///
/// # Errors
/// When it does not come about.
pub(crate) async fn trial(trial: &Trial) -> anyhow::Result<Findings> {
    Scenario::of_trial(trial)?.perform(None).await
}

/// Judges a history in a file; what the program ends with.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn check_file(path: &Path) -> anyhow::Result<u8> {
    let lines = report::lines_of(path)?;
    let workloads = scenario::workloads_of(&lines);
    let findings = checker::judge(&lines, &Expectations { workloads, ..Expectations::default() })?;
    say(&report::summary(&findings));
    Ok(report::exit_code(findings.verdict()))
}
