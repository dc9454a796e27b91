//! Rule keys that belong to composed provider layers and may not be written by people.

use openshell_proto::sandbox::SandboxPolicy;

/// What every key of a composed provider rule begins with (config.md PM-40).
pub const PREFIX: &str = "_provider_";

/// The first key, in key order, that a user may not write. `None` when there is none.
///
/// Source: config.md PM-40.
pub fn first_key(policy: &SandboxPolicy) -> Option<&str> {
    policy.network_policies.keys().map(String::as_str).find(|key| key.starts_with(PREFIX))
}

/// The sentence for a refusal because of `key`.
///
/// Shape: contains the key, `reserved '_provider_' prefix` and `policy get <sandbox> --base`, which
/// clients look for (config.md PM-40).
pub fn refusal(key: &str) -> String {
    format!(
        "network_policies: key '{key}' uses the reserved '{PREFIX}' prefix, which names rules composed from attached \
         providers; edit the base policy instead, which `policy get <sandbox> --base` prints without them"
    )
}

/// Removes every rule whose key is reserved, as is done with a policy that a sandbox sends back.
pub fn strip(policy: &mut SandboxPolicy) {
    policy.network_policies.retain(|key, _| !key.starts_with(PREFIX));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_keys(keys: &[&str]) -> SandboxPolicy {
        let rules = keys.iter().map(|key| ((*key).to_owned(), Default::default())).collect();
        SandboxPolicy { network_policies: rules, ..Default::default() }
    }

    #[test]
    fn pm_40_only_the_prefix_is_reserved() {
        assert_eq!(first_key(&with_keys(&["provider_x", "x_provider_y", "_provide", "_Provider_x"])), None);
        assert_eq!(first_key(&with_keys(&["a", "_provider_b", "_provider_a"])), Some("_provider_a"));
    }

    #[test]
    fn uc_24_stripping_leaves_the_users_rules() {
        let mut policy = with_keys(&["_provider_x", "r1"]);
        strip(&mut policy);
        assert_eq!(policy, with_keys(&["r1"]));
    }

    #[test]
    fn pm_40_the_refusal_holds_what_clients_look_for() {
        let text = refusal("_provider_x");
        for anchor in ["_provider_x", "reserved '_provider_' prefix", "policy get <sandbox> --base"] {
            assert!(text.contains(anchor), "{text}");
        }
    }
}
