//! How much a policy may hold in all, judged before anything is made of it: what is worked out from a
//! policy grows with what is counted here. Only what is written is judged, so that a policy that is
//! stored already goes on.

use openshell_proto::sandbox::{NetworkPolicyRule, SandboxPolicy};
use prost_types::value::Kind;
use prost_types::{Struct, Value};

use super::LIMITS;
use crate::ports;

/// What of a policy is beyond a bound, the first only: one sentence that begins with the field.
///
/// Shape: names, then rules, then middlewares, each in key order; none when all is within. Work grows with the
/// policy as it is encoded, never with what it stands for. Source: docs/compatibility.md.
pub fn excess(policy: &SandboxPolicy) -> Option<String> {
    let too_long = |key: &&String| key.len() > LIMITS.key_bytes_max;
    let long = |field: &str, key: &String| {
        format!("{field}: a key has {} bytes; at most {} are allowed", key.len(), LIMITS.key_bytes_max)
    };
    if let Some(key) = policy.network_policies.keys().find(too_long) {
        return Some(long("network_policies", key));
    }
    if let Some(key) = policy.network_middlewares.keys().find(too_long) {
        return Some(long("network_middlewares", key));
    }
    let rules = policy.network_policies.iter();
    excess_of_rules("network_policies", rules.map(|(key, rule)| (format!("network_policies.{key}"), rule))).or_else(
        || {
            policy.network_middlewares.iter().find_map(|(key, entry)| {
                let levels = entry.config.as_ref().map_or(0, nesting);
                (levels > LIMITS.nesting_max).then(|| format!("network_middlewares.{key}.config: {}", nests(levels)))
            })
        },
    )
}

/// What of some rules, each with its own field, is beyond a bound: of one endpoint, or of all rules together,
/// which are the field `all`. A place is an endpoint at one of its ports.
pub(crate) fn excess_of_rules<'a>(
    all: &str,
    rules: impl Iterator<Item = (String, &'a NetworkPolicyRule)>,
) -> Option<String> {
    let (mut places, mut bytes) = (0_usize, 0_usize);
    for (field, rule) in rules {
        for (at, endpoint) in rule.endpoints.iter().enumerate() {
            for (part, length, max) in [
                ("host", endpoint.host.len(), LIMITS.host_bytes_max),
                ("path", endpoint.path.len(), LIMITS.path_bytes_max),
            ] {
                if length > max {
                    return Some(format!(
                        "{field}.endpoints[{at}].{part}: has {length} bytes; at most {max} are allowed"
                    ));
                }
            }
            let ports = ports::count(endpoint);
            places = places.saturating_add(ports);
            bytes = bytes.saturating_add(ports.saturating_mul(endpoint.host.len() + endpoint.path.len()));
        }
    }
    if places > LIMITS.places_max {
        let max = LIMITS.places_max;
        return Some(format!("{all}: {places} ports over all endpoints; at most {max} are allowed"));
    }
    (bytes > LIMITS.places_bytes_max).then(|| {
        let max = LIMITS.places_bytes_max;
        format!("{all}: host and path at every port of every endpoint have {bytes} bytes; at most {max} are allowed")
    })
}

/// What is said about a value that nests so many levels.
pub fn nests(levels: usize) -> String {
    format!("nests {levels} levels; at most {} are allowed", LIMITS.nesting_max)
}

/// How many objects and lists are inside each other, the outermost counted.
///
/// Shape: 1 for an object of plain values. Work and stack grow with the value, whose decoder bounds it.
pub fn nesting(object: &Struct) -> usize {
    1 + object.fields.values().map(of_value).max().unwrap_or(0)
}

fn of_value(value: &Value) -> usize {
    match &value.kind {
        Some(Kind::StructValue(object)) => nesting(object),
        Some(Kind::ListValue(list)) => 1 + list.values.iter().map(of_value).max().unwrap_or(0),
        Some(Kind::NullValue(_) | Kind::NumberValue(_) | Kind::StringValue(_) | Kind::BoolValue(_)) | None => 0,
    }
}
