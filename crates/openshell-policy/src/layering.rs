//! Laying provider rules over a policy just in time. Nothing composed here is ever stored; which
//! providers give a layer, and with which endpoints, is decided where the providers are.

use openshell_proto::sandbox::{NetworkPolicyRule, SandboxPolicy};

use crate::reserved::PREFIX;

/// What one attached provider contributes.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// The rule, whose `name` is set to [`provider_rule_name`] and also becomes its key.
    pub rule: NetworkPolicyRule,
}

/// The rule name of a provider: `_provider_` and the name, lowercased, with `_` for every character that
/// is not an ASCII letter, digit or `_`, and no `_` at its ends.
///
/// `Work GitHub!` becomes `_provider_work_github`, `...` becomes `_provider_unnamed`.
/// Source: config.md EC-25.
pub fn provider_rule_name(provider_name: &str) -> String {
    let plain: String = provider_name
        .chars()
        .map(|letter| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '_' })
        .collect();
    let plain = plain.trim_matches('_');
    format!("{PREFIX}{}", if plain.is_empty() { "unnamed" } else { plain })
}

/// The policy with every layer added, in order. Nothing is merged, and nothing of the user's changes.
///
/// Shape: a layer whose key is taken gets the first free of `<name>_2`, `<name>_3`, ...; the rule's `name`
/// stays without the number. Source: config.md EC-28, EC-29.
pub fn compose(mut policy: SandboxPolicy, layers: impl IntoIterator<Item = Layer>) -> SandboxPolicy {
    for Layer { rule } in layers {
        let name = &rule.name;
        let rules = &policy.network_policies;
        let key = if rules.contains_key(name) {
            // One of len + 1 different keys is free, so this ends.
            (2..).map(|number| format!("{name}_{number}")).find(|key| !rules.contains_key(key))
        } else {
            None
        };
        let key = key.unwrap_or_else(|| name.clone());
        policy.network_policies.insert(key, rule);
    }
    policy
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ec_25_a_rule_name_is_made_of_plain_characters() {
        for (provider, rule) in [
            ("my-github", "_provider_my_github"),
            ("Work GitHub!", "_provider_work_github"),
            ("...", "_provider_unnamed"),
            ("__x__", "_provider_x"),
            ("ä1", "_provider_1"),
            ("", "_provider_unnamed"),
        ] {
            assert_eq!(provider_rule_name(provider), rule);
        }
    }

    #[test]
    fn ec_28_equal_names_get_numbers_in_order() {
        let layer = |path: &str| Layer {
            rule: NetworkPolicyRule {
                name: provider_rule_name("a.b"),
                binaries: vec![openshell_proto::sandbox::NetworkBinary { path: path.to_owned(), harness: false }],
                ..Default::default()
            },
        };
        let composed = compose(SandboxPolicy::default(), [layer("/1"), layer("/2"), layer("/3")]);
        let seen: Vec<_> = composed
            .network_policies
            .iter()
            .map(|(key, rule)| (key.as_str(), rule.name.as_str(), rule.binaries[0].path.as_str()))
            .collect();
        assert_eq!(
            seen,
            [
                ("_provider_a_b", "_provider_a_b", "/1"),
                ("_provider_a_b_2", "_provider_a_b", "/2"),
                ("_provider_a_b_3", "_provider_a_b", "/3"),
            ]
        );
    }
    #[test]
    fn ec_29_nothing_is_merged_and_nothing_of_the_users_changes() {
        let rule = NetworkPolicyRule { name: "mine".to_owned(), ..Default::default() };
        let user = SandboxPolicy {
            version: 7,
            process: Some(Default::default()),
            network_policies: [("r".to_owned(), rule.clone())].into(),
            network_middlewares: [("m".to_owned(), Default::default())].into(),
            ..Default::default()
        };
        // A layer that says the same as a rule of the user's stays beside it.
        let layer = Layer { rule: NetworkPolicyRule { name: provider_rule_name("p"), ..rule } };
        let mut composed = compose(user.clone(), [layer.clone()]);
        assert_eq!(composed.network_policies.remove("_provider_p"), Some(layer.rule));
        assert_eq!(composed, user);
        assert_eq!(compose(user.clone(), []), user);
    }
}
