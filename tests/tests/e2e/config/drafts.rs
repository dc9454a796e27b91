//! The draft policy inbox (`config.md` appendix B) between a sandbox, people and three nodes: what a sandbox
//! proposes through one node is reviewed and decided through others.

mod commands;

use std::time::Duration;

use futures::StreamExt;
use openshell_client::{CallError, CallOptions, Client, Method, methods};
use openshell_proto::cluster::IssueSandboxTokenRequest;
use openshell_proto::sandbox::{GetSandboxConfigRequest, GetSandboxConfigResponse, SettingValue, setting_value};
use openshell_proto::v1::sandbox_stream_event::Payload;
use openshell_proto::v1::{
    ApproveAllDraftChunksRequest, ApproveDraftChunkRequest, ClearDraftChunksRequest, DeleteSandboxRequest,
    DraftChunkApproval, EditDraftChunkRequest, GetDraftHistoryRequest, GetDraftPolicyRequest, GetDraftPolicyResponse,
    GetSandboxPolicyStatusRequest, NetworkActivitySummary, PolicyChunk, RejectDraftChunkRequest,
    SubmitPolicyAnalysisRequest, SubmitPolicyAnalysisResponse, UndoDraftChunkRequest, UpdateConfigRequest,
    WatchSandboxRequest,
};
use openshell_tests::{Api, Cluster, Scene, eventually, policy_allowing, proposal};
use prost::Message;
use tonic::Code;

const LIMIT: Duration = Duration::from_secs(60);

/// A sandbox `box` whose inbox is filled and emptied.
struct Inbox {
    scene: Scene,
    id: String,
    /// What the sandbox authenticates with.
    token: String,
}

impl Inbox {
    /// In a workspace of its own.
    async fn open(api: Api) -> Self {
        let scene = Scene::open(api).await;
        let id = scene.create_sandbox("box", &[], policy_allowing("docs.example.com")).await;
        let request = IssueSandboxTokenRequest { name: "box".to_owned(), workspace: scene.workspace.clone() };
        let answer = scene.api.call(&methods::ISSUE_SANDBOX_TOKEN, request).await.expect("an admin gets a token");
        Self { scene, id, token: answer.message.token }
    }

    async fn call<Q, A>(&self, method: &Method<Q, A>, request: Q) -> Result<A, CallError>
    where
        Q: Message + Clone + 'static,
        A: Message + Default + 'static,
    {
        Ok(self.scene.api.call(method, request).await?.message)
    }

    /// A submission by the sandbox itself, through a node.
    async fn submit(&self, endpoint: &str, mode: &str, proposals: &[PolicyChunk]) -> SubmitPolicyAnalysisResponse {
        let request = SubmitPolicyAnalysisRequest {
            name: "box".to_owned(),
            workspace: self.scene.workspace.clone(),
            analysis_mode: mode.to_owned(),
            proposed_chunks: proposals.to_vec(),
            ..SubmitPolicyAnalysisRequest::default()
        };
        let own = Api::bearer(endpoint, &self.token);
        own.call(&methods::SUBMIT_POLICY_ANALYSIS, request).await.expect("it is taken").message
    }

    fn asked(&self) -> GetDraftPolicyRequest {
        let workspace = self.scene.workspace.clone();
        GetDraftPolicyRequest { name: "box".to_owned(), workspace, status_filter: String::new() }
    }

    async fn read(&self) -> GetDraftPolicyResponse {
        self.call(&methods::GET_DRAFT_POLICY, self.asked()).await.expect("the inbox")
    }

    async fn chunk(&self, id: &str) -> PolicyChunk {
        self.read().await.chunks.into_iter().find(|chunk| chunk.id == id).expect("the chunk")
    }

    fn approval(&self, chunk: &PolicyChunk) -> ApproveDraftChunkRequest {
        ApproveDraftChunkRequest {
            name: "box".to_owned(),
            chunk_id: chunk.id.clone(),
            workspace: self.scene.workspace.clone(),
            review_token: chunk.review_token.clone(),
        }
    }

    /// What the sandbox is to enforce.
    async fn effective(&self) -> GetSandboxConfigResponse {
        let request = GetSandboxConfigRequest { sandbox_id: self.id.clone() };
        let answer = self.scene.api.linearizable().call(&methods::GET_SANDBOX_CONFIG, request).await;
        answer.expect("a configuration").message
    }

    async fn rules(&self) -> Vec<String> {
        self.effective().await.policy.map(|policy| policy.network_policies.into_keys().collect()).unwrap_or_default()
    }

    fn set_policy(&self, host: &str) -> UpdateConfigRequest {
        UpdateConfigRequest {
            name: "box".to_owned(),
            workspace: self.scene.workspace.clone(),
            policy: Some(policy_allowing(host)),
            ..UpdateConfigRequest::default()
        }
    }
}

fn code<T: std::fmt::Debug>(result: Result<T, CallError>) -> Code {
    match result {
        Err(CallError::Refused(status)) => status.code(),
        other => panic!("a refusal is expected: {other:?}"),
    }
}

#[tokio::test]
async fn dc_6_what_a_sandbox_proposes_through_one_node_is_approved_through_another() {
    let cluster = Cluster::shared().await;
    let inbox = Inbox::open(cluster.follower_api().await).await;
    let leader = cluster.gateway(cluster.leader().await).endpoint();
    let answer = inbox.submit(&leader, "agent_authored", &[proposal("api.example.com"), PolicyChunk::default()]).await;
    assert_eq!((answer.accepted_chunks, answer.rejected_chunks), (1, 1));
    let read = inbox.read().await;
    assert_eq!((read.draft_version, read.chunks.len()), (1, 1));
    let chunk = &read.chunks[0];
    assert_eq!(chunk.current_effective_policy_hash, inbox.effective().await.policy_hash);
    // The sandbox reads its own inbox, and nobody else's.
    let own = Api::bearer(&leader, &inbox.token);
    let seen = own.call(&methods::GET_DRAFT_POLICY, inbox.asked()).await.expect("its own").message;
    assert_eq!(seen, read);
    let other = GetDraftPolicyRequest { name: "other".to_owned(), ..inbox.asked() };
    assert_eq!(code(own.call(&methods::GET_DRAFT_POLICY, other).await), Code::PermissionDenied);
    assert_eq!(code(own.call(&methods::APPROVE_DRAFT_CHUNK, inbox.approval(chunk)).await), Code::PermissionDenied);

    let approved = inbox.call(&methods::APPROVE_DRAFT_CHUNK, inbox.approval(chunk)).await.expect("approved");
    assert_eq!(approved.policy_version, 2);
    assert_eq!(inbox.effective().await.policy_hash, chunk.candidate_effective_policy_hash);
    let again = inbox.call(&methods::APPROVE_DRAFT_CHUNK, inbox.approval(chunk)).await;
    assert_eq!(code(again), Code::FailedPrecondition);
    let workspace = inbox.scene.workspace.clone();
    let status = GetSandboxPolicyStatusRequest { name: "box".to_owned(), version: 2, workspace, global: false };
    let revision = inbox.call(&methods::GET_SANDBOX_POLICY_STATUS, status).await.expect("a revision").revision;
    let revision = revision.expect("the revision");
    assert_eq!((revision.policy_hash, revision.provenance.len()), (approved.policy_hash, 0));
}

#[tokio::test]
async fn dc_6_a_changed_policy_refuses_an_approval_and_leaves_another_review() {
    let cluster = Cluster::shared().await;
    let inbox = Inbox::open(cluster.follower_api().await).await;
    inbox.submit(&cluster.endpoints(), "agent_authored", &[proposal("api.example.com")]).await;
    let chunk = inbox.read().await.chunks.remove(0);
    inbox.call(&methods::UPDATE_CONFIG, inbox.set_policy("elsewhere.example.com")).await.expect("another policy");
    let refused = inbox.call(&methods::APPROVE_DRAFT_CHUNK, inbox.approval(&chunk)).await;
    assert_eq!(code(refused), Code::FailedPrecondition);
    assert_eq!(inbox.rules().await.len(), 1, "nothing was applied");
    let again = inbox.chunk(&chunk.id).await;
    assert_ne!(again.review_token, chunk.review_token);
    inbox.call(&methods::APPROVE_DRAFT_CHUNK, inbox.approval(&again)).await.expect("reviewed again");
    assert_eq!(inbox.effective().await.policy_hash, again.candidate_effective_policy_hash);
}

#[tokio::test]
async fn dc_7_undo_reject_edit_clear_and_history_through_a_follower() {
    let cluster = Cluster::shared().await;
    let inbox = Inbox::open(cluster.follower_api().await).await;
    let workspace = inbox.scene.workspace.clone();
    let name = "box".to_owned();
    inbox.submit(&cluster.endpoints(), "mechanistic", &[proposal("api.example.com")]).await;
    let chunk = inbox.read().await.chunks.remove(0);
    let chunk_id = chunk.id.clone();
    let mut narrow = chunk.proposed_rule.clone().expect("a rule");
    narrow.endpoints[0].path = "/v1/**".to_owned();
    let edit = EditDraftChunkRequest {
        name: name.clone(),
        chunk_id: chunk_id.clone(),
        workspace: workspace.clone(),
        proposed_rule: Some(narrow.clone()),
    };
    inbox.call(&methods::EDIT_DRAFT_CHUNK, edit).await.expect("edited");
    // A repetition counts and brings nothing back.
    inbox.submit(&cluster.endpoints(), "mechanistic", &[proposal("api.example.com")]).await;
    let edited = inbox.chunk(&chunk_id).await;
    assert_eq!((edited.hit_count, &edited.proposed_rule), (2, &Some(narrow)));
    inbox.call(&methods::APPROVE_DRAFT_CHUNK, inbox.approval(&edited)).await.expect("approved");
    let undo = UndoDraftChunkRequest { name: name.clone(), chunk_id: chunk_id.clone(), workspace: workspace.clone() };
    let undone = inbox.call(&methods::UNDO_DRAFT_CHUNK, undo).await.expect("undone");
    assert_eq!((undone.policy_version, inbox.rules().await.len()), (3, 1));
    let reject = RejectDraftChunkRequest {
        name: name.clone(),
        chunk_id: chunk_id.clone(),
        reason: "no need".to_owned(),
        workspace: workspace.clone(),
    };
    inbox.call(&methods::REJECT_DRAFT_CHUNK, reject).await.expect("rejected");
    inbox.submit(&cluster.endpoints(), "agent_authored", &[proposal("db.example.com")]).await;
    let clear = ClearDraftChunksRequest { name: name.clone(), workspace: workspace.clone() };
    assert_eq!(inbox.call(&methods::CLEAR_DRAFT_CHUNKS, clear).await.expect("cleared").chunks_cleared, 1);
    let history = GetDraftHistoryRequest { name: name.clone(), workspace: workspace.clone() };
    let entries = inbox.call(&methods::GET_DRAFT_HISTORY, history.clone()).await.expect("a history").entries;
    let told: Vec<_> = entries.iter().map(|entry| (entry.event_type.as_str(), entry.chunk_id.as_str())).collect();
    assert_eq!(told, [("proposed", chunk_id.as_str()), ("rejected", chunk_id.as_str())]);
    inbox.call(&methods::DELETE_SANDBOX, DeleteSandboxRequest { name, workspace }).await.expect("deleted");
    assert_eq!(code(inbox.call(&methods::GET_DRAFT_HISTORY, history).await), Code::NotFound);
}

#[tokio::test]
async fn dc_8_several_are_approved_in_one_revision_and_flagged_ones_left() {
    let cluster = Cluster::shared().await;
    let inbox = Inbox::open(cluster.follower_api().await).await;
    let noted = PolicyChunk { security_notes: "look".to_owned(), ..proposal("c.example.com") };
    let proposals = [proposal("a.example.com"), proposal("b.example.com"), noted];
    inbox.submit(&cluster.endpoints(), "agent_authored", &proposals).await;
    let approvals = inbox
        .read()
        .await
        .chunks
        .into_iter()
        .map(|chunk| DraftChunkApproval { chunk_id: chunk.id, review_token: chunk.review_token });
    let request = ApproveAllDraftChunksRequest {
        name: "box".to_owned(),
        workspace: inbox.scene.workspace.clone(),
        approvals: approvals.collect(),
        include_security_flagged: false,
    };
    let answer = inbox.call(&methods::APPROVE_ALL_DRAFT_CHUNKS, request.clone()).await.expect("approved");
    assert_eq!((answer.chunks_approved, answer.chunks_skipped, answer.policy_version), (2, 1, 2));
    assert_eq!(inbox.rules().await.len(), 3);
    assert_eq!(code(inbox.call(&methods::APPROVE_ALL_DRAFT_CHUNKS, request).await), Code::FailedPrecondition);
}

#[tokio::test]
async fn dc_5_in_the_mode_auto_a_proposal_without_findings_goes_in_by_itself() {
    let cluster = Cluster::shared().await;
    let inbox = Inbox::open(cluster.follower_api().await).await;
    let value = Some(setting_value::Value::StringValue("auto".to_owned()));
    let auto = UpdateConfigRequest {
        name: "box".to_owned(),
        workspace: inbox.scene.workspace.clone(),
        setting_key: "proposal_approval_mode".to_owned(),
        setting_value: Some(SettingValue { value }),
        ..UpdateConfigRequest::default()
    };
    inbox.call(&methods::UPDATE_CONFIG, auto).await.expect("set");
    inbox.submit(&cluster.endpoints(), "agent_authored", &[proposal("api.example.com")]).await;
    let chunk = inbox.read().await.chunks.remove(0);
    assert_eq!((chunk.status.as_str(), chunk.validation_result.as_str()), ("approved", "prover: no new findings"));
    assert_eq!(inbox.effective().await.policy_hash, chunk.candidate_effective_policy_hash);
}

#[tokio::test]
async fn one_chunk_approved_through_every_node_at_once_is_applied_once() {
    let cluster = Cluster::shared().await;
    let inbox = Inbox::open(cluster.api_of_all()).await;
    inbox.submit(&cluster.endpoints(), "agent_authored", &[proposal("api.example.com")]).await;
    let chunk = inbox.read().await.chunks.remove(0);
    let approvals = cluster.ids().map(|node| {
        let (api, request) = (cluster.api(node), inbox.approval(&chunk));
        async move { api.call(&methods::APPROVE_DRAFT_CHUNK, request).await }
    });
    let answers = futures::future::join_all(approvals).await;
    let (approved, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!((approved.len(), refused.len()), (1, 2));
    for refused in refused {
        assert_eq!(code(refused), Code::FailedPrecondition);
    }
    assert_eq!(inbox.effective().await.policy_hash, chunk.candidate_effective_policy_hash);
}

#[tokio::test]
async fn sr_47_a_watcher_on_another_node_hears_of_proposals() {
    let cluster = Cluster::shared().await;
    let inbox = Inbox::open(cluster.api(1).linearizable()).await;
    // The node has the sandbox once it answers this.
    let node = cluster.gateway(3).endpoint();
    let request = GetSandboxConfigRequest { sandbox_id: inbox.id.clone() };
    let there = Api::new(&node).linearizable().call(&methods::GET_SANDBOX_CONFIG, request).await;
    there.expect("a configuration");
    let asked = WatchSandboxRequest { id: inbox.id.clone(), follow_events: true, ..WatchSandboxRequest::default() };
    let client = Client::new(&node).expect("a URL");
    let opened = client.stream(&methods::WATCH_SANDBOX, asked, &CallOptions::default()).await;
    let mut events = opened.expect("a watch");
    let mut next = async || {
        let event = tokio::time::timeout(LIMIT, events.next()).await.expect("an event in time");
        event.expect("the watch goes on").expect("no error").payload.expect("a payload")
    };
    assert!(matches!(next().await, Payload::Sandbox(_)), "the record first");
    inbox.submit(&cluster.gateway(1).endpoint(), "mechanistic", &[proposal("api.example.com")]).await;
    let Payload::DraftPolicyUpdate(update) = next().await else { panic!("nothing about drafts") };
    assert_eq!((update.draft_version, update.new_chunks, update.total_pending), (1, 1, 1));
}

#[tokio::test]
async fn dc_2_activity_alone_is_counted_by_the_node_that_was_told() {
    let cluster = Cluster::start().await;
    let inbox = Inbox::open(cluster.api_of_all()).await;
    let node = cluster.followers().await[0];
    let before = cluster.gateway(node).metric("openshell_sandbox_denied_actions").await;
    let told = SubmitPolicyAnalysisRequest {
        name: "box".to_owned(),
        workspace: inbox.scene.workspace.clone(),
        network_activity_summaries: vec![NetworkActivitySummary {
            network_activity_count: 9,
            denied_action_count: 4,
            ..NetworkActivitySummary::default()
        }],
        ..SubmitPolicyAnalysisRequest::default()
    };
    let own = Api::bearer(&cluster.gateway(node).endpoint(), &inbox.token);
    let answer = own.call(&methods::SUBMIT_POLICY_ANALYSIS, told).await.expect("counted").message;
    assert_eq!((before, answer), (Some(0.0), SubmitPolicyAnalysisResponse::default()));
    eventually("the metrics page counts", LIMIT, async || {
        let counted = cluster.gateway(node).metric("openshell_sandbox_denied_actions").await;
        (counted == Some(4.0)).then_some(())
    })
    .await
    .expect("counted");
}

#[tokio::test]
async fn what_happens_to_an_inbox_is_alike_on_every_node() {
    let cluster = Cluster::start().await;
    let inbox = Inbox::open(cluster.api_of_all()).await;
    for round in 0..12_u64 {
        let node = cluster.gateway(round % 3 + 1).endpoint();
        let proposals = [proposal(&format!("h{round}.example.com")), proposal("api.example.com")];
        inbox.submit(&node, ["mechanistic", "agent_authored"][(round % 2) as usize], &proposals).await;
        let api = cluster.api((round + 1) % 3 + 1);
        let newest = inbox.read().await.chunks.pop().expect("a chunk");
        // Some are refused, which is an answer as well.
        drop(api.call(&methods::APPROVE_DRAFT_CHUNK, inbox.approval(&newest)).await);
    }
    let digests = cluster.digests_at_rest(LIMIT).await.expect("the nodes come to rest");
    assert!(digests.windows(2).all(|pair| pair[0].digest == pair[1].digest), "{digests:?}");
}
