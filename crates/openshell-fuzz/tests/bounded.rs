//! Every target over every seed and a fixed number of mutations of them, the same ones each time: nothing
//! panics, nothing takes long, and memory stays within what `docs/fuzzing.md` promises.

#[path = "bounded/counting.rs"]
mod counting;
#[path = "bounded/named.rs"]
mod named;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use openshell_fuzz::{Mutator, TARGETS, Target, seeds};

/// Of the input's own length.
const FACTOR: usize = 10;
/// What any input may take beside that.
const CONSTANT: usize = 32 * 1024 * 1024;
/// A file, which is read by the command line alone, may take more: the YAML parser keeps hundreds of bytes a value.
const CONSTANT_FILE: usize = 96 * 1024 * 1024;
/// For one input; on an idle machine none of these takes a tenth of it.
const TIME_MAX: Duration = Duration::from_secs(10);
/// Mutations of each target; `OPENSHELL_FUZZ_INPUTS` asks for more.
const INPUTS: u64 = 5000;

/// The peak of live bytes during one input, which is within the promise.
pub(crate) fn check(target: Target, input: &[u8]) -> usize {
    let start = Instant::now();
    let (outcome, peak) = counting::peak(|| catch_unwind(AssertUnwindSafe(|| (target.run)(input))));
    let taken = start.elapsed();
    assert!(outcome.is_ok(), "{} panics on {}", target.name, shown(input));
    let constant = if target.name.ends_with("_file") { CONSTANT_FILE } else { CONSTANT };
    let limit = FACTOR * input.len() + constant;
    assert!(peak <= limit, "{} takes {peak} bytes for {}, {}", target.name, input.len(), shown(input));
    assert!(taken <= TIME_MAX, "{} takes {taken:?} on {}", target.name, shown(input));
    peak
}

/// Enough of an input to make a seed of it.
fn shown(input: &[u8]) -> String {
    let cut = input.len().min(2000);
    format!("the {} bytes {}", input.len(), input[..cut].escape_ascii())
}

fn run(name: &str) {
    let target = *TARGETS.iter().find(|target| target.name == name).expect("a target");
    let seeds = seeds(name);
    assert!(seeds.len() >= 5, "{name} has {} seeds", seeds.len());
    let number = |name: &str, default: u64| {
        std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|error| panic!("{name}: {error}")))
    };
    // What is made once is no input's.
    (target.run)(&[]);
    seeds.iter().for_each(|seed| (target.run)(seed));
    for seed in &seeds {
        check(target, seed);
    }
    let mut mutator = Mutator::new(number("OPENSHELL_FUZZ_SEED", 1));
    for _ in 0..number("OPENSHELL_FUZZ_INPUTS", INPUTS) {
        check(target, &mutator.mutate(&seeds));
    }
}

#[test]
fn no_profile_file_brings_the_parser_down() {
    run("profile_file");
}

#[test]
fn no_profile_brings_the_validator_down() {
    run("validator");
}

#[test]
fn no_request_brings_the_import_down() {
    run("import");
}

#[test]
fn no_policy_file_brings_the_parser_or_the_judgement_down() {
    run("policy_file");
}

#[test]
fn no_merge_operation_brings_the_merge_down() {
    run("merge");
}
