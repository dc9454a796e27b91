//! `cargo xtask test`: the gate. Checks and never edits. Ends at the first step that fails; the last line
//! counts steps.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};

use crate::cargo::Cargo;
use crate::{output, setup, tidy};

/// One step of the gate.
struct Step {
    name: &'static str,
    action: Action,
}

enum Action {
    Tidy,
    Run(Command),
}

/// Runs all steps; true when each passed.
pub(crate) fn run(seed: Option<u64>) -> Result<bool> {
    setup::prepare()?;
    let cargo = Cargo::new()?;
    let seed = seed.unwrap_or_else(random);
    output::line(&format!("seed of the jepsen scenario: {seed}"));
    Ok(run_steps(steps(&cargo, seed)?))
}

fn steps(cargo: &Cargo, seed: u64) -> Result<Vec<Step>> {
    let run = |name, arguments: &[&str]| Step { name, action: Action::Run(cargo.command(arguments)) };
    let simulation = |name, arguments: &[&str]| -> Result<Step> {
        Ok(Step { name, action: Action::Run(cargo.simulation(arguments)?) })
    };
    let mut documentation = cargo.command(&["doc", "--release", "--workspace", "--no-deps"]);
    documentation.env("RUSTDOCFLAGS", "-D warnings");
    // Not `cargo run -p`: that would unite features anew and build much of the workspace again.
    let mut jepsen = Command::new(cargo.programs()?.join("openshell-jepsen"));
    jepsen.current_dir(cargo.root()).args(["run", "--profile", "ci", "--seed", &seed.to_string()]);
    // Who may cut a network must; others hear on the first lines that there are no partitions.
    jepsen.args(["--partitions", if setup::may_cut_networks() { "required" } else { "auto" }]);
    Ok(vec![
        run("formatting", &["fmt", "--all", "--check"]),
        simulation("formatting of the simulation", &["fmt", "--check"])?,
        Step { name: "tidy", action: Action::Tidy },
        run("clippy", &["clippy", "--release", "--workspace", "--all-targets", "--", "-D", "warnings"]),
        run("build", &["build", "--release", "--workspace"]),
        run("tests", &["test", "--release", "--workspace"]),
        simulation("simulation", &["test"])?,
        Step { name: "documentation", action: Action::Run(documentation) },
        Step { name: "jepsen", action: Action::Run(jepsen) },
    ])
}

fn run_steps(steps: Vec<Step>) -> bool {
    let mut passed = 0;
    for step in steps {
        output::heading(step.name);
        let start = Instant::now();
        let outcome = perform(step.action);
        let seconds = start.elapsed().as_secs_f64();
        match outcome {
            Ok(()) => {
                output::line(&format!("== {}: passed in {seconds:.1} s", step.name));
                passed += 1;
            }
            Err(reason) => {
                output::line(&format!("== {}: FAILED after {seconds:.1} s: {reason}", step.name));
                output::line(&format!("{passed} passed, 1 failed"));
                return false;
            }
        }
    }
    output::line(&format!("{passed} passed, 0 failed"));
    true
}

/// Does it, or says why it failed.
fn perform(action: Action) -> Result<(), String> {
    match action {
        Action::Tidy => match tidy::run() {
            Ok(true) => Ok(()),
            Ok(false) => Err("there are findings, see above".to_owned()),
            Err(error) => Err(format!("{error:#}")),
        },
        Action::Run(mut command) => {
            let status = command.status().with_context(|| format!("{:?} could not be started", command.get_program()));
            match status {
                Ok(status) if status.success() => Ok(()),
                Ok(status) => Err(status.code().map_or_else(|| status.to_string(), |code| format!("exit code {code}"))),
                Err(error) => Err(format!("{error:#}")),
            }
        }
    }
}

/// The standard library seeds its hash maps from the system: enough for a seed that is printed.
pub(crate) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::{Action, Step, perform, random, run_steps, steps};
    use crate::cargo::Cargo;
    use std::process::Command;

    fn shell(text: &str) -> Action {
        let mut command = Command::new("sh");
        command.args(["-c", text]);
        Action::Run(command)
    }

    #[test]
    fn a_step_that_fails_says_its_exit_code() {
        assert_eq!(perform(shell("exit 0")), Ok(()));
        assert_eq!(perform(shell("exit 7")), Err("exit code 7".to_owned()));
        assert!(perform(Action::Run(Command::new("no-such-program-of-ours"))).is_err());
    }

    #[test]
    fn the_first_failure_ends_the_gate() {
        let folder = tempfile::tempdir().unwrap();
        let mark = folder.path().join("mark");
        let step = |text: &str| Step { name: "step", action: shell(text) };
        assert!(run_steps(vec![step("true"), step("true")]));
        assert!(!run_steps(vec![step("false"), step(&format!("touch {}", mark.display()))]));
        assert!(!mark.exists());
    }

    #[test]
    fn the_gate_checks_before_it_builds_and_ends_with_the_cluster_under_faults() {
        let names: Vec<_> = steps(&Cargo::new().unwrap(), 1).unwrap().iter().map(|step| step.name).collect();
        let expected = [
            "formatting",
            "formatting of the simulation",
            "tidy",
            "clippy",
            "build",
            "tests",
            "simulation",
            "documentation",
            "jepsen",
        ];
        assert_eq!(names, expected);
        assert_ne!(random(), random());
    }
}
