//! `SubmitPolicyAnalysis` (`config.md` DC-2 to DC-5): proposals of a sandbox go into its inbox, and into
//! its policy where it is set so and nobody has to look. All of a submission is one entry.

use std::borrow::Cow;
use std::sync::Arc;

use openshell_policy::findings;
use openshell_proto::sandbox::setting_value;
use openshell_proto::v1::{PolicyChunk, Sandbox, SubmitPolicyAnalysisRequest, SubmitPolicyAnalysisResponse};

use crate::access::{Role, workspace_or_default};
use crate::composition;
use crate::decide::draft::approve::accept;
use crate::decide::draft::evaluation::{self, Evaluator};
use crate::decide::draft::inbox::{self, Inbox};
use crate::decide::draft::proposal::{self, Target};
use crate::decide::draft::{Desk, write};
use crate::decide::{Need, enter_workspace_or_own};
use crate::decision::{Call, Decision, Draft};
use crate::key::Key;
use crate::names::{self, NAME_MAX};
use crate::query;
use crate::record::DraftChunk;
use crate::record::chunk_status::{APPROVED, PENDING};
use crate::refusal::{Code, Refusal};

/// The mode whose proposals follow from denials: repetitions count, and people edit them.
const MECHANISTIC: &str = "mechanistic";
/// Proposals of one submission: each of them is evaluated.
const PROPOSALS_MAX: usize = 64;
/// Characters of what is wrong with one proposal.
const REASON_MAX: usize = 512;

/// Decides a submission. What it says about denials and activity is not kept.
///
/// # Errors
/// `UNAUTHENTICATED` and `PERMISSION_DENIED` for whoever is not the sandbox itself; a refusal about the
/// workspace or the name; `FAILED_PRECONDITION` when an attached provider does not exist;
/// `RESOURCE_EXHAUSTED` for too many proposals at once, or when the inbox is full. What is wrong with one
/// proposal is in the answer.
pub fn submit(call: Call<'_>, request: &SubmitPolicyAnalysisRequest) -> Result<Decision, Refusal> {
    let id = query::sandbox::own_id(call.principal)?;
    let mut draft = Draft::new();
    let workspace = workspace_or_default(&request.workspace);
    enter_workspace_or_own(&call, &mut draft, workspace, Role::User, Need::Existing)?;
    if request.name.is_empty() {
        return Err(Refusal::invalid("name is required"));
    }
    let sandbox = query::sandbox::own(call.state, workspace, &request.name, id)?;
    names::bounded("analysis_mode", &request.analysis_mode, NAME_MAX)?;
    if request.proposed_chunks.is_empty() {
        return Ok(Decision::answer(&SubmitPolicyAnalysisResponse::default()));
    }
    if request.proposed_chunks.len() > PROPOSALS_MAX {
        let count = request.proposed_chunks.len();
        let text = format!("{count} proposals at once; at most {PROPOSALS_MAX} are taken, send the rest separately");
        return Err(Refusal::new(Code::ResourceExhausted, text));
    }
    let desk = Desk { workspace, sandbox, id };
    let mut submission = Submission::open(&call, &mut draft, &desk, &request.analysis_mode)?;
    request.proposed_chunks.iter().for_each(|proposed| submission.take(proposed));
    let (inbox, evaluator, response, policy) = submission.finish()?;
    if policy {
        let base = evaluator.base().cloned().unwrap_or_default();
        write::revision(&call, &mut draft, &desk, &evaluator, &base)?;
    }
    if !inbox.is_changed() {
        return Ok(Decision::answer(&response));
    }
    inbox.save(&mut draft);
    Ok(draft.answer(&response))
}

/// A submission while its proposals are taken, one after the other.
struct Submission<'a> {
    call: &'a Call<'a>,
    sandbox_id: &'a str,
    mode: &'a str,
    inbox: Inbox<'a>,
    evaluator: Evaluator<'a>,
    /// Whether proposals in which nobody has to look go into the policy.
    automatic: bool,
    draft_version: i64,
    /// Ids of the chunks that this submission made.
    made: Vec<String>,
    /// Whether anything went into the policy.
    policy: bool,
    response: SubmitPolicyAnalysisResponse,
}

impl<'a> Submission<'a> {
    fn open(call: &'a Call<'a>, draft: &mut Draft, desk: &Desk<'a>, mode: &'a str) -> Result<Self, Refusal> {
        let inbox = Inbox::open(call.state, draft, desk.workspace, desk.id);
        let evaluator = Evaluator::open(call.state, draft, desk.workspace, desk.sandbox)?;
        Ok(Self {
            automatic: is_automatic(call, draft, desk.workspace, desk.sandbox)?,
            draft_version: inbox.next_version(),
            call,
            sandbox_id: desk.id,
            mode,
            inbox,
            evaluator,
            made: Vec::new(),
            policy: false,
            response: SubmitPolicyAnalysisResponse::default(),
        })
    }

    /// Takes one proposal, or says why not (DC-2).
    fn take(&mut self, proposed: &PolicyChunk) {
        match self.taken(proposed) {
            Ok(id) => {
                self.response.accepted_chunks += 1;
                self.response.accepted_chunk_ids.push(id);
            }
            Err(reason) => {
                self.response.rejected_chunks += 1;
                self.response.rejection_reasons.push(reason);
            }
        }
    }

    /// The id of the chunk that a proposal became, or added its hits to.
    fn taken(&mut self, proposed: &PolicyChunk) -> Result<String, String> {
        let rule = proposal::read(proposed).map_err(|reason| named(proposed, &reason))?;
        let mechanistic = self.mode == MECHANISTIC;
        let target = Target::of(&rule);
        if mechanistic && let Some(id) = self.repeated(proposed, &target.key()) {
            return Ok(id);
        }
        if !self.evaluator.afford(&rule) {
            return Err(named(proposed, "too much to evaluate at once on this policy; send it separately"));
        }
        let mut chunk = proposal::chunk(self.call, self.sandbox_id, self.draft_version, self.mode, proposed, rule);
        if mechanistic {
            chunk.stored.dedup_key = target.key();
        }
        match self.evaluator.evaluate(&chunk.stored.rule_name, &chunk.rule) {
            Ok(evaluation) => {
                let (merged, applied) = (evaluation.merged.clone(), evaluation.applied.clone());
                let candidate = Arc::clone(&evaluation.candidate);
                evaluation.store(&mut chunk);
                if !self.give_way(&mut chunk, &target, mechanistic) && self.may_go_in(&chunk) {
                    accept(&mut chunk, applied, self.call.stamp.time_ms);
                    self.evaluator.rebase(merged, Some(candidate));
                    self.policy = true;
                }
            }
            // A proposal that follows from denials is kept, so that people can edit it.
            Err(why) if mechanistic => {
                evaluation::store_failure(&mut chunk, &why);
                self.give_way(&mut chunk, &target, mechanistic);
            }
            Err(why) => return Err(named(proposed, &format!("cannot be applied: {why}"))),
        }
        let id = chunk.stored.id.clone();
        self.made.push(id.clone());
        self.inbox.put(chunk);
        Ok(id)
    }

    /// Adds a repetition of a mechanistic proposal to the chunk that the first became (DC-3). Its rule stays
    /// as it is: it may have been edited, and it is what is reviewed.
    fn repeated(&mut self, proposed: &PolicyChunk, dedup_key: &str) -> Option<String> {
        let known = |chunk: &&Cow<'_, DraftChunk>| chunk.stored.dedup_key == dedup_key;
        let mut chunk = self.inbox.chunks().iter().find(known)?.clone().into_owned();
        let (first_seen_ms, last_seen_ms) = proposal::seen(proposed, self.call.stamp.time_ms);
        let stored = &mut chunk.stored;
        stored.hit_count = stored.hit_count.saturating_add(proposal::hits(proposed));
        stored.first_seen_ms = stored.first_seen_ms.min(first_seen_ms);
        stored.last_seen_ms = stored.last_seen_ms.max(last_seen_ms);
        let id = stored.id.clone();
        self.inbox.put(chunk);
        Some(id)
    }

    /// Of several proposals about the same the newest stands, and none beside one of an agent that was
    /// approved (DC-4). Whether the new one was rejected.
    fn give_way(&mut self, chunk: &mut DraftChunk, target: &Target, mechanistic: bool) -> bool {
        let now_ms = self.call.stamp.time_ms;
        let chunks = self.inbox.chunks();
        let same: Vec<&DraftChunk> =
            chunks.iter().map(|chunk| &**chunk).filter(|chunk| Target::stored(&chunk.stored) == *target).collect();
        let approved =
            same.iter().find(|chunk| chunk.stored.status == APPROVED && chunk.stored.analysis_mode != MECHANISTIC);
        if mechanistic && let Some(approved) = approved {
            let reason = format!("automatic: chunk {} about the same was approved", approved.stored.id);
            inbox::reject(chunk, reason, now_ms);
            return true;
        }
        let older: Vec<DraftChunk> = same.into_iter().filter(|chunk| chunk.stored.status == PENDING).cloned().collect();
        for mut older in older {
            let reason = format!("automatic: the newer chunk {} is about the same", chunk.stored.id);
            inbox::reject(&mut older, reason, now_ms);
            self.inbox.put(older);
        }
        false
    }

    /// Whether nobody has to look at a chunk (DC-5).
    fn may_go_in(&self, chunk: &DraftChunk) -> bool {
        let stored = &chunk.stored;
        let asks = chunk.rule.endpoints.iter().any(findings::asks_for_credentials);
        self.automatic && !asks && stored.validation_result == findings::NOTHING && stored.security_notes.is_empty()
    }

    /// Makes room for what was made, evaluated on the policy that the submission leaves behind.
    fn finish(mut self) -> Result<(Inbox<'a>, Evaluator<'a>, SubmitPolicyAnalysisResponse, bool), Refusal> {
        self.evaluator.renew();
        for id in self.policy.then_some(&self.made).into_iter().flatten() {
            let mut chunk = self.inbox.find(id)?.into_owned();
            // What is left as it was evaluated before is evaluated again when somebody decides about it.
            if chunk.stored.status != APPROVED && self.evaluator.afford(&chunk.rule) {
                evaluation::refresh(&mut self.evaluator, &mut chunk);
                self.inbox.put(chunk);
            }
        }
        self.inbox.make_room()?;
        Ok((self.inbox, self.evaluator, self.response, self.policy))
    }
}

/// Whether the approval mode is exactly `auto`, the global value before the sandbox's own, and no global
/// policy is set (DC-5).
fn is_automatic(call: &Call<'_>, draft: &mut Draft, workspace: &str, sandbox: &Sandbox) -> Result<bool, Refusal> {
    let name = sandbox.metadata.as_ref().map_or("", |metadata| metadata.name.as_str());
    draft.rely_on(call.state, Key::gateway_settings());
    draft.rely_on(call.state, Key::sandbox_settings(workspace, name));
    let settings = query::settings::effective(call.state, workspace, name)?;
    let mode = settings.get("proposal_approval_mode").and_then(|setting| setting.value.as_ref()?.value.as_ref());
    let automatic = matches!(mode, Some(setting_value::Value::StringValue(word)) if word == "auto");
    Ok(automatic && composition::global_policy(call.state)?.is_none())
}

/// A reason that names its proposal.
fn named(proposed: &PolicyChunk, reason: &str) -> String {
    let name: String = proposed.rule_name.chars().take(64).collect();
    let reason: String = reason.chars().take(REASON_MAX).collect();
    format!("proposal {name:?}: {reason}")
}
