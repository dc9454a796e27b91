//! Programs of the system, each run to its end.

use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

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
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(what)?;
    // Dropped at once, so that the program sees the end of its input.
    child.stdin.take().context("the input of a program")?.write_all(input.as_bytes()).with_context(what)?;
    let output = child.wait_with_output().with_context(what)?;
    if !output.status.success() {
        bail!("{}: {}", what(), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
