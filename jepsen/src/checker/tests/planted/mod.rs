//! A planted violation for each checker of one promise, beside a history that keeps it.

mod clients;
mod cluster;
mod watches;

use crate::checker::findings::{Finding, Verdict};

/// What a checker says.
#[track_caller]
fn is(finding: &Finding, verdict: Verdict, said: &str) {
    assert_eq!(finding.verdict, verdict, "{finding:?}");
    assert!(finding.said.iter().any(|sentence| sentence.contains(said)) || said.is_empty(), "{said:?}: {finding:?}");
}
