//! What a sandbox is to have installed, composed from one state, and how that is told from what it has.

use bytes::Bytes;
use openshell_proto::sync::{FollowRequest, SyncPosition};
use openshell_proto::v1::Sandbox;
use openshell_state::{Key, Refusal, State, query};
use prost::Message;
use sha2::{Digest, Sha256};

use super::message::{ConfigRevision, Configuration, refused};
use crate::sandbox::Sandboxes;

/// What a sandbox has, as far as is known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    Nothing,
    /// What it said itself.
    Told {
        config_revision: u64,
        provider_env_revision: u64,
    },
    /// What it was sent.
    Sent(Mark),
}

/// Tells one configuration from another. There is no secret in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    config: [u8; 32],
    provider_env_revision: u64,
    valid_until_ms: Option<i64>,
}

/// A message, and what it leaves the sandbox with.
pub(super) struct Composed {
    pub(super) configuration: Configuration,
    /// None when something was refused.
    pub(super) mark: Option<Mark>,
    /// From this moment on (milliseconds since the Unix epoch) another one is due.
    pub(super) valid_until_ms: Option<i64>,
    /// Why something could not be composed.
    pub(super) refusal: Option<String>,
}

/// What a sandbox says that it has, as long as it is of this cluster's life and not beyond what this state knows.
pub(super) fn told(state: &State, request: &FollowRequest) -> (Known, u64) {
    let lawful = |position: &&SyncPosition| position.epoch == state.epoch() && position.revision <= state.revision();
    let Some(installed) = request.installed.as_ref().filter(lawful) else { return (Known::Nothing, 0) };
    let known = match request.config_revision {
        0 => Known::Nothing,
        config_revision => Known::Told { config_revision, provider_env_revision: request.provider_env_revision },
    };
    (known, installed.revision)
}

/// Composes it: both parts from this one state, through what the node keeps. Credentials are opened only when
/// they are sent.
pub(super) fn composed(sandboxes: &Sandboxes, state: &State, found: (&Key, &Sandbox), known: Known) -> Composed {
    let config = sandboxes.config(state, found);
    let digest = config.as_ref().ok().map(|config| <[u8; 32]>::from(Sha256::digest(config)));
    let has_config = match (&config, known) {
        (Ok(config), Known::Told { config_revision, .. }) => {
            // It is about what is enforced and says nothing of the policy's version: while nobody has said what
            // became of the latest one, the sandbox has to hear of it.
            !query::policy::is_pending(state, found) && revision_of(config) == Some(config_revision)
        }
        (Ok(_), Known::Sent(mark)) => digest == Some(mark.config),
        (Ok(_), Known::Nothing) | (Err(_), _) => false,
    };
    let environment = sandboxes.environment_unless(state, found, |revision, valid_until_ms| match known {
        Known::Nothing => false,
        Known::Told { provider_env_revision, .. } => has_config && provider_env_revision == revision,
        Known::Sent(mark) => {
            has_config && (mark.provider_env_revision, mark.valid_until_ms) == (revision, valid_until_ms)
        }
    });
    let valid_until_ms = environment.as_ref().ok().and_then(|environment| environment.valid_until_ms);
    let mark = digest.zip(environment.as_ref().ok()).map(|(config, environment)| Mark {
        config,
        provider_env_revision: environment.revision,
        valid_until_ms: environment.valid_until_ms,
    });
    let position = Some(SyncPosition { epoch: state.epoch(), revision: state.revision() });
    let refusal = [config.as_ref().err(), environment.as_ref().err()].into_iter().flatten().next();
    let refusal = refusal.map(|refusal| refusal.message.clone());
    let configuration = match (config, environment) {
        (Ok(_), Ok(environment)) if environment.answer.is_none() => {
            Configuration { position, unchanged: true, ..Configuration::default() }
        }
        (config, environment) => {
            let (config, config_refused) = either(config);
            let (environment, environment_refused) = either(environment.map(|it| it.answer.unwrap_or_default()));
            Configuration {
                position,
                config,
                config_refused,
                environment,
                environment_refused,
                ..Configuration::default()
            }
        }
    };
    Composed { configuration, mark, valid_until_ms, refusal }
}

fn either(part: Result<Bytes, Refusal>) -> (Option<Bytes>, Option<openshell_proto::sync::Refused>) {
    match part {
        Ok(part) => (Some(part), None),
        Err(refusal) => (None, Some(refused(&refusal))),
    }
}

fn revision_of(config: &Bytes) -> Option<u64> {
    ConfigRevision::decode(config.clone()).ok().map(|config| config.config_revision)
}
