//! V-NAME, V-DISC, V-ENV and V-AUTH: what a credential is called, where it is found and placed.

use super::{accepted, rejected};

fn credentials(list: &str) -> String {
    format!("credentials: [{list}]")
}

#[test]
fn v_name_1_a_credential_has_a_name() {
    for name in ["''", "' '"] {
        rejected(&credentials(&format!("{{name: {name}}}")), "credentials.name", "no name");
    }
    accepted(&credentials("{name: ' a b ü '}"));
}

#[test]
fn v_name_2_names_are_unique_once_trimmed() {
    rejected(&credentials("{name: a}, {name: ' a '}"), "credentials.name", "duplicate credential name 'a'");
    accepted(&credentials("{name: a}, {name: A}"));
}

fn discovery(list: &str) -> String {
    format!("credentials: [{{name: a}}, {{name: b}}]\ndiscovery: {{credentials: [{list}]}}")
}

#[test]
fn v_disc_1_an_entry_is_not_blank() {
    rejected(&discovery("a, ' '"), "discovery.credentials[1]", "must not be empty");
    accepted(&discovery("' a '"));
    accepted(&discovery(""));
}

#[test]
fn v_disc_2_an_entry_is_listed_once() {
    rejected(&discovery("a, b, ' a'"), "discovery.credentials[2]", "duplicate");
    accepted(&discovery("a, b"));
}

#[test]
fn v_disc_3_an_entry_is_declared() {
    rejected(&discovery("a, c"), "discovery.credentials[1]", "unknown");
    rejected(&discovery("A"), "discovery.credentials[0]", "unknown");
    accepted(&discovery("b, a"));
}

fn variables(list: &str) -> String {
    credentials(&format!("{{name: a, env_vars: [{list}]}}"))
}

const ENV_VARS: &str = "credentials.env_vars";

#[test]
fn v_env_1_a_variable_is_not_blank() {
    rejected(&variables("A, ' '"), ENV_VARS, "must not be empty");
    accepted(&variables("A"));
    accepted(&variables(""));
}

#[test]
fn v_env_2_a_variable_is_no_placeholder() {
    let hex = "0123456789abcdef".repeat(4);
    for reserved in ["v10_GITHUB_TOKEN", "' v1_a '", &format!("s{hex}_KEY")] {
        rejected(&variables(reserved), ENV_VARS, "reserved");
    }
    let upper = hex.to_uppercase();
    for free in ["V10_X", "v_X", "version_x", "v10_", "v10_A-B", &format!("s{upper}_KEY"), &format!("s{}_K", &hex[1..])]
    {
        accepted(&variables(free));
    }
}

#[test]
fn v_env_3_a_variable_belongs_to_one_credential_once() {
    rejected(&variables("A, ' A'"), ENV_VARS, "duplicate env var 'A'");
    rejected(&credentials("{name: a, env_vars: [K]}, {name: b, env_vars: [K]}"), ENV_VARS, "'K'");
    accepted(&credentials("{name: a, env_vars: [K, k]}, {name: b, env_vars: [BAD-KEY]}"));
}

fn style(words: &str) -> String {
    credentials(&format!("{{name: a, {words}}}"))
}

#[test]
fn v_auth_1_no_style_and_basic_need_nothing() {
    for words in ["", "auth_style: ''", "auth_style: ' Basic '"] {
        accepted(&style(words));
    }
}

#[test]
fn v_auth_2_bearer_needs_a_header() {
    rejected(&style("auth_style: bearer"), "credentials.header_name", "auth_style bearer needs");
    rejected(&style("auth_style: ' BEARER ', header_name: ' '"), "credentials.header_name", "bearer");
    accepted(&style("auth_style: bearer, header_name: a b"));
}

#[test]
fn v_auth_3_header_needs_a_header() {
    rejected(&style("auth_style: header"), "credentials.header_name", "auth_style header needs");
    accepted(&style("auth_style: Header, header_name: x-key"));
}

#[test]
fn v_auth_4_path_needs_a_template() {
    rejected(&style("auth_style: path"), "credentials.path_template", "needs a path_template");
    rejected(&style("auth_style: path, path_template: ' '"), "credentials.path_template", "needs a path_template");
    accepted(&style("auth_style: path, path_template: '{credential}'"));
}

#[test]
fn v_auth_5_a_template_has_its_placeholder_once() {
    for (template, times) in [("/x/{cred}", "0 times"), ("/{credential}/{credential}", "2 times")] {
        let lines = style(&format!("auth_style: path, path_template: '{template}'"));
        rejected(&lines, "credentials.path_template", times);
    }
    accepted(&style("auth_style: path, path_template: '/bot{credential}/x'"));
    accepted(&style("path_template: '/none'"));
}

#[test]
fn v_auth_6_query_needs_a_parameter() {
    rejected(&style("auth_style: query"), "credentials.query_param", "needs a query_param");
    accepted(&style("auth_style: query, query_param: a b, header_name: ignored"));
}

#[test]
fn v_auth_7_other_styles_are_not_known() {
    rejected(&style("auth_style: Cookie"), "credentials.auth_style", "\"Cookie\"");
    rejected(&style("auth_style: none"), "credentials.auth_style", "unsupported");
    accepted(&style("auth_style: ' QUERY ', query_param: key"));
}
