//! What the parsers accept and refuse (providers.md 1.2 to 1.8), and the checks before lowering.

use openshell_proto::v1::{ProviderCredentialRefreshStrategy, ProviderProfileCategory};

use super::*;

const MINIMAL: &str = "id: acme\ndisplay_name: Acme\n";

/// A minimal profile with one endpoint that has these further lines.
fn endpoint(lines: &str) -> String {
    let lines = lines.replace('\n', "\n    ");
    format!("{MINIMAL}endpoints:\n  - host: api.example.com\n    {lines}\n")
}

/// Asserts that the text is refused as a file, with these words.
fn refused(text: &str, words: &str) {
    let error = parse_yaml(text).expect_err(text);
    assert!(error.message.contains(words), "{text}: {error}");
}

#[test]
fn two_keys_make_a_profile_of_category_other() {
    let wanted = ProviderProfile {
        id: "acme".to_owned(),
        display_name: "Acme".to_owned(),
        category: ProviderProfileCategory::Other.into(),
        ..Default::default()
    };
    assert_eq!(yaml(MINIMAL), wanted);
    assert_eq!(lower(parse_json(r#"{"id": "acme", "display_name": "Acme"}"#).unwrap()).unwrap(), wanted);
}

#[test]
fn a_missing_required_key_is_refused() {
    refused("display_name: Acme\n", "id");
    refused("id: acme\n", "display_name");
    for (section, key) in [
        ("credentials: [{description: x}]", "name"),
        ("endpoints: [{port: 443}]", "host"),
        ("binaries: [{harness: true}]", "path"),
        ("credentials: [{name: a, token_grant: {audience: x}}]", "token_endpoint"),
        ("credentials: [{name: a, token_grant: {token_endpoint: x, audience_overrides: [{host: h}]}}]", "audience"),
        ("credentials: [{name: a, refresh: {material: [{secret: true}]}}]", "name"),
        ("credentials: [{name: a, refresh: {additional_outputs: [{output: x}]}}]", "credential"),
        ("credentials: [{name: a, refresh: {additional_outputs: [{credential: x}]}}]", "output"),
    ] {
        refused(&format!("{MINIMAL}{section}\n"), &format!("missing field `{key}`"));
    }
}

#[test]
fn a_wrong_type_is_refused() {
    for section in [
        "description: [a]",
        "inference_capable: yes",
        "credentials: {name: a}",
        "endpoints: [{host: a, port: -1}]",
        "endpoints: [{host: a, port: 1.5}]",
        "endpoints: [{host: a, port: 4294967296}]",
        "binaries: [12]",
        "binaries: [true]",
        "endpoints: [{host: a, rules: [{allow: {query: {q: 1}}}]}]",
        "discovery: [a]",
    ] {
        parse_yaml(&format!("{MINIMAL}{section}\n")).expect_err(section);
    }
}

#[test]
fn a_repeated_key_is_refused_where_the_keys_are_fixed_and_the_last_one_holds_elsewhere() {
    refused(&format!("{MINIMAL}id: other\n"), "duplicate");
    refused(&endpoint("port: 1\nport: 2"), "duplicate");
    assert_eq!(yaml(&format!("{MINIMAL}annotations: {{a: one, a: two}}\n")).annotations["a"], "two");
}

#[test]
fn one_document_is_one_profile() {
    refused(&format!("{MINIMAL}---\n{MINIMAL}"), "");
    refused("", "");
    refused(&format!("- {}", MINIMAL.replace('\n', "\n  ")), "");
    parse_json(r#"[{"id": "acme", "display_name": "Acme"}]"#).unwrap_err();
    parse_json(r#"["acme", 0, {}, "Acme"]"#).unwrap_err();
    parse_json(r#"{"id": "acme", "display_name": "Acme"} {}"#).unwrap_err();
}

#[test]
fn unknown_keys_and_merge_keys_have_no_effect() {
    let text = format!("{MINIMAL}base: &base {{description: merged}}\n<<: *base\nextra: [1, {{a: b}}]\n");
    assert_eq!(yaml(&text), yaml(MINIMAL));
}

#[test]
fn yaml_scalars_given_to_text_are_taken_as_they_stand() {
    let profile = yaml("id: 123\ndisplay_name: true\ndescription: null\nsource:\n");
    assert_eq!((profile.id.as_str(), profile.display_name.as_str()), ("123", "true"));
    assert_eq!((profile.description.as_str(), profile.source.as_str()), ("null", ""));
    parse_json(r#"{"id": 123, "display_name": "Acme"}"#).unwrap_err();
}

#[test]
fn an_empty_value_is_an_empty_list_or_nothing() {
    let text = format!("{MINIMAL}credentials:\nbinaries:\ndiscovery:\nannotations:\n");
    assert_eq!(yaml(&text), yaml(MINIMAL));
    let absent = "rules:\ndeny_rules: null\nmcp: ~";
    assert_eq!(yaml(&endpoint(absent)), yaml(&endpoint("port: 0")));
    let text = format!("{MINIMAL}credentials: [{{name: a, refresh: , token_grant: null}}]\n");
    assert_eq!(yaml(&text).credentials[0].refresh, None);
}

#[test]
fn json_null_is_only_for_what_is_optional() {
    let with = |rest: &str| parse_json(&format!(r#"{{"id": "a", "display_name": "A", {rest}}}"#));
    with(r#""endpoints": [{"host": "h", "rules": null, "deny_rules": null, "mcp": null}]"#).unwrap();
    with(r#""endpoints": [{"host": "h", "mcp": {"strict_tool_names": null}}]"#).unwrap();
    with(r#""endpoints": [{"host": "h", "rules": [{"allow": null}]}]"#).unwrap();
    with(r#""credentials": [{"name": "a", "refresh": null, "token_grant": null}]"#).unwrap();
    with(r#""description": null"#).unwrap_err();
    with(r#""credentials": null"#).unwrap_err();
}

#[test]
fn words_are_read_whatever_their_case_and_hyphens() {
    let category = |word: &str| parse_yaml(&format!("{MINIMAL}category: {word:?}\n")).map(|file| file.category);
    assert_eq!(category(" Source-Control "), Ok(ProviderProfileCategory::SourceControl));
    assert_eq!(category(""), Ok(ProviderProfileCategory::Other));
    for word in ["unspecified", "sourcecontrol", "8"] {
        let error = category(word).unwrap_err();
        assert!(error.message.contains("unknown category") && error.message.contains("knowledge"), "{error}");
    }
    let strategy = |text: &str| {
        let file = parse_yaml(&format!("{MINIMAL}credentials: [{{name: a, refresh: {{{text}}}}}]\n"))?;
        Ok::<_, ParseError>(file.credentials[0].refresh.as_ref().unwrap().strategy)
    };
    assert_eq!(strategy("strategy: AWS-STS-assume_role"), Ok(ProviderCredentialRefreshStrategy::AwsStsAssumeRole));
    assert_eq!(strategy("strategy: ''"), Ok(ProviderCredentialRefreshStrategy::Unspecified));
    assert_eq!(strategy(""), Ok(ProviderCredentialRefreshStrategy::Unspecified));
    strategy("strategy: unspecified").unwrap_err();
}

#[test]
fn errors_say_where_they_are() {
    let error = parse_yaml("id: acme\ndisplay_name: [x]\n").unwrap_err();
    assert_eq!((error.line, error.message.contains(" at line ")), (Some(2), false), "{error}");
    let error = parse_json("{\n\"id\": 1}").unwrap_err();
    assert_eq!(error.line, Some(2));
    assert!(error.column.is_some());
    assert_eq!(error.to_string().matches("line").count(), 1, "{error}");
}

#[test]
fn the_extension_decides_and_its_case_matters() {
    assert_eq!(parse("yaml", MINIMAL), parse("yml", MINIMAL));
    parse("json", MINIMAL).unwrap_err();
    for extension in ["YAML", "txt", ""] {
        assert!(parse(extension, MINIMAL).unwrap_err().message.contains("extension"));
    }
}

#[test]
fn only_the_first_thing_that_a_message_cannot_hold_is_reported() {
    let check = |lines: &str, field: &str, words: &str| {
        let problem = lower(parse_yaml(&endpoint(lines)).unwrap()).expect_err(lines);
        assert_eq!((problem.profile_id.as_str(), problem.field.as_str()), ("acme", field));
        assert!(problem.message.contains(words), "{problem}");
    };
    check("rules: []\ndeny_rules: []", "endpoints[0]", "rules list cannot be empty");
    check("deny_rules: []", "endpoints[0]", "deny_rules list cannot be empty");
    let both = "{method: tools/call, tool: a, params: {name: b}}";
    let words = "tool and params.name";
    check(
        &format!("protocol: mcp\nrules: [{{}}, {{allow: {both}}}]\ndeny_rules: [{both}]"),
        "endpoints[0].rules[1].allow",
        words,
    );
    check(&format!("protocol: mcp\ndeny_rules: [{{}}, {both}]"), "endpoints[0].deny_rules[1]", words);
}

#[test]
fn beside_params_name_the_tool_shorthand_gives_way_on_other_protocols() {
    let profile = yaml(&endpoint("protocol: rest\nrules: [{allow: {tool: a, params: {name: b}}}, {allow: {tool: a}}]"));
    let rules = &profile.endpoints[0].rules;
    let glob = |index: usize| rules[index].allow.as_ref().unwrap().params["name"].glob.as_str();
    assert_eq!((glob(0), glob(1)), ("b", "a"));
}
