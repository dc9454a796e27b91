//! Profiles and providers by the contract, `providers.md`: the acceptance scenarios by number and the
//! recorded answers, through a follower of a cluster of three and on a single node.

mod attaching;
mod callers;
mod importing;
mod reading;
mod records;
mod refreshing;
mod updating;
mod vectors;

use openshell_client::methods;
use openshell_proto::datamodel::{ObjectMeta, Provider};
use openshell_proto::v1::{
    AttachSandboxProviderRequest, CreateProviderRequest, CreateWorkspaceRequest, DeleteProviderProfileRequest,
    DeleteProviderRequest, GetProviderProfileRequest, GetProviderRequest, ImportProviderProfilesRequest,
    LintProviderProfilesRequest, LintProviderProfilesResponse, ListProviderProfilesRequest, ProviderProfile,
    ProviderProfileDiagnostic, ProviderProfileImportItem, UpdateProviderProfilesRequest, UpdateProviderRequest,
};
use openshell_tests::{Api, Cluster, Scene, endpoint, unique};
use tonic::Code;

use crate::rpc::Calls;
use crate::scenario::{self, map, minimal, says};

/// A workspace of its own, seen through one node, in which a scenario happens.
#[derive(Clone)]
struct Stage {
    scene: Scene,
    /// Of the scenario's own; the platform's scope is shared by all.
    prefix: String,
}

/// Runs a scenario through a follower of the shared cluster, and on the shared single node.
async fn everywhere(scenario: impl AsyncFn(Stage)) {
    let clusters = [Cluster::shared().await, Cluster::shared_single().await];
    for api in [clusters[0].follower_api().await, clusters[1].api(1)] {
        scenario(Stage::open(api).await).await;
    }
}

impl Calls for Stage {
    fn api(&self) -> &Api {
        &self.scene.api
    }
}

impl Stage {
    async fn open(api: Api) -> Self {
        Self { scene: Scene::open(api).await, prefix: unique("p") }
    }

    /// The name of the workspace, which is the scope of its profiles.
    fn own(&self) -> &str {
        &self.scene.workspace
    }

    /// An id that no other scenario uses in the platform's scope.
    fn platform_id(&self, word: &str) -> String {
        format!("{}-{word}", self.prefix)
    }

    /// Another workspace, new.
    async fn workspace(&self) -> String {
        let name = unique("other");
        let request = CreateWorkspaceRequest { name: name.clone(), ..CreateWorkspaceRequest::default() };
        self.scene.api.call(&methods::CREATE_WORKSPACE, request).await.expect("the workspace is created");
        name
    }

    /// Imports that must succeed.
    async fn imported(&self, scope: &str, profiles: &[ProviderProfile]) -> Vec<ProviderProfileDiagnostic> {
        let answer = self.ok(&import(scope, profiles)).await;
        assert!(answer.imported && answer.profiles.len() == profiles.len(), "{}", texts(&answer.diagnostics));
        answer.diagnostics
    }

    /// An import that is answered with diagnostics.
    async fn not_imported(&self, scope: &str, profiles: &[ProviderProfile]) -> Vec<ProviderProfileDiagnostic> {
        let answer = self.ok(&import(scope, profiles)).await;
        assert!(!answer.imported && answer.profiles.is_empty() && !answer.diagnostics.is_empty(), "{answer:?}");
        answer.diagnostics
    }

    async fn lint(&self, scope: &str, profiles: &[ProviderProfile]) -> LintProviderProfilesResponse {
        let profiles = profiles.iter().cloned().map(item).collect();
        self.ok(&LintProviderProfilesRequest { profiles, workspace: scope.to_owned() }).await
    }

    async fn get(&self, scope: &str, id: &str) -> ProviderProfile {
        self.ok(&get(scope, id)).await.profile.expect("a profile")
    }

    /// A scope shows no profile of this id.
    async fn missing(&self, scope: &str, id: &str) {
        self.refused(Code::NotFound, &get(scope, id)).await;
    }

    /// All profiles that a scope shows.
    async fn list(&self, scope: &str) -> Vec<ProviderProfile> {
        self.ok(&page(scope, 0, 1000)).await.profiles
    }

    /// A provider of this workspace's own scope, not made yet, with the value `secret` under each key.
    fn provider(&self, name: &str, provider_type: &str, keys: &[&str]) -> CreateProviderRequest {
        let credentials: Vec<_> = keys.iter().map(|key| (*key, "secret")).collect();
        scenario::provider(self.own(), name, provider_type, &credentials)
    }

    fn update_provider(&self, name: &str, change: impl FnOnce(&mut Provider)) -> UpdateProviderRequest {
        let mut provider = Provider {
            metadata: Some(ObjectMeta { name: name.to_owned(), ..ObjectMeta::default() }),
            ..Provider::default()
        };
        change(&mut provider);
        let workspace = self.own().to_owned();
        UpdateProviderRequest { provider: Some(provider), workspace, ..UpdateProviderRequest::default() }
    }

    fn delete_provider(&self, name: &str) -> DeleteProviderRequest {
        DeleteProviderRequest { name: name.to_owned(), workspace: self.own().to_owned() }
    }

    fn get_provider(&self, name: &str) -> GetProviderRequest {
        GetProviderRequest { name: name.to_owned(), workspace: self.own().to_owned() }
    }

    fn attach(&self, sandbox: &str, provider: &str) -> AttachSandboxProviderRequest {
        AttachSandboxProviderRequest {
            sandbox_name: sandbox.to_owned(),
            provider_name: provider.to_owned(),
            workspace: self.own().to_owned(),
            ..AttachSandboxProviderRequest::default()
        }
    }
}

/// A profile with one endpoint and no credential.
fn hosted(id: &str, host: &str) -> ProviderProfile {
    ProviderProfile { endpoints: vec![endpoint(host)], ..minimal(id) }
}

/// One whose endpoint has neither host nor port.
fn broken(id: &str) -> ProviderProfile {
    let mut broken = hosted(id, "");
    broken.endpoints[0].port = 0;
    broken
}

fn item(profile: ProviderProfile) -> ProviderProfileImportItem {
    ProviderProfileImportItem { source: format!("{}.yaml", profile.id), profile: Some(profile) }
}

fn import(scope: &str, profiles: &[ProviderProfile]) -> ImportProviderProfilesRequest {
    ImportProviderProfilesRequest {
        profiles: profiles.iter().cloned().map(item).collect(),
        workspace: scope.to_owned(),
    }
}

fn update(scope: &str, expected: u64, profile: ProviderProfile) -> UpdateProviderProfilesRequest {
    UpdateProviderProfilesRequest {
        id: profile.id.clone(),
        profile: Some(item(profile)),
        expected_resource_version: expected,
        workspace: scope.to_owned(),
        updates: Vec::new(),
    }
}

fn get(scope: &str, id: &str) -> GetProviderProfileRequest {
    GetProviderProfileRequest { id: id.to_owned(), workspace: scope.to_owned() }
}

fn delete(scope: &str, id: &str) -> DeleteProviderProfileRequest {
    DeleteProviderProfileRequest { id: id.to_owned(), workspace: scope.to_owned() }
}

fn page(scope: &str, offset: u32, limit: u32) -> ListProviderProfilesRequest {
    ListProviderProfilesRequest { limit, offset, workspace: scope.to_owned() }
}

/// Fields of the diagnostics, in order.
fn fields(diagnostics: &[ProviderProfileDiagnostic]) -> Vec<&str> {
    diagnostics.iter().map(|diagnostic| diagnostic.field.as_str()).collect()
}

/// The texts of diagnostics in one.
fn texts(diagnostics: &[ProviderProfileDiagnostic]) -> String {
    diagnostics.iter().map(|diagnostic| diagnostic.message.as_str()).collect::<Vec<_>>().join("\n")
}
