//! The types that openraft is instantiated with, under the names of this project, and their
//! translation to and from the messages of `log.proto`. openraft's own serialisation is never
//! used, on disk or between nodes: it changes from release to release.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use bytes::Bytes;
use openraft::EntryPayload;
use openraft::impls::leader_id_adv;
use openraft::type_config::alias;
use openshell_proto::log;
use openshell_state::Outcome;
use prost::Message;

openraft::declare_raft_types!(
    /// What openraft is instantiated with. The leader id is the one that orders (term, node),
    /// so that a log id names the leader that proposed it and not only its term.
    pub TypeConfig:
        D = Proposal,
        R = ProposalOutcome,
        NodeId = u64,
        Node = Member,
        Term = u64,
        LeaderId = leader_id_adv::LeaderId<Self::Term, Self::NodeId>,
        AsyncRuntime = Runtime,
);

/// What openraft's tasks run on.
#[cfg(not(feature = "simulation"))]
type Runtime = openraft::impls::TokioRuntime;
#[cfg(feature = "simulation")]
type Runtime = crate::simulation::Runtime;

/// Node ids: from 1, never reused.
pub type NodeId = u64;
/// The leader that proposed an entry: term and node.
pub type LeaderId = alias::LeaderIdOf<TypeConfig>;
/// Names one entry: leader and index.
pub type LogId = alias::LogIdOf<TypeConfig>;
/// A vote: leader, and whether a majority granted it.
pub type Vote = alias::VoteOf<TypeConfig>;
/// An entry of the log.
pub type Entry = alias::EntryOf<TypeConfig>;
/// What an entry carries.
pub type Payload = alias::PayloadOf<TypeConfig>;
/// Voters and learners.
pub type Membership = openraft::Membership<NodeId, Member>;
/// A membership with the entry that made it.
pub type StoredMembership = alias::StoredMembershipOf<TypeConfig>;
/// Position and membership of a snapshot.
pub type SnapshotMeta = alias::SnapshotMetaOf<TypeConfig>;

/// The payload of an entry: an encoded [`log::Command`]. Cheap to clone. The bytes are those
/// that the leader encoded, on every node.
#[derive(Clone, PartialEq, Eq)]
pub struct Proposal(Bytes);

impl Proposal {
    /// Encodes a command.
    #[must_use]
    pub fn new(command: &log::Command) -> Self {
        Self(command.encode_to_vec().into())
    }

    /// The proposal of bytes that another node encoded. They are decoded when applied.
    #[must_use]
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Self {
        Self(bytes.into())
    }

    /// The encoded command.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// The command.
    ///
    /// # Errors
    /// [`Malformed`] when the bytes are no command; no retry helps.
    pub fn decode(&self) -> Result<log::Command, Malformed> {
        log::Command::decode(self.0.clone()).map_err(|source| Malformed::Undecodable { what: "a command", source })
    }
}

/// The length only: a proposal may hold what no log line should.
impl fmt::Display for Proposal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "command of {} bytes", self.0.len())
    }
}

impl fmt::Debug for Proposal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Proposal({self})")
    }
}

/// What the proposer hears when its entry was applied on this node.
#[derive(Clone, Debug, PartialEq)]
pub struct ProposalOutcome(
    /// Nothing for an entry that carries no command: a blank one or a membership.
    pub Option<Outcome>,
);

/// A member as the membership keeps it. Its id is its key there, and is not repeated here,
/// so that the two cannot disagree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// Where its peers reach it: `host:port`.
    pub peer_address: String,
    /// Where clients reach it: a URL or `host:port`; empty when it was not told.
    pub client_address: String,
    /// Free text for placement; may be empty.
    pub zone: String,
}

impl Member {
    /// The member with its id, as it is stored and sent.
    #[must_use]
    pub fn to_message(&self, id: NodeId) -> log::Member {
        log::Member {
            id,
            peer_address: self.peer_address.clone(),
            client_address: self.client_address.clone(),
            zone: self.zone.clone(),
        }
    }

    /// Reads a stored or received member: its id, and the rest.
    #[must_use]
    pub fn from_message(message: log::Member) -> (NodeId, Self) {
        let log::Member { id, peer_address, client_address, zone } = message;
        (id, Self { peer_address, client_address, zone })
    }
}

/// Bytes or a message that no build of this program writes.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Malformed {
    /// A message lacks a part that every writer fills.
    #[error("{what} lacks {part}")]
    Incomplete {
        /// The message.
        what: &'static str,
        /// The missing part.
        part: &'static str,
    },
    /// The bytes are not of the message.
    #[error("{what} does not decode: {source}")]
    Undecodable {
        /// The message.
        what: &'static str,
        /// What the decoder met.
        source: prost::DecodeError,
    },
    /// A membership that breaks its own rules.
    #[error("a membership is not valid: {reason}")]
    Membership {
        /// What openraft says about it.
        reason: String,
    },
}

impl From<Malformed> for std::io::Error {
    fn from(malformed: Malformed) -> Self {
        std::io::Error::new(std::io::ErrorKind::InvalidData, malformed)
    }
}

/// A type with a message of `log.proto` that stands for it on disk and between nodes.
pub trait Durable: Sized {
    /// The message.
    type Message: Message + Default;
    /// What error texts call it.
    const NAME: &'static str;

    /// The value as a message.
    fn to_message(&self) -> Self::Message;

    /// Reads a message.
    ///
    /// # Errors
    /// [`Malformed`] when it is not one that [`Durable::to_message`] makes.
    fn from_message(message: Self::Message) -> Result<Self, Malformed>;

    /// The value as bytes.
    fn to_bytes(&self) -> Vec<u8> {
        self.to_message().encode_to_vec()
    }

    /// Reads what [`Durable::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`Malformed`] when the bytes are something else.
    fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        let message =
            Self::Message::decode(bytes).map_err(|source| Malformed::Undecodable { what: Self::NAME, source })?;
        Self::from_message(message)
    }
}

impl Durable for LogId {
    type Message = log::LogId;
    const NAME: &'static str = "a log id";

    fn to_message(&self) -> log::LogId {
        log::LogId { term: self.leader_id.term, node: self.leader_id.node_id, index: self.index }
    }

    fn from_message(message: log::LogId) -> Result<Self, Malformed> {
        let leader = LeaderId { term: message.term, node_id: message.node };
        Ok(LogId::new(leader, message.index))
    }
}

impl Durable for Vote {
    type Message = log::Vote;
    const NAME: &'static str = "a vote";

    fn to_message(&self) -> log::Vote {
        log::Vote { term: self.leader_id.term, node: self.leader_id.node_id, committed: self.committed }
    }

    fn from_message(message: log::Vote) -> Result<Self, Malformed> {
        let leader_id = LeaderId { term: message.term, node_id: message.node };
        Ok(Vote { leader_id, committed: message.committed })
    }
}

impl Durable for Membership {
    type Message = log::Membership;
    const NAME: &'static str = "a membership";

    fn to_message(&self) -> log::Membership {
        let config = |voters: &BTreeSet<NodeId>| log::membership::Config { voters: voters.iter().copied().collect() };
        log::Membership {
            configs: self.get_joint_config().iter().map(config).collect(),
            members: self.nodes().map(|(id, member)| member.to_message(*id)).collect(),
        }
    }

    fn from_message(message: log::Membership) -> Result<Self, Malformed> {
        if message.configs.is_empty() && message.members.is_empty() {
            return Ok(Membership::default());
        }
        let configs = message.configs.into_iter().map(|config| config.voters.into_iter().collect()).collect();
        let members: BTreeMap<NodeId, Member> = message.members.into_iter().map(Member::from_message).collect();
        Membership::new(configs, members).map_err(|error| Malformed::Membership { reason: error.to_string() })
    }
}

impl Durable for StoredMembership {
    type Message = log::StoredMembership;
    const NAME: &'static str = "a stored membership";

    fn to_message(&self) -> log::StoredMembership {
        log::StoredMembership {
            log_id: self.log_id().as_ref().map(Durable::to_message),
            membership: Some(self.membership().to_message()),
        }
    }

    fn from_message(message: log::StoredMembership) -> Result<Self, Malformed> {
        let membership =
            message.membership.ok_or(Malformed::Incomplete { what: Self::NAME, part: "its membership" })?;
        let log_id = message.log_id.map(LogId::from_message).transpose()?;
        Ok(StoredMembership::new(log_id, Membership::from_message(membership)?))
    }
}

impl Durable for Entry {
    type Message = log::LogEntry;
    const NAME: &'static str = "a log entry";

    fn to_message(&self) -> log::LogEntry {
        let payload = match &self.payload {
            EntryPayload::Blank => log::log_entry::Payload::Blank(true),
            EntryPayload::Normal(proposal) => log::log_entry::Payload::Command(proposal.bytes().to_vec()),
            EntryPayload::Membership(membership) => log::log_entry::Payload::Membership(membership.to_message()),
        };
        log::LogEntry { id: Some(self.log_id.to_message()), payload: Some(payload) }
    }

    fn from_message(message: log::LogEntry) -> Result<Self, Malformed> {
        let incomplete = |part| Malformed::Incomplete { what: Self::NAME, part };
        let log_id = LogId::from_message(message.id.ok_or_else(|| incomplete("its id"))?)?;
        let payload = match message.payload.ok_or_else(|| incomplete("its payload"))? {
            log::log_entry::Payload::Blank(_) => EntryPayload::Blank,
            log::log_entry::Payload::Command(bytes) => EntryPayload::Normal(Proposal::from_bytes(bytes)),
            log::log_entry::Payload::Membership(membership) => {
                EntryPayload::Membership(Membership::from_message(membership)?)
            }
        };
        Ok(Entry { log_id, payload })
    }
}

#[cfg(test)]
mod tests;
