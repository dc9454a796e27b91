//! What a sandbox's synchronisation is told. Where a program gets it from is its own business.

use std::path::PathBuf;
use std::time::Duration;

use openshell_client::{EndpointUrl, Tls};

use crate::installed::{AgePolicy, WhenStale};
use crate::token::TokenSource;

/// Everything that [`crate::SyncClient::start`] needs to know.
#[derive(Clone, Debug)]
pub struct Options {
    /// The sandbox's id, not its name.
    pub sandbox_id: String,
    /// Its token.
    pub token: TokenSource,
    /// Gateways of one cluster, at least one. The others are learned from it.
    pub endpoints: Vec<EndpointUrl>,
    /// How `https` endpoints are trusted.
    pub tls: Tls,
    /// Where what is installed is kept; made where it is missing, for one sandbox and one process.
    pub state_dir: PathBuf,
    /// Where this machine stands: nodes of the same zone are preferred.
    pub zone: Option<String>,
    /// From which age on `when_stale` holds. None is never, which does not go with [`WhenStale::FailClosed`].
    pub max_age: Option<Duration>,
    /// What holds then.
    pub when_stale: WhenStale,
}

impl Options {
    /// Options without TLS, zone and maximum age.
    #[must_use]
    pub fn new(sandbox_id: &str, token: TokenSource, endpoints: Vec<EndpointUrl>, state_dir: PathBuf) -> Self {
        Self {
            sandbox_id: sandbox_id.to_owned(),
            token,
            endpoints,
            tls: Tls::None,
            state_dir,
            zone: None,
            max_age: None,
            when_stale: WhenStale::default(),
        }
    }

    pub(crate) fn age_policy(&self) -> AgePolicy {
        AgePolicy { max_age: self.max_age, when_stale: self.when_stale }
    }
}
