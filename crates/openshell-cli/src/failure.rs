//! Why a command failed, in words for a person, with the exit code. How a gRPC status reads is decided
//! here (`cli.md` 1.11); where it is printed is decided in `output`.

use std::error::Error;

use openshell_client::CallError;

/// A command's failure: one sentence, its causes down to the first, and the exit code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) message: String,
    pub(crate) causes: Vec<String>,
    pub(crate) exit_code: u8,
}

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), causes: Vec::new(), exit_code: 1 }
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

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Refused(status) => Self::new(status_text(&status)),
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
