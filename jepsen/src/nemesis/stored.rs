//! What a stopped node has stored, as `openshell-gateway inspect` prints it.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, ensure};
use openshell_tests::try_gateway_command;
use serde_json::Value;

/// Types of lines that hold what a node may have acknowledged. The others say where it stands.
const CONTENTS: [&str; 5] = ["entry", "record", "fence", "request", "history"];

/// All of it that can be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stored {
    /// A JSON object a line, without what is damaged, and without the mark, which is a file of its own.
    lines: Vec<String>,
    /// What is damaged, in words.
    pub(crate) damage: Vec<String>,
    /// Synced writes that the database knows of.
    pub(crate) counter: Option<u64>,
    /// Synced writes that were reported.
    pub(crate) high_water_mark: Option<u64>,
    /// The last entry that is in its state.
    applied: u64,
    /// Those of its log.
    entries: BTreeSet<u64>,
}

impl Stored {
    /// Reads the data of a node that does not run.
    ///
    /// # Errors
    /// When the program cannot be started, or says what nobody understands. Damage is none.
    pub(crate) fn of(data: &Path) -> anyhow::Result<Self> {
        let data = data.to_str().context("a path that is no text")?;
        let output = try_gateway_command(&["inspect", "--data-dir", data]).context("inspecting a node")?;
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        ensure!(!said.contains("in use by another process"), "a node is inspected that runs: {said}");
        let text = String::from_utf8(output.stdout).context("what inspect prints")?;
        let mut stored = Self::read(&text)?;
        if !output.status.success() && stored.damage.is_empty() {
            stored.damage.push(said);
        }
        Ok(stored)
    }

    /// What such a text says.
    pub(super) fn read(text: &str) -> anyhow::Result<Self> {
        let mut stored = Self::default();
        for line in text.lines() {
            if is_of(line, "damage") {
                stored.damage.push(line.to_owned());
            } else if is_of(line, "marks") {
                let mut marks: Value = serde_json::from_str(line).context("a line of inspect")?;
                stored.counter = marks["counter"].as_u64();
                stored.high_water_mark = marks["high_water_mark"].as_u64();
                if let Some(object) = marks.as_object_mut() {
                    object.remove("high_water_mark");
                }
                stored.lines.push(marks.to_string());
            } else {
                stored.place(line)?;
                stored.lines.push(line.to_owned());
            }
        }
        Ok(stored)
    }

    /// Notes where a line says that the log and the state are. What is zero is left out of it.
    fn place(&mut self, line: &str) -> anyhow::Result<()> {
        let index = |pointer: &str| -> anyhow::Result<u64> {
            let said: Value = serde_json::from_str(line).context("a line of inspect")?;
            Ok(said.pointer(pointer).and_then(Value::as_u64).unwrap_or_default())
        };
        if is_of(line, "applied") {
            self.applied = index("/applied/index")?;
        } else if is_of(line, "entry") {
            self.entries.insert(index("/entry/id/index")?);
        }
        Ok(())
    }

    /// Whether no damage was found.
    pub(crate) fn is_sound(&self) -> bool {
        self.damage.is_empty()
    }

    /// Whether it says the same in everything that can be read.
    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        self.lines == other.lines
    }

    /// Whether it is what `other` was before its last writes, none of which anybody had reported as synced: its vote and
    /// every entry of its log are here, and the state is an earlier one, from which these lead to the later one.
    pub(crate) fn leads_to(&self, other: &Self) -> bool {
        let own: BTreeSet<&String> = self.lines.iter().collect();
        let is_synced = |line: &&String| is_of(line, "vote") || is_of(line, "entry");
        self.counter >= other.high_water_mark
            && self.applied < other.applied
            && (self.applied + 1..=other.applied).all(|index| self.entries.contains(&index))
            && other.lines.iter().filter(is_synced).all(|line| own.contains(line))
    }

    /// Whether every entry, record, fence, remembered request and change of another is here.
    pub(crate) fn has_all_of(&self, other: &Self) -> bool {
        let own: BTreeSet<&String> = self.lines.iter().collect();
        let is_content = |line: &&String| CONTENTS.iter().any(|kind| is_of(line, kind));
        other.lines.iter().filter(is_content).all(|line| own.contains(line))
    }
}

/// Quotation marks within values have a backslash before them.
fn is_of(line: &str, kind: &str) -> bool {
    line.contains(&format!("\"type\":\"{kind}\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARKS: &str = r#"{"type":"marks","counter":7,"high_water_mark":5,"digest":"AA=="}"#;
    const ENTRY: &str = r#"{"type":"entry","index":3}"#;

    fn stored(lines: &[&str]) -> Stored {
        Stored::read(&lines.join("\n")).unwrap()
    }

    #[test]
    fn the_mark_is_no_part_of_what_a_node_has() {
        let one = stored(&[MARKS, ENTRY]);
        assert_eq!((one.counter, one.high_water_mark), (Some(7), Some(5)));
        assert!(one.is_sound() && one.is_same_as(&stored(&[&MARKS.replace(":5", ":6"), ENTRY])));
        assert!(!one.is_same_as(&stored(&[&MARKS.replace(":7", ":6"), ENTRY])));
    }

    #[test]
    fn a_state_from_before_the_last_writes_leads_to_theirs_only_with_the_entries_between() {
        let at = |applied: u64, entries: &[u64], counter: u64| {
            let mut lines = vec![
                format!(r#"{{"type":"marks","counter":{counter},"high_water_mark":7}}"#),
                r#"{"type":"vote","vote":{"term":2}}"#.to_owned(),
                format!(r#"{{"type":"applied","applied":{{"index":{applied},"term":2}}}}"#),
            ];
            lines.extend(
                entries.iter().map(|index| format!(r#"{{"type":"entry","entry":{{"id":{{"index":{index}}}}}}}"#)),
            );
            Stored::read(&lines.join("\n")).unwrap()
        };
        let before = at(9, &[7, 8, 9], 7);
        assert!(at(8, &[7, 8, 9], 7).leads_to(&before));
        assert!(at(6, &[6, 7, 8, 9], 7).leads_to(&before), "what was let go meanwhile is there again");
        assert!(!at(8, &[7, 8], 7).leads_to(&before), "an entry is missing");
        assert!(!at(5, &[7, 8, 9], 7).leads_to(&before), "the state lacks one that the log never had");
        assert!(!at(8, &[7, 8, 9], 6).leads_to(&before), "a write that was reported is missing");
        assert!(!at(9, &[7, 8, 9], 7).leads_to(&before), "it is not earlier");
        let mut forgot = at(8, &[7, 8, 9], 7);
        forgot.lines.retain(|line| !is_of(line, "vote"));
        assert!(!forgot.leads_to(&before));
    }

    #[test]
    fn damage_is_told_apart_and_what_it_took_is_missed() {
        let sound = stored(&[MARKS, r#"{"type":"vote","vote":{}}"#, ENTRY]);
        let damaged = stored(&[r#"{"type":"damage","place":"log","what":"x"}"#, MARKS, ENTRY]);
        assert!(!damaged.is_sound() && damaged.has_all_of(&sound), "a vote is nothing that was acknowledged");
        let less = stored(&[MARKS]);
        assert!(!less.has_all_of(&sound) && sound.has_all_of(&less));
    }
}
