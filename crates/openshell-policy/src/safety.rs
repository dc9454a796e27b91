//! What makes a policy unsafe to run, whoever wrote it. Ambiguity between endpoints and changes of fixed
//! sections are judged elsewhere.

use openshell_proto::sandbox::SandboxPolicy;

mod bounds;
mod endpoint;
mod l7;
mod middleware;

use crate::language::Budget;
pub(crate) use bounds::excess_of_rules;
pub use bounds::{excess, nesting, nests};

/// Bounds that a policy must keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Paths in `read_only` and `read_write` together.
    pub filesystem_paths_max: usize,
    /// Length of one such path, in bytes.
    pub filesystem_path_bytes_max: usize,
    /// Entries of `network_middlewares`.
    pub middlewares_max: usize,
    /// Patterns of one middleware's `include` and `exclude` together.
    pub selector_patterns_max: usize,
    /// The highest user or group id; the one above means "no id" to the kernel.
    pub identity_max: u32,
    /// Objects and lists inside each other in what has no schema: a middleware's `config`, and a template's
    /// `resources` and `driver_config`. A decoder takes 100 messages inside each other, a level is up to three,
    /// and records and answers put some more around them.
    pub nesting_max: usize,
    /// Length of a key of `network_policies` or `network_middlewares`, in bytes.
    pub key_bytes_max: usize,
    /// Length of an endpoint's host, in bytes.
    pub host_bytes_max: usize,
    /// Length of an endpoint's path, in bytes.
    pub path_bytes_max: usize,
    /// Ports of all endpoints together.
    pub places_max: usize,
    /// Host and path of every endpoint, once for each of its ports, in bytes: what is answered about a policy
    /// says them as often.
    pub places_bytes_max: usize,
}

/// The bounds in force (config.md 0.2, PM-18, PM-19, PM-35).
pub const LIMITS: Limits = Limits {
    filesystem_paths_max: 256,
    filesystem_path_bytes_max: 4096,
    middlewares_max: 10,
    selector_patterns_max: 32,
    identity_max: u32::MAX - 1,
    nesting_max: 24,
    key_bytes_max: 1024,
    host_bytes_max: 253,
    path_bytes_max: 4096,
    places_max: 10_000,
    places_bytes_max: 1024 * 1024,
};

/// Everything unsafe about a policy, one sentence each, every one beginning with the field.
///
/// Shape: process, filesystem, endpoints in key order, middlewares in key order; empty when safe. Joined
/// by [`refusal`]. Source: config.md PM-18 to PM-36.
pub fn violations(policy: &SandboxPolicy) -> Vec<String> {
    let mut found = Vec::new();
    process(policy, &mut found);
    filesystem(policy, &mut found);
    for (key, rule) in &policy.network_policies {
        for (index, one) in rule.endpoints.iter().enumerate() {
            let mut place = Place { path: format!("network_policies.{key}.endpoints[{index}]"), found: &mut found };
            endpoint::check(one, &mut place);
            l7::check(one, &mut place);
        }
    }
    middleware::check(policy, &mut Budget::for_policy(), &mut found);
    found
}

/// What is wrong with the middlewares of a policy beyond their shape: names that nobody registered, and
/// configuration that the built-in one does not take.
///
/// `services` are the names that the gateway's configuration registers; their own configuration is theirs
/// to judge. Source: config.md PM-37.
pub fn middleware_violations(policy: &SandboxPolicy, services: &[&str]) -> Vec<String> {
    middleware::registered(policy, services)
}

/// The sentence that refuses a policy because of [`violations`].
///
/// Shape: contains `unsafe content`, which clients look for; violations joined with `; ` (config.md 2.3).
pub fn refusal(violations: &[String]) -> String {
    format!("policy contains unsafe content: {}", violations.join("; "))
}

/// The sentence that refuses a policy because of [`middleware_violations`].
///
/// Shape: contains `policy middleware validation failed` (config.md PM-37).
pub fn middleware_refusal(violations: &[String]) -> String {
    format!("policy middleware validation failed: {}", violations.join("; "))
}

/// Where a check is, and where it tells what it finds.
struct Place<'a> {
    path: String,
    found: &'a mut Vec<String>,
}

impl Place<'_> {
    /// Tells that `field` of this place is wrong.
    fn tell(&mut self, field: &str, what: impl AsRef<str>) {
        self.found.push(format!("{}.{field}: {}", self.path, what.as_ref()));
    }

    /// As [`Place::tell`], when it is so.
    fn tell_if(&mut self, wrong: bool, field: &str, what: &str) {
        if wrong {
            self.tell(field, what);
        }
    }
}

fn process(policy: &SandboxPolicy, found: &mut Vec<String>) {
    let Some(process) = &policy.process else { return };
    for (field, value) in [("run_as_user", &process.run_as_user), ("run_as_group", &process.run_as_group)] {
        let plain = value.bytes().all(|byte| byte.is_ascii_digit());
        let number = value.parse::<u32>().ok().filter(|id| plain && (1..=LIMITS.identity_max).contains(id));
        if !value.is_empty() && value != "sandbox" && number.is_none() {
            found.push(format!(
                "process.{field}: '{value}' is not allowed; use 'sandbox' or a number from 1 to {}",
                LIMITS.identity_max
            ));
        }
    }
}

fn filesystem(policy: &SandboxPolicy, found: &mut Vec<String>) {
    let Some(files) = &policy.filesystem else { return };
    let count = files.read_only.len() + files.read_write.len();
    if count > LIMITS.filesystem_paths_max {
        found.push(format!(
            "filesystem: {count} paths in read_only and read_write; at most {} are allowed",
            LIMITS.filesystem_paths_max
        ));
    }
    for (list, paths) in [("read_only", &files.read_only), ("read_write", &files.read_write)] {
        for (index, path) in paths.iter().enumerate() {
            let mut place = Place { path: format!("filesystem.{list}[{index}]"), found };
            one_path(path, list == "read_write", &mut place);
        }
    }
}

fn one_path(path: &str, writable: bool, place: &mut Place<'_>) {
    let at = place.path.clone();
    let mut tell = |what: String| place.found.push(format!("{at}: {what}"));
    if path.len() > LIMITS.filesystem_path_bytes_max {
        let max = LIMITS.filesystem_path_bytes_max;
        tell(format!("path has {} bytes; at most {max} are allowed", path.len()));
        return;
    }
    if !path.starts_with('/') {
        tell(format!("path '{path}' is not absolute; begin it with '/'"));
    }
    if path.split('/').any(|component| component == "..") {
        tell(format!("path '{path}' contains '..'; write where it leads instead"));
    }
    if writable && path.trim_end_matches('/').is_empty() {
        tell(format!("path '{path}' is too broad to be writable; name a directory below it"));
    }
}

#[cfg(test)]
mod tests;
