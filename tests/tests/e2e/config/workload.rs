//! The same random workload through random nodes, by several callers at once: all three nodes end with the same
//! bytes and the same answers, also after all of them were killed and started again.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::join_all;
use openshell_client::{CallError, Method, methods};
use openshell_proto::cluster::GetDigestResponse;
use openshell_proto::sandbox::{NetworkEndpoint, SandboxPolicy};
use openshell_proto::v1::policy_merge_operation::Operation;
use openshell_proto::v1::{
    AddNetworkRule, ApproveDraftChunkRequest, CreateWorkspaceRequest, DeleteProviderRequest, DeleteSandboxRequest,
    DeleteWorkspaceRequest, DetachSandboxProviderRequest, GetDraftPolicyRequest, GetSandboxRequest,
    ListSandboxesRequest, PolicyChunk, PolicyStatus, RemoveWorkspaceMemberRequest, ReportPolicyStatusRequest, Sandbox,
    SubmitPolicyAnalysisRequest, UpdateConfigRequest, WorkspaceRole,
};
use openshell_tests::{Cluster, Scene, layered_keys, profile, token_grant_profile};
use prost::Message;
use tokio::time::{Instant, timeout};
use tonic::Code;

use super::furnished::environment;
use super::{Stage, cleared, endpoint, globally, people, policy, policy_of, rule};
use crate::rpc::Calls;

const LIMIT: Duration = Duration::from_secs(60);
/// For all of the workload: what is not done by then is left out.
const WORK: Duration = Duration::from_secs(20);
const CALL: Duration = Duration::from_secs(30);
const CALLERS: u64 = 6;
const STEPS: u64 = 500;
const SEED: u64 = 0x6f70_656e_7368_656c;

/// What is called; each must have succeeded at least once.
const KINDS: [&str; 22] = [
    "create sandbox",
    "delete sandbox",
    "import profile",
    "update profile",
    "delete profile",
    "create provider",
    "update provider",
    "delete provider",
    "attach",
    "detach",
    "full policy",
    "merge",
    "setting",
    "global setting",
    "global policy",
    "no global policy",
    "submit and approve",
    "report loaded",
    "create workspace",
    "delete workspace",
    "add member",
    "remove member",
];

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn name(&mut self, prefix: &str, count: u64) -> String {
        format!("{prefix}{}", self.below(count))
    }
}

/// One caller's next call, made in one workspace through one node.
struct Worker<'a> {
    dice: &'a mut Dice,
    stage: &'a Stage,
    sandbox: String,
}

impl Worker<'_> {
    async fn any<Q, A>(&self, method: &Method<Q, A>, request: Q) -> Result<(), CallError>
    where
        Q: Message + Clone + 'static,
        A: Message + Default + 'static,
    {
        self.stage.scene.api.call(method, request).await.map(drop)
    }

    async fn update(&self, request: UpdateConfigRequest) -> Result<(), CallError> {
        self.any(&methods::UPDATE_CONFIG, request).await
    }

    /// Whether it took effect.
    async fn call(&mut self, kind: &str) -> Result<bool, CallError> {
        let workspace = self.stage.own().to_owned();
        match kind {
            "import profile" => {
                let profile = self.profile();
                return Ok(self.stage.scene.try_import(vec![profile]).await?.message.imported);
            }
            "update profile" => {
                let profile = self.profile();
                let (id, scene) = (profile.id.clone(), &self.stage.scene);
                let version = scene.try_profile(&id).await?.resource_version;
                return Ok(scene.try_update_as(&id, version, profile).await?.message.updated);
            }
            "delete profile" => {
                let id = self.dice.name("tool-", 6);
                return Ok(self.stage.scene.try_delete_profile(&id).await?.message.deleted);
            }
            "create provider" => {
                let (name, tool) = (self.dice.name("p", 8), self.dice.name("tool-", 6));
                let key = format!("{}_TOKEN", tool.replace('-', "_").to_uppercase());
                self.any(&methods::CREATE_PROVIDER, self.stage.provider(&name, &tool, &[&key])).await?;
            }
            "update provider" => {
                let (name, value) = (self.dice.name("p", 8), self.dice.name("value-", 1000));
                let request = self.stage.update_provider(&name, &[("TOOL_0_TOKEN", &value)]);
                self.any(&methods::UPDATE_PROVIDER, request).await?;
            }
            "delete provider" => {
                let name = self.dice.name("p", 8);
                self.any(&methods::DELETE_PROVIDER, DeleteProviderRequest { name, workspace }).await?;
            }
            "attach" => {
                let provider = self.dice.name("p", 8);
                return Ok(self.stage.scene.try_attach(&self.sandbox, &provider).await?.message.attached);
            }
            "detach" => {
                // One that it has, if any: left to chance, none may ever succeed.
                let attached = self.stored().await?.spec.unwrap_or_default().providers.pop();
                let request = DetachSandboxProviderRequest {
                    sandbox_name: self.sandbox.clone(),
                    provider_name: attached.unwrap_or_else(|| self.dice.name("p", 8)),
                    workspace,
                    ..DetachSandboxProviderRequest::default()
                };
                let answer = self.stage.scene.api.call(&methods::DETACH_SANDBOX_PROVIDER, request).await?;
                return Ok(answer.message.detached);
            }
            other => self.about_sandboxes(other, workspace).await?,
        }
        Ok(true)
    }

    async fn about_sandboxes(&mut self, kind: &str, workspace: String) -> Result<(), CallError> {
        let (host, on) = (self.dice.name("h", 50) + ".example.com", self.dice.below(2) == 0);
        let (sandbox, stage) = (self.sandbox.clone(), self.stage);
        match kind {
            "create sandbox" => {
                let policy = on.then(|| policy(&host));
                self.any(&methods::CREATE_SANDBOX, stage.sandbox(&sandbox, &[], policy)).await
            }
            "delete sandbox" => {
                self.any(&methods::DELETE_SANDBOX, DeleteSandboxRequest { name: sandbox, workspace }).await
            }
            "full policy" => {
                let key = self.dice.name("r", 3);
                let policy = policy_of(&key, self.endpoint(&host));
                self.update(stage.set_policy(&sandbox, policy)).await
            }
            "merge" => {
                let rule = Some(rule("", self.endpoint(&host)));
                let add = Operation::AddRule(AddNetworkRule { rule_name: self.dice.name("r", 6), rule });
                self.update(stage.merge(&sandbox, &[add])).await
            }
            "setting" => self.update(stage.set(&sandbox, "ocsf_json_enabled", on)).await,
            "global setting" => self.update(globally(stage.set("", "providers_v2_enabled", on))).await,
            "global policy" => self.update(globally(stage.set_policy("", policy(&host)))).await,
            "no global policy" => self.update(globally(cleared(stage.set("", "policy", true)))).await,
            "submit and approve" => self.draft(&host).await,
            "report loaded" => self.report().await,
            other => self.about_workspaces(other, workspace).await,
        }
    }

    async fn about_workspaces(&mut self, kind: &str, workspace: String) -> Result<(), CallError> {
        let subject = self.dice.name("user-", 5);
        let name = format!("{workspace}-{}", self.dice.below(4));
        match kind {
            "create workspace" => {
                let request = CreateWorkspaceRequest { name, ..CreateWorkspaceRequest::default() };
                self.any(&methods::CREATE_WORKSPACE, request).await
            }
            "delete workspace" => {
                let request = DeleteWorkspaceRequest { name };
                self.any(&methods::DELETE_WORKSPACE, request).await
            }
            "add member" => {
                let request = people::add(&workspace, &subject, WorkspaceRole::User);
                self.any(&methods::ADD_WORKSPACE_MEMBER, request).await
            }
            "remove member" => {
                let request = RemoveWorkspaceMemberRequest { workspace, principal_subject: subject };
                self.any(&methods::REMOVE_WORKSPACE_MEMBER, request).await
            }
            other => panic!("nobody knows how to {other}"),
        }
    }

    fn profile(&mut self) -> openshell_proto::v1::ProviderProfile {
        let (id, host) = (self.dice.name("tool-", 6), self.dice.name("api", 9) + ".example.com");
        if self.dice.below(4) == 0 { token_grant_profile(&id, "/v1/**") } else { profile(&id, &[&host]) }
    }

    /// Some contradict what others say about the same host.
    fn endpoint(&mut self, host: &str) -> NetworkEndpoint {
        let enforcement = if self.dice.below(5) == 0 { "audit" } else { "" }.to_owned();
        NetworkEndpoint { enforcement, ..endpoint(host) }
    }

    async fn stored(&self) -> Result<Sandbox, CallError> {
        let request = GetSandboxRequest { name: self.sandbox.clone(), workspace: self.stage.own().to_owned() };
        let answer = self.stage.scene.api.call(&methods::GET_SANDBOX, request).await?;
        Ok(answer.message.sandbox.expect("a read answers the sandbox"))
    }

    /// The sandbox itself, if it is there, on the same node.
    async fn itself(&self) -> Result<(Sandbox, openshell_tests::Api), CallError> {
        let request = openshell_proto::cluster::IssueSandboxTokenRequest {
            name: self.sandbox.clone(),
            workspace: self.stage.own().to_owned(),
        };
        let sandbox = self.stored().await?;
        let token = self.stage.scene.api.call(&methods::ISSUE_SANDBOX_TOKEN, request).await?.message.token;
        Ok((sandbox, self.stage.scene.api.showing(&token)))
    }

    async fn draft(&mut self, host: &str) -> Result<(), CallError> {
        let (_, own) = self.itself().await?;
        let (name, workspace) = (self.sandbox.clone(), self.stage.own().to_owned());
        let proposed = PolicyChunk {
            rule_name: host.replace('.', "_"),
            proposed_rule: Some(rule("", endpoint(host))),
            rationale: format!("{host} was denied"),
            ..PolicyChunk::default()
        };
        let request = SubmitPolicyAnalysisRequest {
            name: name.clone(),
            workspace: workspace.clone(),
            analysis_mode: "mechanistic".to_owned(),
            proposed_chunks: vec![proposed],
            ..SubmitPolicyAnalysisRequest::default()
        };
        own.call(&methods::SUBMIT_POLICY_ANALYSIS, request).await?;
        let asked = GetDraftPolicyRequest {
            name: name.clone(),
            workspace: workspace.clone(),
            ..GetDraftPolicyRequest::default()
        };
        let chunks = self.stage.scene.api.call(&methods::GET_DRAFT_POLICY, asked).await?.message.chunks;
        let chunk = chunks.into_iter().rfind(|chunk| chunk.status == "pending").unwrap_or_default();
        let (chunk_id, review_token) = (chunk.id, chunk.review_token);
        let request = ApproveDraftChunkRequest { name, chunk_id, workspace, review_token };
        self.any(&methods::APPROVE_DRAFT_CHUNK, request).await
    }

    async fn report(&mut self) -> Result<(), CallError> {
        let (sandbox, own) = self.itself().await?;
        let request = ReportPolicyStatusRequest {
            sandbox_id: sandbox.metadata.unwrap_or_default().id,
            version: 1 + u32::try_from(self.dice.below(3)).expect("small"),
            status: PolicyStatus::Loaded.into(),
            load_error: String::new(),
        };
        own.call(&methods::REPORT_POLICY_STATUS, request).await.map(drop)
    }
}

/// One caller's part, until its steps or the time are over. How often each kind of call took effect.
async fn work(cluster: &Cluster, scenes: &[Scene], caller: u64) -> BTreeMap<&'static str, u64> {
    let (mut dice, until) = (Dice(SEED ^ caller), Instant::now() + WORK);
    let mut done = BTreeMap::new();
    for step in 0..STEPS {
        if Instant::now() >= until {
            break;
        }
        // All kinds in turn, each caller from another on; what they are about is drawn.
        let at = usize::try_from(step + 4 * caller).expect("small");
        let kind = KINDS[at % KINDS.len()];
        let scene = scenes[usize::from(dice.below(2) == 0)].through(cluster.api(1 + dice.below(3)));
        let sandbox = dice.name("s", 4);
        let mut worker = Worker { dice: &mut dice, stage: &Stage { scene }, sandbox };
        let outcome = timeout(CALL, worker.call(kind)).await.expect("a call is answered in time");
        match outcome {
            Ok(took_effect) => *done.entry(kind).or_default() += u64::from(took_effect),
            Err(CallError::Refused(status)) => {
                let lawful = [
                    Code::InvalidArgument,
                    Code::NotFound,
                    Code::AlreadyExists,
                    Code::FailedPrecondition,
                    Code::Aborted,
                    Code::PermissionDenied,
                    Code::Unauthenticated,
                ];
                assert!(lawful.contains(&status.code()), "{kind}: {status:?}");
            }
            Err(error) => panic!("{kind}: {error}"),
        }
    }
    done
}

/// What every node says of a sandbox: configuration and environment as they are encoded, or the refusal.
async fn answers(cluster: &Cluster, scene: &Scene, sandbox: &Sandbox) -> Vec<[Result<Vec<u8>, String>; 2]> {
    let id = sandbox.metadata.as_ref().expect("sandboxes have metadata").id.clone();
    join_all(cluster.ids().map(|node| {
        let (scene, id) = (scene.through(cluster.api(node).local()), id.clone());
        async move {
            let configuration = scene.try_config(&id).await.map(|answer| answer.message.encode_to_vec());
            let own = Stage { scene }.as_sandbox(sandbox).await;
            let environment = environment(&own, &id, true).await.map(|answer| answer.encode_to_vec());
            [configuration.map_err(told), environment.map_err(told)]
        }
    }))
    .await
}

fn told(error: CallError) -> String {
    match error {
        CallError::Refused(status) => format!("{:?} {}", status.code(), status.message()),
        other => panic!("an answer or a refusal is expected: {other}"),
    }
}

async fn digest(cluster: &Cluster) -> GetDigestResponse {
    let digests = cluster.digests_at_rest(LIMIT).await.expect("the nodes come to rest");
    assert!(digests.windows(2).all(|pair| pair[0].digest == pair[1].digest), "{digests:?}");
    digests.into_iter().next().expect("there are nodes")
}

/// A sandbox with a provider's rule, and no global policy in its way.
async fn furnish(scene: &Scene) {
    let stage = Stage { scene: scene.clone() };
    stage.ok(&globally(cleared(stage.set("", "policy", true)))).await;
    scene.import(profile("last", &["last.example.com"])).await;
    scene.create_provider("last", "last").await;
    let id = scene.create_sandbox("last", &["last"], SandboxPolicy { ..policy("docs.example.com") }).await;
    assert_eq!(layered_keys(&scene.effective_policy(&id).await).len(), 1);
}

#[tokio::test]
async fn a_random_workload_leaves_equal_bytes_and_equal_answers_on_every_node() {
    let mut cluster = Cluster::start().await;
    let scenes = [Scene::open(cluster.api_of_all()).await, Scene::open(cluster.api_of_all()).await];
    let parts = join_all((0..CALLERS).map(|caller| work(&cluster, &scenes, caller))).await;
    let mut done: BTreeMap<&str, u64> = BTreeMap::new();
    for (kind, count) in parts.into_iter().flatten() {
        *done.entry(kind).or_default() += count;
    }
    let missing: Vec<_> = KINDS.iter().filter(|kind| done.get(**kind).is_none_or(|count| *count == 0)).collect();
    assert!(missing.is_empty() && done.values().sum::<u64>() >= CALLERS * STEPS / 5, "{missing:?} of {done:?}");
    scenes[0].api.linearizable().enable_providers_v2(true).await;
    furnish(&scenes[0].through(scenes[0].api.linearizable())).await;

    let before = digest(&cluster).await;
    let mut seen = BTreeMap::new();
    for scene in &scenes {
        let request = ListSandboxesRequest { workspace: scene.workspace.clone(), ..ListSandboxesRequest::default() };
        let listed = scene.api.linearizable().call(&methods::LIST_SANDBOXES, request).await.expect("a list");
        for sandbox in listed.message.sandboxes {
            let all = answers(&cluster, scene, &sandbox).await;
            assert!(all.windows(2).all(|pair| pair[0] == pair[1]), "{sandbox:?}: {all:?}");
            let key = (scene.workspace.clone(), sandbox.metadata.as_ref().expect("metadata").name.clone());
            seen.insert(key, (sandbox, all));
        }
    }
    assert!(!seen.is_empty() && seen.values().any(|(_, all)| all[0].iter().all(Result::is_ok)), "{seen:?}");
    assert_eq!(digest(&cluster).await.digest, before.digest, "reading wrote something");

    for node in cluster.ids() {
        cluster.kill(node);
    }
    cluster.restart_all().await;
    assert_eq!(digest(&cluster).await.digest, before.digest, "the log leads elsewhere");
    for ((workspace, _), (sandbox, all)) in &seen {
        let scene = scenes.iter().find(|scene| scene.workspace == *workspace).expect("one of the two");
        assert_eq!(answers(&cluster, scene, sandbox).await, *all);
    }
}
