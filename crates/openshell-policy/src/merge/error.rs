//! Why operations are not applied, as data; the sentences are made here too.

use std::fmt;

/// An operation that is not applied, and with it none of its request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergeError {
    /// Place of the operation in the request, from 0; none when it takes several to bring the error about.
    pub operation: Option<usize>,
    /// What is wrong.
    pub reason: Reason,
}

impl MergeError {
    /// Whether the request is wrong whatever the policy (`INVALID_ARGUMENT`); otherwise it does not fit the
    /// policy that it met (`FAILED_PRECONDITION`). Source: config.md UC-66.
    pub fn is_invalid(&self) -> bool {
        match &self.reason {
            Reason::TooMany { .. }
            | Reason::TooLarge { .. }
            | Reason::Nothing
            | Reason::Missing { .. }
            | Reason::ReservedName { .. }
            | Reason::BlockedHost { .. }
            | Reason::BlockedAddress { .. }
            | Reason::UnknownAccess { .. } => true,
            Reason::NewBinaries { .. }
            | Reason::UnnamedPort { .. }
            | Reason::UnlistedBinaries { .. }
            | Reason::OtherMcpContract { .. }
            | Reason::McpBesideOther { .. }
            | Reason::SeveralMcpContracts { .. }
            | Reason::NoEndpoint { .. }
            | Reason::SeveralEndpoints { .. }
            | Reason::NoRequests { .. }
            | Reason::NothingAllowed { .. }
            | Reason::AnyBinary { .. } => false,
        }
    }
}

impl fmt::Display for MergeError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.operation {
            Some(index) => write!(out, "merge_operations[{index}]{}", self.reason),
            None => write!(out, "merge_operations{}", self.reason),
        }
    }
}

/// What is wrong with an operation, or with what it would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// More operations than one request may have.
    TooMany {
        /// How many there are.
        count: usize,
    },
    /// The rules to add are beyond a bound.
    TooLarge {
        /// The field and the bound.
        what: String,
    },
    /// No operation is set.
    Nothing,
    /// The operation lacks a field that it needs.
    Missing {
        /// The field, from the operation's name on.
        field: String,
        /// What it should hold.
        what: &'static str,
    },
    /// A rule's name belongs to composed provider rules.
    ReservedName {
        /// The name.
        rule: String,
    },
    /// A host that no sandbox may reach.
    BlockedHost {
        /// The field, from the operation's name on.
        field: String,
        /// The host.
        host: String,
    },
    /// Addresses among which are some that no sandbox may reach.
    BlockedAddress {
        /// The field, from the operation's name on.
        field: String,
        /// The entry.
        entry: String,
    },
    /// An access preset that stands for no known rules.
    UnknownAccess {
        /// Host of the endpoint.
        host: String,
        /// The preset.
        access: String,
    },
    /// New binaries would get an endpoint that the operation does not declare in full (UC-57).
    NewBinaries {
        /// Key of the rule.
        rule: String,
        /// Host of the endpoint.
        host: String,
        /// The port that nothing declared covers.
        port: u32,
    },
    /// What is allowed at a port would change, which the operation does not name (UC-58).
    UnnamedPort {
        /// Key of the rule.
        rule: String,
        /// Host of the endpoint.
        host: String,
        /// The port.
        port: u32,
    },
    /// What is allowed would change for binaries that the operation does not list (UC-59).
    UnlistedBinaries {
        /// Key of the rule.
        rule: String,
        /// Their paths; none when the rule is for any binary.
        missing: Vec<String>,
    },
    /// The endpoint that is added to speaks MCP otherwise, or one of the two does not (UC-60).
    OtherMcpContract {
        /// Key of the rule.
        rule: String,
        /// Host of the endpoint.
        host: String,
    },
    /// A host and port would be inspected as MCP and as something else (UC-60).
    McpBesideOther {
        /// The host, lowercased.
        host: String,
        /// The port.
        port: u32,
    },
    /// A host and port would have two MCP contracts (UC-60).
    SeveralMcpContracts {
        /// The host, lowercased.
        host: String,
        /// The port.
        port: u32,
    },
    /// No endpoint has this host and port (UC-62).
    NoEndpoint {
        /// The host.
        host: String,
        /// The port.
        port: u32,
    },
    /// More endpoints than one have this host and port (UC-62).
    SeveralEndpoints {
        /// The host.
        host: String,
        /// The port.
        port: u32,
        /// Keys of their rules.
        rules: Vec<String>,
    },
    /// The endpoint is not of a protocol whose requests have rules of this kind (UC-62).
    NoRequests {
        /// The host.
        host: String,
        /// The port.
        port: u32,
        /// The protocol.
        protocol: String,
    },
    /// The endpoint allows nothing of which something could be denied (UC-62).
    NothingAllowed {
        /// The host.
        host: String,
        /// The port.
        port: u32,
    },
    /// The rule is for any binary, so none can be taken from it (UC-65).
    AnyBinary {
        /// Key of the rule.
        rule: String,
    },
}

impl Reason {
    /// Whether binaries would inherit what the operation does not say (UC-57 to UC-59).
    pub(super) fn is_inheritance(&self) -> bool {
        matches!(self, Reason::NewBinaries { .. } | Reason::UnnamedPort { .. } | Reason::UnlistedBinaries { .. })
    }
}

/// Continues `merge_operations` or `merge_operations[index]`.
impl fmt::Display for Reason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::TooMany { count } => write!(
                out,
                ": has {count} operations; at most {} are allowed in one request",
                super::parse::OPERATIONS_MAX
            ),
            Reason::TooLarge { what } => write!(out, ": {what}"),
            Reason::Nothing => write!(out, ": is empty; set one operation"),
            Reason::Missing { field, what } => write!(out, ".{field}: {what}"),
            Reason::ReservedName { rule } => write!(out, ".add_rule.rule_name: {}", crate::reserved::refusal(rule)),
            Reason::BlockedHost { field, host } => write!(
                out,
                ".{field}: host '{host}' is always blocked (loopback, link-local, unspecified or cloud metadata); no \
                 policy can allow it"
            ),
            Reason::BlockedAddress { field, entry } => write!(
                out,
                ".{field}: '{entry}' overlaps addresses that are always blocked (loopback, link-local, unspecified); \
                 leave them out"
            ),
            Reason::UnknownAccess { host, access } => write!(
                out,
                ": the access preset '{access}' of host '{host}' is unknown, so rules cannot be added to it; use \
                 read-only, read-write or full"
            ),
            Reason::McpBesideOther { host, port } => write!(
                out,
                ": {host}:{port} would be inspected both as MCP and as another protocol; give MCP a host or port of \
                 its own"
            ),
            Reason::SeveralMcpContracts { host, port } => write!(
                out,
                ": {host}:{port} would have two MCP contracts (strict_tool_names, allow_all_known_mcp_methods, body \
                 limit); make them equal"
            ),
            Reason::NewBinaries { .. }
            | Reason::UnnamedPort { .. }
            | Reason::UnlistedBinaries { .. }
            | Reason::OtherMcpContract { .. } => self.about_a_rule(out),
            Reason::NoEndpoint { .. }
            | Reason::SeveralEndpoints { .. }
            | Reason::NoRequests { .. }
            | Reason::NothingAllowed { .. }
            | Reason::AnyBinary { .. } => self.about_a_target(out),
        }
    }
}

impl Reason {
    /// What does not fit the rule that `add_rule` adds to.
    fn about_a_rule(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::NewBinaries { rule, host, port } => write!(
                out,
                ".add_rule: new binaries of rule '{rule}' would get {host}:{port} as well; declare every endpoint of \
                 the rule as it is, or use a rule of their own"
            ),
            Reason::UnnamedPort { rule, host, port } => write!(
                out,
                ".add_rule: what rule '{rule}' allows at {host}:{port} would change; name that port, with its path"
            ),
            Reason::UnlistedBinaries { rule, missing } if missing.is_empty() => {
                write!(out, ".add_rule: what rule '{rule}' allows would change for any binary; leave the binaries out")
            }
            Reason::UnlistedBinaries { rule, missing } => write!(
                out,
                ".add_rule: what rule '{rule}' allows would change for binaries that are not listed: {}",
                missing.join(", ")
            ),
            Reason::OtherMcpContract { rule, host } => write!(
                out,
                ".add_rule: the endpoint {host} of rule '{rule}' has another MCP contract (protocol, \
                 strict_tool_names, allow_all_known_mcp_methods, body limit); make them equal"
            ),
            other => unreachable!("{other:?} is not about a rule that is added to"),
        }
    }

    /// What does not fit the endpoint or binary that an operation names.
    fn about_a_target(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::NoEndpoint { host, port } => {
                write!(out, ": no rule of the user's has an endpoint {host}:{port}; add one with add_rule")
            }
            Reason::SeveralEndpoints { host, port, rules } => write!(
                out,
                ": several endpoints have {host}:{port}, in rules {}; change the rule itself with add_rule",
                rules.join(", ")
            ),
            Reason::NoRequests { host, port, protocol } => write!(
                out,
                ": {host}:{port} has protocol '{protocol}'; request rules can be added to rest and websocket only"
            ),
            Reason::NothingAllowed { host, port } => write!(
                out,
                ".add_deny_rules: {host}:{port} has neither access nor rules, so there is nothing to deny; allow \
                 something first"
            ),
            Reason::AnyBinary { rule } => write!(
                out,
                ".remove_binary: rule '{rule}' is for any binary; list its binaries first, or remove the rule"
            ),
            other => unreachable!("{other:?} is not about a target"),
        }
    }
}
