//! Pairs of endpoints that a connection or request could fall under alike, but that want it handled
//! differently. Everything that merely adds up (access, rules, binaries) is no conflict.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use openshell_proto::sandbox::{NetworkEndpoint, NetworkPolicyRule, SandboxPolicy};

use crate::language::{self, Budget, CHARACTER_COST, CharSet, Token};
use crate::{path_pattern, ports};

/// How many conflicts are told; a policy with more has the same kind of mistake everywhere.
pub const CONFLICTS_MAX: usize = 1000;

/// A refusal has about so many bytes at most, and so many each text of the policy in it.
const REFUSAL_BYTES_MAX: usize = 64 * 1024;
const CLIPPED_BYTES_MAX: usize = 256;

/// What comparing two endpoints costs, beside their ports and patterns.
const PAIR_COST: usize = 8;

/// Body limit that `graphql_max_body_bytes` and `json_rpc_max_body_bytes` stand for when 0, in bytes.
const BODY_BYTES_DEFAULT: u32 = 65_536;

/// One of the two endpoints of a conflict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Side {
    /// Key of the rule.
    pub key: String,
    /// Display name of the rule (config.md PM-16).
    pub rule: String,
    /// Place of the endpoint in the rule, from 0.
    pub endpoint: usize,
    /// `host:ports` and the path; `<any-host>` for an empty host.
    pub selector: String,
}

impl fmt::Display for Side {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "'{}' endpoint {} ({})", clipped(&self.key), self.endpoint, clipped(&self.selector))
    }
}

/// As much of a text as a sentence can bear.
fn clipped(text: &str) -> Cow<'_, str> {
    match text.floor_char_boundary(CLIPPED_BYTES_MAX) {
        end if end < text.len() => format!("{}...", &text[..end]).into(),
        _ => text.into(),
    }
}

/// Two endpoints that overlap and disagree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The endpoint that comes first in key and endpoint order.
    pub left: Side,
    /// The other one.
    pub right: Side,
    /// Ports of both, ascending.
    pub ports: Vec<u32>,
    /// Names of the fields that differ (providers.md Appendix B); none when the two were not compared.
    pub fields: Vec<&'static str>,
}

impl fmt::Display for Conflict {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.fields.is_empty() {
            return write!(
                out,
                "network policy {} and network policy {} were not compared: too many endpoints have patterns or the same \
                 host and are handled differently, or hosts and paths are too long",
                self.left, self.right
            );
        }
        write!(
            out,
            "network policy {} and network policy {} overlap on port {} but differ in {}",
            self.left,
            self.right,
            clipped(&ports::text(&self.ports)),
            self.fields.join(", ")
        )
    }
}

/// Every ambiguous pair of endpoints of a policy (composed, where composition applies).
///
/// Shape: in order of the left, then the right endpoint; at most [`CONFLICTS_MAX`]. Work is bounded: a policy that
/// cannot be compared within a second, because of its many, long or starry hosts and paths, ends with a pair that
/// was not compared (without fields), which refuses it. Source: config.md Appendix A, providers.md Appendix B.
pub fn conflicts(policy: &SandboxPolicy) -> Vec<Conflict> {
    let mut budget = Budget::for_policy();
    let mut endpoints: Vec<Candidate<'_>> = Vec::new();
    for (key, rule) in &policy.network_policies {
        for (at, one) in rule.endpoints.iter().enumerate() {
            let within = budget.spend(CHARACTER_COST * one.host.len() + one.ports.len());
            endpoints.push(Candidate::of(key, rule, at, one));
            if !within {
                return endpoints.first().zip(endpoints.last()).map(|(a, b)| uncompared(a, b)).into_iter().collect();
            }
        }
    }
    let signatures = signatures(&endpoints);
    let mut found = Vec::new();
    if signatures.iter().all(|signature| *signature == 0) {
        return found;
    }
    let hosts = hosts::Hosts::of(&endpoints);
    for (at, left) in endpoints.iter().enumerate() {
        for after in hosts.later(left, at) {
            let right = &endpoints[after];
            if !budget.spend(1) {
                found.push(uncompared(left, right));
                return found;
            }
            if signatures[at] == signatures[after] {
                continue;
            }
            found.extend(compare(left, right, &mut budget));
            if budget.is_spent() {
                found.push(uncompared(left, right));
                return found;
            }
            if found.len() == CONFLICTS_MAX {
                return found;
            }
        }
    }
    found
}

/// The end of a comparison that would take too long.
fn uncompared(left: &Candidate<'_>, right: &Candidate<'_>) -> Conflict {
    Conflict { left: left.side(), right: right.side(), ports: Vec::new(), fields: Vec::new() }
}

/// A number for each endpoint, equal for two that agree in everything that is compared: most pairs of a real
/// policy do, and a pair costs no more than looking at two numbers.
fn signatures(endpoints: &[Candidate<'_>]) -> Vec<usize> {
    let mut known = BTreeMap::new();
    endpoints
        .iter()
        .map(|one| {
            let next = known.len();
            *known.entry((&one.connection, &one.request)).or_insert(next)
        })
        .collect()
}

/// The sentence that refuses a policy because of `conflicts`.
///
/// Shape: begins with `network endpoint ambiguity validation failed`, which clients look for (Appendix A).
pub fn refusal(conflicts: &[Conflict]) -> String {
    let (mut pairs, mut bytes) = (Vec::new(), 0);
    for (told, conflict) in conflicts.iter().enumerate() {
        let sentence = conflict.to_string();
        bytes += sentence.len();
        if bytes > REFUSAL_BYTES_MAX {
            pairs.push(format!("and {} more", conflicts.len() - told));
            break;
        }
        pairs.push(sentence);
    }
    format!(
        "network endpoint ambiguity validation failed: {}; make the endpoints agree or their selectors disjoint",
        pairs.join("; ")
    )
}

/// An endpoint with everything about it that is compared, worked out once.
struct Candidate<'a> {
    key: &'a str,
    rule: &'a NetworkPolicyRule,
    at: usize,
    endpoint: &'a NetworkEndpoint,
    ports: BTreeSet<u32>,
    host: String,
    host_tokens: Vec<Token>,
    one_host: bool,
    connection: Connection,
    request: Option<Request<'a>>,
}

/// What is compared whatever the protocol (AM-3).
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Connection {
    tcp: bool,
    tls_skipped: bool,
    allowed_ips: BTreeSet<String>,
    advisor_proposed: bool,
}

/// What is compared between endpoints that both handle requests (AM-6).
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Request<'a> {
    /// Characters of the path other than `*`.
    specificity: usize,
    protocol: String,
    enforced: bool,
    allow_encoded_slash: bool,
    websocket_credential_rewrite: bool,
    request_body_credential_rewrite: bool,
    websocket_graphql_policy: bool,
    signing: [&'a str; 3],
    provider: &'a str,
    graphql_max_body_bytes: u32,
    json_rpc_max_body_bytes: u32,
    strict_tool_names: bool,
}

impl<'a> Candidate<'a> {
    fn of(key: &'a str, rule: &'a NetworkPolicyRule, at: usize, endpoint: &'a NetworkEndpoint) -> Candidate<'a> {
        let host = endpoint.host.to_lowercase();
        Candidate {
            key,
            rule,
            at,
            endpoint,
            ports: ports::effective(endpoint).into_iter().filter(|port| *port > 0).collect(),
            host_tokens: host_tokens(&host),
            one_host: !host.is_empty() && !host.contains('*'),
            host,
            connection: Connection {
                tcp: endpoint.protocol.eq_ignore_ascii_case("tcp"),
                tls_skipped: endpoint.tls == "skip",
                allowed_ips: endpoint.allowed_ips.iter().map(|range| range.trim().to_lowercase()).collect(),
                advisor_proposed: endpoint.advisor_proposed,
            },
            request: Request::of(endpoint),
        }
    }

    fn side(&self) -> Side {
        let host = if self.endpoint.host.is_empty() { "<any-host>" } else { &self.endpoint.host };
        let ports: Vec<u32> = self.ports.iter().copied().collect();
        Side {
            key: self.key.to_owned(),
            rule: crate::rule_name::display(self.key, self.rule).to_owned(),
            endpoint: self.at,
            selector: format!("{host}:{}{}", ports::text(&ports), self.endpoint.path),
        }
    }
}

impl<'a> Request<'a> {
    /// `None` when the endpoint takes no part in handling requests (AM-4).
    fn of(endpoint: &'a NetworkEndpoint) -> Option<Request<'a>> {
        let protocol = match endpoint.protocol.to_ascii_lowercase() {
            tcp if tcp == "tcp" => String::new(),
            other => other,
        };
        let takes_part = !protocol.is_empty()
            || !endpoint.allowed_ips.is_empty()
            || !endpoint.tls.is_empty()
            || endpoint.credential_binding.is_some();
        takes_part.then(|| Request {
            specificity: endpoint.path.chars().filter(|letter| *letter != '*').count(),
            enforced: endpoint.enforcement == "enforce",
            allow_encoded_slash: endpoint.allow_encoded_slash,
            websocket_credential_rewrite: endpoint.websocket_credential_rewrite,
            request_body_credential_rewrite: endpoint.request_body_credential_rewrite,
            websocket_graphql_policy: has_graphql_policy(endpoint),
            signing: [&endpoint.credential_signing, &endpoint.signing_service, &endpoint.signing_region],
            provider: endpoint.credential_binding.as_ref().map_or("", |binding| &binding.provider),
            graphql_max_body_bytes: body_limit(endpoint.graphql_max_body_bytes),
            json_rpc_max_body_bytes: body_limit(endpoint.json_rpc_max_body_bytes),
            strict_tool_names: endpoint.mcp.as_ref().and_then(|mcp| mcp.strict_tool_names).unwrap_or(true),
            protocol,
        })
    }
}

/// What a body limit stands for, in bytes.
pub(crate) fn body_limit(bytes: u32) -> u32 {
    if bytes == 0 { BODY_BYTES_DEFAULT } else { bytes }
}

/// Whether a websocket endpoint classifies its messages as GraphQL (AM-6).
fn has_graphql_policy(endpoint: &NetworkEndpoint) -> bool {
    !endpoint.graphql_persisted_queries.is_empty()
        || !matches!(endpoint.persisted_queries.as_str(), "" | "deny")
        || endpoint.rules.iter().filter_map(|rule| rule.allow.as_ref()).any(|allow| {
            !allow.operation_type.is_empty() || !allow.operation_name.is_empty() || !allow.fields.is_empty()
        })
        || endpoint
            .deny_rules
            .iter()
            .any(|deny| !deny.operation_type.is_empty() || !deny.operation_name.is_empty() || !deny.fields.is_empty())
}

/// A host character by character: one star stays within a label, more cross labels (AM-2).
fn host_tokens(host: &str) -> Vec<Token> {
    let letters: Vec<char> = host.chars().collect();
    let mut tokens = Vec::with_capacity(letters.len());
    let mut at = 0;
    while at < letters.len() {
        let stars = letters[at..].iter().take_while(|letter| **letter == '*').count();
        tokens.push(match stars {
            0 => Token::One(CharSet::one(letters[at])),
            1 => Token::Many(CharSet::except('.')),
            2.. => Token::Many(CharSet::any()),
        });
        at += stars.max(1);
    }
    tokens
}

/// Cheapest questions first: most pairs name two hosts, or share no port, and never reach the globs.
fn compare(left: &Candidate<'_>, right: &Candidate<'_>, budget: &mut Budget) -> Option<Conflict> {
    if left.one_host && right.one_host && left.host != right.host {
        return None;
    }
    if !budget.spend(PAIR_COST + left.ports.len() + right.ports.len()) || left.ports.is_disjoint(&right.ports) {
        return None;
    }
    let mut fields = connection_fields(&left.connection, &right.connection);
    let requests = match (&left.request, &right.request) {
        (Some(a), Some(b)) if a.specificity == b.specificity => request_fields(a, b),
        (_, _) => Vec::new(),
    };
    if fields.is_empty() && requests.is_empty() || !hosts_overlap(left, right, budget) {
        return None;
    }
    let path_letters = left.endpoint.path.len() + right.endpoint.path.len();
    if !requests.is_empty()
        && budget.spend(CHARACTER_COST * path_letters)
        && path_pattern::overlaps_within(&left.endpoint.path, &right.endpoint.path, budget)
    {
        fields.extend(requests);
    }
    (!fields.is_empty() && !budget.is_spent()).then(|| Conflict {
        left: left.side(),
        right: right.side(),
        ports: left.ports.intersection(&right.ports).copied().collect(),
        fields,
    })
}

fn hosts_overlap(left: &Candidate<'_>, right: &Candidate<'_>, budget: &mut Budget) -> bool {
    left.host.is_empty()
        || right.host.is_empty()
        || left.host == right.host
        || !hosts::ends_apart(&left.host, &right.host) && language::meet(&left.host_tokens, &right.host_tokens, budget)
}

fn connection_fields(left: &Connection, right: &Connection) -> Vec<&'static str> {
    named([
        ("transparent_tcp_eligible", left.tcp != right.tcp),
        ("tls", left.tls_skipped != right.tls_skipped),
        ("allowed_ips", left.allowed_ips != right.allowed_ips),
        ("advisor_proposed", left.advisor_proposed != right.advisor_proposed),
    ])
}

fn request_fields(left: &Request<'_>, right: &Request<'_>) -> Vec<&'static str> {
    if left == right {
        return Vec::new();
    }
    let both = |protocol: &str| left.protocol == protocol && right.protocol == protocol;
    named([
        ("protocol", left.protocol != right.protocol),
        ("enforcement", left.enforced != right.enforced),
        ("allow_encoded_slash", left.allow_encoded_slash != right.allow_encoded_slash),
        ("websocket_credential_rewrite", left.websocket_credential_rewrite != right.websocket_credential_rewrite),
        (
            "request_body_credential_rewrite",
            left.request_body_credential_rewrite != right.request_body_credential_rewrite,
        ),
        (
            "websocket_graphql_policy",
            both("websocket") && left.websocket_graphql_policy != right.websocket_graphql_policy,
        ),
        ("credential_signing", left.signing[0] != right.signing[0]),
        ("signing_service", left.signing[1] != right.signing[1]),
        ("signing_region", left.signing[2] != right.signing[2]),
        ("credential_binding.provider", left.provider != right.provider),
        ("graphql_max_body_bytes", both("graphql") && left.graphql_max_body_bytes != right.graphql_max_body_bytes),
        (
            "json_rpc_max_body_bytes",
            (both("json-rpc") || both("mcp")) && left.json_rpc_max_body_bytes != right.json_rpc_max_body_bytes,
        ),
        ("mcp.strict_tool_names", both("mcp") && left.strict_tool_names != right.strict_tool_names),
    ])
}

fn named<const N: usize>(fields: [(&'static str, bool); N]) -> Vec<&'static str> {
    fields.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
}

mod hosts;
#[cfg(test)]
mod tests;
