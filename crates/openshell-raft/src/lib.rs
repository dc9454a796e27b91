//! "Any node will do": proposes decisions, reads at a consistency, waits for a revision, forms a
//! cluster, and carries Raft between nodes. openraft's types stop here; what a call means and
//! which rule decides it is not known here.

mod age;
mod call;
mod cluster;
mod config;
mod decide;
mod divergence;
mod formation;
mod forward;
mod join;
mod leadership;
mod node;
mod peer;
mod progress;
mod propose;
mod quorum;
mod read;
mod replace;
mod start;
mod status;
mod step;
mod succession;
mod transfer;
mod vacancy;
mod withdraw;

pub use call::{Answered, CallContext, CallHandler, Consistency, IdStanding, Unavailable};
pub use cluster::Cluster;
pub use config::{Clock, ClusterConfig, Genesis, SystemClock};
pub use formation::initial_cluster_digest;
pub use forward::forwarded;
pub use openshell_store::settings::Timings;
pub use openshell_store::{FaultHook, History, Page, PageLimit};
pub use peer::{ClusterKey, Connection, Duplex, HandshakeError, Transport};
pub use propose::ProposalCounts;
pub use replace::Replaced;
pub use start::StartError;
pub use status::{Gauges, MemberInfo};
pub use transfer::Heir;
