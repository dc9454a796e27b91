//! How messages call a rule. How a provider's rule is named is in `layering`.

use openshell_proto::sandbox::NetworkPolicyRule;

/// The display name of the rule under `key`: its name, or the key when it has none (config.md PM-16).
pub fn display<'a>(key: &'a str, rule: &'a NetworkPolicyRule) -> &'a str {
    if rule.name.is_empty() { key } else { &rule.name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pm_16_a_rule_is_called_by_its_name_or_else_by_its_key() {
        let named = |name: &str| NetworkPolicyRule { name: name.to_owned(), ..Default::default() };
        assert_eq!(display("key", &named("")), "key");
        assert_eq!(display("key", &named("shown")), "shown");
    }
}
