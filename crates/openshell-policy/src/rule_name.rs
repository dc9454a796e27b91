//! How messages call a rule. How a provider's rule is named is in `layering`.

use openshell_proto::sandbox::NetworkPolicyRule;

/// The display name of the rule under `key`: its name, or the key when it has none (config.md PM-16).
pub fn display<'a>(key: &'a str, rule: &'a NetworkPolicyRule) -> &'a str {
    if rule.name.is_empty() { key } else { &rule.name }
}
