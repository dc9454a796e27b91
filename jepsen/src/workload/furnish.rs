//! What a workload needs to be there before its clients begin: profiles, providers, sandboxes and their
//! tokens. Made once, through a cluster that is whole, with retries.

use std::sync::Arc;

use anyhow::Context;
use openshell_client::methods;
use openshell_proto::cluster::IssueSandboxTokenRequest;
use openshell_proto::datamodel::{ObjectMeta, Provider};
use openshell_proto::v1::{
    CreateProviderRequest, CreateSandboxRequest, ImportProviderProfilesRequest, ProviderProfile,
    ProviderProfileImportItem, SandboxSpec, UpdateConfigRequest,
};
use openshell_tests::{Api, bool_setting, policy_allowing};

use super::profiles::cell;
use super::{Shared, Workload};
use crate::canary::Canary;
use crate::history::{Cells, Line};
use crate::recorder::Recorder;

/// A workspace, and who makes things in it.
pub(super) struct Furnishing {
    api: Api,
    workspace: String,
    canary: Arc<Canary>,
}

impl Furnishing {
    /// Of a workspace that is there.
    pub(super) fn of(shared: &Shared, workspace: &str) -> Self {
        let (workspace, canary) = (workspace.to_owned(), Arc::clone(&shared.wishes.canary));
        Self { api: shared.all.api(), workspace, canary }
    }

    /// Provider rules become part of what sandboxes compose to.
    pub(super) async fn compose_rules(&self) -> anyhow::Result<()> {
        let request = UpdateConfigRequest {
            global: true,
            setting_key: "providers_v2_enabled".to_owned(),
            setting_value: Some(bool_setting(true)),
            ..UpdateConfigRequest::default()
        };
        self.api.call(&methods::UPDATE_CONFIG, request).await.context("turning composition on")?;
        Ok(())
    }

    /// Profiles, each of them an object of the history.
    pub(super) async fn profiles(
        &self,
        recorder: &Recorder,
        workload: Workload,
        profiles: Vec<ProviderProfile>,
    ) -> anyhow::Result<()> {
        let items = profiles.into_iter();
        let profiles = items.map(|profile| ProviderProfileImportItem { profile: Some(profile), source: String::new() });
        let request = ImportProviderProfilesRequest { profiles: profiles.collect(), workspace: self.workspace.clone() };
        let answer = self.api.call(&methods::IMPORT_PROVIDER_PROFILES, request).await?.message;
        anyhow::ensure!(answer.imported, "the profiles were not imported: {:?}", answer.diagnostics);
        for profile in &answer.profiles {
            let (key, cell) = cell(profile);
            recorder.add(Line::Object {
                object: key.clone(),
                workload,
                keys: vec![key.clone()],
                cells: Cells::from([(key, cell)]),
            });
        }
        Ok(())
    }

    /// A provider of a profile of the workspace, with a value for its token.
    pub(super) async fn provider(&self, name: &str, profile: &str) -> anyhow::Result<()> {
        let provider = Some(provider(name, profile, &self.workspace, &self.canary));
        let request = CreateProviderRequest { provider, workspace: self.workspace.clone() };
        self.api.call(&methods::CREATE_PROVIDER, request).await.with_context(|| format!("making provider {name}"))?;
        Ok(())
    }

    /// A sandbox with some providers; its id.
    pub(super) async fn sandbox(&self, name: &str, providers: &[&str]) -> anyhow::Result<String> {
        let spec = SandboxSpec {
            policy: Some(policy_allowing("docs.example.com")),
            providers: providers.iter().map(|provider| (*provider).to_owned()).collect(),
            ..SandboxSpec::default()
        };
        let request = CreateSandboxRequest {
            spec: Some(spec),
            name: name.to_owned(),
            workspace: self.workspace.clone(),
            ..CreateSandboxRequest::default()
        };
        let answer = self.api.call(&methods::CREATE_SANDBOX, request).await;
        let answer = answer.with_context(|| format!("making sandbox {name}"))?;
        let metadata = answer.message.sandbox.and_then(|sandbox| sandbox.metadata);
        Ok(metadata.context("a creation answers the sandbox")?.id)
    }

    /// A token of a sandbox.
    pub(super) async fn token(&self, name: &str) -> anyhow::Result<String> {
        let request = IssueSandboxTokenRequest { name: name.to_owned(), workspace: self.workspace.clone() };
        let answer = self.api.call(&methods::ISSUE_SANDBOX_TOKEN, request).await;
        Ok(answer.with_context(|| format!("issuing a token of {name}"))?.message.token)
    }
}

/// A provider of a profile of a workspace, with a value for its token.
pub(super) fn provider(name: &str, profile: &str, workspace: &str, canary: &Canary) -> Provider {
    Provider {
        metadata: Some(ObjectMeta { name: name.to_owned(), ..ObjectMeta::default() }),
        r#type: profile.to_owned(),
        credentials: [(variable(profile), canary.secret(name))].into(),
        profile_workspace: workspace.to_owned(),
        ..Provider::default()
    }
}

/// The variable that the token of such a profile is in.
pub(super) fn variable(profile: &str) -> String {
    format!("{}_TOKEN", profile.replace('-', "_").to_uppercase())
}
