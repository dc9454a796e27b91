//! `ApproveAllDraftChunks` (`config.md` DC-8): everything that was reviewed and still comes to what it came to
//! then, in one revision. What is left out is counted.

use std::collections::BTreeMap;

use openshell_proto::v1::{ApproveAllDraftChunksRequest, ApproveAllDraftChunksResponse};

use crate::decide::draft::approve::accept;
use crate::decide::draft::evaluation::{self, Evaluator};
use crate::decide::draft::inbox::Inbox;
use crate::decide::draft::{enter, open, write, wrong_status};
use crate::decide::policy::not_global;
use crate::decision::{Call, Decision, Draft};
use crate::record::DraftChunk;
use crate::record::chunk_status::PENDING;
use crate::refusal::Refusal;

/// Outdated chunks that one call evaluates again: the policy may have become much larger than the one that
/// they were evaluated on.
const REFRESHED_MAX: usize = 32;

/// Decides the approval of pending chunks: of those that the request lists with the tokens of their reviews,
/// or of all, as they are stored.
///
/// # Errors
/// A refusal about the caller, the workspace, the name or a listed id; `NOT_FOUND`; `FAILED_PRECONDITION`
/// while a global policy is set, when nothing is pending, and when a listed chunk is not; `RESOURCE_EXHAUSTED` when
/// the inbox has no room for what the approvals changed.
pub fn approve_all(call: Call<'_>, request: &ApproveAllDraftChunksRequest) -> Result<Decision, Refusal> {
    let mut draft = Draft::new();
    let workspace = enter(&call, &mut draft, &request.workspace, &[("name", &request.name)])?;
    not_global(call.state, &mut draft)?;
    let desk = open(&call, &mut draft, workspace, &request.name)?;
    let mut inbox = Inbox::open(call.state, &mut draft, desk.workspace, desk.id);
    let candidates = candidates(&inbox, request)?;
    let mut evaluator = Evaluator::open(call.state, &mut draft, desk.workspace, desk.sandbox)?;
    let (reviewed, outdated) = judge(&mut evaluator, candidates, request)?;
    let mut skipped = reviewed.skipped + outdated.len();
    for mut chunk in outdated.into_iter().take(REFRESHED_MAX) {
        if !evaluator.afford(&chunk.rule) {
            break;
        }
        let before = chunk.stored.clone();
        evaluation::refresh(&mut evaluator, &mut chunk);
        if chunk.stored != before {
            inbox.put(chunk);
        }
    }
    let mut approved = 0;
    evaluator.renew();
    for mut chunk in reviewed.chunks {
        if !evaluator.afford(&chunk.rule) {
            skipped += 1;
            continue;
        }
        // On what the ones before it left: together they may contradict each other.
        match evaluator.evaluate(&chunk.stored.rule_name, &chunk.rule) {
            Ok(evaluation) => {
                evaluator.rebase(evaluation.merged, Some(evaluation.candidate));
                accept(&mut chunk, evaluation.applied, call.stamp.time_ms);
                inbox.put(chunk);
                approved += 1;
            }
            Err(_) => skipped += 1,
        }
    }
    let written = match evaluator.base() {
        Some(base) if approved > 0 => write::revision(&call, &mut draft, &desk, &evaluator, base)?,
        Some(_) | None => write::latest(&call, &desk),
    };
    let response = ApproveAllDraftChunksResponse {
        policy_version: written.version,
        policy_hash: written.hash,
        chunks_approved: approved,
        chunks_skipped: u32::try_from(skipped).unwrap_or(u32::MAX),
    };
    if !inbox.is_changed() {
        return Ok(Decision::answer(&response));
    }
    inbox.fit()?;
    inbox.save(&mut draft);
    Ok(draft.answer(&response))
}

/// The chunks that the call is about, with the tokens sent: those listed, each of which must be pending, or
/// all that are, in the order in which they came.
fn candidates(
    inbox: &Inbox<'_>,
    request: &ApproveAllDraftChunksRequest,
) -> Result<Vec<(DraftChunk, Option<String>)>, Refusal> {
    let mut tokens: BTreeMap<&str, &str> = BTreeMap::new();
    for approval in &request.approvals {
        let id = approval.chunk_id.as_str();
        if tokens.insert(id, &approval.review_token).is_some() {
            return Err(Refusal::invalid(format!("approvals list chunk {id:?} twice")));
        }
    }
    let chunks = inbox.in_order();
    let pending: Vec<_> = chunks.iter().filter(|chunk| chunk.stored.status == PENDING).collect();
    if pending.is_empty() {
        return Err(Refusal::precondition("no draft chunk of this sandbox is pending"));
    }
    for id in tokens.keys() {
        if !pending.iter().any(|chunk| chunk.stored.id == *id) {
            let known = chunks.iter().find(|chunk| chunk.stored.id == *id);
            let status = known.map_or("not in this sandbox's inbox", |chunk| &chunk.stored.status);
            return Err(wrong_status(id, status, PENDING));
        }
    }
    let listed = pending.into_iter().filter(|chunk| tokens.is_empty() || tokens.contains_key(&*chunk.stored.id));
    Ok(listed
        .map(|chunk| (DraftChunk::clone(chunk), tokens.get(&*chunk.stored.id).map(|token| (*token).to_owned())))
        .collect())
}

/// What of the candidates is to be approved.
struct Reviewed {
    chunks: Vec<DraftChunk>,
    /// Left out because of security notes, or because something else was reviewed.
    skipped: usize,
}

/// Tells apart what is as it was reviewed, what is to be left out, and what has changed since it was
/// evaluated.
fn judge(
    evaluator: &mut Evaluator<'_>,
    candidates: Vec<(DraftChunk, Option<String>)>,
    request: &ApproveAllDraftChunksRequest,
) -> Result<(Reviewed, Vec<DraftChunk>), Refusal> {
    let current_hash = evaluator.current_hash()?;
    let (mut reviewed, mut outdated) = (Reviewed { chunks: Vec::new(), skipped: 0 }, Vec::new());
    for (chunk, token) in candidates {
        let stored = &chunk.stored;
        if !stored.security_notes.is_empty() && !request.include_security_flagged {
            reviewed.skipped += 1;
            continue;
        }
        // Looked at first, because it costs nothing: the token covers it.
        let same_inputs = stored.current_effective_policy_hash == current_hash && !stored.review_token.is_empty();
        if same_inputs && !evaluator.afford(&chunk.rule) {
            reviewed.skipped += 1;
            continue;
        }
        let live = same_inputs.then(|| evaluator.evaluate(&stored.rule_name, &chunk.rule));
        match live {
            Some(Ok(live)) if live.token == stored.review_token => {
                if token.is_none_or(|token| token == stored.review_token) {
                    reviewed.chunks.push(chunk);
                } else {
                    reviewed.skipped += 1;
                }
            }
            Some(_) | None => outdated.push(chunk),
        }
    }
    Ok((reviewed, outdated))
}
