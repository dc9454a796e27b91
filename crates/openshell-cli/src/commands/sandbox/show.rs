//! Sandbox records as text and as documents. Pure.

use openshell_policy::yaml;
use openshell_proto::datamodel::ObjectMeta;
use openshell_proto::sandbox::{GetSandboxConfigResponse, PolicySource};
use openshell_proto::v1::{Sandbox, SandboxPhase};
use serde_json::{Value, json};

use crate::commands::policy::source_word;
use crate::output::{Paint, table, time_text};

/// Label by label, then the policy in effect.
pub(crate) fn detail(sandbox: &Sandbox, config: &GetSandboxConfigResponse, paint: Paint) -> String {
    let metadata = metadata(sandbox);
    let mut text = format!("{}\n\n", paint.bold("Sandbox:"));
    let mut line = |label: &str, value: &str| text.push_str(&format!("  {} {value}\n", paint.dim(label)));
    line("Id:", &metadata.id);
    line("Name:", &metadata.name);
    line("Phase:", phase(sandbox));
    line("Resource version:", &metadata.resource_version.to_string());
    for (label, map) in [("Labels:", &metadata.labels), ("Annotations:", &metadata.annotations)] {
        if !map.is_empty() {
            text.push_str(&format!("  {}\n", paint.dim(label)));
            text.extend(map.iter().map(|(key, value)| format!("    {key}: {value}\n")));
        }
    }
    let mut line = |label: &str, value: &str| text.push_str(&format!("  {} {value}\n", paint.dim(label)));
    line("Policy source:", source_word(config.policy_source()));
    if let Some(revision) = revision(config) {
        line("Revision:", &revision.to_string());
    }
    if let Some(policy) = &config.policy {
        text.push_str(&format!("\n{}\n\n", paint.bold("Policy:")));
        text.extend(yaml::render(policy).lines().map(|line| format!("  {line}\n")));
    }
    text
}

/// `[WORKSPACE] NAME CREATED PHASE`.
pub(crate) fn rows(sandboxes: &[Sandbox], with_workspace: bool, paint: Paint) -> String {
    let row = |sandbox: &Sandbox| {
        let metadata = metadata(sandbox);
        let cells = [metadata.name, time_text(metadata.created_at_ms), phase(sandbox).to_owned()];
        with_workspace.then_some(metadata.workspace).into_iter().chain(cells).collect()
    };
    let headers: Vec<_> =
        with_workspace.then_some("WORKSPACE").into_iter().chain(["NAME", "CREATED", "PHASE"]).collect();
    table(&headers, &sandboxes.iter().map(row).collect::<Vec<_>>(), "", paint)
}

/// One a line.
pub(crate) fn ids(sandboxes: &[Sandbox]) -> String {
    sandboxes.iter().map(|sandbox| metadata(sandbox).id + "\n").collect()
}

/// One a line, with the workspace before a slash when they are of several.
pub(crate) fn names(sandboxes: &[Sandbox], with_workspace: bool) -> String {
    let name = |sandbox: &Sandbox| {
        let metadata = metadata(sandbox);
        if with_workspace { format!("{}/{}\n", metadata.workspace, metadata.name) } else { metadata.name + "\n" }
    };
    sandboxes.iter().map(name).collect()
}

/// The record without its policy.
pub(crate) fn document(sandbox: &Sandbox) -> Value {
    let metadata = metadata(sandbox);
    json!({
        "annotations": metadata.annotations,
        "created_at": time_text(metadata.created_at_ms),
        "current_policy_version": sandbox.status.as_ref().map_or(0, |status| status.current_policy_version),
        "id": metadata.id,
        "labels": metadata.labels,
        "name": metadata.name,
        "phase": phase(sandbox),
        "resource_version": metadata.resource_version,
        "workspace": metadata.workspace,
    })
}

/// The record with the policy in effect.
pub(crate) fn document_with_policy(sandbox: &Sandbox, config: &GetSandboxConfigResponse) -> Value {
    let mut document = document(sandbox);
    document["policy"] = config.policy.as_ref().map_or(Value::Null, yaml::to_json);
    document["policy_source"] = json!(source_word(config.policy_source()));
    document["revision"] = json!(revision(config));
    document
}

/// The phase in a word.
pub(crate) fn phase(sandbox: &Sandbox) -> &'static str {
    match sandbox.status.as_ref().map_or(SandboxPhase::Unspecified, openshell_proto::v1::SandboxStatus::phase) {
        SandboxPhase::Unspecified => "Unspecified",
        SandboxPhase::Provisioning => "Provisioning",
        SandboxPhase::Ready => "Ready",
        SandboxPhase::Error => "Error",
        SandboxPhase::Deleting => "Deleting",
        SandboxPhase::Unknown => "Unknown",
        SandboxPhase::Stopping => "Stopping",
        SandboxPhase::Stopped => "Stopped",
        SandboxPhase::Starting => "Starting",
    }
}

fn metadata(sandbox: &Sandbox) -> ObjectMeta {
    sandbox.metadata.clone().unwrap_or_default()
}

/// The version of whichever policy is in effect.
fn revision(config: &GetSandboxConfigResponse) -> Option<u32> {
    let version = match config.policy_source() {
        PolicySource::Global => config.global_policy_version,
        PolicySource::Sandbox | PolicySource::Unspecified => config.version,
    };
    (version > 0).then_some(version)
}

#[cfg(test)]
mod tests {
    use super::{detail, document_with_policy, names, rows};
    use crate::output::{self, Paint};
    use openshell_proto::datamodel::ObjectMeta;
    use openshell_proto::sandbox::{GetSandboxConfigResponse, PolicySource, SandboxPolicy};
    use openshell_proto::v1::{Sandbox, SandboxPhase, SandboxStatus};

    fn sandbox() -> Sandbox {
        Sandbox {
            metadata: Some(ObjectMeta {
                id: "i1".into(),
                name: "s1".into(),
                workspace: "default".into(),
                labels: [("a".to_owned(), "b".to_owned())].into(),
                resource_version: 1,
                ..ObjectMeta::default()
            }),
            status: Some(SandboxStatus {
                phase: SandboxPhase::Provisioning.into(),
                current_policy_version: 1,
                ..SandboxStatus::default()
            }),
            spec: None,
        }
    }

    fn config() -> GetSandboxConfigResponse {
        GetSandboxConfigResponse {
            policy: Some(SandboxPolicy { version: 1, ..SandboxPolicy::default() }),
            version: 3,
            policy_source: PolicySource::Sandbox.into(),
            ..GetSandboxConfigResponse::default()
        }
    }

    #[test]
    fn cli_scenario_53_a_document_has_every_key_in_alphabetical_order() {
        let text = output::json(document_with_policy(&sandbox(), &config()));
        let keys: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("  \"")?.split('"').next()).collect();
        assert_eq!(
            keys,
            [
                "annotations",
                "created_at",
                "current_policy_version",
                "id",
                "labels",
                "name",
                "phase",
                "policy",
                "policy_source",
                "resource_version",
                "revision",
                "workspace"
            ]
        );
        assert!(text.contains("\"version\": 1"), "{text}");
    }

    #[test]
    fn a_sandbox_is_a_text_with_its_policy_indented() {
        let text = detail(&sandbox(), &config(), Paint::plain());
        let expected = "Sandbox:\n\n  Id: i1\n  Name: s1\n  Phase: Provisioning\n  Resource version: 1\n  Labels:\n    a: b\n  \
                        Policy source: sandbox\n  Revision: 3\n\nPolicy:\n\n  version: 1\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn lists_name_the_workspace_when_they_are_of_several() {
        assert_eq!(
            rows(&[sandbox()], true, Paint::plain()),
            "WORKSPACE  NAME  CREATED              PHASE\ndefault    s1    1970-01-01 00:00:00  Provisioning\n"
        );
        assert_eq!((names(&[sandbox()], true), names(&[sandbox()], false)), ("default/s1\n".into(), "s1\n".into()));
    }
}
