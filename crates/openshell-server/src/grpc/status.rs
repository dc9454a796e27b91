//! Answers and refusals on the wire: gRPC codes in one table, and the headers that say which
//! state an answer speaks of.

use openshell_proto::cluster::Position;
use openshell_raft::Unavailable;
use openshell_state::{Code, Refusal};
use tonic::Status;
use tonic::metadata::{MetadataMap, MetadataValue};

/// Longest text of a refusal, bytes. Three times as many when encoded, beside a client's 16 KiB for all headers.
const TEXT_BYTES_MAX: usize = 4096;

/// Which state an answer speaks of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) at: Position,
    pub(crate) node: u64,
    pub(crate) age_ms: u64,
}

impl Seen {
    /// Writes the headers that every answer carries, refusals too.
    pub(crate) fn write(self, metadata: &mut MetadataMap) {
        for (name, value) in [
            ("x-openshell-epoch", self.at.epoch),
            ("x-openshell-revision", self.at.revision),
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
    Status::new(code, bounded(&refusal.message))
}

/// A refusal's text as it goes on the wire: the beginning and the end of one that is longer than a header bears.
/// What a client does not take in a header ends its connection, with every other call on it.
fn bounded(text: &str) -> String {
    if text.len() <= TEXT_BYTES_MAX {
        return text.to_owned();
    }
    let head = text.floor_char_boundary(TEXT_BYTES_MAX - TEXT_BYTES_MAX / 4);
    let tail = text.ceil_char_boundary(text.len() - TEXT_BYTES_MAX / 4);
    format!("{} [... {} bytes left out ...] {}", &text[..head], tail - head, &text[tail..])
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

/// A rule's no. One to a request id that does not fit the cluster's time says at which time to make another: milliseconds
/// since the Unix epoch, 0 for any other refusal. Who made one attempt under it, and no other, may do so.
pub(super) fn refused_id(refusal: &Refusal, id_time_ms: i64) -> Status {
    let mut status = refused(refusal);
    if id_time_ms != 0 {
        status.metadata_mut().insert("x-openshell-id-time-ms", MetadataValue::from(id_time_ms));
    }
    status
}

/// What the caller says it has seen is not of this cluster, or of another life of it: nothing was looked at
/// but that. The header `x-openshell-position: lost` tells it from a rule's no.
pub(crate) fn position_lost(text: String) -> Status {
    let mut status = Status::failed_precondition(text);
    status.metadata_mut().insert("x-openshell-position", MetadataValue::from_static("lost"));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_refusal_keeps_its_beginning_and_its_end() {
        let short = refused(&Refusal::invalid("name is required"));
        assert_eq!(short.message(), "name is required");
        let long = refused(&Refusal::invalid(format!("name \"{}\" is too long", "ä".repeat(500_000))));
        assert!(long.message().len() < TEXT_BYTES_MAX + 100, "{} bytes", long.message().len());
        assert!(long.message().starts_with("name \"ä") && long.message().ends_with("is too long"));
        assert!(long.message().contains("bytes left out"));
    }
}
