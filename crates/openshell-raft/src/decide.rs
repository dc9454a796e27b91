//! Decisions on the leader: a rule runs on the applied state, and what it answers becomes an
//! entry, or is proved to be an answer of a node that still leads. What the rule says is not
//! known here.
//!
//! A rule that meets a changed state (a guard failed at apply) is asked again; after two failures
//! it is asked alone, while nothing else is on its way.

use std::sync::Arc;

use openshell_proto::log::{self, Command, Origin, command, reply};
use openshell_state::{Call, Code, Decision, Draft, Fault, Memory, Outcome, Refusal, RequestId, Stamp, State};
use openshell_store::Proposal;

use crate::call::{Answered, CallContext, IdStanding, Unavailable};
use crate::node::Node;
use crate::propose::{Proposed, Turn};

/// After so many failed guards a decision is made alone.
const FAILURES_BEFORE_ALONE: u32 = 2;
/// Alone, nothing on this leader can fail a guard. A few attempts beyond are for what a deposed
/// leader left in the log.
const ATTEMPTS_MAX: u32 = 6;
/// No entry is larger (`architecture.md`, Sizes).
const ENTRY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How far a caller's clock may be ahead of the cluster's, and how far an id that a node made for
/// its caller may be off either way: one that is much older would be forgotten at once.
const AHEAD_MAX_MS: i64 = 60_000;

/// What a call comes to on one state.
enum Verdict {
    /// The request id took effect before.
    Remembered { reply: Result<Vec<u8>, Refusal>, revision: u64 },
    /// The request id itself is refused.
    RefusedId(IdRefusal),
    /// The rule's answer, without anything to write.
    Concluded(Result<Vec<u8>, Refusal>),
    /// Something to write.
    Transact(Box<Change>),
    /// The rule's transaction cannot go into the log, and nothing is said about the state.
    Unwritable(Refusal),
}

/// A transaction that was read back and encoded.
struct Change {
    /// What its caller hears once it is installed.
    reply: Result<Vec<u8>, Refusal>,
    proposal: Proposal,
}

/// Why a request id is refused.
#[derive(Clone, Copy)]
enum IdRefusal {
    /// It belongs to another request.
    Mismatched,
    /// It is older than the memory.
    Expired,
    /// It was made this many milliseconds in the future.
    Ahead(i64),
}

impl Node {
    /// Decides a call, or says that it cannot.
    pub(crate) async fn decide<F>(&self, call: &CallContext, rule: &F) -> Result<Answered, Unavailable>
    where
        F: Fn(Call<'_>) -> Decision + Send + Sync,
    {
        for failures in 0..ATTEMPTS_MAX {
            self.check_leading()?;
            let turn = self.proposals.turn(failures >= FAILURES_BEFORE_ALONE, call.deadline).await?;
            if let Some(answered) = self.decide_once(call, rule, turn).await? {
                return Ok(answered);
            }
        }
        let reason = format!("the state changed under {ATTEMPTS_MAX} decisions in a row");
        Err(Unavailable::not_done(reason, Some(self.id)))
    }

    /// One decision and its proposal; nothing when a guard failed.
    async fn decide_once<F>(&self, call: &CallContext, rule: &F, turn: Turn) -> Result<Option<Answered>, Unavailable>
    where
        F: Fn(Call<'_>) -> Decision + Send + Sync,
    {
        let state = self.view.load();
        let first = self.proposals.think(call.deadline, || self.judge(call, rule, &state)).await?;
        let (state, verdict) = match first {
            verdict @ (Verdict::Transact(_) | Verdict::Unwritable(_)) => (state, verdict),
            // An answer about the state: whether this node still leads, and what it says then.
            Verdict::Remembered { .. } | Verdict::RefusedId(_) | Verdict::Concluded(_) => {
                drop(state);
                let state = self.prove_leadership(call.deadline).await?;
                let judged = || self.claimed(call, &state, self.judge(call, rule, &state));
                let verdict = self.proposals.think(call.deadline, judged).await?;
                (state, verdict)
            }
        };
        match verdict {
            Verdict::Remembered { reply, revision } => {
                self.proposals.counts.repeated();
                Ok(Some(Answered { reply, revision, standing: IdStanding::Settled, state }))
            }
            Verdict::RefusedId(refusal) => {
                match refusal {
                    IdRefusal::Mismatched => self.proposals.counts.mismatched(),
                    IdRefusal::Expired => self.proposals.counts.expired(),
                    IdRefusal::Ahead(_) => {}
                }
                let standing = refusal.standing(self.stamp_ms(&state), &state);
                Ok(Some(Answered { standing, ..at_revision_of(state, Err(refusal.into())) }))
            }
            Verdict::Concluded(reply) => Ok(Some(at_revision_of(state, reply))),
            Verdict::Unwritable(refusal) => Ok(Some(at_revision_of(self.view.load(), Err(refusal)))),
            Verdict::Transact(change) => self.commit(call, *change, turn).await,
        }
    }

    /// What the call comes to on this state. The request id comes before the rule.
    fn judge<F>(&self, call: &CallContext, rule: &F, state: &Arc<State>) -> Verdict
    where
        F: Fn(Call<'_>) -> Decision + Send + Sync,
    {
        let time_ms = self.stamp_ms(state);
        if let Some(id) = &call.request_id {
            match state.recall(id) {
                Memory::Known(request) if request.fingerprint != call.fingerprint => {
                    return Verdict::RefusedId(IdRefusal::Mismatched);
                }
                Memory::Known(request) => {
                    let reply = read_reply(request.reply.clone().unwrap_or_default());
                    return Verdict::Remembered { reply, revision: request.revision };
                }
                Memory::Expired => return Verdict::RefusedId(IdRefusal::Expired),
                Memory::New if id.made_at_ms() > time_ms.saturating_add(AHEAD_MAX_MS) => {
                    return Verdict::RefusedId(IdRefusal::Ahead(id.made_at_ms() - time_ms));
                }
                Memory::New => {}
            }
        }
        let stamp = Stamp { time_ms, identifiers: &*self.identifiers, sealer: &*self.sealer };
        match rule(Call { state, principal: &call.principal, stamp }) {
            Decision::Refuse(refusal) => Verdict::Concluded(Err(refusal)),
            Decision::Answer(response) => Verdict::Concluded(Ok(response)),
            Decision::Transact(draft) => self.verdict_of(call, state, draft),
        }
    }

    /// What a proved answer comes to: for a repeated attempt it is written down, or an earlier one that is
    /// still on its way could come to something else.
    fn claimed(&self, call: &CallContext, state: &State, verdict: Verdict) -> Verdict {
        match verdict {
            Verdict::Concluded(reply) if call.repeated_attempt && call.request_id.is_some() => {
                self.verdict_of(call, state, Draft { reply, ..Draft::new() })
            }
            verdict => verdict,
        }
    }

    /// A draft as what goes into the log. Of a large one that takes as long as a rule may: it belongs to
    /// what is thought.
    fn verdict_of(&self, call: &CallContext, state: &State, draft: Draft) -> Verdict {
        let transaction = draft.into_transaction(Origin {
            request_id: call.request_id.map(|id| id.as_bytes().to_vec()).unwrap_or_default(),
            principal: call.principal.subject(),
            rpc: call.rpc.clone(),
            fingerprint: call.fingerprint.to_vec(),
            time_ms: self.stamp_ms(state),
            node: self.id,
        });
        if let Err(fault) = openshell_state::check(&transaction) {
            return Verdict::Unwritable(unreadable(&call.rpc, &fault));
        }
        let reply = read_reply(transaction.reply.clone().unwrap_or_default());
        let proposal = Proposal::new(&Command { kind: Some(command::Kind::Transaction(transaction)) });
        match proposal.bytes().len() {
            bytes if bytes > ENTRY_BYTES_MAX => Verdict::Unwritable(too_large(bytes)),
            _ => Verdict::Transact(Box::new(Change { reply, proposal })),
        }
    }

    /// When an id that a node made for its caller does not fit the cluster's time: at which time
    /// to make another (milliseconds since the Unix epoch). The first id must not have been sent
    /// before, or what it may have done could be done again.
    pub(crate) fn untimely(&self, id: &RequestId) -> Option<i64> {
        let state = self.view.load();
        let time_ms = self.stamp_ms(&state);
        let fits = id.made_at_ms().abs_diff(time_ms) <= AHEAD_MAX_MS.unsigned_abs();
        let refused = !fits || matches!(state.recall(id), Memory::Expired);
        refused.then(|| state.requests().time_of_new_id(time_ms))
    }

    /// The time of an entry never runs back.
    fn stamp_ms(&self, state: &State) -> i64 {
        self.clock.now_ms().max(state.last_time_ms())
    }

    /// Proposes a change and says what it came to; nothing when a guard failed.
    async fn commit(&self, call: &CallContext, change: Change, turn: Turn) -> Result<Option<Answered>, Unavailable> {
        let Change { reply, proposal } = change;
        let Proposed { index, outcome } = self.propose(proposal, turn, call.deadline).await?;
        let (reply, revision, refused) = match outcome {
            Outcome::Installed => (reply, index, None),
            Outcome::Repeated { revision, reply } => (read_reply(reply), revision, None),
            Outcome::Mismatched => (Err(IdRefusal::Mismatched.into()), index, Some(IdRefusal::Mismatched)),
            Outcome::Expired => (Err(IdRefusal::Expired.into()), index, Some(IdRefusal::Expired)),
            Outcome::GuardFailed { key } => {
                tracing::debug!(%key, rpc = call.rpc, "a guard failed, deciding again");
                return Ok(None);
            }
        };
        let state = self.view.load();
        assert!(state.revision() >= revision, "an answer of revision {revision} on a state of {}", state.revision());
        let standing = match refused {
            None => IdStanding::Settled,
            Some(refusal) => refusal.standing(self.stamp_ms(&state), &state),
        };
        Ok(Some(Answered { reply, revision, standing, state }))
    }
}

fn at_revision_of(state: Arc<State>, reply: Result<Vec<u8>, Refusal>) -> Answered {
    Answered { reply, revision: state.revision(), standing: IdStanding::Open, state }
}

fn read_reply(reply: log::Reply) -> Result<Vec<u8>, Refusal> {
    match reply.outcome {
        Some(reply::Outcome::Message(message)) => Ok(message),
        Some(reply::Outcome::Refusal(refusal)) => Err(Refusal::from_proto(&refusal)),
        // An empty response message encodes to no bytes, but its outcome is there.
        None => Err(Refusal::internal("the remembered reply of this request id is empty")),
    }
}

impl IdRefusal {
    /// A mismatch leaves the standing open: the same request of another principal may be the same
    /// caller, seen by another node.
    fn standing(self, time_ms: i64, state: &State) -> IdStanding {
        match self {
            IdRefusal::Mismatched => IdStanding::Open,
            IdRefusal::Expired | IdRefusal::Ahead(_) => {
                IdStanding::Untimely { take_ms: state.requests().time_of_new_id(time_ms) }
            }
        }
    }
}

impl From<IdRefusal> for Refusal {
    fn from(refusal: IdRefusal) -> Self {
        match refusal {
            IdRefusal::Mismatched => Refusal::invalid(
                "request id: it was used for another request, RPC or principal before; make a new id for each request",
            ),
            IdRefusal::Expired => Refusal::precondition(
                "request id: it is too old for the cluster to know whether it took effect; look before you repeat \
                 the request under a new id, and check the clock of the machine that made the id",
            ),
            IdRefusal::Ahead(by_ms) => Refusal::invalid(format!(
                "request id: it was made {} s in the future, at most {} s are taken; set the clock of the machine \
                 that made it",
                by_ms / 1000,
                AHEAD_MAX_MS / 1000
            )),
        }
    }
}

fn too_large(bytes: usize) -> Refusal {
    let text = format!("the change takes {bytes} bytes, at most {ENTRY_BYTES_MAX} go into one; split the request");
    Refusal::new(Code::ResourceExhausted, text)
}

/// No node could apply it, now or ever again: it is not proposed.
fn unreadable(rpc: &str, fault: &Fault) -> Refusal {
    tracing::error!(rpc, %fault, "a decision wrote what no node could read, and was not proposed");
    Refusal::internal(format!("the change could not be read back, nothing was changed: {fault}"))
}
