//! Credentials that this environment already holds for a type: by its profile when the gateway has
//! providers v2 on, else by a table (`providers.md` 2.3, 2.4). Values are only collected, never shown.

use std::collections::BTreeMap;

use openshell_client::methods;
use openshell_proto::sandbox::{GetGatewayConfigRequest, setting_value};
use openshell_proto::v1::ProviderProfile;

use super::opencode;
use super::profile::TypeProfile;
use crate::context::Session;
use crate::failure::Failure;

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) credentials: BTreeMap<String, String>,
    pub(crate) config: BTreeMap<String, String>,
}

const VERTEX: &str = "google-vertex-ai";
const VERTEX_CONFIG: [&str; 5] = [
    "VERTEX_AI_PROJECT_ID",
    "VERTEX_AI_REGION",
    "GOOGLE_VERTEX_AI_BASE_URL",
    "VERTEX_AI_BASE_URL",
    "VERTEX_AI_PUBLISHER",
];

type Variable<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Looks for the credentials of a canonical type.
///
/// Errors: nothing was found; the type has no profile, or no row in the table; the setting is no bool.
pub(super) async fn discover(
    session: &Session,
    profile: &TypeProfile<'_>,
    variable: Variable<'_>,
) -> Result<Found, Failure> {
    let r#type = profile.r#type();
    let settings = session.read(&methods::GET_GATEWAY_CONFIG, GetGatewayConfigRequest {}).await?.settings;
    let setting = settings.get("providers_v2_enabled").and_then(|setting| setting.value.as_ref());
    let mut found = match setting {
        Some(setting_value::Value::BoolValue(true)) => {
            let profile = profile.get().await?.ok_or_else(|| {
                Failure::new(format!("type '{type}' has no profile, so that it is not known where its credentials lie"))
            })?;
            by_names(r#type, &names_of(profile)?, variable)
        }
        Some(setting_value::Value::BoolValue(false)) | None => {
            let names = table(r#type).ok_or_else(|| {
                Failure::new(format!(
                    "--from-existing does not know where credentials of type '{type}' lie: use --credential"
                ))
            })?;
            by_names(r#type, names, variable)
        }
        Some(
            setting_value::Value::StringValue(_)
            | setting_value::Value::IntValue(_)
            | setting_value::Value::BytesValue(_),
        ) => return Err(Failure::new("the gateway's setting providers_v2_enabled is not a bool")),
    };
    // What profiles say about discovery replaces the table, and this file with it.
    let by_table = !matches!(setting, Some(setting_value::Value::BoolValue(true)));
    let from_file = if by_table && r#type == "opencode" { opencode::keys(variable) } else { Ok(BTreeMap::new()) };
    for (name, value) in from_file.iter().flatten() {
        found.credentials.entry(name.clone()).or_insert_with(|| value.clone());
    }
    if !found.credentials.is_empty() {
        return Ok(found);
    }
    let nothing = format!("nothing in this environment holds credentials of type '{type}': use --credential");
    Err(match from_file {
        Ok(_) => Failure::new(nothing),
        Err(problem) => Failure { causes: vec![problem], ..Failure::new(nothing) },
    })
}

/// Variables that a profile lets be discovered, in its order.
fn names_of(profile: &ProviderProfile) -> Result<Vec<&str>, Failure> {
    let mut names = Vec::new();
    for wanted in profile.discovery.iter().flat_map(|discovery| &discovery.credentials) {
        let credential =
            profile.credentials.iter().find(|credential| credential.name.trim() == wanted.trim()).ok_or_else(|| {
                Failure::new(format!(
                    "profile '{}' discovers credential '{wanted}', which it does not have",
                    profile.id
                ))
            })?;
        for name in &credential.env_vars {
            if !name.trim().is_empty() && !names.contains(&name.as_str()) {
                names.push(name.as_str());
            }
        }
    }
    Ok(names)
}

fn by_names(r#type: &str, names: &[&str], variable: Variable<'_>) -> Found {
    let collect = |names: &[&str]| -> BTreeMap<String, String> {
        let set = |name: &&str| Some(((*name).to_owned(), variable(name).filter(|value| !value.trim().is_empty())?));
        names.iter().filter_map(set).collect()
    };
    Found {
        credentials: collect(names),
        config: if r#type == VERTEX { collect(&VERTEX_CONFIG) } else { BTreeMap::new() },
    }
}

/// Variables of the types that were known before profiles were.
fn table(r#type: &str) -> Option<&'static [&'static str]> {
    Some(match r#type {
        "anthropic" => &["ANTHROPIC_API_KEY"],
        "claude-code" => &["ANTHROPIC_API_KEY", "CLAUDE_API_KEY"],
        "codex" | "openai" => &["OPENAI_API_KEY"],
        "copilot" => &["COPILOT_GITHUB_TOKEN", "GH_TOKEN", "GITHUB_TOKEN"],
        "deepinfra" => &["DEEPINFRA_API_KEY"],
        "generic" | "outlook" => &[],
        "github" => &["GITHUB_TOKEN", "GH_TOKEN"],
        "gitlab" => &["GITLAB_TOKEN", "GLAB_TOKEN", "CI_JOB_TOKEN"],
        "google-cloud" => &["GCP_SA_ACCESS_TOKEN", "GCP_ADC_ACCESS_TOKEN"],
        VERTEX => &[
            "GOOGLE_VERTEX_AI_SERVICE_ACCOUNT_TOKEN",
            "VERTEX_AI_SERVICE_ACCOUNT_TOKEN",
            "GOOGLE_VERTEX_AI_TOKEN",
            "VERTEX_AI_TOKEN",
        ],
        "nvidia" => &["NVIDIA_API_KEY"],
        "opencode" => &["OPENCODE_API_KEY", "OPENROUTER_API_KEY", "OPENAI_API_KEY"],
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::{by_names, names_of, table};
    use openshell_proto::v1::{ProviderProfile, ProviderProfileCredential, ProviderProfileDiscovery};

    fn variable(name: &str) -> Option<String> {
        match name {
            "GH_TOKEN" | "VERTEX_AI_TOKEN" | "VERTEX_AI_REGION" => Some("v".to_owned()),
            "GITHUB_TOKEN" => Some(" ".to_owned()),
            _ => None,
        }
    }

    #[test]
    fn blank_variables_do_not_count_and_vertex_has_configuration_too() {
        let found = by_names("github", table("github").expect("a row"), &variable);
        assert_eq!(found.credentials.keys().collect::<Vec<_>>(), ["GH_TOKEN"]);
        let found = by_names("google-vertex-ai", table("google-vertex-ai").expect("a row"), &variable);
        assert_eq!(found.credentials.len(), 1);
        assert_eq!(found.config.keys().collect::<Vec<_>>(), ["VERTEX_AI_REGION"]);
        assert_eq!(table("aws-bedrock"), None);
    }

    #[test]
    fn a_profile_says_which_variables_may_be_discovered() {
        let credential = |name: &str, env_vars: &[&str]| ProviderProfileCredential {
            name: name.into(),
            env_vars: env_vars.iter().map(|name| (*name).to_owned()).collect(),
            ..ProviderProfileCredential::default()
        };
        let mut profile = ProviderProfile {
            credentials: vec![credential("a", &["X", " ", "Y"]), credential("b", &["Y", "Z"]), credential("c", &["W"])],
            discovery: Some(ProviderProfileDiscovery { credentials: vec![" a ".into(), "b".into()] }),
            ..ProviderProfile::default()
        };
        assert_eq!(names_of(&profile).expect("known credentials"), ["X", "Y", "Z"]);
        profile.discovery = Some(ProviderProfileDiscovery { credentials: vec!["nope".into()] });
        assert!(names_of(&profile).expect_err("an unknown one").message.contains("nope"));
    }
}
