//! Where the file is, what is taken from it and what is said about a bad one.

use std::path::Path;

use openshell_proto::v1::{
    ProviderCredentialRefresh, ProviderCredentialRefreshMaterial, ProviderCredentialRefreshStrategy as Strategy,
    ProviderProfile, ProviderProfileCredential,
};

use super::{key_of, location, material, parse};

const GOOD: &str = r#"{
  "account": "",
  "client_id": "me.apps.example",
  "client_secret": "hush",
  "quota_project_id": "p",
  "refresh_token": "1//refresh",
  "type": "authorized_user",
  "universe_domain": "googleapis.com"
}"#;

fn found(variables: &[(&str, &str)]) -> Result<String, String> {
    let variable = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
    location(&variable).map(|(path, _)| path.display().to_string()).map_err(|failure| failure.message)
}

#[test]
fn the_file_is_the_one_that_is_named_or_lies_in_gclouds_folder_or_in_the_home() {
    let all = [("GOOGLE_APPLICATION_CREDENTIALS", "a/adc.json"), ("CLOUDSDK_CONFIG", "b"), ("HOME", "c")];
    assert_eq!(found(&all).as_deref(), Ok("a/adc.json"));
    assert_eq!(found(&all[1..]).as_deref(), Ok("b/application_default_credentials.json"));
    assert_eq!(found(&all[2..]).as_deref(), Ok("c/.config/gcloud/application_default_credentials.json"));
    let blank = [("GOOGLE_APPLICATION_CREDENTIALS", ""), ("CLOUDSDK_CONFIG", " "), ("HOME", "c")];
    assert_eq!(found(&blank).as_deref(), Ok("c/.config/gcloud/application_default_credentials.json"));
    assert!(found(&[]).expect_err("nowhere").contains("GOOGLE_APPLICATION_CREDENTIALS"));
}

#[test]
fn a_file_that_is_not_there_is_named_with_who_named_it_and_how_it_is_made() {
    let variable =
        |name: &str| (name == "GOOGLE_APPLICATION_CREDENTIALS").then(|| "no-such-folder/adc.json".to_owned());
    let failure = material(&variable).expect_err("no file");
    for words in ["no-such-folder/adc.json", "GOOGLE_APPLICATION_CREDENTIALS", "gcloud auth application-default login"]
    {
        assert!(failure.message.contains(words), "{}", failure.message);
    }
    assert_eq!(failure.causes.len(), 1, "the system's words: {failure:?}");
}

#[test]
fn the_material_is_the_client_and_the_refresh_token() {
    let material = parse(Path::new("adc.json"), GOOD).expect("good credentials");
    let pairs: Vec<(&str, &str)> = material.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!(pairs, [("client_id", "me.apps.example"), ("client_secret", "hush"), ("refresh_token", "1//refresh")]);
}

#[test]
fn what_is_wrong_with_a_file_is_said_and_no_secret_of_it() {
    for (from, to, words) in [
        (GOOD, "", "no JSON"),
        ("\"1//refresh\",", "\"1//refresh\"", "no JSON"),
        ("\"hush\"", "\" \"", "field 'client_secret' is missing or empty"),
        ("\"hush\"", "7", "field 'client_secret' is missing or empty"),
        ("refresh_token", "other", "field 'refresh_token' is missing"),
        ("client_", "c_", "fields 'client_id', 'client_secret' are missing"),
        ("authorized_user", "service_account", "google-service-account-jwt"),
        ("authorized_user", "external_account", "'external_account' cannot be used"),
        ("\"type\"", "\"kind\"", "field 'type' is missing"),
    ] {
        let failure = parse(Path::new("adc.json"), &GOOD.replace(from, to)).expect_err(words);
        assert!(failure.message.contains(words) && failure.message.contains("adc.json"), "{}", failure.message);
        assert!(!failure.message.contains("hush") && !failure.message.contains("1//"), "{}", failure.message);
    }
    parse(Path::new("adc.json"), "[]").expect_err("no object");
}

#[test]
fn the_key_is_the_first_variable_of_the_credential_that_a_refresh_token_serves() {
    let material = |name: &str| ProviderCredentialRefreshMaterial { name: name.into(), ..Default::default() };
    let credential = |name: &str, strategy: Strategy| ProviderProfileCredential {
        name: name.into(),
        env_vars: vec![format!("{name}_ONE"), format!("{name}_TWO")],
        refresh: Some(ProviderCredentialRefresh {
            strategy: strategy.into(),
            material: ["client_id", "client_secret", "refresh_token"].map(material).to_vec(),
            ..ProviderCredentialRefresh::default()
        }),
        ..ProviderProfileCredential::default()
    };
    let mut profile = ProviderProfile {
        id: "cloud".into(),
        credentials: vec![
            credential("JWT", Strategy::GoogleServiceAccountJwt),
            credential("ADC", Strategy::Oauth2RefreshToken),
        ],
        ..ProviderProfile::default()
    };
    assert_eq!(key_of(&profile).expect("it has one"), "ADC_ONE");
    profile.credentials[1].env_vars.clear();
    assert!(key_of(&profile).expect_err("no variable").message.contains("names no variable"));
    profile.credentials.truncate(1);
    let failure = key_of(&profile).expect_err("no credential");
    assert!(failure.message.contains("oauth2_refresh_token") && failure.message.contains("cloud"), "{failure:?}");
}
