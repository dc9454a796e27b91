//! Predicates on small profiles.

use openshell_proto::v1::{
    ProviderCredentialRefresh, ProviderCredentialRefreshOutput as Output, ProviderCredentialTokenGrant,
};

use super::*;

fn credential(name: &str, variables: &[&str], required: bool) -> ProviderProfileCredential {
    ProviderProfileCredential {
        name: name.to_owned(),
        env_vars: variables.iter().map(|variable| (*variable).to_owned()).collect(),
        required,
        ..Default::default()
    }
}

fn refreshed(name: &str, required: bool, strategy: Strategy, outputs: &[(&str, &str)]) -> ProviderProfileCredential {
    let outputs = outputs.iter();
    let outputs =
        outputs.map(|(output, target)| Output { output: (*output).to_owned(), credential: (*target).to_owned() });
    let refresh = ProviderCredentialRefresh {
        strategy: strategy.into(),
        additional_outputs: outputs.collect(),
        ..Default::default()
    };
    ProviderProfileCredential { refresh: Some(refresh), ..credential(name, &[&name.to_uppercase()], required) }
}

fn granted(name: &str, required: bool) -> ProviderProfileCredential {
    let grant = ProviderCredentialTokenGrant::default();
    ProviderProfileCredential { token_grant: Some(grant), ..credential(name, &[], required) }
}

fn profile(credentials: Vec<ProviderProfileCredential>) -> ProviderProfile {
    ProviderProfile { credentials, ..Default::default() }
}

fn endpoint(host: &str, port: u32, ports: &[u32]) -> NetworkEndpoint {
    NetworkEndpoint { host: host.to_owned(), port, ports: ports.to_vec(), ..Default::default() }
}

#[test]
fn empty_credentials_need_something_that_resolves_and_nothing_required_that_does_not() {
    let check = |credentials, wanted| assert_eq!(allows_empty_credentials(&profile(credentials)), wanted);
    let oauth = |required| refreshed("token", required, Strategy::Oauth2ClientCredentials, &[]);
    check(vec![], false);
    check(vec![credential("key", &["KEY"], false)], false);
    check(vec![granted("token", true)], true);
    check(vec![oauth(true)], true);
    check(vec![oauth(true), credential("key", &["KEY"], true)], false);
    check(vec![oauth(true), credential("key", &["KEY"], false)], true);
    check(vec![refreshed("token", true, Strategy::External, &[])], false);
    check(vec![refreshed("token", false, Strategy::Static, &[])], false);
}

#[test]
fn the_target_of_a_minted_output_resolves_too() {
    let outputs = [("secret_access_key", " secret ")];
    let minted = refreshed("key", true, Strategy::AwsStsAssumeRole, &outputs);
    let external = refreshed("key", true, Strategy::External, &outputs);
    let secret = credential("secret", &["SECRET"], true);
    assert!(allows_empty_credentials(&profile(vec![minted, secret.clone()])));
    assert!(!allows_empty_credentials(&profile(vec![external, secret])));
}

#[test]
fn a_key_finds_a_credential_by_name_or_variable() {
    let profile = profile(vec![credential("one", &["A", "B"], true), credential("two", &["C"], true)]);
    let name = |key| credential_for_key(&profile, key).map(|found| found.name.as_str());
    assert_eq!(name("one"), Some("one"));
    assert_eq!(name("B"), Some("one"));
    assert_eq!(name("C"), Some("two"));
    assert_eq!(name("c"), None);
}

#[test]
fn outputs_are_mapped_to_the_one_variable_of_their_credential() {
    let outputs = [("secret_access_key", "secret"), ("session_token", "session"), ("other", "missing")];
    let profile = profile(vec![
        refreshed("key", true, Strategy::AwsStsAssumeRole, &outputs),
        credential("secret", &["SECRET"], true),
        credential("session", &["ONE", "TWO"], true),
    ]);
    let wanted = BTreeMap::from([("secret_access_key".to_owned(), "SECRET".to_owned())]);
    assert_eq!(additional_outputs(&profile, "KEY"), wanted);
    assert_eq!(additional_outputs(&profile, "key"), wanted);
    assert_eq!(additional_outputs(&profile, "SECRET"), BTreeMap::new());
}

#[test]
fn listed_ports_hide_the_single_one() {
    assert_eq!(endpoint_ports(&endpoint("a", 443, &[])), [443]);
    assert_eq!(endpoint_ports(&endpoint("a", 443, &[2, 0, 1])), [2, 1]);
    assert_eq!(endpoint_ports(&endpoint("a", 443, &[0])), [0; 0]);
    assert_eq!(endpoint_ports(&endpoint("a", 0, &[])), [0; 0]);
}

#[test]
fn a_usable_endpoint_has_a_host_and_a_port() {
    let check = |endpoints, wanted| {
        assert_eq!(has_usable_endpoint(&ProviderProfile { endpoints, ..Default::default() }), wanted);
    };
    check(vec![], false);
    check(vec![endpoint(" ", 443, &[]), endpoint("a", 0, &[])], false);
    check(vec![endpoint("", 0, &[]), endpoint("a", 443, &[])], true);
}

#[test]
fn a_profile_is_credentialed_by_a_credential_or_by_signing() {
    let mut signing = endpoint("a", 443, &[]);
    signing.credential_signing = "sigv4".to_owned();
    assert!(is_credentialed(&ProviderProfile { endpoints: vec![signing], ..Default::default() }));
    assert!(is_credentialed(&profile(vec![credential("key", &[], false)])));
    assert!(!is_credentialed(&ProviderProfile { endpoints: vec![endpoint("a", 443, &[])], ..Default::default() }));
}
