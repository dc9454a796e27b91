//! Rules about credentials: names, discovery, variables and how a secret is placed in a request
//! (providers.md 3.4 to 3.7). Refresh and token grant have modules of their own.

use std::collections::{BTreeMap, BTreeSet};

use openshell_proto::v1::{ProviderProfile, ProviderProfileCredential};

use super::{Report, refresh, token_grant};
use crate::environment::is_reserved_placeholder;

/// Where the secret goes in a path template.
const PLACEHOLDER: &str = "{credential}";

pub(super) fn names(profile: &ProviderProfile, report: &mut Report<'_>) {
    let mut seen = BTreeSet::new();
    for credential in &profile.credentials {
        let name = credential.name.trim();
        if name.is_empty() {
            report.error("credentials.name", "a credential has no name: give it one");
        } else if !seen.insert(name) {
            report.error(
                "credentials.name",
                format!("duplicate credential name '{name}': names are unique in a profile"),
            );
        }
    }
}

pub(super) fn discovery(profile: &ProviderProfile, report: &mut Report<'_>) {
    let declared: BTreeSet<&str> = profile.credentials.iter().map(|credential| credential.name.trim()).collect();
    let mut seen = BTreeSet::new();
    let entries = profile.discovery.iter().flat_map(|discovery| &discovery.credentials);
    for (index, name) in entries.map(|name| name.trim()).enumerate() {
        let field = format!("discovery.credentials[{index}]");
        if name.is_empty() {
            report.error(field, "a discovery entry must not be empty: name a credential of this profile");
        } else if !seen.insert(name) {
            report.error(field, format!("duplicate discovery credential '{name}': list it once"));
        } else if !declared.contains(name) {
            report.error(field, format!("unknown discovery credential '{name}': it is not declared in credentials"));
        }
    }
}

/// Variables, style, refresh and token grant of each credential in turn.
pub(super) fn credentials(profile: &ProviderProfile, report: &mut Report<'_>) {
    let mut by_name = BTreeMap::new();
    for credential in &profile.credentials {
        by_name.entry(credential.name.as_str()).or_insert(credential);
    }
    let places = token_grant::Places::count(profile);
    let mut variables = BTreeSet::new();
    for credential in &profile.credentials {
        env_vars(credential, &mut variables, report);
        auth_style(credential, report);
        refresh::refresh(&by_name, credential, report);
        token_grant::token_grant(profile, credential, places, report);
    }
}

fn env_vars<'a>(credential: &'a ProviderProfileCredential, seen: &mut BTreeSet<&'a str>, report: &mut Report<'_>) {
    let field = "credentials.env_vars";
    for variable in credential.env_vars.iter().map(|variable| variable.trim()) {
        if variable.is_empty() {
            report.error(field, "an env var must not be empty: name it, or remove the entry");
        } else if is_reserved_placeholder(variable) {
            let message = format!("env var '{variable}' lies in a namespace reserved for placeholders: rename it");
            report.error(field, message);
        } else if !seen.insert(variable) {
            report.error(field, format!("duplicate env var '{variable}': each belongs to one credential, once"));
        }
    }
}

fn auth_style(credential: &ProviderProfileCredential, report: &mut Report<'_>) {
    let style = credential.auth_style.trim().to_ascii_lowercase();
    let no_header = credential.header_name.trim().is_empty();
    match style.as_str() {
        "" | "basic" => {}
        "bearer" | "header" => {
            report.error_if(no_header, "credentials.header_name", &format!("auth_style {style} needs a header_name"));
        }
        "query" => {
            let missing = credential.query_param.trim().is_empty();
            report.error_if(missing, "credentials.query_param", "auth_style query needs a query_param");
        }
        "path" => path_template(&credential.path_template, report),
        _ => {
            let message = format!(
                "unsupported auth_style {:?}: use basic, bearer, header, query or path, or leave it empty",
                credential.auth_style
            );
            report.error("credentials.auth_style", message);
        }
    }
}

fn path_template(template: &str, report: &mut Report<'_>) {
    let field = "credentials.path_template";
    if template.trim().is_empty() {
        report.error(field, "auth_style path needs a path_template");
        return;
    }
    let times = template.matches(PLACEHOLDER).count();
    if times != 1 {
        let message =
            format!("path_template {template:?} must contain {PLACEHOLDER} exactly once, it has it {times} times");
        report.error(field, message);
    }
}
