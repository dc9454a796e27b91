//! What the program ends with, put together from what the checkers say, what was measured beside it, and what went wrong.

use crate::checker::Verdict;
use crate::report;

/// How a run stands, the worst last: what was seen to be violated is not undone by what could not be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Outcome {
    /// Everything passed.
    Passed,
    /// Something was not decided, or too little was seen.
    Unknown,
    /// The harness failed, so that something that was asked for did not come about.
    NotJudged,
    /// A property was violated.
    Violated,
}

impl From<Verdict> for Outcome {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Passed => Self::Passed,
            Verdict::Unknown => Self::Unknown,
            Verdict::Violated => Self::Violated,
        }
    }
}

impl Outcome {
    /// Of measurements: whether they lost nothing, or that they did not come about, which is said.
    pub(super) fn of_measured(what: &str, measured: anyhow::Result<bool>) -> Self {
        match measured {
            Ok(true) => Self::Passed,
            Ok(false) => Self::Violated,
            Err(error) => Self::failed(what, &error),
        }
    }

    /// Of something that must be done, and has no verdict.
    pub(super) fn of_done(what: &str, done: anyhow::Result<()>) -> Self {
        Self::of_measured(what, done.map(|()| true))
    }

    /// The harness failed at something.
    pub(super) fn failed(what: &str, error: &anyhow::Error) -> Self {
        report::say(&format!("{what} did not come about: {error:#}"));
        Self::NotJudged
    }

    /// What the program ends with.
    pub(super) fn exit_code(self) -> u8 {
        match self {
            Self::Passed => report::exit_code(Verdict::Passed),
            Self::Unknown => report::exit_code(Verdict::Unknown),
            Self::NotJudged => report::NOT_JUDGED,
            Self::Violated => report::exit_code(Verdict::Violated),
        }
    }

    /// The last line of what is printed.
    pub(super) fn last_line(self) -> String {
        let word = match self {
            Self::Passed => report::word(Verdict::Passed),
            Self::Unknown => report::word(Verdict::Unknown),
            Self::NotJudged => report::NO_VERDICT,
            Self::Violated => report::word(Verdict::Violated),
        };
        format!("verdict: {word}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_violated_counts_more_than_a_measurement_that_did_not_come_about() {
        let broken = || Outcome::of_measured("measuring", Err(anyhow::anyhow!("no cluster")));
        assert_eq!(broken().max(Outcome::from(Verdict::Violated)).exit_code(), 1);
        assert_eq!(broken().max(Outcome::from(Verdict::Unknown)).exit_code(), 3);
        assert_eq!(broken().max(Outcome::from(Verdict::Passed)).exit_code(), 3);
    }

    #[test]
    fn a_measurement_that_lost_something_fails_a_run_that_passed() {
        let lost = Outcome::of_measured("measuring", Ok(false)).max(Outcome::from(Verdict::Passed));
        assert_eq!((lost.exit_code(), lost.last_line().as_str()), (1, "verdict: FAIL"));
        let kept = Outcome::of_measured("measuring", Ok(true)).max(Outcome::from(Verdict::Unknown));
        assert_eq!((kept.exit_code(), kept.last_line().as_str()), (2, "verdict: UNKNOWN"));
    }
}
