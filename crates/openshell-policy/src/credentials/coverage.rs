//! Whether the endpoints of a profile cover those whose requests a sandbox signs (config.md EC-34). They are
//! looked up by host and path: many endpoints cost no more than looking at each, and only patterns are tried
//! one by one, within a budget. Which profiles are asked, and for which endpoints, is not known here.

use std::collections::{BTreeMap, BTreeSet};

use openshell_proto::sandbox::NetworkEndpoint;

use crate::host_pattern::{Host, HostPattern, has_wildcard};
use crate::language::Budget;
use crate::{path_pattern, ports};

/// What trying a pattern costs beside its characters.
const TRY_COST: usize = 4;

/// What the endpoints of one profile cover.
#[derive(Debug, Default)]
pub struct Coverage<'a> {
    /// By host, in lower case, as it is written.
    hosts: BTreeMap<String, Paths<'a>>,
    /// Those of the hosts that are patterns.
    patterns: Vec<HostPattern>,
}

/// What is covered at one host.
#[derive(Debug, Default)]
struct Paths<'a> {
    /// The ports by path, as it is written; empty for every path.
    ports: BTreeMap<&'a str, BTreeSet<u32>>,
    /// Those of the paths that are patterns, and do not stand for every path.
    globs: BTreeSet<&'a str>,
}

impl<'a> Coverage<'a> {
    /// Of the endpoints of one profile.
    pub fn of(endpoints: &'a [NetworkEndpoint]) -> Self {
        let mut coverage = Self::default();
        for endpoint in endpoints {
            let host = endpoint.host.to_ascii_lowercase();
            if has_wildcard(&host)
                && !coverage.hosts.contains_key(&host)
                && let Ok(pattern) = HostPattern::parse(&host)
            {
                coverage.patterns.push(pattern);
            }
            let paths = coverage.hosts.entry(host).or_default();
            let path = if path_pattern::covers_all(&endpoint.path) { "" } else { endpoint.path.as_str() };
            if has_wildcard(path) {
                paths.globs.insert(path);
            }
            paths.ports.entry(path).or_default().extend(ports::effective(endpoint));
        }
        coverage
    }

    /// Whether some endpoint of the profile covers host and path at each port of `endpoint`: a host that is
    /// equal but for case, or one host that a pattern matches; a path likewise.
    ///
    /// Shape: true for an endpoint without ports, unless the profile has no endpoints. Errors: false when the
    /// budget does not last, which it says itself. Source: config.md EC-34.
    pub fn covers(&self, endpoint: &NetworkEndpoint, budget: &mut Budget) -> bool {
        let mut missing: BTreeSet<u32> = ports::effective(endpoint).into_iter().collect();
        if !budget.spend(TRY_COST + missing.len()) {
            return false;
        }
        let host = endpoint.host.to_ascii_lowercase();
        if let Some(paths) = self.hosts.get(&host) {
            paths.take(&endpoint.path, &mut missing, budget);
        }
        // A pattern covers another one only when they are equal.
        let untried = missing.is_empty() || has_wildcard(&host) || self.patterns.is_empty();
        if !untried && let Some(host) = Host::read(&host, budget) {
            for pattern in &self.patterns {
                if missing.is_empty() || !budget.spend(TRY_COST) {
                    break;
                }
                if pattern.matches_host(&host, budget) {
                    self.hosts[pattern.text()].take(&endpoint.path, &mut missing, budget);
                }
            }
        }
        missing.is_empty() && !self.hosts.is_empty() && !budget.is_spent()
    }
}

impl Paths<'_> {
    /// Takes the ports at which a path is covered out of those that are missing.
    fn take(&self, path: &str, missing: &mut BTreeSet<u32>, budget: &mut Budget) {
        let mut take = |ports: &BTreeSet<u32>, budget: &mut Budget| {
            if budget.spend(missing.len()) {
                missing.retain(|port| !ports.contains(port));
            }
            missing.is_empty()
        };
        for path in ["", path] {
            if self.ports.get(path).is_some_and(|ports| take(ports, budget)) {
                return;
            }
        }
        let tried = if has_wildcard(path) { None } else { Some(&self.globs) };
        for glob in tried.into_iter().flatten() {
            if !budget.spend(TRY_COST) {
                return;
            }
            if path_pattern::matches_within(glob, path, budget) && take(&self.ports[glob], budget) {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests;
