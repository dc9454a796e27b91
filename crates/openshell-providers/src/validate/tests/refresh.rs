//! V-REF: how a credential is refreshed, and what else its refresh fills.

use super::{accepted, fields, rejected};

const OUTPUTS: &str = "credentials.refresh.additional_outputs";
const OUTPUT_ID: &str = "credentials.refresh.additional_outputs.output";
const TARGET: &str = "credentials.refresh.additional_outputs.credential";
const SECRET: &str = "{output: secret_access_key, credential: secret}";
const SESSION: &str = "{output: session_token, credential: session}";

fn refresh(body: &str) -> String {
    format!("credentials: [{{name: a, refresh: {{{body}}}}}]")
}

/// The standard triple, with these outputs and further credentials.
fn sts(outputs: &str, further: &str) -> String {
    let outputs = outputs.replace("SECRET", SECRET).replace("SESSION", SESSION);
    format!(
        "credentials:
          - {{name: key, env_vars: [AWS_ACCESS_KEY_ID], refresh: {{strategy: aws_sts_assume_role, additional_outputs: \
         [{outputs}]}}}}
          - {{name: secret, env_vars: [AWS_SECRET_ACCESS_KEY]}}
          - {{name: session, env_vars: [AWS_SESSION_TOKEN]}}
          {further}"
    )
}

/// As [`sts`], the outputs all there, with something else in a place.
fn with(place: &str, instead: &str) -> String {
    let lines = sts("SECRET, SESSION", "");
    assert!(lines.contains(place), "{place}");
    lines.replace(place, instead)
}

#[test]
fn v_ref_1_a_refresh_has_a_strategy() {
    rejected(&refresh(""), "credentials.refresh.strategy", "needs a strategy");
    for strategy in
        ["static", "external", "oauth2_refresh_token", "oauth2_client_credentials", "google_service_account_jwt"]
    {
        accepted(&refresh(&format!("strategy: {strategy}")));
    }
}

#[test]
fn v_ref_2_refresh_before_seconds_is_not_negative() {
    let field = "credentials.refresh.refresh_before_seconds";
    rejected(&refresh("strategy: static, refresh_before_seconds: -1"), field, "is -1");
    accepted(&refresh("strategy: static, refresh_before_seconds: 0"));
}

#[test]
fn v_ref_3_max_lifetime_seconds_is_not_negative() {
    let field = "credentials.refresh.max_lifetime_seconds";
    rejected(&refresh("strategy: static, max_lifetime_seconds: -1"), field, "is -1");
    accepted(&refresh("strategy: static, max_lifetime_seconds: 0"));
}

const MATERIAL: &str = "credentials.refresh.material.name";

#[test]
fn v_ref_4_material_has_a_name() {
    rejected(&refresh("strategy: static, material: [{name: a}, {name: ' '}]"), MATERIAL, "no name");
    accepted(&refresh("strategy: static, material: [{name: ' a '}]"));
}

#[test]
fn v_ref_5_material_names_are_unique_once_trimmed() {
    rejected(&refresh("strategy: static, material: [{name: a}, {name: ' a'}]"), MATERIAL, "duplicate");
    accepted(&refresh("strategy: static, material: [{name: a}, {name: A}]"));
}

#[test]
fn v_ref_6_only_some_strategies_have_outputs() {
    let oauth = |outputs: &str| {
        let lines = sts(outputs, "");
        lines.replace("aws_sts_assume_role", "oauth2_client_credentials")
    };
    rejected(&oauth("SECRET, SESSION"), OUTPUTS, "does not support");
    let both = fields(&oauth("SECRET, {output: '', credential: gone}"));
    assert_eq!(both, [OUTPUTS, OUTPUT_ID], "reported once, and entries are checked still");
    accepted(&oauth(""));
    accepted(&sts("SECRET, SESSION", ""));
}

#[test]
fn v_ref_7_an_output_has_an_id() {
    rejected(&sts("SECRET, SESSION, {output: ' ', credential: gone}", ""), OUTPUT_ID, "no output id");
    accepted(&with("output: session_token", "output: ' session_token '"));
}

#[test]
fn v_ref_8_an_output_is_mapped_once() {
    rejected(&sts("SECRET, SESSION, SESSION", ""), OUTPUT_ID, "duplicate");
    rejected(&sts("SECRET, SESSION, {output: ' session_token', credential: session}", ""), OUTPUT_ID, "duplicate");
    accepted(&sts("SESSION, SECRET", ""));
}

#[test]
fn v_ref_9_an_output_is_one_of_the_strategy() {
    let other = "- {name: other, env_vars: [OTHER]}";
    rejected(&sts("SECRET, SESSION, {output: region, credential: other}", other), OUTPUT_ID, "does not produce");
    accepted(&sts("SECRET, SESSION", other));
}

#[test]
fn v_ref_10_an_output_fills_a_credential_of_the_profile() {
    rejected(&with("credential: session}", "credential: gone}"), TARGET, "unknown credential");
    // The name of the sibling is taken as it is, the entry's is trimmed.
    rejected(&with("name: session,", "name: ' session',"), TARGET, "unknown credential");
    accepted(&with("credential: session}", "credential: ' session '}"));
}

#[test]
fn v_ref_11_an_output_fills_no_credential_that_is_refreshed_itself() {
    let own = with("[AWS_SESSION_TOKEN]", "[AWS_SESSION_TOKEN], refresh: {strategy: static}");
    rejected(&own, TARGET, "already refreshed");
    let oneself = fields(&with("credential: session}", "credential: key}"));
    assert_eq!(oneself, [TARGET, TARGET], "to point at oneself is such a case, with the wrong variable");
    accepted(&with("[AWS_SESSION_TOKEN]", "[AWS_SESSION_TOKEN], required: true"));
}

#[test]
fn v_ref_12_an_output_fills_a_credential_of_one_variable() {
    for variables in ["[]", "[AWS_SESSION_TOKEN, OTHER]"] {
        rejected(&with("[AWS_SESSION_TOKEN]", variables), TARGET, "one and only one env var");
    }
    accepted(&with("[AWS_SESSION_TOKEN]", "[' AWS_SESSION_TOKEN ']"));
}

#[test]
fn v_ref_13_a_pinned_output_has_its_variable() {
    rejected(&with("[AWS_SESSION_TOKEN]", "[SESSION]"), TARGET, "needs the env var AWS_SESSION_TOKEN");
    rejected(&with("[AWS_SECRET_ACCESS_KEY]", "[SECRET]"), TARGET, "needs the env var AWS_SECRET_ACCESS_KEY");
    accepted(&sts("SECRET, SESSION", ""));
}

#[test]
fn v_ref_14_the_outputs_that_a_strategy_requires_are_all_there() {
    rejected(&sts("SECRET", ""), OUTPUTS, "'session_token' is missing");
    rejected(&sts("SESSION", ""), OUTPUTS, "'secret_access_key' is missing");
    assert_eq!(fields(&sts("", "")), [OUTPUTS, OUTPUTS], "one for each");
    accepted(&sts("SECRET, SESSION", ""));
}

#[test]
fn v_ref_15_a_pinned_credential_has_exactly_its_variable() {
    for variables in ["[]", "[OTHER]", "[AWS_ACCESS_KEY_ID, OTHER]"] {
        rejected(&with("[AWS_ACCESS_KEY_ID]", variables), "credentials.env_vars", "needs exactly");
    }
    accepted(&with("[AWS_ACCESS_KEY_ID]", "[' AWS_ACCESS_KEY_ID']"));
    accepted(&refresh("strategy: oauth2_refresh_token"));
}
