//! A sandbox that follows the cluster: the library keeps it current, as tasks of this process, and gives the signs of life
//! that a supervisor gives. For how long it does, and what becomes of its configuration, is its workload's business.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use openshell_client::parse_endpoints;
use openshell_sync::{Hook, Options, SyncClient, TokenSource};
use openshell_tests::Access;
use tempfile::TempDir;

use super::client::Client;
use super::furnish::Furnishing;
use super::heard::Heard;
use crate::history::Outcome;

/// What a node says to a library that follows it is an answer to this.
pub(super) const FOLLOW: &str = "openshell.sync.v1.Sync/Follow";

/// One sandbox.
#[derive(Clone)]
pub(super) struct Followed {
    pub(super) name: String,
    id: String,
    token: String,
    state_dir: PathBuf,
    /// Goes with the last of them.
    _folder: Arc<TempDir>,
}

impl Followed {
    /// A new sandbox with some providers, which keeps in a folder what it has. Nobody follows yet.
    pub(super) async fn new(
        room: &Furnishing,
        name: &str,
        providers: &[&str],
        folder: &Arc<TempDir>,
    ) -> anyhow::Result<Self> {
        let id = room.sandbox(name, providers).await?;
        let (token, state_dir) = (room.token(name).await?, folder.path().join(name));
        Ok(Self { name: name.to_owned(), id, token, state_dir, _folder: Arc::clone(folder) })
    }

    /// Starts the library on what the sandbox has, with the nodes in an order that begins anywhere.
    pub(super) async fn start(&self, client: &mut Client, hook: impl Hook) -> anyhow::Result<SyncClient> {
        let first = client.any_node();
        let nodes = &client.shared.nodes;
        let order: Vec<Access> = nodes.iter().cycle().skip(first).take(nodes.len()).cloned().collect();
        let access = Access::to_all(&order);
        let endpoints = parse_endpoints(&access.urls).context("the URLs of the nodes")?;
        let token = TokenSource::Text(self.token.clone());
        let options = Options { tls: access.tls(), ..Options::new(&self.id, token, endpoints, self.state_dir.clone()) };
        Ok(SyncClient::start(options, hook).await?)
    }
}

/// The problems that a library tells, one after the other.
#[derive(Default)]
pub(super) struct Problems {
    known: String,
}

impl Problems {
    /// What one comes to that was not told before.
    pub(super) fn told(&mut self, problem: String) -> Option<Heard> {
        if problem == self.known {
            return None;
        }
        self.known = problem;
        broken(&self.known)
    }
}

/// What a problem of the library comes to, where a node has ended a session and said that it is broken: it tells the words,
/// the code, and of what a node has said which. What became of connections is told without a node.
fn broken(problem: &str) -> Option<Heard> {
    let (_, code) = problem.rsplit_once(" (")?;
    let is_one = ["Internal, node ", "DataLoss, node "].iter().any(|said| code.starts_with(said));
    is_one.then(|| Heard::nowhere(Outcome::broken(problem)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_ends_a_session_since_it_is_broken_is_told_from_a_connection_that_breaks() {
        let of = |problem: &str| broken(problem).is_some_and(|heard| heard.is_never_right());
        assert!(of("http://10.0.0.2:17670: a part (of it) contradicts itself (Internal, node 2)"));
        assert!(of("http://10.0.0.2:17670: a file is damaged (DataLoss, node 2)"));
        for problem in [
            "",
            "http://10.0.0.2:17670: h2 protocol error (Internal)",
            "http://10.0.0.2:17670: no quorum (Unavailable, node 2)",
            "the node does not know the session any more",
        ] {
            assert!(!of(problem), "{problem}");
        }
    }
}
