//! The programs `ip` and `nft`.

use anyhow::Context;

use crate::program::{run_program, run_program_inside};

/// Runs `ip` and returns what it printed.
pub(super) fn ip(arguments: &[&str]) -> anyhow::Result<String> {
    run_program("ip", arguments, "")
}

/// Gives rules to `nft` inside a namespace, as one transaction, and returns what it printed.
pub(super) fn nft(namespace: &str, rules: &str) -> anyhow::Result<String> {
    run_program_inside(namespace, "nft", &["-f", "-"], rules).with_context(|| format!("rules:\n{rules}"))
}
