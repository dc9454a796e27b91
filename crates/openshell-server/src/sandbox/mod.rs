//! What a node holds for sandboxes beside the state: the key their tokens are signed with, opened,
//! and their environments, sealed. Which call asks for what is in `grpc/sandbox.rs`.

mod environments;
pub(crate) mod tokens;

use std::sync::Arc;
use std::time::Duration;

use openshell_raft::Clock;

pub(crate) use environments::Environments;
pub(crate) use tokens::Tokens;

use crate::secrets::Secrets;

/// Environments of sandboxes are kept up to this size together.
const ENVIRONMENTS_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A node's keeper of tokens and environments.
pub(crate) struct Sandboxes {
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) environments: Environments,
}

impl Sandboxes {
    /// `token_ttl` is how long a token is valid; zero is for ever.
    pub(crate) fn new(secrets: &Arc<Secrets>, clock: &Arc<dyn Clock>, token_ttl: Duration) -> Self {
        Self {
            tokens: Arc::new(Tokens::new(secrets.clone(), Arc::clone(clock), token_ttl)),
            environments: Environments::new(secrets.clone(), Arc::clone(clock), ENVIRONMENTS_BYTES_MAX),
        }
    }
}
