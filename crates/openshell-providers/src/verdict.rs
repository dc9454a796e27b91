//! The verdict on one stored profile by the rules of this build: valid, or why not, in one text. When
//! profiles are judged, and that a verdict is kept with the record, is the state's concern.

use std::collections::BTreeMap;

use openshell_policy::safety;
use openshell_proto::sandbox::SandboxPolicy;
use openshell_proto::v1::ProviderProfile;

use crate::{layer, validate};

/// Orders the rules of [`invalid_reason`]: it grows whenever these come to find a profile invalid that
/// they let pass before, or the other way round. A leader with a greater number than that of the
/// last judgement judges what is stored anew. `validate/tests/rules` holds what each number says.
pub const RULES_NUMBER: u32 = 2;

/// A reason names so many problems and counts the others.
const PROBLEMS_MAX: usize = 3;
/// A reason has at most so many bytes: it is part of records and of answers about sandboxes, and
/// problems quote what a profile says.
const REASON_BYTES_MAX: usize = 1024;

/// Why the profile is not valid by itself; empty when it is. One that passes validation is not valid either
/// when the rule that it adds is unsafe: it would take the whole policy of a sandbox with it.
///
/// Source: providers.md 3.3 to 3.11, CAT-4; config.md EC-10.
pub fn invalid_reason(profile: &ProviderProfile) -> String {
    let found = validate::profiles(&[("", profile)]);
    if found.is_empty() {
        return reason(&unsafe_parts(profile));
    }
    let problems: Vec<_> = found.iter().map(|problem| format!("{}: {}", problem.field, problem.message)).collect();
    reason(&problems)
}

/// What is unsafe about the rule that a provider of this profile adds, whatever else is in the policy: every
/// endpoint is judged by itself, and a rule has no say in sections that are not about the network.
fn unsafe_parts(profile: &ProviderProfile) -> Vec<String> {
    let network_policies = BTreeMap::from([(String::new(), layer("", profile))]);
    let violations = safety::violations(&SandboxPolicy { network_policies, ..SandboxPolicy::default() });
    let fields = violations.iter().map(|violation| violation.strip_prefix("network_policies..").unwrap_or(violation));
    fields.map(str::to_owned).collect()
}

/// The first problems, and how many more there are.
fn reason(problems: &[String]) -> String {
    let mut texts: Vec<String> = problems.iter().take(PROBLEMS_MAX).cloned().collect();
    if problems.len() > PROBLEMS_MAX {
        texts.push(format!("and {} more", problems.len() - PROBLEMS_MAX));
    }
    let mut text = texts.join("; ");
    if text.len() > REASON_BYTES_MAX {
        text.truncate(text.floor_char_boundary(REASON_BYTES_MAX - "...".len()));
        text.push_str("...");
    }
    text
}

#[cfg(test)]
mod tests {
    use openshell_proto::sandbox::{L7Allow, L7Rule, NetworkBinary, NetworkEndpoint};

    use super::*;

    fn profile() -> ProviderProfile {
        ProviderProfile { id: "acme".to_owned(), ..ProviderProfile::default() }
    }

    #[test]
    fn a_valid_profile_has_no_reason() {
        assert_eq!(invalid_reason(&profile()), "");
    }

    #[test]
    fn an_unsafe_rule_is_a_reason_although_validation_lets_it_pass() {
        let safe = || NetworkEndpoint { host: "a.example.com".to_owned(), port: 443, ..NetworkEndpoint::default() };
        let allow = L7Allow { operation_type: "fetch".to_owned(), ..L7Allow::default() };
        let rules = vec![L7Rule { allow: Some(allow) }];
        for (field, endpoint) in [
            ("host", NetworkEndpoint { host: "*".to_owned(), ..safe() }),
            ("host", NetworkEndpoint { host: "*.com".to_owned(), ..safe() }),
            ("host", NetworkEndpoint { host: "10.0.0.1".to_owned(), protocol: "tcp".to_owned(), ..safe() }),
            ("path", NetworkEndpoint { path: "v1".to_owned(), ..safe() }),
            ("persisted_queries", NetworkEndpoint { persisted_queries: "maybe".to_owned(), ..safe() }),
            (
                "enforcement",
                NetworkEndpoint {
                    protocol: "sql".to_owned(),
                    access: "full".to_owned(),
                    enforcement: "enforce".to_owned(),
                    ..safe()
                },
            ),
            ("rules[0].allow.operation_type", NetworkEndpoint { protocol: "graphql".to_owned(), rules, ..safe() }),
        ] {
            let unsafe_profile = ProviderProfile { endpoints: vec![safe(), endpoint], ..profile() };
            assert_eq!(validate::profiles(&[("", &unsafe_profile)]), [], "{field}");
            let text = invalid_reason(&unsafe_profile);
            assert!(text.starts_with(&format!("endpoints[1].{field}: ")), "{text}");
        }
        assert_eq!(invalid_reason(&ProviderProfile { endpoints: vec![safe()], ..profile() }), "");
    }

    #[test]
    fn what_is_built_in_is_valid() {
        for profile in crate::builtin::catalogue() {
            assert_eq!(invalid_reason(profile), "", "{}", profile.id);
        }
    }

    #[test]
    fn a_reason_names_three_problems_and_counts_the_others() {
        let mut wrong = profile();
        wrong.binaries = vec![NetworkBinary::default(); 5];
        let text = invalid_reason(&wrong);
        assert!(text.starts_with("binaries[0]: ") && text.contains("; binaries[2]: "), "{text}");
        assert!(text.ends_with("; and 2 more"), "{text}");
    }

    #[test]
    fn a_reason_is_cut_between_characters() {
        let host = "ä".repeat(4000);
        let endpoint = NetworkEndpoint { host, ..NetworkEndpoint::default() };
        let text = invalid_reason(&ProviderProfile { endpoints: vec![endpoint], ..profile() });
        assert!(text.len() <= REASON_BYTES_MAX && text.ends_with("ä..."), "{} {text}", text.len());
    }
}
