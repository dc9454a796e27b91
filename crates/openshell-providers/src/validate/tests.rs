//! The recorded verdicts, the scenarios of the specification that need no state, and each rule on
//! its own: what it refuses, and the nearest thing that it does not.

mod credential;
mod endpoint;
mod general;
mod mcp;
mod refresh;
mod scenarios;
mod token_grant;
mod vectors;

use openshell_proto::v1::{ProviderProfile, ProviderProfileDiagnostic};

use crate::{file, validate};

fn profile(yaml: &str) -> ProviderProfile {
    file::lower(file::parse_yaml(yaml).expect(yaml)).expect(yaml)
}

/// The diagnostics of one profile: a minimal one with these further lines.
fn lint(lines: &str) -> Vec<ProviderProfileDiagnostic> {
    validate::profiles(&[("acme.yaml", &profile(&format!("id: acme\ndisplay_name: Acme\n{lines}\n")))])
}

/// Asserts that the profile is valid.
fn accepted(lines: &str) {
    assert_eq!(lint(lines), [], "{lines}");
}

/// Asserts that there is exactly one problem, in this field, and that its text has these words.
fn rejected(lines: &str, field: &str, words: &str) {
    let found = lint(lines);
    let [only] = found.as_slice() else { panic!("{lines}: {found:?}") };
    assert_eq!(only.field, field, "{lines}: {only:?}");
    assert_eq!(
        (only.source.as_str(), only.profile_id.as_str(), only.severity.as_str()),
        ("acme.yaml", "acme", "error")
    );
    assert!(only.message.contains(words), "{lines}: {only:?}");
}

/// The fields of all problems, in order.
fn fields(lines: &str) -> Vec<String> {
    lint(lines).into_iter().map(|one| one.field).collect()
}

/// Asserts that some problem has this field and these words.
fn reported(found: &[ProviderProfileDiagnostic], field: &str, words: &str) {
    let matching = found.iter().any(|one| one.field == field && one.message.contains(words));
    assert!(matching, "{field} {words}: {found:?}");
}

/// An uncredentialed endpoint with this flow-style body.
fn endpoint(body: &str) -> String {
    format!("endpoints: [{{host: api.example.com, port: 443, {body}}}]")
}

fn mcp(body: &str) -> String {
    endpoint(&format!("protocol: mcp, {body}"))
}
