//! Programs of the system, each run to its end.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

/// Where `ip` keeps the names of network namespaces.
const NAMESPACES: &str = "/run/netns";

/// Whether a program can be found.
#[must_use]
pub fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Runs a program, gives it its input, and returns what it printed.
///
/// # Errors
/// When it cannot be started, or says that it failed; the text has its words.
pub fn run_program(program: &str, arguments: &[&str], input: &str) -> anyhow::Result<String> {
    let what = || format!("{program} {}", arguments.join(" "));
    run(Command::new(program).args(arguments), what, input)
}

/// The same in a network namespace.
///
/// # Errors
/// As [`run_program`].
pub fn run_program_inside(namespace: &str, program: &str, arguments: &[&str], input: &str) -> anyhow::Result<String> {
    let what = || format!("in {namespace}: {program} {}", arguments.join(" "));
    run(inside_network(namespace, Path::new(program)).args(arguments), what, input)
}

/// The command that runs a program in a network namespace. Its process is the program's. Not `ip netns exec`, which
/// gives what it runs copies of all mounts: a file system that is unmounted lives on in them, and whoever
/// mounts it again finds the one that had failed.
pub(crate) fn inside_network(namespace: &str, program: &Path) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net={NAMESPACES}/{namespace}")).arg("--").arg(program);
    command
}

fn run(command: &mut Command, what: impl Fn() -> String, input: &str) -> anyhow::Result<String> {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().with_context(&what)?;
    // Dropped at once, so that the program sees the end of its input.
    child.stdin.take().context("the input of a program")?.write_all(input.as_bytes()).with_context(&what)?;
    let output = child.wait_with_output().with_context(&what)?;
    if !output.status.success() {
        bail!("{}: {}", what(), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
