//! Why a command failed, in words for a person, with the exit code. How a gRPC status reads, and what can be
//! done about it, is decided here (`cli.md` 1.11); how it looks is decided in `output`.

use std::error::Error;

use openshell_client::CallError;
use tonic::Code;

use crate::excerpt::Excerpt;

/// The exit code of whoever waited in vain, as that of `timeout`.
pub(crate) const TIMED_OUT: u8 = 124;

/// A command's failure: one sentence, its causes down to the first, places in files that it is about, what
/// to do next, and the exit code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) message: String,
    pub(crate) causes: Vec<String>,
    pub(crate) excerpts: Vec<Excerpt>,
    pub(crate) advice: Option<String>,
    pub(crate) exit_code: u8,
}

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), causes: Vec::new(), excerpts: Vec::new(), advice: None, exit_code: 1 }
    }

    /// Adds an error and its own causes.
    pub(crate) fn because(mut self, error: &dyn Error) -> Self {
        let mut next = Some(error);
        while let Some(error) = next {
            self.causes.push(error.to_string());
            next = error.source();
        }
        self
    }

    /// Shows places in files.
    pub(crate) fn at(mut self, excerpts: impl IntoIterator<Item = Excerpt>) -> Self {
        self.excerpts.extend(excerpts);
        self
    }

    /// Says what to do next.
    pub(crate) fn advise(self, advice: impl Into<String>) -> Self {
        Self { advice: Some(advice.into()), ..self }
    }

    pub(crate) fn with_exit_code(self, exit_code: u8) -> Self {
        Self { exit_code, ..self }
    }
}

/// A status as the library behind the original prints it: description of the code, then the message.
pub(crate) fn status_text(status: &tonic::Status) -> String {
    let code = status.code();
    match status.message() {
        "" => format!("code: '{code}'"),
        message => format!("code: '{code}', message: {message:?}"),
    }
}

/// What a person can do about a refusal whose message cannot know this program.
fn advice(code: Code) -> Option<&'static str> {
    match code {
        Code::Unauthenticated | Code::PermissionDenied => {
            Some("'openshell whoami' shows who you are to the gateway, and in which roles")
        }
        Code::Aborted => Some("it was changed meanwhile: look at it again, then repeat the command"),
        Code::Ok
        | Code::Cancelled
        | Code::Unknown
        | Code::InvalidArgument
        | Code::DeadlineExceeded
        | Code::NotFound
        | Code::AlreadyExists
        | Code::ResourceExhausted
        | Code::FailedPrecondition
        | Code::OutOfRange
        | Code::Unimplemented
        | Code::Internal
        | Code::Unavailable
        | Code::DataLoss => None,
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Refused(status) => {
                Self { advice: advice(status.code()).map(str::to_owned), ..Self::new(status_text(&status)) }
            }
            CallError::NotDone { status, .. } => Self {
                causes: vec!["nothing was changed; the command can be repeated".to_owned()],
                ..Self::new(status_text(&status))
            },
            CallError::Unknown { request_id, status, .. } => Self {
                causes: vec![format!(
                    "it is unknown whether request {request_id} took effect: look before repeating a change"
                )],
                ..Self::new(status_text(&status))
            },
            CallError::Unreachable(failures) => {
                let causes = match failures.as_slice() {
                    [only] => only.causes.clone(),
                    several => several.iter().map(ToString::to_string).collect(),
                };
                let tried: Vec<_> = failures.iter().map(|failure| failure.endpoint.as_str()).collect();
                Self {
                    causes,
                    ..Self::new(format!("transport error: no gateway could be reached at {}", tried.join(", ")))
                }
                .advise("see that a gateway runs there; 'openshell gateway list' shows which ones are registered")
            }
        }
    }
}

impl From<openshell_client::ConfigurationError> for Failure {
    fn from(error: openshell_client::ConfigurationError) -> Self {
        let mut failure = Self::new(error.to_string());
        if let Some(source) = error.source() {
            failure = failure.because(source);
        }
        failure
    }
}

#[cfg(test)]
mod tests {
    use super::Failure;
    use openshell_client::{CallError, EndpointFailure};

    #[test]
    fn a_refusal_reads_as_the_description_of_its_code_and_the_escaped_message() {
        let failure =
            Failure::from(CallError::Refused(tonic::Status::aborted("resource_version is 2, \"1\" expected")));
        assert_eq!(
            failure.message,
            r#"code: 'The operation was aborted', message: "resource_version is 2, \"1\" expected""#
        );
        assert_eq!(failure.exit_code, 1);
        assert!(failure.advice.is_some_and(|advice| advice.contains("repeat the command")));
    }

    #[test]
    fn several_unreachable_endpoints_are_each_a_cause() {
        let down = |endpoint: &str| EndpointFailure {
            endpoint: endpoint.to_owned(),
            causes: vec!["transport error".to_owned(), "refused".to_owned()],
        };
        let failure = Failure::from(CallError::Unreachable(vec![down("http://a:1"), down("http://b:1")]));
        assert_eq!(failure.causes, ["http://a:1: transport error: refused", "http://b:1: transport error: refused"]);
        let failure = Failure::from(CallError::Unreachable(vec![down("http://a:1")]));
        assert_eq!(failure.causes, ["transport error", "refused"]);
    }
}
