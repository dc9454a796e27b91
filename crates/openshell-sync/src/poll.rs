//! What every gateway answers, also a released one: the configuration and the environment, asked for one
//! after the other. The fallback where there is no stream.

use openshell_client::{Answer, CallError, Client, methods};
use openshell_proto::sandbox::GetSandboxConfigRequest;
use openshell_proto::v1::GetSandboxProviderEnvironmentRequest;
use std::time::Duration;
use tonic::Code;

use crate::installed::Offer;
use crate::node::once;
use crate::position::Position;

/// For one answer.
const LIMIT: Duration = Duration::from_secs(5);
/// How often both are asked for until they are of one state.
const ATTEMPTS: u32 = 3;

/// What was found, and how old what the node knows is.
pub(crate) struct Polled {
    pub(crate) offer: Offer,
    pub(crate) node: Option<u64>,
    pub(crate) age: Duration,
}

/// Asks one node for both, until the environment is the one that the configuration names.
///
/// # Errors
/// As of the call: when nothing is answered, or the sandbox is refused as such. What cannot be composed is
/// in the offer.
pub(crate) async fn poll(client: &Client, sandbox_id: &str) -> Result<Polled, CallError> {
    let mut attempt = 1;
    loop {
        let polled = both(client, sandbox_id).await?;
        let named = polled.offer.config.as_ref().ok().map(|config| config.provider_env_revision);
        let found = polled.offer.environment.as_ref().ok().map(|environment| environment.provider_env_revision);
        let differ = named.zip(found).is_some_and(|(named, found)| named != found && named != 0);
        if !differ || attempt == ATTEMPTS {
            return Ok(polled);
        }
        attempt += 1;
    }
}

async fn both(client: &Client, sandbox_id: &str) -> Result<Polled, CallError> {
    let request = GetSandboxConfigRequest { sandbox_id: sandbox_id.to_owned() };
    let config = composed(client.call(&methods::GET_SANDBOX_CONFIG, request, &once(LIMIT)).await)?;
    let request = GetSandboxProviderEnvironmentRequest {
        sandbox_id: sandbox_id.to_owned(),
        supports_static_credential_bindings: true,
    };
    let environment = composed(client.call(&methods::GET_SANDBOX_PROVIDER_ENVIRONMENT, request, &once(LIMIT)).await)?;
    let seen = config.as_ref().map_or_else(|(_, seen)| *seen, |answer| answer.seen);
    Ok(Polled {
        offer: Offer {
            // The older of the two, which is the one that was asked for first.
            position: seen.epoch.zip(seen.revision).map(|(epoch, revision)| Position { epoch, revision }),
            config: config.map(|answer| answer.message).map_err(|(why, _)| why),
            environment: environment.map(|answer| answer.message).map_err(|(why, _)| why),
        },
        node: seen.node,
        age: Duration::from_millis(seen.age_ms.unwrap_or(0)),
    })
}

type Composed<T> = Result<Answer<T>, (String, openshell_client::Seen)>;

/// Tells a composition that is refused from a sandbox that is.
fn composed<T>(answer: Result<Answer<T>, CallError>) -> Result<Composed<T>, CallError> {
    match answer {
        Ok(answer) => Ok(Ok(answer)),
        Err(CallError::Refused(status)) if matches!(status.code(), Code::FailedPrecondition | Code::Internal) => {
            let seen = openshell_client::Seen::from_metadata(status.metadata());
            Ok(Err((status.message().to_owned(), seen)))
        }
        Err(error) => Err(error),
    }
}
