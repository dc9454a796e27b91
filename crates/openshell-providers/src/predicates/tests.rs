//! Predicates on small profiles.

use openshell_proto::v1::{
    ProviderCredentialRefresh, ProviderCredentialRefreshMaterial as Material,
    ProviderCredentialRefreshOutput as Output, ProviderCredentialTokenGrant,
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
fn pred_2_empty_credentials_need_something_that_resolves_and_nothing_required_that_does_not() {
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
fn pred_1_a_grant_a_mintable_refresh_and_its_outputs_resolve_at_run_time() {
    let outputs = [("secret_access_key", "secret")];
    let profile = |strategy| {
        profile(vec![
            refreshed("key", true, strategy, &outputs),
            credential("secret", &["SECRET"], true),
            credential("other", &["OTHER"], true),
            granted("token", true),
        ])
    };
    let resolving = |strategy| {
        let profile = profile(strategy);
        let found = profile.credentials.iter().filter(|credential| resolves_at_runtime(&profile, credential));
        found.map(|credential| credential.name.clone()).collect::<Vec<_>>()
    };
    for strategy in [
        Strategy::Oauth2RefreshToken,
        Strategy::Oauth2ClientCredentials,
        Strategy::GoogleServiceAccountJwt,
        Strategy::AwsStsAssumeRole,
    ] {
        assert_eq!(resolving(strategy), ["key", "secret", "token"], "{strategy:?}");
    }
    for strategy in [Strategy::Unspecified, Strategy::Static, Strategy::External] {
        assert_eq!(resolving(strategy), ["token"], "{strategy:?}");
    }
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
fn pred_3_a_key_finds_a_credential_by_name_or_variable() {
    let profile = profile(vec![credential("one", &["A", "B"], true), credential("two", &["C"], true)]);
    let name = |key| credential_for_key(&profile, key).map(|found| found.name.as_str());
    assert_eq!(name("one"), Some("one"));
    assert_eq!(name("B"), Some("one"));
    assert_eq!(name("C"), Some("two"));
    assert_eq!(name("c"), None);
}

#[test]
fn pred_4_outputs_are_mapped_to_the_one_variable_of_their_credential() {
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
fn pred_5_gclouds_credential_refreshes_with_a_client_and_a_refresh_token() {
    let with = |strategy, names: &[&str]| {
        let mut minted = refreshed("adc", false, strategy, &[]);
        let material = names.iter().map(|name| Material { name: (*name).to_owned(), ..Default::default() });
        minted.refresh.as_mut().unwrap().material = material.collect();
        profile(vec![credential("first", &["FIRST"], true), minted])
    };
    let found = |profile: &ProviderProfile| adc_credential(profile).map(|found| found.name.clone());
    let all = ["refresh_token", "client_id", "other", "client_secret"];
    assert_eq!(found(&with(Strategy::Oauth2RefreshToken, &all)).as_deref(), Some("adc"));
    assert_eq!(found(&with(Strategy::Oauth2RefreshToken, &all[..3])), None);
    assert_eq!(found(&with(Strategy::Oauth2ClientCredentials, &all)), None);
    let vertex = crate::builtin::catalogue().iter().find(|profile| profile.id == "google-vertex-ai").unwrap();
    assert_eq!(found(vertex).as_deref(), Some("gcloud_adc_token"));
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
