//! The scoreboard's figure of a sweep, appended to `rows.json` of a folder in the form that `jepsen/README.md` has.

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
    /// How many runs were made, those of kept seeds included.
    pub samples: u64,
    /// The seeds that failed.
    pub failed: Vec<u64>,
}

/// Appends how many seeds failed to the figures of a folder, which is made when it is not there. Those that failed
/// stand with it; or, when none did, the first and the last of the seeds.
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
    let Sweep { seeds, samples, failed } = sweep;
    let passed = failed.is_empty();
    let ends = [seeds.clone().next(), seeds.clone().next_back()];
    let mut seeds = if passed { ends.into_iter().flatten().collect() } else { failed.clone() };
    seeds.dedup();
    json!({
        "row": "9.failed", "value": failed.len(), "unit": "seeds", "samples": samples, "seeds": seeds, "passed": passed,
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
        append(&below, &Sweep { seeds: 100..1_600, samples: 1_501, failed: Vec::new() }).expect("written");
        append(&below, &Sweep { seeds: 0..40, samples: 40, failed: vec![7, 9] }).expect("written");
        let expected = json!([
            {"row": "9.failed", "value": 0, "unit": "seeds", "samples": 1501, "seeds": [100, 1599], "passed": true},
            {"row": "9.failed", "value": 2, "unit": "seeds", "samples": 40, "seeds": [7, 9], "passed": false},
        ]);
        assert_eq!(written(&below), expected);
    }

    #[test]
    fn a_file_that_is_no_list_is_left_as_it_is() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join(FILE), "{}").expect("written");
        assert!(append(folder.path(), &Sweep { seeds: 0..1, samples: 1, failed: Vec::new() }).is_err());
        assert_eq!(written(folder.path()), json!({}));
    }
}
