//! What a run comes to, in words for a terminal, and the number that the program ends with.

use std::fmt::Write as _;
use std::io::Write as _;

use crate::checker::{Findings, Verdict};

/// Of each checker so many sentences are shown.
const SHOWN_MAX: usize = 5;

/// What the program ends with when something that was asked for did not come about, or a file could not be read.
pub(crate) const NOT_JUDGED: u8 = 3;
/// The same in a word, where there is no verdict.
pub(crate) const NO_VERDICT: &str = "NOT JUDGED";

/// Prints a line. A reader that hung up does not matter.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// What the program ends with: 0 passed, 1 a property was violated, 2 it was not decided or too little was seen.
pub(crate) fn exit_code(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Passed => 0,
        Verdict::Violated => 1,
        Verdict::Unknown => 2,
    }
}

/// The verdict in a word. Only the first of the three is a pass.
pub(crate) fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "PASS",
        Verdict::Violated => "FAIL",
        Verdict::Unknown => "UNKNOWN",
    }
}

/// What each checker says, what it found, and the verdict on the last line.
pub(crate) fn summary(findings: &Findings) -> String {
    let mut summary = String::new();
    for finding in &findings.0 {
        let _ = writeln!(summary, "{finding}");
        for said in finding.said.iter().take(SHOWN_MAX) {
            let _ = writeln!(summary, "  {}: {said}", finding.checker);
        }
        if let Some(more) = finding.said.len().checked_sub(SHOWN_MAX).filter(|more| *more > 0) {
            let _ = writeln!(summary, "  {}: and {more} more", finding.checker);
        }
    }
    summary + "verdict: " + word(findings.verdict())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::Finding;

    fn findings(verdict: Verdict, sentences: usize) -> Findings {
        let mut finding = Finding { verdict, ..Finding::of("watch") };
        finding.said = (0..sentences).map(|number| format!("event {number} is missing")).collect();
        Findings(vec![Finding::of("durability"), finding])
    }

    #[test]
    fn the_verdict_is_the_last_word_and_says_why() {
        let summary = summary(&findings(Verdict::Violated, 7));
        assert!(summary.contains("  watch: event 4 is missing\n  watch: and 2 more\n"), "{summary}");
        assert!(summary.ends_with("verdict: FAIL"), "{summary}");
    }

    #[test]
    fn only_a_pass_ends_with_0() {
        let code = |findings: &Findings| exit_code(findings.verdict());
        assert_eq!(code(&findings(Verdict::Passed, 0)), 0);
        assert_eq!(code(&findings(Verdict::Violated, 1)), 1);
        assert_eq!(code(&findings(Verdict::Unknown, 1)), 2);
        assert_eq!(code(&Findings::default()), 2, "nobody looked");
        assert!(summary(&findings(Verdict::Unknown, 1)).ends_with("verdict: UNKNOWN"));
    }
}
