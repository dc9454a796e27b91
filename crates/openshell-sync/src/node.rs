//! One node: a connection with the sandbox's token, and the small questions that are asked over it. The
//! stream is in `session`.

use std::time::{Duration, Instant};

use openshell_client::{CallError, CallOptions, Client, ClientBuilder, ConfigurationError, EndpointUrl, Seen, methods};
use openshell_proto::cluster::{GetMembersRequest, GetMembersResponse};
use openshell_proto::v1::{RefreshSandboxTokenRequest, RefreshSandboxTokenResponse};
use tokio::task::JoinSet;

use crate::nearest::{Nearest, Neighbour};
use crate::options::Options;

/// For connecting, and for an answer to a small question.
pub(crate) const CALL_LIMIT: Duration = Duration::from_secs(1);

/// What a node said when it was measured.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    endpoint: EndpointUrl,
    round_trip: Duration,
    node: Option<u64>,
    age: Duration,
    /// Empty from a gateway that does not say.
    members: Vec<Neighbour>,
}

/// A connection to one node, made with the first call.
pub(crate) fn connection(options: &Options, endpoint: &EndpointUrl, token: &str) -> Result<Client, ConfigurationError> {
    ClientBuilder::new(vec![endpoint.clone()])
        .tls(options.tls.clone())
        .header("authorization", &format!("Bearer {token}"))
        .connect_limit(CALL_LIMIT)
        .build()
}

/// One attempt within a limit.
pub(crate) fn once(limit: Duration) -> CallOptions {
    CallOptions::default().once().deadline(limit)
}

/// Asks for a new token.
pub(crate) async fn new_token(client: Client) -> Result<RefreshSandboxTokenResponse, CallError> {
    let request = RefreshSandboxTokenRequest::default();
    client.call(&methods::REFRESH_SANDBOX_TOKEN, request, &once(CALL_LIMIT)).await.map(|answer| answer.message)
}

/// Measures these nodes side by side; those that do not answer are missing. Once one has answered, the
/// others have `patience` left.
pub(crate) async fn measure(
    options: &Options,
    token: &str,
    endpoints: Vec<EndpointUrl>,
    patience: Duration,
) -> Vec<Measured> {
    let mut measuring = JoinSet::new();
    for endpoint in endpoints {
        if let Ok(client) = connection(options, &endpoint, token) {
            measuring.spawn(measured(client, endpoint));
        }
    }
    let mut found = Vec::new();
    let mut left = CALL_LIMIT * 3;
    let begun = Instant::now();
    while let Ok(Some(ended)) = tokio::time::timeout(left.saturating_sub(begun.elapsed()), measuring.join_next()).await
    {
        if let Ok(Some(measured)) = ended {
            left = left.min(begun.elapsed() + patience);
            found.push(measured);
        }
    }
    found
}

/// The first call connects, the second is the one whose time counts.
async fn measured(client: Client, endpoint: EndpointUrl) -> Option<Measured> {
    members(&client).await?;
    let begun = Instant::now();
    let (seen, said) = members(&client).await?;
    let round_trip = begun.elapsed();
    let members = said.members.iter().filter_map(|member| {
        let endpoint = EndpointUrl::parse(&member.client_address).ok()?;
        Some(Neighbour { node: member.id, endpoint, zone: member.zone.clone() })
    });
    let node = Some(said.node).filter(|node| *node > 0).or(seen.node);
    let age = Duration::from_millis(seen.age_ms.unwrap_or(0));
    Some(Measured { members: members.collect(), endpoint, round_trip, node, age })
}

/// A refusal is an answer too: a released gateway does not have the call.
async fn members(client: &Client) -> Option<(Seen, GetMembersResponse)> {
    match client.call(&methods::GET_MEMBERS, GetMembersRequest {}, &once(CALL_LIMIT)).await {
        Ok(answer) => Some((answer.seen, answer.message)),
        Err(CallError::Refused(status)) => {
            Some((Seen::from_metadata(status.metadata()), GetMembersResponse::default()))
        }
        Err(CallError::NotDone { .. } | CallError::Unknown { .. } | CallError::Unreachable(_)) => None,
    }
}

impl Measured {
    /// Tells the choice what was found among those that were asked, and who did not answer: members last, as
    /// who is given under another name is known by its id.
    pub(crate) fn tell(asked: &[EndpointUrl], found: &[Self], nearest: &mut Nearest) {
        for endpoint in asked {
            match found.iter().find(|one| one.endpoint == *endpoint) {
                Some(one) => nearest.answered(endpoint, one.round_trip, one.node, one.age),
                None => nearest.unanswered(endpoint),
            }
        }
        // The node that knows most recently.
        if let Some(one) = found.iter().filter(|one| !one.members.is_empty()).min_by_key(|one| one.age) {
            nearest.learn(&one.members);
        }
    }

    /// Of the endpoints that are known, those that were not asked.
    pub(crate) fn missing(asked: &[EndpointUrl], nearest: &Nearest) -> Vec<EndpointUrl> {
        nearest.endpoints().filter(|endpoint| !asked.contains(endpoint)).cloned().collect()
    }
}
