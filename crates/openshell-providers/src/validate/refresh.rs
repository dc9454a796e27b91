//! Rules about a credential's refresh (providers.md 3.8). What a refresh is given when it is
//! configured, such as its material, is judged then.

use std::collections::{BTreeMap, BTreeSet};

use openshell_proto::v1::{
    ProviderCredentialRefresh, ProviderCredentialRefreshOutput, ProviderCredentialRefreshStrategy as Strategy,
    ProviderProfileCredential,
};

use super::Report;

const OUTPUTS: &str = "credentials.refresh.additional_outputs";
const OUTPUT_ID: &str = "credentials.refresh.additional_outputs.output";
const OUTPUT_CREDENTIAL: &str = "credentials.refresh.additional_outputs.credential";

/// The variables that consumers of a strategy's result look for.
struct Pinned {
    primary: &'static str,
    /// Output id and variable, all of them required, in the order of reporting.
    outputs: &'static [(&'static str, &'static str)],
}

const STS: Pinned = Pinned {
    primary: "AWS_ACCESS_KEY_ID",
    outputs: &[("secret_access_key", "AWS_SECRET_ACCESS_KEY"), ("session_token", "AWS_SESSION_TOKEN")],
};

fn pinned(strategy: Strategy) -> Option<&'static Pinned> {
    match strategy {
        Strategy::AwsStsAssumeRole => Some(&STS),
        Strategy::Unspecified
        | Strategy::Static
        | Strategy::External
        | Strategy::Oauth2RefreshToken
        | Strategy::Oauth2ClientCredentials
        | Strategy::GoogleServiceAccountJwt => None,
    }
}

/// The credentials of the profile by their untrimmed name, the first of each.
type ByName<'a> = BTreeMap<&'a str, &'a ProviderProfileCredential>;

pub(super) fn refresh(by_name: &ByName<'_>, credential: &ProviderProfileCredential, report: &mut Report<'_>) {
    let Some(refresh) = &credential.refresh else { return };
    let strategy = refresh.strategy();
    report.error_if(
        strategy == Strategy::Unspecified,
        "credentials.refresh.strategy",
        "a refresh needs a strategy: name one",
    );
    timings_and_material(refresh, report);
    let pinned = pinned(strategy);
    report.error_if(
        pinned.is_none() && !refresh.additional_outputs.is_empty(),
        OUTPUTS,
        "this refresh strategy does not support additional outputs: remove them",
    );
    let mut seen = BTreeSet::new();
    for output in &refresh.additional_outputs {
        if report.is_full() {
            return;
        }
        additional_output(by_name, output, pinned, &mut seen, report);
    }
    let Some(pinned) = pinned else { return };
    for (id, variable) in pinned.outputs.iter().filter(|(id, _)| !seen.contains(id)) {
        report.error(
            OUTPUTS,
            format!("required additional output '{id}' is missing: map it to the credential of {variable}"),
        );
    }
    let variables: Vec<&str> = credential.env_vars.iter().map(|variable| variable.trim()).collect();
    if variables != [pinned.primary] {
        let message = format!(
            "credential '{}' is refreshed by this strategy and needs exactly the env var {}",
            credential.name, pinned.primary
        );
        report.error("credentials.env_vars", message);
    }
}

fn timings_and_material(refresh: &ProviderCredentialRefresh, report: &mut Report<'_>) {
    for (name, seconds) in [
        ("refresh_before_seconds", refresh.refresh_before_seconds),
        ("max_lifetime_seconds", refresh.max_lifetime_seconds),
    ] {
        if seconds < 0 {
            let message = format!("{name} is {seconds}: it must be 0 or more");
            report.error(format!("credentials.refresh.{name}"), message);
        }
    }
    let mut seen = BTreeSet::new();
    for name in refresh.material.iter().map(|material| material.name.trim()) {
        let field = "credentials.refresh.material.name";
        if name.is_empty() {
            report.error(field, "a refresh material has no name: give it one");
        } else if !seen.insert(name) {
            report.error(field, format!("duplicate refresh material name '{name}': names are unique"));
        }
    }
}

/// V-REF-7 to V-REF-13 for one entry.
fn additional_output<'a>(
    by_name: &ByName<'_>,
    entry: &'a ProviderCredentialRefreshOutput,
    pinned: Option<&Pinned>,
    seen: &mut BTreeSet<&'a str>,
    report: &mut Report<'_>,
) {
    let id = entry.output.trim();
    if id.is_empty() {
        report.error(OUTPUT_ID, "an additional output has no output id: name what the strategy produces");
        return;
    }
    if !seen.insert(id) {
        report.error(OUTPUT_ID, format!("duplicate additional output '{id}': map it once"));
    }
    let expected = pinned.and_then(|pinned| pinned.outputs.iter().find(|(known, _)| *known == id));
    if pinned.is_some() && expected.is_none() {
        report.error(OUTPUT_ID, format!("this refresh strategy does not produce an output '{id}'"));
    }
    let target = entry.credential.trim();
    let Some(sibling) = by_name.get(target) else {
        report.error(OUTPUT_CREDENTIAL, format!("output '{id}' goes to the unknown credential '{target}': declare it"));
        return;
    };
    if sibling.refresh.is_some() {
        let message = format!("output '{id}' goes to credential '{target}', which is already refreshed on its own");
        report.error(OUTPUT_CREDENTIAL, message);
    }
    let [variable] = sibling.env_vars.as_slice() else {
        let message = format!(
            "output '{id}' goes to credential '{target}', which needs one and only one env var and has {}",
            sibling.env_vars.len()
        );
        report.error(OUTPUT_CREDENTIAL, message);
        return;
    };
    if let Some((_, expected)) = expected
        && variable.trim() != *expected
    {
        let message = format!("output '{id}' needs the env var {expected}, credential '{target}' has {variable}");
        report.error(OUTPUT_CREDENTIAL, message);
    }
}
