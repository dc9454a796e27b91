//! Keeps one sandbox's effective policy, settings and provider environment current: pushed by the nearest
//! node of a cluster, never older than what is installed, and on disk for when no node can be reached.
//! What is done with them is the embedding program's: it passes a [`Hook`]. The policy is not enforced here.
//!
//! A program that embeds it is in `examples/embed.rs`. [`SyncClient::start`] is where to begin.

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
mod silence;
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
