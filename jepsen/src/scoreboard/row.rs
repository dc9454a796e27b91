//! What a command measured, as it stands in the file `rows.json` of a folder: a list of objects
//! `{"row", "value", "unit", "samples", "seeds", "passed"}`, one for each figure. Which figures there are, and what they
//! must be, is in `catalogue`.
//!
//! ```json
//! [{"row": "3.p50", "value": 0.41, "unit": "s", "samples": 20, "seeds": [7], "passed": true},
//!  {"row": "2.power-all", "value": null, "unit": "rounds", "samples": 0, "seeds": [], "passed": false,
//!   "skipped": "loop devices are not available here"}]
//! ```

use std::fs;
use std::path::Path;

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};

use super::catalogue;

/// Name of the file in a folder.
pub(crate) const FILE: &str = "rows.json";

/// One figure of one command.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Measured {
    /// Id of the figure, such as `3.p50`: the number of the scoreboard's row, and what of it.
    pub(crate) row: String,
    /// None when nothing could be measured, which never passes.
    pub(crate) value: Option<f64>,
    /// Of the value, as the catalogue has it.
    pub(crate) unit: String,
    /// How many rounds, operations or events the value rests on.
    pub(crate) samples: u64,
    /// With which it can be provoked again.
    #[serde(default)]
    pub(crate) seeds: Vec<u64>,
    /// Whether the command itself was content, apart from any limit: nothing was lost, every round came about.
    pub(crate) passed: bool,
    /// Why this machine cannot measure it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) skipped: Option<String>,
    /// The names of what was looked at, where the same looked at again proves no more: of several commands they are put
    /// together, and count for the samples. A range such as `100..1600` names each number in it. Of crash points, which
    /// count again and again, each had the same share of the samples.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) subjects: Vec<String>,
}

/// What a folder's file holds; nothing when there is no file.
///
/// # Errors
/// When there is one that cannot be read as such a list.
pub(crate) fn read(folder: &Path) -> anyhow::Result<Vec<Measured>> {
    let path = folder.join(FILE);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("reading {}", path.display()))
}

/// Adds figures to those of a folder.
///
/// # Errors
/// When the file cannot be read or written; and, once they are written, when the catalogue does not know one of them, or
/// has it in another unit.
pub(crate) fn append(folder: &Path, rows: &[Measured]) -> anyhow::Result<()> {
    let mut all = read(folder)?;
    all.extend_from_slice(rows);
    super::write(folder, FILE, &all)?;
    for Measured { row, unit, .. } in rows {
        let figure = catalogue::figure(row).with_context(|| format!("the scoreboard has no figure {row}"))?;
        ensure!(figure.unit == unit, "the scoreboard has {row} in {}, and it was measured in {unit}", figure.unit);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(row: &str) -> Measured {
        Measured {
            row: row.to_owned(),
            value: Some(0.5),
            unit: "s".to_owned(),
            samples: 20,
            seeds: vec![7],
            passed: true,
            ..Measured::default()
        }
    }

    #[test]
    fn rows_have_the_form_that_is_written_above() {
        let text = serde_json::to_string(&measured("3.p50")).unwrap();
        assert_eq!(text, r#"{"row":"3.p50","value":0.5,"unit":"s","samples":20,"seeds":[7],"passed":true}"#);
        let skipped =
            r#"{"row":"2.power-all","value":null,"unit":"rounds","samples":0,"passed":false,"skipped":"why"}"#;
        let read: Measured = serde_json::from_str(skipped).unwrap();
        assert_eq!((read.value, read.skipped.as_deref()), (None, Some("why")));
    }

    #[test]
    fn what_two_commands_append_is_read_together() {
        let folder = tempfile::tempdir().unwrap();
        assert!(read(folder.path()).unwrap().is_empty());
        append(folder.path(), &[measured("3.p50")]).unwrap();
        append(folder.path(), &[measured("3.max"), measured("4.pause")]).unwrap();
        let rows: Vec<String> = read(folder.path()).unwrap().into_iter().map(|one| one.row).collect();
        assert_eq!(rows, ["3.p50", "3.max", "4.pause"]);
    }

    #[test]
    fn what_no_row_knows_is_kept_and_said_at_once() {
        let folder = tempfile::tempdir().unwrap();
        assert!(append(folder.path(), &[measured("3.p51")]).is_err());
        let other = Measured { unit: "ms".to_owned(), ..measured("3.p50") };
        let error = append(folder.path(), &[other]).unwrap_err().to_string();
        assert!(error.contains("3.p50 in s") && error.contains("measured in ms"), "{error}");
        assert_eq!(read(folder.path()).unwrap().len(), 2);
    }

    #[test]
    fn a_file_that_is_no_list_of_rows_is_an_error_and_not_an_empty_list() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), "{}").unwrap();
        assert!(read(folder.path()).is_err());
    }
}
