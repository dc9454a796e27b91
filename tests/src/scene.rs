//! A workspace with the nouns of the main job in it, and the calls that make and read them. Calls
//! whose refusal a test may want return it; the others must succeed.

use openshell_client::{Answer, CallError, methods};
use openshell_proto::datamodel::{ObjectMeta, Provider};
use openshell_proto::sandbox::{GetSandboxConfigRequest, GetSandboxConfigResponse, SandboxPolicy};
use openshell_proto::v1::{
    AttachSandboxProviderRequest, AttachSandboxProviderResponse, CreateProviderRequest, CreateSandboxRequest,
    CreateWorkspaceRequest, DeleteProviderProfileRequest, DeleteProviderProfileResponse, DetachSandboxProviderRequest,
    GetProviderProfileRequest, GetProviderRequest, GetSandboxPolicyStatusRequest, GetSandboxRequest,
    ImportProviderProfilesRequest, ImportProviderProfilesResponse, ProviderProfile, ProviderProfileImportItem, Sandbox,
    SandboxPolicyRevision, SandboxSpec, UpdateProviderProfilesRequest, UpdateProviderProfilesResponse,
};

use crate::api::Api;
use crate::fixtures::token_variable;

/// A name that no other test uses.
#[must_use]
pub fn unique(prefix: &str) -> String {
    let random = uuid::Uuid::new_v4().simple().to_string();
    format!("{prefix}-{}", &random[..10])
}

/// One workspace, seen through one caller.
#[derive(Clone)]
pub struct Scene {
    /// The workspace's name.
    pub workspace: String,
    /// Who calls.
    pub api: Api,
}

impl Scene {
    /// Makes a new workspace.
    ///
    /// # Panics
    /// When the cluster refuses.
    pub async fn open(api: Api) -> Self {
        let workspace = unique("test");
        let request = CreateWorkspaceRequest { name: workspace.clone(), ..CreateWorkspaceRequest::default() };
        api.call(&methods::CREATE_WORKSPACE, request).await.expect("the workspace is created");
        Self { workspace, api }
    }

    /// The same workspace through another caller.
    #[must_use]
    pub fn through(&self, api: Api) -> Self {
        Self { workspace: self.workspace.clone(), api }
    }

    /// Imports profiles, all or none.
    ///
    /// # Errors
    /// As the call; what is wrong with a profile is in the answer's diagnostics.
    pub async fn try_import(
        &self,
        profiles: Vec<ProviderProfile>,
    ) -> Result<Answer<ImportProviderProfilesResponse>, CallError> {
        let profiles = profiles.into_iter().map(item).collect();
        let request = ImportProviderProfilesRequest { profiles, workspace: self.workspace.clone() };
        self.api.call(&methods::IMPORT_PROVIDER_PROFILES, request).await
    }

    /// Imports one profile and returns it with its version.
    ///
    /// # Panics
    /// When the cluster refuses.
    pub async fn import(&self, profile: ProviderProfile) -> ProviderProfile {
        let answer = self.try_import(vec![profile]).await.expect("the import is answered").message;
        assert!(answer.imported, "the import is accepted: {:?}", answer.diagnostics);
        let [imported] = <[ProviderProfile; 1]>::try_from(answer.profiles).expect("one profile was imported");
        imported
    }

    /// Updates a profile on the version that it embeds.
    ///
    /// # Errors
    /// As the call; what is wrong with the profile is in the answer's diagnostics.
    pub async fn try_update(
        &self,
        profile: ProviderProfile,
    ) -> Result<Answer<UpdateProviderProfilesResponse>, CallError> {
        let id = profile.id.clone();
        self.try_update_as(&id, 0, profile).await
    }

    /// Updates the profile `id` with a payload that may name another, on an expected version.
    ///
    /// # Errors
    /// As [`Scene::try_update`].
    pub async fn try_update_as(
        &self,
        id: &str,
        expected_resource_version: u64,
        profile: ProviderProfile,
    ) -> Result<Answer<UpdateProviderProfilesResponse>, CallError> {
        let request = UpdateProviderProfilesRequest {
            profile: Some(item(profile)),
            expected_resource_version,
            id: id.to_owned(),
            workspace: self.workspace.clone(),
            updates: Vec::new(),
        };
        self.api.call(&methods::UPDATE_PROVIDER_PROFILES, request).await
    }

    /// Updates a profile on the version that it embeds, and returns it as stored, with the answer.
    ///
    /// # Panics
    /// When the cluster refuses.
    pub async fn update(&self, profile: ProviderProfile) -> Answer<ProviderProfile> {
        let answer = self.try_update(profile).await.expect("the update is answered");
        assert!(answer.message.updated, "the update is accepted: {:?}", answer.message.diagnostics);
        Answer {
            message: answer.message.profile.expect("an accepted update has the profile"),
            seen: answer.seen,
            request_id: answer.request_id,
            attempts: answer.attempts,
        }
    }

    /// Reads a profile.
    ///
    /// # Errors
    /// As the call.
    pub async fn try_profile(&self, id: &str) -> Result<ProviderProfile, CallError> {
        let request = GetProviderProfileRequest { id: id.to_owned(), workspace: self.workspace.clone() };
        let answer = self.api.call(&methods::GET_PROVIDER_PROFILE, request).await?;
        Ok(answer.message.profile.unwrap_or_default())
    }

    /// Reads a profile.
    ///
    /// # Panics
    /// When the cluster refuses.
    pub async fn profile(&self, id: &str) -> ProviderProfile {
        self.try_profile(id).await.expect("the profile is there")
    }

    /// Deletes a profile.
    ///
    /// # Errors
    /// As the call.
    pub async fn try_delete_profile(&self, id: &str) -> Result<Answer<DeleteProviderProfileResponse>, CallError> {
        let request = DeleteProviderProfileRequest { id: id.to_owned(), workspace: self.workspace.clone() };
        self.api.call(&methods::DELETE_PROVIDER_PROFILE, request).await
    }

    /// Makes a provider of a custom profile of this workspace, with a value for its token.
    ///
    /// # Panics
    /// When the cluster refuses.
    pub async fn create_provider(&self, name: &str, profile_id: &str) -> Provider {
        let provider = Provider {
            metadata: Some(ObjectMeta { name: name.to_owned(), ..ObjectMeta::default() }),
            r#type: profile_id.to_owned(),
            credentials: [(token_variable(profile_id), "not-a-real-secret".to_owned())].into(),
            profile_workspace: self.workspace.clone(),
            ..Provider::default()
        };
        let request = CreateProviderRequest { provider: Some(provider), workspace: self.workspace.clone() };
        let answer = self.api.call(&methods::CREATE_PROVIDER, request).await.expect("the provider is created");
        answer.message.provider.expect("a creation answers the provider")
    }

    /// Reads a provider.
    ///
    /// # Panics
    /// When the cluster refuses.
    pub async fn provider(&self, name: &str) -> Provider {
        let request = GetProviderRequest { name: name.to_owned(), workspace: self.workspace.clone() };
        let answer = self.api.call(&methods::GET_PROVIDER, request).await.expect("the provider is there");
        answer.message.provider.expect("a read answers the provider")
    }

    /// Makes a sandbox and returns its id.
    ///
    /// # Panics
    /// When the cluster refuses.
    pub async fn create_sandbox(&self, name: &str, providers: &[&str], policy: SandboxPolicy) -> String {
        let spec = SandboxSpec {
            policy: Some(policy),
            providers: providers.iter().map(|&provider| provider.to_owned()).collect(),
            ..SandboxSpec::default()
        };
        let request = CreateSandboxRequest {
            spec: Some(spec),
            name: name.to_owned(),
            workspace: self.workspace.clone(),
            ..CreateSandboxRequest::default()
        };
        let answer = self.api.call(&methods::CREATE_SANDBOX, request).await.expect("the sandbox is created");
        let metadata = answer.message.sandbox.and_then(|sandbox| sandbox.metadata);
        metadata.expect("a creation answers the sandbox").id
    }

    /// Reads a sandbox.
    ///
    /// # Panics
    /// When the cluster refuses.
    pub async fn sandbox(&self, name: &str) -> Sandbox {
        let request = GetSandboxRequest { name: name.to_owned(), workspace: self.workspace.clone() };
        let answer = self.api.call(&methods::GET_SANDBOX, request).await.expect("the sandbox is there");
        answer.message.sandbox.expect("a read answers the sandbox")
    }

    /// Attaches a provider to a sandbox.
    ///
    /// # Errors
    /// As the call.
    pub async fn try_attach(
        &self,
        sandbox: &str,
        provider: &str,
    ) -> Result<Answer<AttachSandboxProviderResponse>, CallError> {
        let request = AttachSandboxProviderRequest {
            sandbox_name: sandbox.to_owned(),
            provider_name: provider.to_owned(),
            workspace: self.workspace.clone(),
            ..AttachSandboxProviderRequest::default()
        };
        self.api.call(&methods::ATTACH_SANDBOX_PROVIDER, request).await
    }

    /// Detaches a provider from a sandbox.
    ///
    /// # Panics
    /// When the cluster refuses.
    pub async fn detach(&self, sandbox: &str, provider: &str) {
        let request = DetachSandboxProviderRequest {
            sandbox_name: sandbox.to_owned(),
            provider_name: provider.to_owned(),
            workspace: self.workspace.clone(),
            ..DetachSandboxProviderRequest::default()
        };
        let answer = self.api.call(&methods::DETACH_SANDBOX_PROVIDER, request).await;
        assert!(answer.expect("the provider is detached").message.detached);
    }

    /// The configuration of a sandbox, by its id.
    ///
    /// # Errors
    /// As the call.
    pub async fn try_config(&self, sandbox_id: &str) -> Result<Answer<GetSandboxConfigResponse>, CallError> {
        let request = GetSandboxConfigRequest { sandbox_id: sandbox_id.to_owned() };
        self.api.call(&methods::GET_SANDBOX_CONFIG, request).await
    }

    /// The effective configuration of a sandbox, by its id.
    ///
    /// # Panics
    /// When the cluster refuses.
    pub async fn config(&self, sandbox_id: &str) -> Answer<GetSandboxConfigResponse> {
        self.try_config(sandbox_id).await.expect("the configuration is answered")
    }

    /// The composed policy of a sandbox, by its id.
    ///
    /// # Panics
    /// When the cluster refuses, or the sandbox has no policy.
    pub async fn effective_policy(&self, sandbox_id: &str) -> SandboxPolicy {
        self.config(sandbox_id).await.message.policy.expect("the sandbox has a policy")
    }

    /// The latest stored policy of a sandbox.
    ///
    /// # Panics
    /// When the cluster refuses, or there is none.
    pub async fn stored_policy(&self, sandbox: &str) -> SandboxPolicyRevision {
        let request = GetSandboxPolicyStatusRequest {
            name: sandbox.to_owned(),
            workspace: self.workspace.clone(),
            ..GetSandboxPolicyStatusRequest::default()
        };
        let answer = self.api.call(&methods::GET_SANDBOX_POLICY_STATUS, request).await;
        answer.expect("the policy is answered").message.revision.expect("the sandbox has a stored policy")
    }
}

/// A profile as a request item, labelled as if from a file.
fn item(profile: ProviderProfile) -> ProviderProfileImportItem {
    ProviderProfileImportItem { source: format!("{}.yaml", profile.id), profile: Some(profile) }
}
