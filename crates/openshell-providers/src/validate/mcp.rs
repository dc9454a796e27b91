//! Rules about patterns of the MCP protocol, and about MCP fields on other protocols (providers.md
//! 3.10.2, 3.10.3). The protocol is compared with its case here, unlike in the shape rules.

use std::collections::BTreeMap;

use glob::Pattern;
use openshell_proto::sandbox::{L7Allow, L7DenyRule, L7QueryMatcher, NetworkEndpoint};

use super::Report;

/// The key of `params` that selects a tool.
pub(super) const TOOL: &str = "name";

const CALL: &str = "tools/call";

/// What allow objects and deny rules have in common.
struct Selector<'a> {
    field: String,
    method: &'a str,
    path: &'a str,
    has_query: bool,
    params: &'a BTreeMap<String, L7QueryMatcher>,
}

impl Selector<'_> {
    fn tool(&self) -> Option<&L7QueryMatcher> {
        self.params.get(TOOL)
    }

    /// Whether it covers calls of every tool: no tool is selected, and the method includes them.
    fn covers_every_call(&self) -> bool {
        self.tool().is_none() && matches_call(self.method)
    }
}

/// Whether the endpoint allows every known method without a rule.
pub(super) fn allows_all(endpoint: &NetworkEndpoint) -> bool {
    endpoint.mcp.as_ref().and_then(|mcp| mcp.allow_all_known_mcp_methods).unwrap_or(false)
}

pub(super) fn rules(field: &str, endpoint: &NetworkEndpoint, report: &mut Report<'_>) {
    if endpoint.protocol != "mcp" {
        return elsewhere(field, endpoint, report);
    }
    let allow_all = allows_all(endpoint);
    let strict = endpoint.mcp.as_ref().and_then(|mcp| mcp.strict_tool_names).unwrap_or(true);
    let allowing: Vec<Option<Selector<'_>>> = endpoint
        .rules
        .iter()
        .enumerate()
        .map(|(index, rule)| rule.allow.as_ref().map(|allow| allow_selector(field, index, allow)))
        .collect();
    let denying: Vec<Selector<'_>> =
        endpoint.deny_rules.iter().enumerate().map(|(index, deny)| deny_selector(field, index, deny)).collect();
    for selector in allowing.iter().flatten().chain(&denying) {
        pattern(selector, allow_all, strict, report);
    }
    if allowing.iter().flatten().any(|selector| selector.tool().is_some()) {
        defeated(field, &allowing, &denying, allow_all, report);
    }
}

fn allow_selector<'a>(field: &str, index: usize, allow: &'a L7Allow) -> Selector<'a> {
    Selector {
        field: format!("{field}.rules[{index}].allow"),
        method: &allow.method,
        path: &allow.path,
        has_query: !allow.query.is_empty(),
        params: &allow.params,
    }
}

fn deny_selector<'a>(field: &str, index: usize, deny: &'a L7DenyRule) -> Selector<'a> {
    Selector {
        field: format!("{field}.deny_rules[{index}]"),
        method: &deny.method,
        path: &deny.path,
        has_query: !deny.query.is_empty(),
        params: &deny.params,
    }
}

/// V-MCP-2 to V-MCP-9 for one pattern.
fn pattern(selector: &Selector<'_>, allow_all: bool, strict: bool, report: &mut Report<'_>) {
    let Selector { field, method, .. } = selector;
    report.error_if(
        selector.tool().is_some() && !method.is_empty() && *method != CALL,
        field,
        "a tool selector only goes with method tools/call: change the method, or remove the selector",
    );
    report.error_if(
        method.is_empty() && !allow_all,
        field,
        "an mcp pattern needs a method unless mcp.allow_all_known_mcp_methods is true: name one",
    );
    report.error_if(
        has_wildcard(method) && !method.starts_with("tools/"),
        format!("{field}.method"),
        "method globs are only for the tools/ family: write the method out",
    );
    report.error_if(
        !selector.path.is_empty() || selector.has_query,
        field,
        "path and query have no meaning in mcp patterns: remove them",
    );
    for key in selector.params.keys().filter(|key| *key != TOOL) {
        let message = format!("matching the argument '{key}' is not supported: only params.name is, remove it");
        report.error(format!("{field}.params.{key}"), message);
    }
    if let Some(tool) = selector.tool() {
        tool_selector(&format!("{field}.params.{TOOL}"), tool, strict, report);
    }
}

fn tool_selector(field: &str, tool: &L7QueryMatcher, strict: bool, report: &mut Report<'_>) {
    let (glob, any) = (!tool.glob.is_empty(), !tool.any.is_empty());
    report.error_if(glob && any, field, "a tool selector has both glob and any: keep one of them");
    report.error_if(!glob && !any, field, "a tool selector is empty: give it a glob, or a list in any");
    let wild = has_wildcard(&tool.glob) || tool.any.iter().any(|name| has_wildcard(name));
    report.error_if(
        !strict && wild,
        field,
        "wildcards in tool selectors need strict tool names: remove strict_tool_names: false, or name the tools",
    );
}

/// V-MCP-10 to V-MCP-12: patterns that make tool selectors beside them pointless.
fn defeated(
    field: &str,
    allowing: &[Option<Selector<'_>>],
    denying: &[Selector<'_>],
    allow_all: bool,
    report: &mut Report<'_>,
) {
    for (index, selector) in allowing.iter().enumerate() {
        let defeats = match selector {
            Some(selector) => {
                selector.covers_every_call() || (selector.tool().is_none() && selector.method.is_empty() && allow_all)
            }
            None => allow_all,
        };
        report.error_if(
            defeats,
            format!("{field}.rules[{index}].allow"),
            "this rule allows every tool call, which defeats the tool selectors beside it: narrow or remove it",
        );
    }
    for selector in denying.iter().filter(|selector| selector.covers_every_call()) {
        report.error(
            &selector.field,
            "this rule denies every tool call, which defeats the tool selectors of rules: narrow or remove it",
        );
    }
}

/// V-NM-1, V-NM-3 and V-NM-5: MCP fields where they mean nothing.
fn elsewhere(field: &str, endpoint: &NetworkEndpoint, report: &mut Report<'_>) {
    report.error_if(endpoint.mcp.is_some(), field, "mcp options are only for protocol mcp: remove them");
    let message = "params are only for protocol mcp: remove them";
    for (index, rule) in endpoint.rules.iter().enumerate() {
        let params = rule.allow.as_ref().is_some_and(|allow| !allow.params.is_empty());
        report.error_if(params, format!("{field}.rules[{index}].allow.params"), message);
    }
    for (index, deny) in endpoint.deny_rules.iter().enumerate() {
        report.error_if(!deny.params.is_empty(), format!("{field}.deny_rules[{index}].params"), message);
    }
}

fn has_wildcard(text: &str) -> bool {
    text.contains(['*', '?', '[', '{'])
}

fn matches_call(method: &str) -> bool {
    method == CALL || method == "*" || Pattern::new(method).is_ok_and(|pattern| pattern.matches(CALL))
}
