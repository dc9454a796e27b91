//! V-TG: where a token is granted, for which audience, and how it is placed in a request.

use super::{accepted, endpoint, fields, rejected};

/// A credential with a token grant, with further keys of both.
fn granted(credential: &str, grant: &str) -> String {
    let endpoint = endpoint("path: /api, protocol: rest, access: full");
    format!("credentials: [{{name: access_token, {credential} token_grant: {{{grant}}}}}]\n{endpoint}")
}

fn at(url: &str) -> String {
    granted("", &format!("token_endpoint: '{url}'"))
}

fn styled(credential: &str) -> String {
    granted(credential, "token_endpoint: 'https://a/t'")
}

fn overrides(list: &str) -> String {
    granted("", &format!("token_endpoint: 'https://a/t', audience_overrides: [{list}]"))
}

const URL: &str = "credentials.token_grant.token_endpoint";
const TIED: &str = "credentials.token_grant.audience_overrides";
const HEADER: &str = "credentials.header_name";

#[test]
fn v_tg_1_a_token_endpoint_is_an_absolute_url() {
    for relative in ["", "/token", "auth.example.com/token", "//auth.example.com/token"] {
        rejected(&at(relative), URL, "not an absolute URL");
    }
    accepted(&at("https://auth.example.com/token"));
}

#[test]
fn v_tg_2_a_token_endpoint_is_https_or_internal() {
    for insecure in [
        "http://auth.example.com/token",
        "http://token-issuer.default.svc.evil.com/token",
        "http://a.b.svc.cluster.local.evil.com/token",
        "http://a.b.c.svc.cluster.local/token",
        "http://126.255.255.255/token",
        "http://[::2]/token",
        "ftp://localhost/token",
    ] {
        rejected(&at(insecure), URL, "insecure");
    }
    for safe in [
        "HTTPS://auth.example.com/token",
        "http://localhost:80/token",
        "http://127.255.255.254/token",
        "http://[::1]/token",
        "http://[::ffff:127.0.0.1]/token",
        "http://A.B.SVC./token",
        "http://a.b.svc.cluster.local/token",
    ] {
        accepted(&at(safe));
    }
}

#[test]
fn v_tg_3_overrides_of_one_credential_do_not_tie() {
    for tied in ["{audience: a}, {audience: b, host: api.example.com}", "{audience: a}, {audience: b, port: 443}"] {
        rejected(&overrides(tied), TIED, "indexes 0 and 1");
    }
    rejected(&overrides("{audience: a, path: /v1/**}, {audience: b, path: /v1/**}"), TIED, "ambiguous");
    for apart in [
        "{audience: a, path: /v1/**}, {audience: b, path: /v1/admin/**}",
        "{audience: a}, {audience: b, host: other.example.com}",
        "{audience: a}, {audience: b, port: 8443}",
        "{audience: a, path: /v1}, {audience: b, path: /v2}",
    ] {
        accepted(&overrides(apart));
    }
    let twice = overrides("{audience: a}, {audience: b}").replace("port: 443", "ports: [443, 8443]");
    assert_eq!(fields(&twice), [TIED, TIED], "once for each port");
}

#[test]
fn v_tg_4_a_granted_token_goes_into_a_header() {
    let field = "credentials.token_grant.auth_style";
    for style in
        ["auth_style: basic,", "auth_style: query, query_param: q,", "auth_style: path, path_template: '{credential}',"]
    {
        rejected(&styled(style), field, "must be bearer, header or empty");
    }
    for style in ["", "auth_style: ' Bearer ', header_name: x,", "auth_style: header, header_name: x,"] {
        accepted(&styled(style));
    }
}

#[test]
fn v_tg_5_the_header_is_a_token_of_http() {
    for name in ["a b", "a:b", "a/b", "ä", "a(b)", "a@b"] {
        rejected(&styled(&format!("header_name: '{name}',")), HEADER, "not a valid header name");
    }
    accepted(&styled("header_name: \" X-!#$%&'*+.^_`|~0 \","));
    // A static credential's header is not looked at.
    accepted("credentials: [{name: a, auth_style: header, header_name: 'a b'}]");
}

#[test]
fn v_tg_6_the_header_frames_no_message() {
    for name in ["host", "Content-Length", "TRANSFER-ENCODING", " connection "] {
        rejected(&styled(&format!("header_name: '{name}',")), HEADER, "framing");
        rejected(&styled(&format!("auth_style: header, header_name: '{name}',")), HEADER, "framing");
    }
    accepted(&styled("header_name: x-host,"));
    accepted("credentials: [{name: a, auth_style: header, header_name: host}]");
}
