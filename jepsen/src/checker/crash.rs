//! No gateway ends by itself, none writes into its log what only a broken one writes, none says of itself that it
//! is broken, and none takes more and more memory or file descriptors while it lives.

use std::collections::BTreeMap;

use super::findings::Finding;
use crate::history::{Line, Story};

/// The name of the checker.
pub(crate) const NAME: &str = "crash";

/// What only a broken program says. A word of the log's own, in front of each line, is not among them.
const PATTERNS: [&str; 9] = [
    "a decision wrote what no node could read",
    "panicked at",
    "RaftCore::main error",
    "assertion failed",
    "stack overflow",
    "AddressSanitizer",
    "SIGSEGV",
    "memory allocation of",
    "attempt to subtract with overflow",
];

/// A process is held against what it took after so many samples, once it has warmed up.
const WARM_SAMPLES: usize = 30;
/// By so much its memory may have grown since, and by so many its descriptors.
const GROWTH_BYTES_MAX: u64 = 512 * 1024 * 1024;
const GROWTH_DESCRIPTORS_MAX: u64 = 512;

/// The lines of a log that may not be there, except those that hold one of the texts that `allowed` names:
/// what faults made a node say.
pub(crate) fn suspicious(log: &str, allowed: &[&str]) -> Vec<String> {
    let is_suspicious = |line: &&str| {
        PATTERNS.iter().any(|pattern| line.contains(pattern)) && !allowed.iter().any(|text| line.contains(text))
    };
    log.lines().filter(is_suspicious).map(str::to_owned).collect()
}

/// What one process took.
#[derive(Default)]
struct Taken {
    samples: Vec<(u64, u64)>,
}

/// Whether gateways lived as they should.
pub(super) fn check(story: &Story<'_>, nodes: u64) -> Finding {
    let mut finding = Finding::of(NAME);
    let mut logs: BTreeMap<u64, u64> = BTreeMap::new();
    let mut processes: BTreeMap<(u64, u32), Taken> = BTreeMap::new();
    let mut ends = 0;
    for line in story.lines {
        match line {
            Line::Ended { node, said, .. } => {
                ends += 1;
                finding.violated(format!("node {node} ended by itself: {said}"));
            }
            Line::Log { node, lines, suspicious } => {
                *logs.entry(*node).or_default() += lines;
                for text in suspicious {
                    finding.violated(format!("node {node} wrote into its log: {text}"));
                }
            }
            Line::Resources { node, process, resident_bytes, descriptors, .. } => {
                processes.entry((*node, *process)).or_default().samples.push((*resident_bytes, *descriptors));
            }
            _ => {}
        }
    }
    // Whatever is done to a node: one whose disk fails stops, and one that stops says that it cannot take the call.
    let broken = story.operations.iter().filter_map(|one| Some((one, one.outcome.said_broken()?)));
    let said: Vec<_> = broken.collect();
    for (operation, said) in &said {
        let (number, node) = (operation.number, operation.node);
        finding.violated(format!("operation {number}, sent to node {node}, was told: {said}"));
    }
    finding.count("answers of broken nodes", said.len());
    for ((node, process), taken) in &processes {
        if let Some(said) = taken.growth() {
            finding.violated(format!("process {process} of node {node} grew: {said}"));
        }
    }
    if (logs.len() as u64) < nodes || logs.values().any(|lines| *lines == 0) {
        finding.unknown(format!("of {nodes} nodes' logs, {} were read: {logs:?} lines", logs.len()));
    }
    finding.count("ended by themselves", ends);
    finding.count("processes", processes.len());
    let largest = processes.values().flat_map(|taken| &taken.samples).map(|(bytes, _)| bytes / 1024 / 1024).max();
    finding.count("MiB of the largest process", usize::try_from(largest.unwrap_or_default()).unwrap_or(usize::MAX));
    finding
}

impl Taken {
    /// What it took in the end, where that is far more than once it was warm: the least of the last samples,
    /// since a peak is no leak.
    fn growth(&self) -> Option<String> {
        let (warm, last) = (self.samples.get(WARM_SAMPLES..)?, self.samples.len().saturating_sub(WARM_SAMPLES / 2));
        let (bytes, descriptors) = *warm.first()?;
        let late = self.samples.get(last..)?;
        let (late_bytes, late_descriptors) = (late.iter().map(|one| one.0).min()?, late.iter().map(|one| one.1).min()?);
        if late_bytes > bytes + GROWTH_BYTES_MAX {
            return Some(format!("from {bytes} to {late_bytes} bytes"));
        }
        let grew = late_descriptors > descriptors + GROWTH_DESCRIPTORS_MAX;
        grew.then(|| format!("from {descriptors} to {late_descriptors} descriptors"))
    }
}
