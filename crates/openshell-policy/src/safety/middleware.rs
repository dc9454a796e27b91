//! Middleware entries: their shape, what they select, and whether anybody registered them. Running them is
//! the sandbox's business.

use std::collections::BTreeMap;

use openshell_proto::sandbox::{NetworkMiddlewareConfig, SandboxPolicy};
use prost_types::value::Kind;

use super::{LIMITS, Place};
use crate::host_pattern::{HostPattern, Selector};
use crate::language::Budget;

/// The one middleware that every gateway has.
pub(super) const BUILT_IN: &str = "openshell/regex";

/// The only mode that it takes.
const BUILT_IN_MODE: &str = "redact";

/// PM-35.
pub(super) fn check(policy: &SandboxPolicy, budget: &mut Budget, found: &mut Vec<String>) {
    let entries = &policy.network_middlewares;
    if entries.len() > LIMITS.middlewares_max {
        found.push(format!(
            "network_middlewares: {} entries; at most {} are allowed",
            entries.len(),
            LIMITS.middlewares_max
        ));
    }
    let mut orders: BTreeMap<i32, &str> = BTreeMap::new();
    for (key, entry) in entries {
        let mut place = Place { path: format!("network_middlewares.{key}"), found };
        if let Some(first) = orders.get(&entry.order) {
            place.tell("order", format!("{} is already the order of '{first}'; give each its own", entry.order));
        } else {
            orders.insert(entry.order, key);
        }
        if key.is_empty() {
            place.found.push("network_middlewares: a key is empty; name every entry".to_owned());
        }
        place.tell_if(entry.middleware.is_empty(), "middleware", "is empty; name the middleware");
        if !matches!(entry.on_error.as_str(), "" | "fail_closed" | "fail_open") {
            place.tell("on_error", format!("'{}' is unknown; use fail_closed or fail_open", entry.on_error));
        }
        if let Some(selector) = selector(entry, &mut place)
            && entry.on_error != "fail_open"
        {
            skipped(policy, &selector, budget, &mut place);
        }
    }
}

/// The selector of an entry. Patterns that are invalid are told and left out; the others still count.
fn selector(entry: &NetworkMiddlewareConfig, place: &mut Place<'_>) -> Option<Selector> {
    let Some(endpoints) = &entry.endpoints else {
        place.tell("endpoints", "is missing; give at least one include pattern");
        return None;
    };
    place.tell_if(endpoints.include.is_empty(), "endpoints.include", "is empty; give at least one host pattern");
    let count = endpoints.include.len() + endpoints.exclude.len();
    if count > LIMITS.selector_patterns_max {
        let max = LIMITS.selector_patterns_max;
        place.tell("endpoints", format!("{count} patterns in include and exclude; at most {max} are allowed"));
    }
    let mut parse = |list: &str, patterns: &[String]| {
        let mut parsed = Vec::new();
        for (index, pattern) in patterns.iter().enumerate() {
            match HostPattern::parse(pattern) {
                Ok(pattern) => parsed.push(pattern),
                Err(why) => place.tell(&format!("endpoints.{list}[{index}]"), why),
            }
        }
        parsed
    };
    Some(Selector { include: parse("include", &endpoints.include), exclude: parse("exclude", &endpoints.exclude) })
}

/// A middleware that fails closed would cut off an endpoint whose traffic it never sees.
fn skipped(policy: &SandboxPolicy, selector: &Selector, budget: &mut Budget, place: &mut Place<'_>) {
    for (key, rule) in &policy.network_policies {
        for (index, endpoint) in rule.endpoints.iter().enumerate().filter(|(_, endpoint)| endpoint.tls == "skip") {
            let selected = HostPattern::parse(&endpoint.host).is_ok_and(|host| selector.overlaps_within(&host, budget));
            if selected {
                place.tell(
                    "endpoints",
                    format!(
                        "selects '{}' of network_policies.{key}.endpoints[{index}], which has tls: skip; exclude it or \
                         set on_error: fail_open",
                        endpoint.host
                    ),
                );
            }
        }
    }
}

/// PM-37.
pub(super) fn registered(policy: &SandboxPolicy, services: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for (key, entry) in &policy.network_middlewares {
        let mut place = Place { path: format!("network_middlewares.{key}"), found: &mut found };
        if entry.middleware == BUILT_IN {
            built_in_mode(entry, &mut place);
        } else if !services.contains(&entry.middleware.as_str()) {
            place.tell(
                "middleware",
                format!(
                    "'{}' is not registered; use {BUILT_IN} or have it registered with the gateway",
                    entry.middleware
                ),
            );
        }
    }
    found
}

/// No mode means the only one there is.
fn built_in_mode(entry: &NetworkMiddlewareConfig, place: &mut Place<'_>) {
    let Some(mode) = entry.config.as_ref().and_then(|config| config.fields.get("mode")) else { return };
    match &mode.kind {
        Some(Kind::StringValue(mode)) if mode == BUILT_IN_MODE => {}
        Some(Kind::StringValue(mode)) => {
            place.tell("config.mode", format!("'{mode}' is unknown; {BUILT_IN} takes only {BUILT_IN_MODE}"));
        }
        Some(_) | None => place.tell("config.mode", format!("must be the word {BUILT_IN_MODE}")),
    }
}
