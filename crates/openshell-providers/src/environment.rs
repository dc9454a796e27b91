//! Environment variables: which names are legal, reserved or never injected, and the non-secret
//! configuration that some provider types generate. Values of credentials are not handled here.

use std::collections::BTreeMap;

use crate::provider_type;

/// The Vertex key that configures the gateway's own refresh and never enters a sandbox.
const NEVER_INJECTED: &str = "GOOGLE_SERVICE_ACCOUNT_KEY";

/// Whether the text is a legal variable name: `^[A-Za-z_][A-Za-z0-9_]*$`.
///
/// Source: providers.md KEY-1.
pub fn is_env_name(name: &str) -> bool {
    let starts = name.bytes().next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_');
    starts && name.bytes().all(is_word)
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Whether a key of a provider of this type may enter a sandbox. False only for the service account
/// key of Vertex types; legality of the name is asked with [`is_env_name`].
///
/// Source: providers.md AS-16.
pub fn is_injectable(provider_type: &str, key: &str) -> bool {
    key != NEVER_INJECTED || provider_type::alias(provider_type) != Some("google-vertex-ai")
}

/// Whether a name lies in a namespace kept for placeholders of secrets: `v<digits>_<word>` or
/// `s<64 lower-case hex digits>_<word>`. Case matters; the name is taken as it is.
///
/// Source: providers.md 3.6.
pub fn is_reserved_placeholder(name: &str) -> bool {
    let Some((prefix, word)) = name.split_once('_') else { return false };
    if word.is_empty() || !word.bytes().all(is_word) {
        return false;
    }
    if let Some(digits) = prefix.strip_prefix('v') {
        return !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    }
    let Some(digest) = prefix.strip_prefix('s') else { return false };
    digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// The variables that a provider's type and configuration produce. Values are trimmed, and a blank
/// one produces nothing. That a provider's own credentials and earlier providers take precedence is
/// the caller's to apply.
///
/// Source: providers.md A.4.
pub fn generated_config(provider_type: &str, config: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    let mut produce = |key: &str, names: &[&str]| {
        let value = config.get(key).map(|value| value.trim()).filter(|value| !value.is_empty());
        for name in names {
            if let Some(value) = value {
                variables.insert((*name).to_owned(), value.to_owned());
            }
        }
    };
    match provider_type::alias(provider_type) {
        Some("google-cloud") => {
            produce("project_id", &["GCP_PROJECT_ID", "GOOGLE_CLOUD_PROJECT"]);
            produce("region", &["CLOUD_ML_REGION", "GCP_LOCATION"]);
            produce("service_account_email", &["GCP_SERVICE_ACCOUNT_EMAIL"]);
            variables.insert("GCE_METADATA_HOST".to_owned(), "gcp.metadata.openshell.internal".to_owned());
        }
        Some("google-vertex-ai") => {
            produce("VERTEX_AI_PROJECT_ID", &["GCP_PROJECT_ID", "GOOGLE_CLOUD_PROJECT", "ANTHROPIC_VERTEX_PROJECT_ID"]);
            produce("VERTEX_AI_REGION", &["CLOUD_ML_REGION", "GCP_LOCATION", "VERTEX_LOCATION"]);
            variables.insert("GOOSE_PROVIDER".to_owned(), "gcp_vertex_ai".to_owned());
        }
        _ => {}
    }
    variables
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pe_6_names_start_with_a_letter_or_underscore() {
        for name in ["A", "_", "a1_B", "PATH"] {
            assert!(is_env_name(name), "{name}");
        }
        for name in ["", "1A", "BAD-KEY", "A B", "É", "A="] {
            assert!(!is_env_name(name), "{name}");
        }
    }

    #[test]
    fn placeholder_namespaces_are_reserved() {
        let digest = "0123456789abcdef".repeat(4);
        for name in ["v10_GITHUB_TOKEN", "v0_x", &format!("s{digest}_A")] {
            assert!(is_reserved_placeholder(name), "{name}");
        }
        let capitals = format!("s{}_A", digest.to_uppercase());
        for name in ["V10_X", "v_X", "version_x", "v1_", "v1_a-b", "v1", "s12_A", &capitals, &format!("s{digest}0_A")] {
            assert!(!is_reserved_placeholder(name), "{name}");
        }
    }

    #[test]
    fn pe_6_only_the_vertex_service_account_key_is_never_injected() {
        for vertex in ["google-vertex-ai", " Vertex ", "gcp-vertex"] {
            assert!(!is_injectable(vertex, "GOOGLE_SERVICE_ACCOUNT_KEY"), "{vertex}");
            assert!(is_injectable(vertex, "GOOGLE_VERTEX_AI_TOKEN"), "{vertex}");
        }
        assert!(is_injectable("google-cloud", "GOOGLE_SERVICE_ACCOUNT_KEY"));
    }

    fn check(provider_type: &str, config: &[(&str, &str)], wanted: &[(&str, &str)]) {
        let owned = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        assert_eq!(generated_config(provider_type, &owned(config)), owned(wanted), "{provider_type}");
    }

    #[test]
    fn pe_14_google_cloud_generates_project_region_and_metadata_host() {
        check("gcp", &[], &[("GCE_METADATA_HOST", "gcp.metadata.openshell.internal")]);
        check(
            "google-cloud",
            &[("project_id", " p1 "), ("region", "eu"), ("service_account_email", "a@b"), ("other", "x")],
            &[
                ("GCP_PROJECT_ID", "p1"),
                ("GOOGLE_CLOUD_PROJECT", "p1"),
                ("CLOUD_ML_REGION", "eu"),
                ("GCP_LOCATION", "eu"),
                ("GCP_SERVICE_ACCOUNT_EMAIL", "a@b"),
                ("GCE_METADATA_HOST", "gcp.metadata.openshell.internal"),
            ],
        );
    }

    #[test]
    fn pe_14_vertex_generates_its_own_set() {
        check(
            "vertex",
            &[("VERTEX_AI_PROJECT_ID", "p"), ("VERTEX_AI_REGION", " ")],
            &[
                ("GCP_PROJECT_ID", "p"),
                ("GOOGLE_CLOUD_PROJECT", "p"),
                ("ANTHROPIC_VERTEX_PROJECT_ID", "p"),
                ("GOOSE_PROVIDER", "gcp_vertex_ai"),
            ],
        );
    }

    #[test]
    fn pe_14_other_types_generate_nothing() {
        check("github", &[("project_id", "p")], &[]);
        check("custom", &[("VERTEX_AI_REGION", "p")], &[]);
    }
}
