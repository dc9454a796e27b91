//! The names of what a run leaves outside of its own folders. A name holds the process' id and when it began, so that
//! the next run can tell what a dead one left behind.

use anyhow::Context;
use openshell_tests::process_began;
use tempfile::TempDir;

const PREFIX: &str = "openshell-chaos";

/// A word that no other run has.
pub(super) fn own() -> anyhow::Result<String> {
    let process = std::process::id();
    let began = process_began(process).context("this process is not in the process table")?;
    Ok(format!("{PREFIX}-{process}-{began}"))
}

/// A temporary folder for something of this run. When the run is killed the next one removes it.
///
/// # Errors
/// When it cannot be made.
pub(crate) fn folder_for(what: &str) -> anyhow::Result<TempDir> {
    let prefix = format!("{}-{what}-", own()?);
    tempfile::Builder::new().prefix(&prefix).tempdir().with_context(|| format!("making a folder for {what}"))
}

/// Whether a word is one of a run whose process is gone.
pub(super) fn is_of_the_dead(word: &str) -> bool {
    let Some(rest) = word.strip_prefix(PREFIX).and_then(|rest| rest.strip_prefix('-')) else { return false };
    let mut numbers = rest.split('-').map(str::parse::<u64>);
    let (Some(Ok(process)), Some(Ok(start))) = (numbers.next(), numbers.next()) else { return false };
    u32::try_from(process).is_ok_and(|process| process_began(process) != Some(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_this_process_marks_is_not_of_the_dead_and_what_an_older_one_of_its_id_did_is() {
        let own = own().unwrap();
        assert!(!is_of_the_dead(&own) && !is_of_the_dead(&format!("{own}-disk")));
        assert!(is_of_the_dead(&format!("{PREFIX}-{}-1", std::process::id())));
        for foreign in ["", "openshell-chaos", "openshell-chaos-x-1", "other-1-1", "openshell-chaos-1"] {
            assert!(!is_of_the_dead(foreign), "{foreign}");
        }
    }
}
