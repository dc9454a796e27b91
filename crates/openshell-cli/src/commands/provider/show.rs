//! Providers as text and as documents: names of keys, never values. Pure.

use std::collections::BTreeSet;

use openshell_proto::datamodel::Provider;
use serde_json::{Value, json};

use crate::output::{Paint, table, time_text};

/// Label by label.
pub(crate) fn detail(provider: &Provider, paint: Paint) -> String {
    let metadata = provider.metadata.clone().unwrap_or_default();
    let mut text = format!("{}\n\n", paint.bold("Provider:"));
    let mut line = |label: &str, value: &str| text.push_str(&format!("  {} {value}\n", paint.dim(label)));
    line("Id:", &metadata.id);
    line("Name:", &metadata.name);
    line("Type:", &provider.r#type);
    line("Resource version:", &metadata.resource_version.to_string());
    line("Credential keys:", &listed(&credential_keys(provider)));
    line("Config keys:", &listed(&provider.config.keys().map(String::as_str).collect::<Vec<_>>()));
    text
}

/// `[WORKSPACE] NAME TYPE CREDENTIAL_KEYS CONFIG_KEYS`, the last two as counts.
pub(crate) fn rows(providers: &[Provider], with_workspace: bool, paint: Paint) -> String {
    let row = |provider: &Provider| {
        let metadata = provider.metadata.clone().unwrap_or_default();
        let credentials = credential_keys(provider).len().to_string();
        let cells = [metadata.name, provider.r#type.clone(), credentials, provider.config.len().to_string()];
        with_workspace.then_some(metadata.workspace).into_iter().chain(cells).collect()
    };
    let names = ["NAME", "TYPE", "CREDENTIAL_KEYS", "CONFIG_KEYS"];
    let headers: Vec<_> = with_workspace.then_some("WORKSPACE").into_iter().chain(names).collect();
    table(&headers, &providers.iter().map(row).collect::<Vec<_>>(), "", paint)
}

/// One a line, with the workspace before a slash when they are of several.
pub(crate) fn names(providers: &[Provider], with_workspace: bool) -> String {
    let name = |provider: &Provider| {
        let metadata = provider.metadata.clone().unwrap_or_default();
        if with_workspace { format!("{}/{}\n", metadata.workspace, metadata.name) } else { metadata.name + "\n" }
    };
    providers.iter().map(name).collect()
}

/// What scripts read of a provider.
pub(crate) fn document(provider: &Provider) -> Value {
    let metadata = provider.metadata.clone().unwrap_or_default();
    let mut item = json!({
        "credential_keys": credential_keys(provider),
        "id": metadata.id,
        "name": metadata.name,
        "type": provider.r#type,
        "workspace": metadata.workspace,
    });
    if !provider.config.is_empty() {
        item["config_keys"] = provider.config.keys().cloned().collect();
    }
    if metadata.created_at_ms != 0 {
        item["created_at"] = json!(time_text(metadata.created_at_ms));
    }
    if !provider.credential_expires_at_ms.is_empty() {
        item["credential_expires_at_ms"] = json!(provider.credential_expires_at_ms);
    }
    if !metadata.labels.is_empty() {
        item["labels"] = json!(metadata.labels);
    }
    if metadata.resource_version != 0 {
        item["resource_version"] = json!(metadata.resource_version);
    }
    item
}

/// Keys of credentials that are held here and of those held elsewhere, sorted.
fn credential_keys(provider: &Provider) -> Vec<&str> {
    let keys: BTreeSet<&str> =
        provider.credentials.keys().chain(provider.credential_handles.keys()).map(String::as_str).collect();
    keys.into_iter().collect()
}

fn listed(keys: &[&str]) -> String {
    if keys.is_empty() { "<none>".to_owned() } else { keys.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::{detail, document, names, rows};
    use crate::output::{self, Paint};
    use openshell_proto::datamodel::{CredentialHandle, ObjectMeta, Provider};

    fn provider() -> Provider {
        Provider {
            metadata: Some(ObjectMeta {
                id: "i".into(),
                name: "gh".into(),
                workspace: "default".into(),
                resource_version: 1,
                ..ObjectMeta::default()
            }),
            r#type: "github".into(),
            credentials: [("GITHUB_TOKEN".to_owned(), "secret-value".to_owned())].into(),
            credential_handles: [("A".to_owned(), CredentialHandle::default())].into(),
            config: [("a".to_owned(), "secret-value".to_owned())].into(),
            credential_expires_at_ms: [("GITHUB_TOKEN".to_owned(), 1_893_456_000_000)].into(),
            ..Provider::default()
        }
    }

    #[test]
    fn a_provider_is_a_row_a_text_and_names() {
        assert_eq!(
            detail(&provider(), Paint::plain()),
            "Provider:\n\n  Id: i\n  Name: gh\n  Type: github\n  Resource version: 1\n  Credential keys: A, GITHUB_TOKEN\n  Config keys: a\n"
        );
        assert_eq!(
            rows(&[provider()], true, Paint::plain()),
            "WORKSPACE  NAME  TYPE    CREDENTIAL_KEYS  CONFIG_KEYS\ndefault    gh    github  2                1\n"
        );
        assert_eq!((names(&[provider()], true), names(&[provider()], false)), ("default/gh\n".into(), "gh\n".into()));
    }

    #[test]
    fn cli_scenario_22_documents_hold_keys_and_never_values() {
        let text = output::json(std::iter::once(document(&provider())).collect());
        assert_eq!(
            text,
            "[\n  {\n    \"config_keys\": [\n      \"a\"\n    ],\n    \"credential_expires_at_ms\": {\n      \"GITHUB_TOKEN\": \
             1893456000000\n    },\n    \"credential_keys\": [\n      \"A\",\n      \"GITHUB_TOKEN\"\n    ],\n    \"id\": \"i\",\n    \
             \"name\": \"gh\",\n    \"resource_version\": 1,\n    \"type\": \"github\",\n    \"workspace\": \"default\"\n  }\n]\n"
        );
    }
}
