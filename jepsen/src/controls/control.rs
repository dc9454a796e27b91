//! What a control is: a bug of our own, where it would be met, and who must see it. Each has a file in `controls/`,
//! which is in this program, so that a bug without a control does not compile.

use anyhow::Context;
use openshell_chaos::Bug;
use serde::{Deserialize, Deserializer};

use super::scene::Scene;
use crate::checker::{Findings, Verdict};
use crate::workload::Workload;

/// One control.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Control {
    /// The bug that is planted in every node.
    #[serde(deserialize_with = "bug")]
    pub(crate) bug: Bug,
    /// The checkers that must see it, each of them.
    pub(crate) caught_by: Vec<String>,
    /// What it takes to meet it, told step by step; without, a run meets it.
    #[serde(default)]
    pub(crate) scene: Option<Scene>,
    /// Of a run: what clients do.
    #[serde(default)]
    pub(crate) workloads: Vec<Workload>,
    /// Of a run: names of the only faults there are.
    #[serde(default)]
    pub(crate) faults: Vec<String>,
    /// Of a run: for how long clients work.
    #[serde(default)]
    pub(crate) seconds: u64,
    /// Of a run: how many nodes there are.
    #[serde(default = "three")]
    pub(crate) nodes: u64,
    /// Of a run: how many clients the largest workload has, as with `run --clients`.
    #[serde(default = "eight")]
    pub(crate) clients: u64,
}

fn three() -> u64 {
    3
}

fn eight() -> u64 {
    8
}

fn bug<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bug, D::Error> {
    let name = String::deserialize(deserializer)?;
    Bug::named(&name).ok_or_else(|| serde::de::Error::custom(format!("there is no bug {name:?}")))
}

impl Control {
    /// That of a bug.
    ///
    /// # Errors
    /// When its file is none.
    pub(crate) fn of(bug: Bug) -> anyhow::Result<Self> {
        toml::from_str(text(bug)).with_context(|| format!("reading controls/{}.toml", bug.name()))
    }

    /// Whether each checker that must see the bug has.
    pub(crate) fn is_caught(&self, findings: &Findings) -> bool {
        self.verdicts(findings).all(|verdict| verdict == Some(Verdict::Violated))
    }

    /// Whether nobody sees a bug, and each checker that must see it where it is has decided that it is not there.
    pub(crate) fn is_clean(&self, findings: &Findings) -> bool {
        findings.verdict() != Verdict::Violated
            && self.verdicts(findings).all(|verdict| verdict == Some(Verdict::Passed))
    }

    fn verdicts<'a>(&'a self, findings: &'a Findings) -> impl Iterator<Item = Option<Verdict>> {
        self.caught_by.iter().map(|checker| findings.get(checker).map(|finding| finding.verdict))
    }
}

fn text(bug: Bug) -> &'static str {
    match bug {
        Bug::StaleReads => include_str!("../../controls/stale-reads.toml"),
        Bug::EarlyAcknowledgement => include_str!("../../controls/early-acknowledgement.toml"),
        Bug::UnsyncedVote => include_str!("../../controls/unsynced-vote.toml"),
        Bug::SkippedGuards => include_str!("../../controls/skipped-guards.toml"),
        Bug::TornImport => include_str!("../../controls/torn-import.toml"),
        Bug::ForgottenRequests => include_str!("../../controls/forgotten-requests.toml"),
        Bug::DroppedEvent => include_str!("../../controls/dropped-event.toml"),
        Bug::LocalClock => include_str!("../../controls/local-clock.toml"),
        Bug::LenientRecovery => include_str!("../../controls/lenient-recovery.toml"),
        Bug::SecretInError => include_str!("../../controls/secret-in-error.toml"),
        Bug::BorrowedIdentity => include_str!("../../controls/borrowed-identity.toml"),
        Bug::LeaderRestore => include_str!("../../controls/leader-restore.toml"),
        Bug::MissingGuard => include_str!("../../controls/missing-guard.toml"),
        Bug::UntouchedFence => include_str!("../../controls/untouched-fence.toml"),
        Bug::StaleAnswer => include_str!("../../controls/stale-answer.toml"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::Finding;
    use crate::plan::Choice;

    #[test]
    fn every_bug_has_a_control_that_says_who_must_see_it_and_how() {
        for bug in Bug::ALL {
            let control = Control::of(bug).unwrap_or_else(|error| panic!("{error:#}"));
            assert_eq!(control.bug, bug, "the file has the name of its bug");
            assert!(!control.caught_by.is_empty(), "{bug:?}");
            assert_eq!(control.scene.is_some(), control.workloads.is_empty(), "{bug:?}: a scene, or a run");
            assert!(control.scene.is_some() || control.seconds > 0, "{bug:?}: a run takes its time");
            for fault in &control.faults {
                assert!(Choice::named(fault).is_ok(), "{bug:?}: there is no fault {fault}");
            }
        }
        let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/controls")).unwrap().count();
        assert_eq!(files, Bug::ALL.len(), "each file is the control of a bug");
    }

    #[test]
    fn a_bug_is_caught_by_all_the_checkers_that_must_see_it_and_by_no_other() {
        let control = Control::of(Bug::SkippedGuards).unwrap();
        let of = |name: &str, verdict| Finding { verdict, ..Finding::of(name) };
        let both = control.caught_by.iter().map(|name| of(name, Verdict::Violated)).collect();
        assert!(control.is_caught(&Findings(both)));
        let one = Findings(vec![of(&control.caught_by[0], Verdict::Violated), of("watch", Verdict::Violated)]);
        assert!(!control.is_caught(&one));
        let doubt = Findings(control.caught_by.iter().map(|name| of(name, Verdict::Unknown)).collect());
        assert!(!control.is_caught(&doubt), "a doubt is no verdict");
        assert!(!control.is_caught(&Findings::default()), "nobody looked");
        assert!(!control.is_clean(&doubt) && !control.is_clean(&Findings::default()), "nobody knows");
    }
}
