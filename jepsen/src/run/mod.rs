//! One run from the first process to the verdict. The parts are elsewhere: plan, faults, clients, checkers, words.

mod again;
mod arguments;
mod guard;
mod leak;
mod members;
mod rig;
mod scenario;
mod store;

use std::cell::Cell;
use std::path::Path;

use anyhow::Context;
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::checker::{Expectations, Findings};
use crate::controls::Trial;
use crate::env::facts;
use crate::measure;
use crate::plan::{Plan, Rows};
use crate::report::{self, Outcome, say};
use crate::scoreboard;

pub(crate) use arguments::RunArguments;
pub(crate) use rig::{Equipment, Machinery, Node, Organ, Rig};
pub(crate) use store::Store;

use arguments::Settings;
use scenario::Scenario;

/// Threads of the runtime: some of what is done to nodes keeps one busy for a while.
const THREADS: usize = 6;

/// Runs as often as asked; what the program ends with.
///
/// # Errors
/// When a run does not come about, and none before was violated: the cluster does not form, or a fault cannot be undone.
pub(crate) fn run(arguments: &RunArguments) -> anyhow::Result<u8> {
    let plan = arguments.plan.as_deref().map(Plan::read).transpose()?;
    // What was judged stands, whatever goes wrong after it, Ctrl-C included.
    let worst = Cell::new(Outcome::Passed);
    for round in 1..=arguments.repeat {
        let settings = Settings::of(arguments, plan.as_ref())?;
        let outcome = match on_threads(once(&settings, arguments, plan.clone(), &worst)) {
            Ok(outcome) => outcome,
            Err(error) if worst.get() == Outcome::Violated => {
                Outcome::failed("the rest", &error);
                say(&Outcome::Violated.last_line());
                break;
            }
            Err(error) => return Err(error),
        };
        if arguments.repeat > 1 {
            say(&format!("run {round} of {}: {outcome:?}", arguments.repeat));
        }
        if arguments.until_fail && outcome != Outcome::Passed {
            break;
        }
    }
    Ok(worst.get().exit_code())
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

/// As `config.json` has it: what was asked for, and what the run must come to.
#[derive(Serialize)]
struct Config<'a> {
    #[serde(flatten)]
    settings: &'a Settings,
    expectations: Expectations,
}

/// One run, what is measured with it, and what is left of them. `worst` hears of each verdict as soon as there is one.
async fn once(
    settings: &Settings,
    arguments: &RunArguments,
    plan: Option<Plan>,
    worst: &Cell<Outcome>,
) -> anyhow::Result<Outcome> {
    let scenario = Scenario::new(settings.clone(), arguments.partitions, plan)?;
    let store = Store::new(&arguments.store, &settings.seed.to_string())?;
    std::fs::write(store.file("plan.json"), scenario.plan.to_text()?).context("writing the plan")?;
    store.write("config.json", &Config { settings, expectations: scenario.expectations() })?;
    store.write("env.json", &facts())?;
    say(&format!("seed {}, {} s, results in {}; the plan:", settings.seed, settings.seconds, store.folder.display()));
    scenario.say_plan();
    let (beside, after) = settings.rows.split();
    let (wanted, beside) = beside_the_run(beside, settings.seed, &store);
    let findings = match scenario.perform(Some(&store)).await {
        Ok(findings) => findings,
        Err(error) => {
            drop(wanted);
            // Its processes and files are gone then. What it says does not matter any more.
            let _ = beside.await;
            return Err(error);
        }
    };
    let judged = Outcome::from(findings.verdict());
    worst.set(worst.get().max(judged));
    let results = |outcome| Outcome::of_done("results.json", write(&store, settings.seed, &findings, outcome));
    // Whoever ends it meanwhile finds what the program ends with then, which is no pass.
    let so_far = |outcome: Outcome| results(outcome.max(Outcome::NotJudged));
    let page = || Outcome::of_done("the page", report::rebuild(&store.folder).map(drop));
    let mut outcome = judged.max(so_far(judged));
    let measures = settings.rows != Rows::default();
    if measures {
        // It takes long, and whoever ends it meanwhile has seen the verdict.
        say(&report::summary(&findings));
        outcome = outcome.max(page());
        let beside = beside.await.context("the thread of a measurement").flatten();
        outcome = outcome.max(Outcome::of_measured("what is measured beside a run", beside));
        outcome = outcome.max(so_far(outcome)).max(page());
        worst.set(worst.get().max(outcome));
        let after = measure::rows(&after, settings.seed, &store).await;
        outcome = outcome.max(Outcome::of_measured("what is measured after a run", after));
    }
    drop(wanted);
    let board = scoreboard::conclude(&store.folder, settings.profile.as_deref());
    outcome = outcome.max(board.map_or_else(|error| Outcome::failed("the scoreboard", &error), Outcome::from));
    outcome = outcome.max(results(outcome)).max(page());
    // Again, for a page that did not come about.
    outcome = outcome.max(results(outcome));
    worst.set(worst.get().max(outcome));
    if !measures {
        say(&report::summary(&findings));
    }
    if measures || outcome != judged {
        say(&outcome.last_line());
    }
    Ok(outcome)
}

/// Measures what counts injuries and no time, with threads of its own: it keeps them busy, and faults have their times.
/// It ends early when the other end is dropped, and cleans up; the runtime waits for that.
fn beside_the_run(rows: Rows, seed: u64, store: &Store) -> (oneshot::Sender<()>, JoinHandle<anyhow::Result<bool>>) {
    let store = store.clone();
    let (wanted, unwanted) = oneshot::channel::<()>();
    let measure = move || {
        on_threads(async {
            tokio::select! {
                measured = measure::rows(&rows, seed, &store) => measured,
                _ = unwanted => anyhow::bail!("the run ended before"),
            }
        })
    };
    (wanted, spawn_blocking(measure))
}

/// What each checker says, and what the program ends with as far as this run goes.
fn write(store: &Store, seed: u64, findings: &Findings, outcome: Outcome) -> anyhow::Result<()> {
    store.write(
        "results.json",
        &serde_json::json!({
            "seed": seed,
            "verdict": outcome,
            "exit_code": outcome.exit_code(),
            "findings": findings,
        }),
    )
}

/// A run that a control asks for.
///
/// # Errors
/// When it does not come about.
pub(crate) async fn trial(trial: &Trial) -> anyhow::Result<Findings> {
    Scenario::of_trial(trial)?.perform(None).await
}

/// Judges a history in a file, with what else the run's folder has; what the program ends with.
///
/// # Errors
/// When it cannot be read, or a file beside it.
pub(crate) fn check_file(path: &Path) -> anyhow::Result<u8> {
    let lines = report::lines_of(path)?;
    let (findings, lacking) = again::judge(&lines, path.parent().unwrap_or(Path::new("")))?;
    for what in lacking {
        say(&format!("not judged: {what}"));
    }
    say(&report::summary(&findings));
    Ok(report::exit_code(findings.verdict()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::checker::Finding;

    #[test]
    fn results_and_page_say_what_the_program_ends_with() {
        let base = tempfile::tempdir().unwrap();
        let store = Store::new(base.path(), "7").unwrap();
        fs::write(store.file("history.jsonl"), "").unwrap();
        let findings = Findings(vec![Finding::of("search")]);
        let absent = Outcome::of_measured("measuring", Err(anyhow::anyhow!("no cluster")));
        let lost = Outcome::of_measured("measuring", Ok(false));
        for (outcome, verdict, word) in
            [(Outcome::Passed, "passed", "PASS"), (absent, "not_judged", "NOT JUDGED"), (lost, "violated", "FAIL")]
        {
            write(&store, 7, &findings, outcome).unwrap();
            let results = report::json(&store.folder, "results.json").unwrap().expect("results");
            assert_eq!(results["verdict"], verdict);
            assert_eq!(results["exit_code"], outcome.exit_code());
            let page = fs::read_to_string(report::rebuild(&store.folder).unwrap()).unwrap();
            assert!(page.contains(&format!("\">{word}: ")), "{page}");
            assert!(outcome.last_line().ends_with(word), "{outcome:?}");
        }
    }
}
