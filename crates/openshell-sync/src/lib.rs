//! Keeps one sandbox's effective policy, settings and provider environment current: pushed by the nearest
//! node of a cluster, never older than what is installed, and on disk for when no node can be reached.
//! What is done with them is the embedding program's: it passes a [`Hook`]. The policy is not enforced here.
//!
//! ```no_run
//! use openshell_sync::{Change, ChangeKind, Options, SyncClient, TokenSource};
//!
//! # async fn embed() -> Result<(), Box<dyn std::error::Error>> {
//! let endpoints = openshell_client::parse_endpoints("https://gw-1.example:17670,https://gw-2.example:17670")?;
//! let token = TokenSource::File("/run/openshell/token".into());
//! let options = Options::new("5f0c6e0a", token, endpoints, "/var/lib/openshell-sync".into());
//! let sync = SyncClient::start(options, |change: &Change| match change.kind {
//!     ChangeKind::Closed => Ok(()), // Deny everything.
//!     _ => change.configuration.config.policy.as_ref().map(|_policy| ()).ok_or("there is no policy".to_owned()),
//! })
//! .await?;
//! let mut status = sync.status();
//! while status.changed().await.is_ok() {
//!     println!("{}", status.borrow_and_update().standing.as_str());
//! }
//! # Ok(())
//! # }
//! ```

mod client;
mod clock;
mod configuration;
mod disk;
mod feed;
mod follow;
mod hook;
mod installed;
mod keeper;
mod nearest;
mod node;
mod options;
mod poll;
mod polling;
mod position;
mod report;
mod session;
mod status;
mod token;

pub use client::{StartError, SyncClient};
pub use configuration::{Configuration, Unreadable};
pub use disk::DiskError;
pub use hook::{Answer, Change, ChangeKind, CommandHook, Hook, NoHook};
pub use installed::{Standing, WhenStale};
pub use options::Options;
pub use position::Position;
pub use status::Status;
pub use token::{TokenError, TokenSource};
