//! What a run should say about where it ran: `env.json`. Figures are worth nothing without it.

use std::fs::{self, File};
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

const SYNCS: usize = 60;

/// About this machine, this program and its disk.
pub(crate) fn facts() -> Value {
    let read = |path: &str| fs::read_to_string(path).map(|text| text.trim().to_owned()).ok();
    let memory =
        read("/proc/meminfo").and_then(|text| Some(text.lines().next()?.split_whitespace().nth(1)?.to_owned()));
    let cores = std::thread::available_parallelism().map(std::num::NonZero::get).ok();
    let syncs = syncs();
    let quantile = |of: usize| syncs.get(syncs.len().saturating_sub(1) * of / 100).map(Duration::as_micros);
    json!({
        "kernel": read("/proc/sys/kernel/osrelease"),
        "cores": cores,
        "memory_kib": memory,
        "load_before": read("/proc/loadavg"),
        "version": env!("CARGO_PKG_VERSION"),
        "commit": commit(),
        "sync_p50_us": quantile(50),
        "sync_p99_us": quantile(99),
    })
}

/// Of the folder that the program was started in, where that is a work tree.
fn commit() -> Option<String> {
    let output = Command::new("git").args(["rev-parse", "HEAD"]).stdin(Stdio::null()).output().ok()?;
    let said = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !said.is_empty()).then_some(said)
}

/// How long syncs of a little take here, in order of length; nothing where none works.
fn syncs() -> Vec<Duration> {
    let measure = || -> std::io::Result<Vec<Duration>> {
        let folder = tempfile::tempdir()?;
        let mut file = File::create(folder.path().join("file"))?;
        let mut times = Vec::with_capacity(SYNCS);
        for _ in 0..SYNCS {
            let begin = Instant::now();
            file.write_all(&[7; 512])?;
            file.sync_data()?;
            times.push(begin.elapsed());
        }
        times.sort_unstable();
        Ok(times)
    };
    measure().unwrap_or_default()
}
