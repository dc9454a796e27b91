//! Answers and refusals on the wire: gRPC codes in one table, and the headers that say which
//! state an answer speaks of.

use openshell_raft::Unavailable;
use openshell_state::{Code, Refusal};
use tonic::Status;
use tonic::metadata::{MetadataMap, MetadataValue};

/// Which state an answer speaks of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) epoch: u64,
    pub(crate) revision: u64,
    pub(crate) node: u64,
    pub(crate) age_ms: u64,
}

impl Seen {
    /// Writes the headers that every answer carries, refusals too.
    pub(crate) fn write(self, metadata: &mut MetadataMap) {
        for (name, value) in [
            ("x-openshell-epoch", self.epoch),
            ("x-openshell-revision", self.revision),
            ("x-openshell-node", self.node),
            ("x-openshell-age-ms", self.age_ms),
        ] {
            metadata.insert(name, MetadataValue::from(value));
        }
    }
}

/// A rule's no, as a status.
pub(crate) fn refused(refusal: &Refusal) -> Status {
    let code = match refusal.code {
        Code::InvalidArgument => tonic::Code::InvalidArgument,
        Code::NotFound => tonic::Code::NotFound,
        Code::AlreadyExists => tonic::Code::AlreadyExists,
        Code::PermissionDenied => tonic::Code::PermissionDenied,
        Code::ResourceExhausted => tonic::Code::ResourceExhausted,
        Code::FailedPrecondition => tonic::Code::FailedPrecondition,
        Code::Aborted => tonic::Code::Aborted,
        Code::OutOfRange => tonic::Code::OutOfRange,
        Code::Unimplemented => tonic::Code::Unimplemented,
        Code::Internal => tonic::Code::Internal,
        Code::Unavailable => tonic::Code::Unavailable,
        Code::Unauthenticated => tonic::Code::Unauthenticated,
    };
    Status::new(code, refusal.message.clone())
}

/// Marks a refusal as one for every attempt of the call, those before it too: the header
/// `x-openshell-outcome` says `refused`. Without the mark a refusal is about its own attempt.
pub(crate) fn settle(status: &mut Status) {
    status.metadata_mut().insert("x-openshell-outcome", MetadataValue::from_static("refused"));
}

/// The call took effect and its answer cannot be completed: the code of what is missing, and
/// `x-openshell-outcome: unknown`, because a failed call whose effect is there is no refusal. The same
/// request id hears the answer again.
pub(crate) fn incomplete(reason: &Status) -> Status {
    let text = format!(
        "the call took effect, but its answer could not be completed: {}; repeat it with the same x-openshell-request-id",
        reason.message()
    );
    let mut status = Status::new(reason.code(), text);
    status.metadata_mut().insert("x-openshell-outcome", MetadataValue::from_static("unknown"));
    status
}

/// The cluster cannot say. Whether the call may have taken effect is in the header
/// `x-openshell-outcome`: `not-done` or `unknown`.
pub(crate) fn unavailable(error: &Unavailable) -> Status {
    let (text, outcome) = match error {
        Unavailable::NotDone { reason, .. } => {
            (format!("the cluster cannot take the call now, nothing was changed: {reason}; repeat it"), "not-done")
        }
        Unavailable::Unknown { reason } => (
            format!(
                "it is not known whether the call took effect: {reason}; repeat it with the same x-openshell-request-id"
            ),
            "unknown",
        ),
    };
    let mut status = Status::unavailable(text);
    status.metadata_mut().insert("x-openshell-outcome", MetadataValue::from_static(outcome));
    status
}
