//! Policies and their revisions as text and as documents. Pure.

use openshell_policy::yaml;
use openshell_proto::sandbox::{GetSandboxConfigResponse, LeftOutProfile, SandboxPolicy};
use openshell_proto::v1::{PolicyStatus, SandboxPolicyRevision};
use serde_json::{Value, json};

use super::source_word;
use crate::output::plain;

/// How much of the policy itself is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Nothing,
    /// Without the rules that providers add, whose keys start with `_provider_`.
    Base,
    Full,
}

/// The policy in effect, label by label.
pub(crate) fn effective_lines(config: &GetSandboxConfigResponse, part: Part) -> String {
    let mut text = String::new();
    line(&mut text, "Version:", &config.version.to_string());
    line(&mut text, "Hash:", &config.policy_hash);
    line(&mut text, "Status:", "Effective");
    line(&mut text, "Source:", source_word(config.policy_source()));
    line(&mut text, "Config rev:", &config.config_revision.to_string());
    if config.global_policy_version > 0 {
        line(&mut text, "Global:", &config.global_policy_version.to_string());
    }
    text + &policy_text(config.policy.as_ref(), part)
}

/// The same as a document.
pub(crate) fn effective_document(name: &str, config: &GetSandboxConfigResponse, part: Part) -> Value {
    let mut document = json!({
        "active_version": config.version,
        "config_revision": config.config_revision,
        "hash": config.policy_hash,
        "policy_source": source_word(config.policy_source()),
        "sandbox": name,
        "scope": "sandbox",
        "status": "effective",
        "version": config.version,
    });
    if config.global_policy_version > 0 {
        document["global_policy_version"] = json!(config.global_policy_version);
    }
    if let Some(policy) = &config.policy {
        document["policy"] = yaml::to_json(&shown(policy, part));
    }
    document
}

/// One revision, label by label.
pub(crate) fn revision_lines(is_global: bool, revision: &SandboxPolicyRevision, active: u32, part: Part) -> String {
    let mut text = String::new();
    if is_global {
        line(&mut text, "Scope:", "global");
    }
    line(&mut text, "Version:", &revision.version.to_string());
    line(&mut text, "Hash:", &revision.policy_hash);
    line(&mut text, "Status:", status_word(revision.status()));
    if !is_global {
        line(&mut text, "Active:", &active.to_string());
    }
    if revision.created_at_ms > 0 {
        line(&mut text, "Created:", &format!("{} ms", revision.created_at_ms));
    }
    if revision.loaded_at_ms > 0 {
        line(&mut text, "Loaded:", &format!("{} ms", revision.loaded_at_ms));
    }
    if !revision.load_error.is_empty() {
        line(&mut text, "Error:", &plain(&revision.load_error));
    }
    text + &policy_text(revision.policy.as_ref(), part)
}

/// The same as a document; without a sandbox it is the one for all.
pub(crate) fn revision_document(sandbox: Option<&str>, revision: &SandboxPolicyRevision, active: u32) -> Value {
    let mut document = json!({
        "hash": revision.policy_hash,
        "scope": if sandbox.is_some() { "sandbox" } else { "global" },
        "status": status_word(revision.status()).to_ascii_lowercase(),
        "version": revision.version,
    });
    if let Some(sandbox) = sandbox {
        document["sandbox"] = json!(sandbox);
        document["active_version"] = json!(active);
    }
    if revision.created_at_ms > 0 {
        document["created_at_ms"] = json!(revision.created_at_ms);
    }
    if revision.loaded_at_ms > 0 {
        document["loaded_at_ms"] = json!(revision.loaded_at_ms);
    }
    if !revision.load_error.is_empty() {
        document["load_error"] = json!(revision.load_error);
    }
    if let Some(policy) = &revision.policy {
        document["policy"] = yaml::to_json(policy);
    }
    if !revision.provenance.is_empty() {
        document["provenance"] = json!(revision.provenance);
    }
    document
}

/// That a provider's profile has no part in what its sandbox gets.
pub(crate) fn left_out(profile: &LeftOutProfile) -> String {
    let LeftOutProfile { provider, profile, scope, reason } = profile;
    format!("provider '{provider}': its profile '{profile}' of the {scope} is invalid and left out: {reason}")
}

fn line(text: &mut String, label: &str, value: &str) {
    text.push_str(&format!("{label:<14}{value}\n"));
}

fn policy_text(policy: Option<&SandboxPolicy>, part: Part) -> String {
    match (policy, part) {
        (_, Part::Nothing) | (None, _) => String::new(),
        (Some(policy), Part::Base | Part::Full) => format!("---\n{}", yaml::render(&shown(policy, part))),
    }
}

fn shown(policy: &SandboxPolicy, part: Part) -> SandboxPolicy {
    let mut policy = policy.clone();
    if part == Part::Base {
        policy.network_policies.retain(|key, _| !key.starts_with("_provider_"));
    }
    policy
}

/// The status of a revision in a word.
pub(super) fn status_word(status: PolicyStatus) -> &'static str {
    match status {
        PolicyStatus::Unspecified => "Unspecified",
        PolicyStatus::Pending => "Pending",
        PolicyStatus::Loaded => "Loaded",
        PolicyStatus::Failed => "Failed",
        PolicyStatus::Superseded => "Superseded",
    }
}

#[cfg(test)]
mod tests {
    use super::{Part, effective_document, effective_lines, left_out, revision_document, revision_lines};
    use crate::commands::policy::short_hash;
    use crate::output;
    use openshell_proto::sandbox::{
        GetSandboxConfigResponse, LeftOutProfile, NetworkPolicyRule, PolicySource, SandboxPolicy,
    };
    use openshell_proto::v1::{PolicyStatus, SandboxPolicyRevision};

    fn config() -> GetSandboxConfigResponse {
        let rule =
            |name: &str| (name.to_owned(), NetworkPolicyRule { name: name.to_owned(), ..NetworkPolicyRule::default() });
        GetSandboxConfigResponse {
            policy: Some(SandboxPolicy {
                version: 1,
                network_policies: [rule("_provider_gh"), rule("mine")].into(),
                ..SandboxPolicy::default()
            }),
            version: 2,
            policy_hash: "0123456789abcdef".into(),
            config_revision: 9,
            policy_source: PolicySource::Sandbox.into(),
            ..GetSandboxConfigResponse::default()
        }
    }

    #[test]
    fn the_policy_in_effect_is_labelled_lines() {
        assert_eq!(
            effective_lines(&config(), Part::Nothing),
            "Version:      2\nHash:         0123456789abcdef\nStatus:       Effective\nSource:       sandbox\nConfig rev:   9\n"
        );
    }

    #[test]
    fn the_base_is_the_policy_without_what_providers_add() {
        let base = effective_lines(&config(), Part::Base);
        assert!(base.contains("---\n") && base.contains("mine:") && !base.contains("_provider_"), "{base}");
        let full = effective_lines(&config(), Part::Full);
        assert!(full.contains("_provider_gh:"), "{full}");
    }

    #[test]
    fn cli_scenario_66_documents_say_effective_or_the_status_of_the_revision() {
        let text = output::json(effective_document("s1", &config(), Part::Nothing));
        assert!(
            text.starts_with(
                "{\n  \"active_version\": 2,\n  \"config_revision\": 9,\n  \"hash\": \"0123456789abcdef\",\n"
            ),
            "{text}"
        );
        assert!(text.contains("\"status\": \"effective\""), "{text}");
        let revision = SandboxPolicyRevision {
            version: 1,
            policy_hash: "h".into(),
            status: PolicyStatus::Superseded.into(),
            created_at_ms: 5,
            ..SandboxPolicyRevision::default()
        };
        assert_eq!(
            output::yaml(revision_document(Some("s1"), &revision, 2)),
            "active_version: 2\ncreated_at_ms: 5\nhash: h\nsandbox: s1\nscope: sandbox\nstatus: superseded\nversion: 1\n"
        );
        assert_eq!(
            revision_lines(true, &revision, 0, Part::Nothing),
            "Scope:        global\nVersion:      1\nHash:         h\nStatus:       Superseded\nCreated:      5 ms\n"
        );
    }

    #[test]
    fn what_is_left_out_is_a_sentence_with_provider_profile_and_reason() {
        let profile = LeftOutProfile {
            provider: "acme-main".into(),
            profile: "acme".into(),
            scope: "workspace".into(),
            reason: "binaries[0]: no path".into(),
        };
        assert_eq!(
            left_out(&profile),
            "provider 'acme-main': its profile 'acme' of the workspace is invalid and left out: binaries[0]: no path"
        );
    }

    #[test]
    fn cli_scenario_80_a_short_or_strange_hash_is_shown_as_it_is() {
        assert_eq!(short_hash("abc"), "abc");
        assert_eq!(short_hash("ääääääääääääää"), "ääääääääääää");
    }
}
