//! Node to node: who is there (`handshake`), over what (`wire`, `tls`, `transport`), Raft's calls
//! out (`network`, `append`, `snapshot`) and in (`service`, `append_server`). What Raft or the
//! cluster makes of a call is not known here.

mod append;
mod append_server;
mod frame;
mod handshake;
mod lend;
mod links;
mod messages;
mod network;
mod service;
mod snapshot;
mod tls;
mod transport;
mod unanswered;
mod wire;

pub use handshake::{ClusterKey, HandshakeError};
pub use transport::{Connection, Duplex, Transport};

pub(crate) use handshake::{Myself, was_removed};
pub(crate) use links::{
    Channels, Client, Link, Links, has_other_key, nobody_listens, other_cluster, sentence, was_never_sent, within,
};
pub(crate) use network::Network;
pub(crate) use service::{REMOVED, serve};
pub(crate) use wire::Wire;
