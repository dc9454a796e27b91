//! Raft's requests and answers as the messages of `peer.proto`, and back. openraft's own
//! serialisation never travels.

use openraft::raft::{
    AppendEntriesRequest, StreamAppendError, StreamAppendResult, TransferLeaderRequest, VoteRequest, VoteResponse,
};
use openshell_proto::log;
use openshell_proto::peer::{self, AppendResponse, append_response};
use openshell_store::{Durable, Entry, LogId, Malformed, TypeConfig, Vote};

fn required<T>(part: Option<T>, what: &'static str, name: &'static str) -> Result<T, Malformed> {
    part.ok_or(Malformed::Incomplete { what, part: name })
}

fn vote(message: Option<log::Vote>, what: &'static str) -> Result<Vote, Malformed> {
    Vote::from_message(required(message, what, "its vote")?)
}

fn log_id(message: Option<log::LogId>) -> Result<Option<LogId>, Malformed> {
    message.map(LogId::from_message).transpose()
}

pub(super) fn vote_request(request: &VoteRequest<TypeConfig>) -> peer::VoteRequest {
    peer::VoteRequest {
        vote: Some(request.vote.to_message()),
        last_log_id: request.last_log_id.as_ref().map(Durable::to_message),
        leadership_transfer: request.leadership_transfer,
    }
}

pub(super) fn read_vote_request(message: peer::VoteRequest) -> Result<VoteRequest<TypeConfig>, Malformed> {
    let mut request = VoteRequest::new(vote(message.vote, "a vote request")?, log_id(message.last_log_id)?);
    request.leadership_transfer = message.leadership_transfer;
    Ok(request)
}

pub(super) fn vote_response(response: &VoteResponse<TypeConfig>) -> peer::VoteResponse {
    peer::VoteResponse {
        vote: Some(response.vote.to_message()),
        granted: response.vote_granted,
        last_log_id: response.last_log_id.as_ref().map(Durable::to_message),
    }
}

pub(super) fn read_vote_response(message: peer::VoteResponse) -> Result<VoteResponse<TypeConfig>, Malformed> {
    Ok(VoteResponse::new(vote(message.vote, "a vote response")?, log_id(message.last_log_id)?, message.granted))
}

pub(super) fn transfer_request(request: &TransferLeaderRequest<TypeConfig>) -> peer::TransferLeaderRequest {
    peer::TransferLeaderRequest {
        from: Some(request.from_leader().to_message()),
        to: *request.to_node_id(),
        last_log_id: request.last_log_id().map(Durable::to_message),
    }
}

pub(super) fn read_transfer_request(
    message: peer::TransferLeaderRequest,
) -> Result<TransferLeaderRequest<TypeConfig>, Malformed> {
    let from = vote(message.from, "a leader transfer")?;
    Ok(TransferLeaderRequest::new(from, message.to, log_id(message.last_log_id)?))
}

pub(super) fn append_request(request: &AppendEntriesRequest<TypeConfig>) -> peer::AppendRequest {
    peer::AppendRequest {
        vote: Some(request.vote.to_message()),
        previous: request.prev_log_id.as_ref().map(Durable::to_message),
        entries: request.entries.iter().map(Durable::to_message).collect(),
        leader_commit: request.leader_commit.as_ref().map(Durable::to_message),
    }
}

pub(super) fn read_append_request(message: peer::AppendRequest) -> Result<AppendEntriesRequest<TypeConfig>, Malformed> {
    Ok(AppendEntriesRequest {
        vote: vote(message.vote, "an append request")?,
        prev_log_id: log_id(message.previous)?,
        entries: message.entries.into_iter().map(Entry::from_message).collect::<Result<_, _>>()?,
        leader_commit: log_id(message.leader_commit)?,
    })
}

pub(super) fn append_response(result: &StreamAppendResult<TypeConfig>) -> AppendResponse {
    use append_response::Result as Outcome;
    let (result, matching, vote) = match result {
        Ok(matching) => (Outcome::Success, matching.as_ref(), None),
        Err(StreamAppendError::Conflict(at)) => (Outcome::Conflict, Some(at), None),
        Err(StreamAppendError::HigherVote(vote)) => (Outcome::HigherVote, None, Some(vote)),
    };
    AppendResponse {
        result: result as i32,
        matching: matching.map(Durable::to_message),
        vote: vote.map(Durable::to_message),
    }
}

pub(super) fn read_append_response(message: AppendResponse) -> Result<StreamAppendResult<TypeConfig>, Malformed> {
    use append_response::Result as Outcome;
    const WHAT: &str = "an append response";
    match message.result() {
        Outcome::Success | Outcome::PartialSuccess => Ok(Ok(log_id(message.matching)?)),
        Outcome::Conflict => {
            let at = LogId::from_message(required(message.matching, WHAT, "where the conflict is")?)?;
            Ok(Err(StreamAppendError::Conflict(at)))
        }
        Outcome::HigherVote => Ok(Err(StreamAppendError::HigherVote(vote(message.vote, WHAT)?))),
        Outcome::Unspecified => Err(Malformed::Incomplete { what: WHAT, part: "its result" }),
    }
}
