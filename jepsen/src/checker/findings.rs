//! What checkers say about a history, in one form for all of them.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Of one checker, or of one object. Only [`Verdict::Passed`] passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    /// What was looked for holds.
    Passed,
    /// It could not be decided: too little was seen, or it would take too long.
    Unknown,
    /// It does not hold.
    Violated,
}

/// How far a search came with an object whose history has no order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Evidence {
    pub(crate) object: String,
    /// Numbers of a few operations of the history that have no order together.
    pub(crate) operations: Vec<u64>,
    /// The longest order of some of them.
    pub(crate) order: Vec<u64>,
    /// One that cannot come next.
    pub(crate) blocked: Option<u64>,
}

/// What one checker says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Finding {
    /// Its name, one word.
    pub(crate) checker: String,
    pub(crate) verdict: Verdict,
    /// Why, a sentence each.
    pub(crate) said: Vec<String>,
    /// How much was looked at, by name.
    pub(crate) counts: BTreeMap<String, u64>,
    /// Of the search alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) evidence: Vec<Evidence>,
}

impl Finding {
    /// Of a checker that found nothing so far.
    pub(crate) fn of(checker: &str) -> Self {
        Self {
            checker: checker.to_owned(),
            verdict: Verdict::Passed,
            said: Vec::new(),
            counts: BTreeMap::new(),
            evidence: Vec::new(),
        }
    }

    /// Something that does not hold.
    pub(crate) fn violated(&mut self, why: String) {
        self.verdict = Verdict::Violated;
        self.said.push(why);
    }

    /// Something that cannot be decided.
    pub(crate) fn unknown(&mut self, why: String) {
        self.verdict = self.verdict.max(Verdict::Unknown);
        self.said.push(why);
    }

    /// How much of something was looked at.
    pub(crate) fn count(&mut self, name: &str, number: usize) {
        self.counts.insert(name.to_owned(), number as u64);
    }

    /// Where less than this of something was looked at, nothing is decided.
    pub(crate) fn at_least(&mut self, name: &str, number: usize, least: usize) {
        self.count(name, number);
        if number < least {
            self.unknown(format!("{number} {name} prove too little, below {least}"));
        }
    }
}

/// What all of them say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Findings(pub(crate) Vec<Finding>);

impl Findings {
    /// Whether every checker passed, and there was one.
    pub(crate) fn passed(&self) -> bool {
        self.verdict() == Verdict::Passed
    }

    /// The worst of all verdicts. Nothing was checked: nothing is known.
    pub(crate) fn verdict(&self) -> Verdict {
        self.0.iter().map(|finding| finding.verdict).max().unwrap_or(Verdict::Unknown)
    }

    /// What one checker says, if it was asked.
    pub(crate) fn get(&self, checker: &str) -> Option<&Finding> {
        self.0.iter().find(|finding| finding.checker == checker)
    }

    /// A number of one checker; 0 when there is none.
    pub(crate) fn number(&self, checker: &str, name: &str) -> u64 {
        self.get(checker).and_then(|finding| finding.counts.get(name).copied()).unwrap_or(0)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts: Vec<String> = self.counts.iter().map(|(name, number)| format!("{number} {name}")).collect();
        write!(formatter, "{}: {:?} ({})", self.checker, self.verdict, counts.join(", "))
    }
}
