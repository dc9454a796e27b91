//! What the end of a call proves. Only what is certainly without effect counts as such: doubt stays doubt.

use openshell_client::{CallError, Seen, id_time_ms, said_by};
use openshell_proto::v1::ProviderProfileDiagnostic;
use tonic::{Code, Status};

use super::time;
use crate::history::{Outcome, Position};

/// What an operation came to, and of which state its answer speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) outcome: Outcome,
    pub(crate) at: Option<Position>,
    /// Under its request id.
    pub(crate) attempts: u32,
}

impl Heard {
    /// An outcome that speaks of no state.
    pub(crate) fn nowhere(outcome: Outcome) -> Self {
        Self { outcome, at: None, attempts: 1 }
    }

    /// An outcome that speaks of the state that was seen.
    pub(crate) fn of(outcome: Outcome, seen: &Seen) -> Self {
        Self { outcome, at: position(seen), attempts: 1 }
    }

    /// What the cluster never says here.
    pub(crate) fn wrong(said: String, seen: &Seen) -> Self {
        Self::of(Outcome::Wrong { said }, seen)
    }

    /// A call that failed. `refused` says what a refusal means here, where it is one that may be; any other is
    /// wrong.
    pub(crate) fn failed(error: CallError, refused: impl FnOnce(&Status) -> Option<Outcome>) -> Self {
        error.status().into_iter().for_each(time::note);
        // Of every failure, since after an attempt in doubt even a refusal is about its own attempt alone.
        if let Some(outcome) = error.status().and_then(never_right) {
            return Self::nowhere(outcome);
        }
        match error {
            CallError::NotDone { .. } | CallError::Unreachable(_) => Self::nowhere(Outcome::NotDone),
            CallError::Unknown { .. } => Self::nowhere(Outcome::Unknown { why: error.to_string() }),
            CallError::Refused(status) => {
                let seen = Seen::from_metadata(status.metadata());
                let outcome = refused(&status).unwrap_or_else(|| refusal(&status));
                Self::of(outcome, &seen)
            }
        }
    }

    /// A call that failed at a node that answers from what it has: it may be behind, and then refuse what others grant.
    pub(crate) fn failed_behind(error: CallError) -> Self {
        Self::failed(error, |status| Some(refused(status)))
    }

    /// Whether it must be judged, even of a call that is not written down otherwise.
    pub(crate) fn is_never_right(&self) -> bool {
        matches!(self.outcome, Outcome::Wrong { .. }) || self.outcome.said_broken().is_some()
    }
}

/// Of which state an answer speaks, when it says so.
pub(crate) fn position(seen: &Seen) -> Option<Position> {
    seen.epoch.zip(seen.revision).map(|(epoch, revision)| Position { epoch, revision })
}

/// What a status means that no node rightly says, whatever it is asked and whatever is done to it.
fn never_right(status: &Status) -> Option<Outcome> {
    let said = words(status);
    if said_by(status).is_some() && matches!(status.code(), Code::Internal | Code::DataLoss) {
        return Some(Outcome::broken(&said));
    }
    // Each id goes with one request here, whichever nodes it is sent to.
    status.message().starts_with(MISMATCHED).then_some(Outcome::Wrong { said })
}

/// How the refusal of a request id begins that belongs to something else.
const MISMATCHED: &str = "request id: it was used for another request";

/// A refusal that says nothing about what is there: the cluster may refuse an id for its time, where clocks are moved,
/// and nothing else.
fn refusal(status: &Status) -> Outcome {
    match status.code() {
        // No node said it: see `never_right`.
        Code::Internal | Code::DataLoss | Code::Unknown => Outcome::Unknown { why: words(status) },
        _ if id_time_ms(status).is_some() => refused(status),
        _ => Outcome::Wrong { said: words(status) },
    }
}

/// A refusal that is right here, and says nothing about keys.
pub(crate) fn refused(status: &Status) -> Outcome {
    Outcome::Refused { code: format!("{:?}", status.code()), said: status.message().to_owned() }
}

fn words(status: &Status) -> String {
    format!("{:?}: {}", status.code(), status.message())
}

/// The refusal of a version that is not the stored one.
pub(crate) fn conflict(status: &Status) -> Option<Outcome> {
    if status.code() != Code::Aborted {
        return None;
    }
    let text = status.message();
    let (_, rest) = text.split_once('"')?;
    let (key, _) = rest.split_once('"')?;
    Some(Outcome::Conflict { key: key.to_owned(), current: stated_version(text) })
}

/// The current version that a refusal states.
fn stated_version(text: &str) -> Option<u64> {
    let (_, rest) = text.split_once("current resource_version is ")?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// A word of all refusals of what would leave it open which of two providers is used.
const AMBIGUOUS: &str = "ambigu";

/// The refusal of what would make the policy of a sandbox ambiguous.
pub(crate) fn ambiguous(status: &Status) -> Option<Outcome> {
    let is_one = status.code() == Code::FailedPrecondition && status.message().contains(AMBIGUOUS);
    is_one.then(|| refused(status))
}

/// What diagnostics in the place of a change mean: exactly some of the keys are there, or not. A change that would
/// make a policy ambiguous is one only where `may_clash`.
pub(crate) fn diagnosed(diagnostics: &[ProviderProfileDiagnostic], may_clash: bool) -> Outcome {
    let named = |text: &str| -> Vec<String> {
        let about = diagnostics.iter().filter(|one| one.message.contains(text));
        about.map(|one| one.profile_id.clone()).collect()
    };
    let (exists, absent) = (named("already exists in"), named("does not exist in"));
    let said = || diagnostics.iter().map(|one| one.message.as_str()).collect::<Vec<_>>().join("; ");
    match diagnostics.len() {
        0 => Outcome::Wrong { said: "nothing was changed, and nobody said why".to_owned() },
        count if count == exists.len() => Outcome::Exists { keys: exists },
        count if count == absent.len() => Outcome::Absent { keys: absent },
        _ if may_clash && diagnostics.iter().all(|one| one.message.contains(AMBIGUOUS)) => {
            Outcome::Refused { code: "Ambiguous".to_owned(), said: said() }
        }
        _ => Outcome::Wrong { said: said() },
    }
}

#[cfg(test)]
mod tests {
    use openshell_client::Uuid;

    use super::*;

    fn diagnostic(id: &str, message: &str) -> ProviderProfileDiagnostic {
        ProviderProfileDiagnostic {
            profile_id: id.to_owned(),
            message: message.to_owned(),
            ..ProviderProfileDiagnostic::default()
        }
    }

    #[test]
    fn the_key_and_its_current_version_are_read_from_a_refusal() {
        let text = "profile \"p-1\" was modified concurrently (concurrent modification): expected resource_version 3, \
                    the current resource_version is 14; read it again and repeat the change";
        let outcome = conflict(&Status::aborted(text));
        assert_eq!(outcome, Some(Outcome::Conflict { key: "p-1".to_owned(), current: Some(14) }));
        assert_eq!(conflict(&Status::not_found(text)), None);
        assert_eq!(stated_version("something else"), None);
    }

    /// As a node sends it, with what it says about its state.
    fn marked(mut status: Status) -> Status {
        status.metadata_mut().insert("x-openshell-node", "2".parse().expect("a value"));
        status
    }

    fn heard(status: Status) -> Outcome {
        Heard::failed(CallError::Refused(marked(status)), |_| None).outcome
    }

    fn after_doubt(status: Status) -> Outcome {
        let error = CallError::Unknown { request_id: Uuid::nil(), status: marked(status), attempts: 2 };
        Heard::failed(error, |_| None).outcome
    }

    #[test]
    fn a_refusal_that_nobody_knows_of_is_wrong() {
        for status in [
            Status::not_found("no such thing"),
            Status::resource_exhausted("later"),
            Status::failed_precondition("not now"),
            Status::aborted("no version in it"),
            Status::invalid_argument("no name"),
        ] {
            let said = words(&status);
            assert_eq!(heard(status), Outcome::Wrong { said });
        }
        for mut of_the_clock in [Status::invalid_argument("made in the future"), Status::failed_precondition("too old")]
        {
            of_the_clock.metadata_mut().insert("x-openshell-id-time-ms", 1.into());
            // Not through `heard`, which would take the time over for the whole process.
            assert!(matches!(refusal(&of_the_clock), Outcome::Refused { .. }));
        }
    }

    #[test]
    fn a_request_id_of_another_request_is_wrong_even_after_doubt() {
        let status = || Status::invalid_argument(format!("{MISMATCHED}, RPC or principal before"));
        assert!(matches!(heard(status()), Outcome::Wrong { .. }));
        assert!(matches!(after_doubt(status()), Outcome::Wrong { .. }));
    }

    #[test]
    fn a_node_that_says_that_it_is_broken_leaves_doubt_that_is_told_from_other_doubt() {
        for status in [Status::internal("a fault"), Status::data_loss("a fault")] {
            let said = words(&status);
            for outcome in [heard(status.clone()), after_doubt(status)] {
                assert_eq!(outcome.said_broken(), Some(said.as_str()));
            }
        }
        assert_eq!(after_doubt(Status::unavailable("a fault")).said_broken(), None);
    }

    #[test]
    fn a_node_that_is_behind_may_refuse_and_may_not_be_broken() {
        let heard = |status: Status| Heard::failed_behind(CallError::Refused(marked(status)));
        for status in [Status::not_found("no such sandbox"), Status::unauthenticated("an unknown token")] {
            assert!(!heard(status).is_never_right());
        }
        for status in [Status::internal("a fault"), Status::data_loss("a fault")] {
            assert!(heard(status).is_never_right());
        }
        let unmarked = Heard::failed_behind(CallError::Refused(Status::internal("h2 protocol error")));
        assert!(!unmarked.is_never_right(), "no node said it");
    }

    #[test]
    fn what_a_broken_connection_is_made_into_was_said_by_no_node() {
        let unmarked = Heard::failed(CallError::Refused(Status::internal("Missing response message.")), |_| None);
        assert!(matches!(unmarked.outcome, Outcome::Unknown { .. }) && !unmarked.is_never_right());
        let cut_short = heard(Status::internal("Unexpected EOF decoding stream."));
        assert!(matches!(cut_short, Outcome::Unknown { .. }) && cut_short.said_broken().is_none());
        let with_source = Status::from_error(std::io::Error::other("the connection broke").into());
        assert_eq!(said_by(&marked(with_source)), None);
    }

    #[test]
    fn an_endpoint_that_was_not_reached_leaves_no_doubt() {
        assert_eq!(Heard::failed(CallError::Unreachable(Vec::new()), |_| None).outcome, Outcome::NotDone);
    }

    #[test]
    fn diagnostics_name_all_that_is_there_or_all_that_is_not() {
        let exists = diagnostic("a", "profile \"a\" already exists in workspace \"w\"; update it instead");
        let absent = diagnostic("b", "custom profile \"b\" does not exist in workspace \"w\"; import it first");
        let diagnosed = |diagnostics: &[_]| super::diagnosed(diagnostics, false);
        assert_eq!(diagnosed(std::slice::from_ref(&exists)), Outcome::Exists { keys: vec!["a".to_owned()] });
        assert_eq!(diagnosed(std::slice::from_ref(&absent)), Outcome::Absent { keys: vec!["b".to_owned()] });
        assert!(matches!(diagnosed(&[exists, absent]), Outcome::Wrong { .. }), "both at once are of no one request");
        let ambiguous = diagnostic("a", "update would create ambiguous dynamic token grants on sandbox \"s\"");
        assert!(matches!(diagnosed(std::slice::from_ref(&ambiguous)), Outcome::Wrong { .. }), "nothing can clash here");
        assert!(matches!(super::diagnosed(&[ambiguous], true), Outcome::Refused { .. }));
        assert!(matches!(diagnosed(&[]), Outcome::Wrong { .. }));
    }
}
