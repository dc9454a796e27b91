//! V-MCP and V-NM: patterns of the MCP protocol, and MCP fields on other protocols.

use super::{accepted, endpoint, fields, mcp, rejected};
use crate::file;

const ALLOW: &str = "endpoints[0].rules[0].allow";
const DENY: &str = "endpoints[0].deny_rules[0]";
const ALL: &str = "mcp: {allow_all_known_mcp_methods: true}";
/// A rule that selects a tool.
const READ: &str = "{allow: {method: tools/call, params: {name: {glob: read}}}}";

fn allow(pattern: &str) -> String {
    mcp(&format!("rules: [{{allow: {{{pattern}}}}}]"))
}

/// A pattern that denies, beside a rule that selects no tool.
fn deny(pattern: &str) -> String {
    mcp(&format!("rules: [{{allow: {{method: ping}}}}], deny_rules: [{{{pattern}}}]"))
}

/// Asserts that a pattern is refused alike where it allows and where it denies.
fn both_rejected(pattern: &str, below: &str, words: &str) {
    rejected(&allow(pattern), &format!("{ALLOW}{below}"), words);
    rejected(&deny(pattern), &format!("{DENY}{below}"), words);
}

fn both_accepted(pattern: &str) {
    accepted(&allow(pattern));
    accepted(&deny(pattern));
}

#[test]
fn v_mcp_1_a_file_selects_a_tool_in_one_way() {
    let field = |lines: &str| {
        let parsed = file::parse_yaml(&format!("id: acme\ndisplay_name: Acme\n{lines}")).expect("it parses");
        file::lower(parsed).err().map(|problem| problem.field)
    };
    let pattern = "method: tools/call, tool: a, params: {name: b}";
    assert_eq!(field(&allow(pattern)).as_deref(), Some(ALLOW));
    assert_eq!(field(&deny(pattern)).as_deref(), Some(DENY));
    both_accepted("method: tools/call, tool: a");
    both_accepted("method: tools/call, params: {name: b}");
}

#[test]
fn v_mcp_2_a_tool_goes_with_the_method_that_calls_tools() {
    for method in ["resources/read", "tools/list", "tools/*", "TOOLS/CALL"] {
        both_rejected(&format!("method: '{method}', tool: a"), "", "only goes with method tools/call");
    }
    both_accepted("method: tools/call, tool: a");
    accepted(&mcp(&format!("{ALL}, rules: [{{allow: {{tool: a}}}}]")));
}

#[test]
fn v_mcp_3_a_pattern_has_a_method_unless_all_are_allowed() {
    both_rejected("tool: a", "", "needs a method");
    accepted(&mcp(&format!("{ALL}, rules: [{{allow: {{tool: a}}}}], deny_rules: [{{tool: b}}]")));
}

#[test]
fn v_mcp_4_globs_of_methods_stay_in_the_tools_family() {
    for method in ["*", "resources/*", "pin?", "[p]ing", "{ping}"] {
        both_rejected(&format!("method: '{method}'"), ".method", "tools/ family");
    }
    both_accepted("method: 'tools/*'");
    both_accepted("method: ping");
}

#[test]
fn v_mcp_5_a_pattern_has_neither_path_nor_query() {
    both_rejected("method: ping, path: /a", "", "path and query");
    both_rejected("method: ping, query: {a: b}", "", "path and query");
    both_accepted("method: ping, path: '', query: {}");
}

#[test]
fn v_mcp_6_no_argument_but_the_tool_is_matched() {
    both_rejected("method: tools/call, params: {path: a}", ".params.path", "'path' is not supported");
    let two = ["alpha", "zeta"].map(|key| format!("{ALLOW}.params.{key}"));
    assert_eq!(fields(&allow("method: tools/call, params: {zeta: a, name: b, alpha: c}")), two);
    both_accepted("method: tools/call, params: {name: b}");
}

const NAME: &str = ".params.name";

#[test]
fn v_mcp_7_a_selector_has_one_form() {
    both_rejected("method: tools/call, tool: {glob: a, any: [b]}", NAME, "both glob and any");
    both_accepted("method: tools/call, tool: {any: [a, b]}");
}

#[test]
fn v_mcp_8_a_selector_is_not_empty() {
    both_rejected("method: tools/call, tool: {}", NAME, "is empty");
    both_rejected("method: tools/call, tool: {glob: '', any: []}", NAME, "is empty");
    both_accepted("method: tools/call, tool: {glob: a}");
}

#[test]
fn v_mcp_9_wildcards_need_strict_names() {
    let with = |strict: &str, tool: &str| {
        mcp(&format!("mcp: {{{strict}}}, rules: [{{allow: {{method: tools/call, tool: {tool}}}}}]"))
    };
    for tool in ["'read_*'", "'rea?'", "{any: [read, '[a]']}", "'{a}'"] {
        rejected(&with("strict_tool_names: false", tool), &format!("{ALLOW}{NAME}"), "strict tool names");
        accepted(&with("strict_tool_names: true", tool));
        accepted(&with("", tool));
    }
    accepted(&with("strict_tool_names: false", "{any: [read, write]}"));
}

#[test]
fn v_mcp_10_no_rule_beside_a_tools_allows_every_call() {
    let beside = "endpoints[0].rules[1].allow";
    for method in ["tools/call", "'tools/*'", "'tools/c?ll'"] {
        let lines = mcp(&format!("rules: [{READ}, {{allow: {{method: {method}}}}}]"));
        rejected(&lines, beside, "allows every tool call");
    }
    rejected(&mcp(&format!("{ALL}, rules: [{READ}, {{allow: {{}}}}]")), beside, "allows every tool call");
    let star = fields(&mcp(&format!("rules: [{READ}, {{allow: {{method: '*'}}}}]")));
    assert_eq!(star, [format!("{beside}.method"), beside.to_owned()]);
    accepted(&mcp(&format!("rules: [{READ}, {{allow: {{method: tools/list}}}}, {READ}]")));
    accepted(&mcp("rules: [{allow: {method: tools/call}}, {allow: {method: 'tools/*'}}]"));
}

#[test]
fn v_mcp_11_nor_does_a_rule_without_an_allow_where_all_is_allowed() {
    let beside = "endpoints[0].rules[1].allow";
    rejected(&mcp(&format!("{ALL}, rules: [{READ}, {{}}]")), beside, "allows every tool call");
    accepted(&mcp(&format!("rules: [{READ}, {{}}]")));
    accepted(&mcp(&format!("{ALL}, rules: [{{}}]")));
}

#[test]
fn v_mcp_12_no_denial_beside_a_tools_rule_denies_every_call() {
    let denying = |pattern: &str| mcp(&format!("rules: [{READ}], deny_rules: [{{{pattern}}}]"));
    for method in ["tools/call", "'tools/*'"] {
        rejected(&denying(&format!("method: {method}")), DENY, "denies every tool call");
    }
    accepted(&denying("method: tools/call, tool: write"));
    accepted(&denying("method: tools/list"));
    accepted(&deny("method: tools/call"));
}

fn rest(body: &str) -> String {
    endpoint(&format!("protocol: rest, {body}"))
}

#[test]
fn v_nm_1_options_of_mcp_are_for_mcp() {
    rejected(&rest("access: full, mcp: {}"), "endpoints[0]", "mcp options are only for protocol mcp");
    // The protocol is compared with its case here: what another spelling means is not settled.
    rejected(&endpoint(&format!("protocol: MCP, {ALL}")), "endpoints[0]", "mcp options");
    accepted(&rest("access: full"));
    accepted(&mcp(ALL));
}

#[test]
fn v_nm_2_and_4_a_tool_in_a_file_is_for_mcp() {
    // The shorthand is a selector of parameters by then (F-MAP-2), and is reported as that.
    rejected(&rest("rules: [{allow: {method: GET, tool: a}}]"), &format!("{ALLOW}.params"), "only for protocol mcp");
    rejected(&rest("access: full, deny_rules: [{tool: a}]"), &format!("{DENY}.params"), "only for protocol mcp");
    accepted(&rest("access: full, deny_rules: [{method: GET}]"));
}

#[test]
fn v_nm_3_parameters_of_an_allow_are_for_mcp() {
    let field = format!("{ALLOW}.params");
    rejected(&rest("rules: [{allow: {method: GET, params: {a: b}}}]"), &field, "params are only for protocol mcp");
    accepted(&rest("rules: [{allow: {method: GET, params: {}}}]"));
    both_accepted("method: tools/call, params: {name: a}");
}

#[test]
fn v_nm_5_parameters_of_a_denial_are_for_mcp() {
    let field = format!("{DENY}.params");
    rejected(&rest("access: full, deny_rules: [{params: {a: b}}]"), &field, "params are only for protocol mcp");
    accepted(&rest("access: full, deny_rules: [{query: {a: b}}]"));
}
