//! The messages of a stream with what they carry left encoded, as it is kept. Environments are in plain text
//! here, so that none of it can be printed.

use std::fmt;

use bytes::Bytes;
use openshell_proto::sync::{Heartbeat, Refused, Session, SyncPosition};
use openshell_state::Refusal;

/// A `FollowResponse`.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub(crate) struct Event {
    #[prost(message, optional, tag = "1")]
    pub(super) session: Option<Session>,
    #[prost(message, optional, tag = "2")]
    pub(super) configuration: Option<Configuration>,
    #[prost(message, optional, tag = "3")]
    pub(super) heartbeat: Option<Heartbeat>,
}

/// A `Configuration`.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub(super) struct Configuration {
    #[prost(message, optional, tag = "1")]
    pub(super) position: Option<SyncPosition>,
    #[prost(bool, tag = "2")]
    pub(super) unchanged: bool,
    #[prost(bytes = "bytes", optional, tag = "3")]
    pub(super) config: Option<Bytes>,
    #[prost(message, optional, tag = "4")]
    pub(super) config_refused: Option<Refused>,
    #[prost(bytes = "bytes", optional, tag = "5")]
    pub(super) environment: Option<Bytes>,
    #[prost(message, optional, tag = "6")]
    pub(super) environment_refused: Option<Refused>,
    #[prost(uint64, tag = "7")]
    pub(super) age_ms: u64,
}

/// What is read of a `GetSandboxConfigResponse`. The rest is passed over.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct ConfigRevision {
    #[prost(uint64, tag = "5")]
    pub(super) config_revision: u64,
}

impl fmt::Debug for Event {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Event")
    }
}

impl fmt::Debug for Configuration {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Configuration").field("position", &self.position).finish_non_exhaustive()
    }
}

/// Why something could not be composed, for the sandbox.
pub(super) fn refused(refusal: &Refusal) -> Refused {
    Refused { code: refusal.code as i32, message: refusal.message.clone() }
}

#[cfg(test)]
mod tests {
    use openshell_proto::sandbox::GetSandboxConfigResponse;
    use openshell_proto::sync::{self, FollowResponse, follow_response};
    use openshell_proto::v1::GetSandboxProviderEnvironmentResponse;
    use prost::Message;

    use super::*;

    #[test]
    fn what_is_left_encoded_reads_as_the_api_has_it() {
        let position = Some(SyncPosition { epoch: 1, revision: 7 });
        let config = GetSandboxConfigResponse { version: 3, ..GetSandboxConfigResponse::default() };
        let environment = GetSandboxProviderEnvironmentResponse {
            environment: [("TOKEN".to_owned(), "not-a-real-secret".to_owned())].into(),
            ..GetSandboxProviderEnvironmentResponse::default()
        };
        let refused = Refused { code: 9, message: "no".to_owned() };
        let encoded = Configuration {
            position,
            unchanged: false,
            config: Some(config.encode_to_vec().into()),
            config_refused: None,
            environment: Some(environment.encode_to_vec().into()),
            environment_refused: Some(refused.clone()),
            age_ms: 40,
        };
        let event = Event { configuration: Some(encoded), ..Event::default() };
        assert!(!format!("{event:?}{:?}", event.configuration).contains("secret"), "nothing of it is printed");
        let read = FollowResponse::decode(event.encode_to_vec().as_slice()).expect("it decodes");
        let expected = sync::Configuration {
            position,
            config: Some(config),
            environment: Some(environment),
            environment_refused: Some(refused),
            age_ms: 40,
            ..sync::Configuration::default()
        };
        assert_eq!(read.event, Some(follow_response::Event::Configuration(expected)));
    }

    #[test]
    fn the_number_of_a_configuration_is_the_one_that_the_api_has() {
        let config = GetSandboxConfigResponse { config_revision: 7, ..GetSandboxConfigResponse::default() };
        let read = ConfigRevision::decode(config.encode_to_vec().as_slice()).expect("it decodes");
        assert_eq!(read, ConfigRevision { config_revision: 7 });
    }
}
