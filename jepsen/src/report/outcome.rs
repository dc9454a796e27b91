//! What the program ends with, put together from what the checkers say, what was measured beside it, and what went wrong.

use serde::Serialize;

use super::text;
use crate::checker::Verdict;

/// How a run stands, the worst last: what was seen to be violated is not undone by what could not be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
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
    /// Each of them.
    const ALL: [Self; 4] = [Self::Passed, Self::Unknown, Self::NotJudged, Self::Violated];

    /// Of measurements: whether they lost nothing, or that they did not come about, which is said.
    pub(crate) fn of_measured(what: &str, measured: anyhow::Result<bool>) -> Self {
        match measured {
            Ok(true) => Self::Passed,
            Ok(false) => Self::Violated,
            Err(error) => Self::failed(what, &error),
        }
    }

    /// Of something that must be done, and has no verdict.
    pub(crate) fn of_done(what: &str, done: anyhow::Result<()>) -> Self {
        Self::of_measured(what, done.map(|()| true))
    }

    /// The harness failed at something.
    pub(crate) fn failed(what: &str, error: &anyhow::Error) -> Self {
        text::say(&format!("{what} did not come about: {error:#}"));
        Self::NotJudged
    }

    /// What the program ends with.
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Self::Passed => text::exit_code(Verdict::Passed),
            Self::Unknown => text::exit_code(Verdict::Unknown),
            Self::NotJudged => text::NOT_JUDGED,
            Self::Violated => text::exit_code(Verdict::Violated),
        }
    }

    /// The one that ends with this code; none when no run ends with it.
    pub(super) fn of_exit_code(code: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| u64::from(outcome.exit_code()) == code)
    }

    /// The same in a word.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Passed => text::word(Verdict::Passed),
            Self::Unknown => text::word(Verdict::Unknown),
            Self::NotJudged => text::NO_VERDICT,
            Self::Violated => text::word(Verdict::Violated),
        }
    }

    /// The last line of what is printed.
    pub(crate) fn last_line(self) -> String {
        format!("verdict: {}", self.word())
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
