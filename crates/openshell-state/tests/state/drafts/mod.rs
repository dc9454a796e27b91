//! The draft policy inbox by the rules of `config.md` appendix B, each by its number; what is left of it
//! in other places; and that nothing is applied that was not reviewed, whatever happens at the same time.

mod approving;
mod binding;
mod bounds;
mod deciding;
mod many;
mod race;
mod reading;
mod submitting;
mod taking_back;

use openshell_proto::sandbox::{NetworkPolicyRule, SettingValue, setting_value};
use openshell_proto::v1::{
    ApproveAllDraftChunksRequest, ApproveDraftChunkRequest, ClearDraftChunksRequest, DraftChunkApproval,
    EditDraftChunkRequest, GetDraftPolicyRequest, PolicyChunk, RejectDraftChunkRequest, SubmitPolicyAnalysisRequest,
    SubmitPolicyAnalysisResponse, UndoDraftChunkRequest, UpdateConfigRequest,
};
use openshell_state::access::Principal;
use openshell_state::{Call, Code, Decision, Outcome, Refusal, State, decide, query};

use crate::support::{Decide, Rpc, Seeded, World, config, endpoint, global_setting, policy, policy_of, sandbox};

/// A proposed rule of this name for a host, for `curl`.
pub(crate) fn rule(name: &str, host: &str) -> NetworkPolicyRule {
    policy_of(name, endpoint(host, 443)).network_policies.remove(name).expect("the rule")
}

/// A proposal of that rule.
pub(crate) fn proposal(name: &str, host: &str) -> PolicyChunk {
    PolicyChunk {
        rule_name: name.to_owned(),
        proposed_rule: Some(rule(name, host)),
        rationale: format!("{host} was denied"),
        confidence: 0.5,
        ..PolicyChunk::default()
    }
}

pub(crate) fn submission(sandbox: &str, mode: &str, proposals: &[PolicyChunk]) -> SubmitPolicyAnalysisRequest {
    SubmitPolicyAnalysisRequest {
        name: sandbox.to_owned(),
        analysis_mode: mode.to_owned(),
        proposed_chunks: proposals.to_vec(),
        ..SubmitPolicyAnalysisRequest::default()
    }
}

pub(crate) fn approval(chunk: &PolicyChunk) -> ApproveDraftChunkRequest {
    ApproveDraftChunkRequest {
        name: "s".to_owned(),
        chunk_id: chunk.id.clone(),
        review_token: chunk.review_token.clone(),
        ..ApproveDraftChunkRequest::default()
    }
}

pub(crate) fn rejection(chunk: &PolicyChunk, reason: &str) -> RejectDraftChunkRequest {
    RejectDraftChunkRequest {
        name: "s".to_owned(),
        chunk_id: chunk.id.clone(),
        reason: reason.to_owned(),
        ..RejectDraftChunkRequest::default()
    }
}

pub(crate) fn undoing(chunk: &PolicyChunk) -> UndoDraftChunkRequest {
    UndoDraftChunkRequest { name: "s".to_owned(), chunk_id: chunk.id.clone(), ..UndoDraftChunkRequest::default() }
}

pub(crate) fn edition(chunk: &PolicyChunk, rule: NetworkPolicyRule) -> EditDraftChunkRequest {
    EditDraftChunkRequest {
        name: "s".to_owned(),
        chunk_id: chunk.id.clone(),
        proposed_rule: Some(rule),
        ..EditDraftChunkRequest::default()
    }
}

pub(crate) fn clearing() -> ClearDraftChunksRequest {
    ClearDraftChunksRequest { name: "s".to_owned(), ..ClearDraftChunksRequest::default() }
}

/// Approves these chunks by the tokens that they were read with.
pub(crate) fn approval_of(chunks: &[PolicyChunk]) -> ApproveAllDraftChunksRequest {
    let approvals = chunks
        .iter()
        .map(|chunk| DraftChunkApproval { chunk_id: chunk.id.clone(), review_token: chunk.review_token.clone() });
    ApproveAllDraftChunksRequest {
        name: "s".to_owned(),
        approvals: approvals.collect(),
        ..ApproveAllDraftChunksRequest::default()
    }
}

/// The approval mode, of the sandbox `s` or, with an empty name, of all.
pub(crate) fn mode(sandbox: &str, word: &str) -> UpdateConfigRequest {
    let value = Some(setting_value::Value::StringValue(word.to_owned()));
    UpdateConfigRequest {
        global: sandbox.is_empty(),
        setting_key: "proposal_approval_mode".to_owned(),
        setting_value: Some(SettingValue { value }),
        ..config(sandbox)
    }
}

/// A proposal of the sandbox itself, whoever asks: histories know names only.
#[derive(Debug)]
pub(crate) struct Proposing {
    pub(crate) sandbox: String,
    pub(crate) rule: NetworkPolicyRule,
    pub(crate) mechanistic: bool,
}

impl Decide for Proposing {
    fn decide(&self, call: Call<'_>) -> Decision {
        let id = id_of(call.state, &self.sandbox);
        let proposed = PolicyChunk {
            rule_name: "proposed".to_owned(),
            proposed_rule: Some(self.rule.clone()),
            ..PolicyChunk::default()
        };
        let mode = if self.mechanistic { "mechanistic" } else { "agent_authored" };
        let request = submission(&self.sandbox, mode, &[proposed]);
        decide::draft::submit(Call { principal: &Principal::Sandbox { id }, ..call }, &request).into()
    }
}

/// What somebody decides about the first chunk that a sandbox has, as it is stored.
#[derive(Debug)]
pub(crate) struct Deciding {
    pub(crate) sandbox: String,
    pub(crate) verdict: u8,
}

impl Decide for Deciding {
    fn decide(&self, call: Call<'_>) -> Decision {
        let id = id_of(call.state, &self.sandbox);
        let first = call.state.draft_chunks("default", &id).next().map(|chunk| chunk.value.stored.clone());
        let stored = first.unwrap_or_default();
        let chunk = PolicyChunk { id: stored.id, review_token: stored.review_token, ..PolicyChunk::default() };
        let name = self.sandbox.clone();
        match self.verdict % 6 {
            0 | 1 => decide::draft::approve(call, &ApproveDraftChunkRequest { name, ..approval(&chunk) }),
            2 => decide::draft::reject(call, &RejectDraftChunkRequest { name, ..rejection(&chunk, "no") }),
            3 => decide::draft::undo(call, &UndoDraftChunkRequest { name, ..undoing(&chunk) }),
            4 => decide::draft::clear(call, &ClearDraftChunksRequest { name, ..clearing() }),
            _ => decide::draft::approve_all(call, &ApproveAllDraftChunksRequest { name, ..approval_of(&[]) }),
        }
        .into()
    }
}

fn id_of(state: &State, sandbox: &str) -> String {
    let metadata = state.sandbox("default", sandbox).and_then(|sandbox| sandbox.value.metadata.as_ref());
    metadata.map(|metadata| metadata.id.clone()).unwrap_or_default()
}

/// No global policy any more.
pub(crate) fn no_global_policy() -> UpdateConfigRequest {
    UpdateConfigRequest { delete_setting: true, setting_value: None, ..global_setting("policy", false) }
}

impl World {
    /// A world with the sandbox `s`, whose policy allows `docs.example.com`.
    pub(crate) fn with_drafts() -> Self {
        let mut world = Self::new();
        world.ok(&sandbox("s", &[], Some(policy("docs.example.com"))));
        world
    }

    /// A call as the sandbox itself makes it.
    pub(crate) fn ask_as_sandbox<R: Rpc>(&mut self, sandbox: &str, request: &R) -> Result<R::Response, Refusal> {
        let own = Principal::Sandbox { id: self.sandbox_id(sandbox) };
        self.as_principal(own, request)
    }

    /// Decides and applies a call of somebody. Calls may make many things, and identifiers of consecutive
    /// seeds overlap.
    pub(crate) fn as_principal<R: Rpc>(&mut self, principal: Principal, request: &R) -> Result<R::Response, Refusal> {
        self.time_ms += 1;
        let seeded = Seeded::new(self.state.revision() * 4096);
        let decision = self.decide_with(&seeded, &principal, request);
        self.carry_out::<R>(decision)
    }

    /// A submission of the sandbox `s` that is taken.
    pub(crate) fn submit(&mut self, mode: &str, proposals: &[PolicyChunk]) -> SubmitPolicyAnalysisResponse {
        let answer = self.ask_as_sandbox("s", &submission("s", mode, proposals));
        answer.unwrap_or_else(|refusal| panic!("{:?}: {}", refusal.code, refusal.message))
    }

    /// Submits one proposal of the sandbox `s`; the chunk that it became.
    pub(crate) fn propose(&mut self, mode: &str, proposal: PolicyChunk) -> PolicyChunk {
        let answer = self.submit(mode, &[proposal]);
        assert_eq!((answer.accepted_chunks, answer.rejected_chunks), (1, 0), "{answer:?}");
        self.chunk(&answer.accepted_chunk_ids[0])
    }

    /// What GetDraftPolicy shows of the sandbox `s`.
    pub(crate) fn inbox(&self) -> Vec<PolicyChunk> {
        let request = GetDraftPolicyRequest { name: "s".to_owned(), ..GetDraftPolicyRequest::default() };
        query::draft::get(&self.state, &self.principal, &request).expect("the inbox").chunks
    }

    pub(crate) fn chunk(&self, id: &str) -> PolicyChunk {
        self.inbox().into_iter().find(|chunk| chunk.id == id).expect("the chunk")
    }

    /// A call that must be refused, with a change of the state that goes with the refusal.
    pub(crate) fn refused_with_a_change<R: Rpc>(&mut self, code: Code, request: &R) -> String {
        let Decision::Transact(draft) = self.decide(request) else { panic!("nothing changes") };
        let refusal = draft.reply.clone().expect_err("it is refused");
        assert_eq!(refusal.code, code, "{}", refusal.message);
        assert_eq!(self.commit(draft).outcome, Outcome::Installed);
        refusal.message
    }

    /// The hash of what the sandbox `s` enforces.
    pub(crate) fn enforced_hash(&self) -> String {
        self.effective("s").policy_hash
    }
}
