//! Requests that the cluster mostly grants: left to chance alone, methods that need several things at once would
//! never do anything. Most are about what this workload keeps for them, and what no other message names.

use openshell_proto::datamodel::{ObjectMeta, Provider};
use openshell_proto::v1::{
    ApproveAllDraftChunksRequest, ApproveDraftChunkRequest, AttachSandboxProviderRequest,
    ConfigureProviderRefreshRequest, CreateProviderRequest, CreateSandboxRequest, DeleteProviderRefreshRequest,
    DeleteProviderRequest, DetachSandboxProviderRequest, DraftChunkApproval, EditDraftChunkRequest,
    ImportProviderProfilesRequest, PolicyChunk, PolicyStatus, ProviderCredentialRefreshStrategy,
    ProviderProfileImportItem, RejectDraftChunkRequest, ReportPolicyStatusRequest, SandboxSpec,
    SubmitPolicyAnalysisRequest, UndoDraftChunkRequest, UpdateConfigRequest, UpdateProviderRequest,
};
use openshell_tests::{bool_setting, proposal};
use prost_reflect::{DynamicMessage, MessageDescriptor};
use rand::Rng;
use rand::rngs::StdRng;
use tonic::Status;

use super::message::{NAMES, PROFILES, Pool, one_of, provider, transcoded};
use super::{ATTACHED, KEPT, REFRESHED, lifecycle, minting};
use crate::workload::furnish::variable;
use crate::workload::register::plain;

/// What would be minted if its profile said how: what is minted in truth is not deleted.
const MINTED: &str = "MIXED_MINTED";
/// Hosts that proposals are about.
const HOSTS: u32 = 50;

/// Of which status a proposal must be that a method decides about; none of a method that takes none.
pub(super) fn takes(rpc: &str) -> Option<&'static [&'static str]> {
    match rpc.strip_prefix("openshell.v1.OpenShell/")? {
        "ApproveAllDraftChunks" | "EditDraftChunk" => Some(&["pending"]),
        "ApproveDraftChunk" => Some(&["pending", "rejected"]),
        "RejectDraftChunk" => Some(&["pending", "approved"]),
        "UndoDraftChunk" => Some(&["approved"]),
        _ => None,
    }
}

/// A request of this type; none where chance does as well. `chunk` is a proposal that it may decide about.
pub(super) fn request(
    random: &mut StdRng,
    pool: &Pool,
    descriptor: &MessageDescriptor,
    chunk: Option<&PolicyChunk>,
) -> Option<DynamicMessage> {
    let workspace = pool.workspaces.first()?;
    about_sandboxes(random, pool, workspace, descriptor)
        .or_else(|| lifecycle::request(workspace, descriptor))
        .or_else(|| about_providers(random, pool, workspace, descriptor))
        .or_else(|| about_proposals(random, workspace, descriptor, chunk?))
}

/// Tells the refusals that this request may rightly hear from others, where that can be told: what it names is kept for it
/// alone, so that nothing is possible but what its own calls and faults bring about.
pub(super) fn right_refusals(descriptor: &MessageDescriptor, request: &DynamicMessage) -> Option<fn(&Status) -> bool> {
    let names = |field: &str, name: &str| {
        request.get_field_by_name(field).is_some_and(|value| value.as_str().is_some_and(|said| said == name))
    };
    let is_right: fn(&Status) -> bool = match descriptor.full_name() {
        "openshell.v1.StopSandboxRequest" if names("name", lifecycle::FOLLOWED) => lifecycle::may_not_stop,
        "openshell.v1.StartSandboxRequest" if names("name", lifecycle::FOLLOWED) => lifecycle::may_not_start,
        "openshell.v1.RotateProviderCredentialRequest" if names("provider", minting::ROTATED) => {
            minting::may_not_rotate
        }
        _ => return None,
    };
    Some(is_right)
}

fn about_sandboxes(
    random: &mut StdRng,
    pool: &Pool,
    workspace: &str,
    descriptor: &MessageDescriptor,
) -> Option<DynamicMessage> {
    let workspace = workspace.to_owned();
    match descriptor.full_name() {
        "openshell.v1.CreateSandboxRequest" => {
            let (spec, name) = (Some(SandboxSpec::default()), one_of(random, &NAMES));
            transcoded(&CreateSandboxRequest { spec, name, workspace, ..Default::default() }, descriptor)
        }
        "openshell.v1.AttachSandboxProviderRequest" => {
            let (sandbox_name, provider_name) = (ATTACHED.to_owned(), KEPT.to_owned());
            let attach = AttachSandboxProviderRequest { sandbox_name, provider_name, workspace, ..Default::default() };
            transcoded(&attach, descriptor)
        }
        "openshell.v1.DetachSandboxProviderRequest" => {
            let (sandbox_name, provider_name) = (ATTACHED.to_owned(), KEPT.to_owned());
            let detach = DetachSandboxProviderRequest { sandbox_name, provider_name, workspace, ..Default::default() };
            transcoded(&detach, descriptor)
        }
        // A setting that changes nothing about what proposals come to.
        "openshell.v1.UpdateConfigRequest" => {
            let update = UpdateConfigRequest {
                name: KEPT.to_owned(),
                setting_key: "ocsf_json_enabled".to_owned(),
                setting_value: Some(bool_setting(random.random_bool(0.5))),
                workspace,
                ..UpdateConfigRequest::default()
            };
            transcoded(&update, descriptor)
        }
        "openshell.v1.ReportPolicyStatusRequest" => {
            let report = ReportPolicyStatusRequest {
                sandbox_id: pool.sandbox_ids.first()?.clone(),
                version: 1,
                status: PolicyStatus::Loaded.into(),
                ..ReportPolicyStatusRequest::default()
            };
            transcoded(&report, descriptor)
        }
        "openshell.v1.SubmitPolicyAnalysisRequest" => {
            let submit = SubmitPolicyAnalysisRequest {
                proposed_chunks: vec![proposal(&host(random)), proposal(&host(random))],
                name: KEPT.to_owned(),
                workspace,
                ..SubmitPolicyAnalysisRequest::default()
            };
            transcoded(&submit, descriptor)
        }
        _ => None,
    }
}

fn about_providers(
    random: &mut StdRng,
    pool: &Pool,
    workspace: &str,
    descriptor: &MessageDescriptor,
) -> Option<DynamicMessage> {
    let workspace = workspace.to_owned();
    let (refreshed, credential_key) = (REFRESHED.to_owned(), MINTED.to_owned());
    match descriptor.full_name() {
        "openshell.v1.CreateProviderRequest" => {
            let provider = Some(provider(pool, &one_of(random, &NAMES)));
            transcoded(&CreateProviderRequest { provider, workspace }, descriptor)
        }
        "openshell.v1.UpdateProviderRequest" => {
            let provider = Provider {
                metadata: Some(ObjectMeta { name: refreshed, ..ObjectMeta::default() }),
                credentials: [(variable(&pool.profile), pool.canary.secret(REFRESHED))].into(),
                ..Provider::default()
            };
            let update = UpdateProviderRequest { provider: Some(provider), workspace, ..Default::default() };
            transcoded(&update, descriptor)
        }
        "openshell.v1.DeleteProviderRequest" => {
            transcoded(&DeleteProviderRequest { name: one_of(random, &NAMES), workspace }, descriptor)
        }
        "openshell.v1.ImportProviderProfilesRequest" => {
            let profile = Some(plain(&one_of(random, &PROFILES), ""));
            let profiles = vec![ProviderProfileImportItem { profile, source: String::new() }];
            transcoded(&ImportProviderProfilesRequest { profiles, workspace }, descriptor)
        }
        "openshell.v1.RotateProviderCredentialRequest" => transcoded(&minting::rotation(&workspace), descriptor),
        "openshell.v1.ConfigureProviderRefreshRequest" => {
            if random.random_bool(0.5) {
                return transcoded(&minting::configuration(&workspace, &pool.canary), descriptor);
            }
            let configure = ConfigureProviderRefreshRequest {
                provider: refreshed,
                credential_key,
                strategy: ProviderCredentialRefreshStrategy::Oauth2ClientCredentials.into(),
                material: [("client_secret".to_owned(), pool.canary.secret(MINTED))].into(),
                workspace,
                ..ConfigureProviderRefreshRequest::default()
            };
            transcoded(&configure, descriptor)
        }
        "openshell.v1.DeleteProviderRefreshRequest" => {
            let delete = DeleteProviderRefreshRequest { provider: refreshed, credential_key, workspace };
            transcoded(&delete, descriptor)
        }
        _ => None,
    }
}

fn about_proposals(
    random: &mut StdRng,
    workspace: &str,
    descriptor: &MessageDescriptor,
    chunk: &PolicyChunk,
) -> Option<DynamicMessage> {
    let (name, workspace) = (KEPT.to_owned(), workspace.to_owned());
    let (chunk_id, review_token) = (chunk.id.clone(), chunk.review_token.clone());
    match descriptor.full_name() {
        "openshell.v1.ApproveDraftChunkRequest" => {
            transcoded(&ApproveDraftChunkRequest { name, chunk_id, workspace, review_token }, descriptor)
        }
        "openshell.v1.ApproveAllDraftChunksRequest" => {
            let approvals = vec![DraftChunkApproval { chunk_id, review_token }];
            let approve = ApproveAllDraftChunksRequest { name, workspace, approvals, include_security_flagged: true };
            transcoded(&approve, descriptor)
        }
        "openshell.v1.RejectDraftChunkRequest" => {
            let reason = "it is not needed".to_owned();
            transcoded(&RejectDraftChunkRequest { name, chunk_id, reason, workspace }, descriptor)
        }
        "openshell.v1.EditDraftChunkRequest" => {
            let proposed_rule = proposal(&host(random)).proposed_rule;
            transcoded(&EditDraftChunkRequest { name, chunk_id, proposed_rule, workspace }, descriptor)
        }
        "openshell.v1.UndoDraftChunkRequest" => {
            transcoded(&UndoDraftChunkRequest { name, chunk_id, workspace }, descriptor)
        }
        _ => None,
    }
}

fn host(random: &mut StdRng) -> String {
    format!("host-{}.example.com", random.random_range(0..HOSTS))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use openshell_proto::pool;
    use rand::SeedableRng;

    use super::*;
    use crate::canary::Canary;

    #[test]
    fn what_is_kept_for_a_method_alone_has_refusals_of_its_own() {
        let (workspaces, sandbox_ids) = (vec!["w".to_owned()], vec!["s".to_owned()]);
        let profile = PROFILES[0].to_owned();
        let pool_of_names = Pool { workspaces, sandbox_ids, profile, canary: Arc::new(Canary::of(1)) };
        let mut random = StdRng::seed_from_u64(3);
        for (name, has_some) in [
            ("openshell.v1.StopSandboxRequest", true),
            ("openshell.v1.StartSandboxRequest", true),
            ("openshell.v1.RotateProviderCredentialRequest", true),
            ("openshell.v1.CreateSandboxRequest", false),
        ] {
            let descriptor = pool().get_message_by_name(name).expect("a message");
            let apt = request(&mut random, &pool_of_names, &descriptor, None).expect("a request");
            assert_eq!(right_refusals(&descriptor, &apt).is_some(), has_some, "{name}");
            let empty = DynamicMessage::new(descriptor.clone());
            assert!(right_refusals(&descriptor, &empty).is_none(), "{name}");
        }
    }
}
