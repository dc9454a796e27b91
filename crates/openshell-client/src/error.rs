//! How a call can fail, by what the caller may do next. Wording for people is the caller's.

use uuid::Uuid;

use crate::endpoint::EndpointError;
use crate::tls::TlsError;

/// Why no client could be made. Retrying does not help.
#[derive(Debug, thiserror::Error)]
pub enum ConfigurationError {
    /// An endpoint that is none.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// Certificates that cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A header that cannot be sent.
    #[error("header '{name}' cannot be sent: {problem}")]
    Header {
        /// The header's name.
        name: String,
        /// What is wrong with its name or value; the value itself may be a secret and is not shown.
        problem: String,
    },
    /// A client needs at least one endpoint.
    #[error("no endpoint was given")]
    NoEndpoint,
}

/// Why one endpoint could not be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointFailure {
    /// The endpoint's URL.
    pub endpoint: String,
    /// What went wrong, each followed by its own cause, down to the operating system's words.
    pub causes: Vec<String>,
}

impl std::fmt::Display for EndpointFailure {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}: {}", self.endpoint, self.causes.join(": "))
    }
}

/// Why a call has no answer. Every variant says whether the call may have taken effect.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The cluster decided and said no: definite. Repeating the same call hears the same until the
    /// state changes. What the refusal was judged on is in `Seen::from_metadata(status.metadata())`.
    #[error("refused: {} ({:?})", .0.message(), .0.code())]
    Refused(tonic::Status),
    /// Nothing happened and nothing will: definite, may be repeated freely.
    #[error("not done after {attempts} attempts: {}", .status.message())]
    NotDone {
        /// The last answer.
        status: tonic::Status,
        /// Attempts that reached a node.
        attempts: u32,
    },
    /// It may have taken effect, now or later. Repeat only under the same request id. The status may
    /// be a refusal: of a repetition, by a node that cannot tell what became of the attempts before,
    /// because the id has expired or the epoch is another; or a node says that the call took effect and
    /// its answer could not be completed. Then look before repeating anything.
    #[error("it is unknown whether request {request_id} took effect, after {attempts} attempts: {}", .status.message())]
    Unknown {
        /// The identity to repeat the call under.
        request_id: Uuid,
        /// The last failure.
        status: tonic::Status,
        /// Attempts that may have reached a node.
        attempts: u32,
    },
    /// No endpoint could be connected, so nothing was sent: definite, may be repeated freely.
    #[error("no gateway could be reached: {}", join(.0))]
    Unreachable(Vec<EndpointFailure>),
}

impl CallError {
    /// Whether the call certainly took no effect.
    #[must_use]
    pub fn is_definite(&self) -> bool {
        match self {
            Self::Refused(_) | Self::NotDone { .. } | Self::Unreachable(_) => true,
            Self::Unknown { .. } => false,
        }
    }

    /// The same failure of a call that changes nothing: whatever became of it, it took no effect.
    #[must_use]
    pub fn of_a_read(self) -> Self {
        match self {
            Self::Unknown { status, attempts, .. } => Self::NotDone { status, attempts },
            definite @ (Self::Refused(_) | Self::NotDone { .. } | Self::Unreachable(_)) => definite,
        }
    }

    /// The status behind the failure, if a node or the connection to it gave one.
    #[must_use]
    pub fn status(&self) -> Option<&tonic::Status> {
        match self {
            Self::Refused(status) | Self::NotDone { status, .. } | Self::Unknown { status, .. } => Some(status),
            Self::Unreachable(_) => None,
        }
    }

    /// The gRPC code with which the cluster refused, if it did.
    #[must_use]
    pub fn refusal_code(&self) -> Option<tonic::Code> {
        match self {
            Self::Refused(status) => Some(status.code()),
            Self::NotDone { .. } | Self::Unknown { .. } | Self::Unreachable(_) => None,
        }
    }
}

fn join(failures: &[EndpointFailure]) -> String {
    failures.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// An error's own words and those of its causes, without repetitions.
pub(crate) fn causes(error: &dyn std::error::Error) -> Vec<String> {
    let mut causes: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        if causes.last() != Some(&text) {
            causes.push(text);
        }
        next = error.source();
    }
    causes
}
