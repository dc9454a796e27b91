//! The scoreboard's figure of a sweep, appended to `rows.json` of a folder in the form that `jepsen/README.md` has.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::path::Path;

use serde_json::{Value, json};

const FILE: &str = "rows.json";

/// What came of some seeds.
#[derive(Debug)]
pub struct Sweep {
    /// The seeds that were asked for.
    pub seeds: Range<u64>,
    /// The seeds that failed before, and were run again.
    pub kept: Vec<u64>,
    /// The seeds that failed.
    pub failed: Vec<u64>,
}

/// Appends how many seeds failed to the figures of a folder, which is made when it is not there. Those that failed
/// stand with it; or, when none did, the first and the last of the seeds. All that were run are named, so that the
/// scoreboard counts each once, however often it is run.
///
/// # Errors
/// When the file holds something else than a list, and then it is left as it is; or when it cannot be read or written.
pub fn append(folder: &Path, sweep: &Sweep) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let path = folder.join(FILE);
    let mut rows: Vec<Value> = match fs::read_to_string(&path) {
        Ok(text) => serde_json::from_str(&text)?,
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    rows.push(row(sweep));
    fs::write(path, serde_json::to_string_pretty(&rows)? + "\n")
}

fn row(sweep: &Sweep) -> Value {
    let Sweep { seeds, kept, failed } = sweep;
    // A seed that was kept may be among the others, and fail twice: it is one.
    let kept: BTreeSet<u64> = kept.iter().copied().filter(|seed| !seeds.contains(seed)).collect();
    let failed: BTreeSet<u64> = failed.iter().copied().collect();
    let passed = failed.is_empty();
    let samples = seeds.end.saturating_sub(seeds.start) + kept.len() as u64;
    let subjects: Vec<String> =
        kept.iter().map(u64::to_string).chain([format!("{}..{}", seeds.start, seeds.end)]).collect();
    let ends = [seeds.clone().next(), seeds.clone().next_back()];
    let value = failed.len();
    let seeds: BTreeSet<u64> = if passed { ends.into_iter().flatten().collect() } else { failed };
    json!({
        "row": "9.failed", "value": value, "unit": "seeds", "samples": samples, "seeds": seeds, "passed": passed,
        "subjects": subjects,
    })
}

#[cfg(test)]
mod tests {
    use super::{FILE, Sweep, append};
    use serde_json::{Value, json};
    use std::fs;

    fn written(folder: &std::path::Path) -> Value {
        serde_json::from_str(&fs::read_to_string(folder.join(FILE)).expect("written")).expect("JSON")
    }

    #[test]
    fn each_sweep_adds_a_row_to_those_that_are_there() {
        let folder = tempfile::tempdir().expect("a folder");
        let below = folder.path().join("below");
        append(&below, &Sweep { seeds: 100..1_600, kept: vec![7], failed: Vec::new() }).expect("written");
        append(&below, &Sweep { seeds: 0..40, kept: vec![7], failed: vec![7, 7, 9] }).expect("written");
        let expected = json!([
            {
                "row": "9.failed", "value": 0, "unit": "seeds", "samples": 1501, "seeds": [100, 1599], "passed": true,
                "subjects": ["7", "100..1600"],
            },
            {
                "row": "9.failed", "value": 2, "unit": "seeds", "samples": 40, "seeds": [7, 9], "passed": false,
                "subjects": ["0..40"],
            },
        ]);
        assert_eq!(written(&below), expected);
    }

    #[test]
    fn a_file_that_is_no_list_is_left_as_it_is() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join(FILE), "{}").expect("written");
        assert!(append(folder.path(), &Sweep { seeds: 0..1, kept: Vec::new(), failed: Vec::new() }).is_err());
        assert_eq!(written(folder.path()), json!({}));
    }
}
