//! The configuration directory, in temporary folders.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use openshell_client::Tls;

use super::{
    Metadata, Paths, Source, active, add, find, forget_sandbox, import_bundle, last_sandbox, list, missing_bundle_file,
    remember_sandbox, remove, resolve, select, tls_for,
};

/// Paths under one temporary folder: `config` of the user, `system` of the machine, `state`.
fn paths(root: &Path) -> Paths {
    let variables: BTreeMap<&str, OsString> = [
        ("XDG_CONFIG_HOME", root.join("config")),
        ("OPENSHELL_SYSTEM_GATEWAY_DIR", root.join("system")),
        ("XDG_STATE_HOME", root.join("state")),
    ]
    .into_iter()
    .map(|(name, path)| (name, path.into_os_string()))
    .collect();
    Paths::from_variables(|name| variables.get(name).cloned())
}

fn gateway(name: &str, endpoint: &str) -> Metadata {
    Metadata {
        name: name.to_owned(),
        gateway_endpoint: endpoint.to_owned(),
        auth_mode: Some("plaintext".to_owned()),
        ..Metadata::default()
    }
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
    fs::write(path, text).expect("a file");
}

#[test]
fn an_added_gateway_is_active_and_its_file_has_the_keys_in_order() {
    let root = tempfile::tempdir().expect("a folder");
    let paths = paths(root.path());
    let more_gateway_endpoints = vec!["http://127.0.0.1:2".to_owned()];
    let metadata = Metadata { more_gateway_endpoints, ..gateway("a", "http://127.0.0.1:1") };
    add(&paths, &metadata).expect("a new name");
    let config = root.path().join("config/openshell");
    let text = fs::read_to_string(config.join("gateways/a/metadata.json")).expect("the file");
    assert_eq!(
        text,
        "{\n  \"name\": \"a\",\n  \"gateway_endpoint\": \"http://127.0.0.1:1\",\n  \"is_remote\": false,\n  \
         \"gateway_port\": 0,\n  \"auth_mode\": \"plaintext\",\n  \
         \"more_gateway_endpoints\": [\n    \"http://127.0.0.1:2\"\n  ]\n}\n"
    );
    assert_eq!(resolve(&paths, None, None).expect("it is active").endpoints, "http://127.0.0.1:1,http://127.0.0.1:2");
    assert_eq!(active(&paths).as_deref(), Some("a"));
    let mode = fs::metadata(config.join("gateways/a")).expect("the folder").permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn cli_scenario_6_a_name_is_added_once() {
    let root = tempfile::tempdir().expect("a folder");
    let paths = paths(root.path());
    add(&paths, &gateway("a", "http://a:1")).expect("a new name");
    let failure = add(&paths, &gateway("a", "http://b:1")).expect_err("a taken name");
    assert!(failure.message.contains("already exists"), "{}", failure.message);
    assert_eq!(find(&paths, "a").expect("the first").metadata.gateway_endpoint, "http://a:1");
}

#[test]
fn cli_scenario_10_a_gateway_is_removed_once_and_is_no_longer_active() {
    let root = tempfile::tempdir().expect("a folder");
    let paths = paths(root.path());
    add(&paths, &gateway("a", "http://a:1")).expect("a new name");
    remove(&paths, "a").expect("the name is there");
    assert_eq!((find(&paths, "a"), active(&paths)), (None, None));
    remove(&paths, "a").expect_err("the name is gone");
}

#[test]
fn a_name_is_one_path_component() {
    let root = tempfile::tempdir().expect("a folder");
    let paths = paths(root.path());
    for name in ["", ".", "..", "a/b", "../a"] {
        let failure = add(&paths, &gateway(name, "http://a:1")).expect_err(name);
        assert!(failure.message.contains("path component"), "{}", failure.message);
    }
}

#[test]
fn a_users_entry_hides_the_machines_unless_it_has_no_metadata() {
    let root = tempfile::tempdir().expect("a folder");
    let paths = paths(root.path());
    write(&root.path().join("system/gateways/a/metadata.json"), &gateway("a", "http://machine:1").to_text());
    fs::create_dir_all(root.path().join("config/openshell/gateways/a")).expect("a folder");
    assert_eq!(find(&paths, "a").map(|entry| entry.source), Some(Source::System));
    assert!(remove(&paths, "a").expect_err("not the user's").message.contains("administrator"));
    add(&paths, &gateway("a", "http://mine:1")).expect("a name that only the machine has");
    assert_eq!(list(&paths)["a"].metadata.gateway_endpoint, "http://mine:1");
    assert_eq!(list(&paths)["a"].source, Source::User);
}

#[test]
fn metadata_without_the_required_keys_counts_as_absent() {
    let root = tempfile::tempdir().expect("a folder");
    let paths = paths(root.path());
    let file = root.path().join("config/openshell/gateways/a/metadata.json");
    write(&file, r#"{"name": "a", "gateway_endpoint": "http://a:1"}"#);
    assert_eq!((find(&paths, "a"), list(&paths).len()), (None, 0));
    write(&file, r#"{"name":"a","gateway_endpoint":"http://a:1","is_remote":false,"gateway_port":0}"#);
    assert_eq!(find(&paths, "a").expect("complete").metadata.auth(), "plaintext");
}

#[test]
fn an_endpoint_wins_and_takes_its_name_from_a_registration_of_the_same_endpoint() {
    let root = tempfile::tempdir().expect("a folder");
    let paths = paths(root.path());
    add(&paths, &gateway("b", "http://x:1/")).expect("a new name");
    add(&paths, &gateway("a", "http://x:1")).expect("a new name");
    select(&paths, "b").expect("a registered name");
    let name = |name, endpoint| resolve(&paths, name, Some(endpoint)).expect("an endpoint is enough").name;
    assert_eq!(name(None, "http://x:1"), "b", "the active one is asked first");
    assert_eq!(name(None, "http://y:1,http://z:1"), "http://y:1,http://z:1");
    // As older builds of ours wrote several, and as they are written now.
    add(&paths, &gateway("old", "http://m:1,http://n:1")).expect("a new name");
    let more_gateway_endpoints = vec!["http://p:1".to_owned()];
    add(&paths, &Metadata { more_gateway_endpoints, ..gateway("new", "http://o:1") }).expect("a new name");
    assert_eq!(name(None, "http://n:1/"), "old", "one of its nodes");
    assert_eq!((name(None, "http://p:1"), name(None, "http://p:1,http://o:1")), ("new".to_owned(), "new".to_owned()));
    assert_eq!(name(None, "http://p:1,http://n:1"), "http://p:1,http://n:1", "nodes of two");
    assert_eq!(name(Some("free"), "http://x:1"), "free");
}

#[test]
fn cli_scenarios_3_and_4_without_a_gateway_or_with_an_unknown_one_the_failure_says_so() {
    let root = tempfile::tempdir().expect("a folder");
    let paths = paths(root.path());
    assert!(resolve(&paths, None, None).expect_err("nothing").message.contains("no active gateway"));
    assert!(resolve(&paths, Some("nosuch"), None).expect_err("unknown").message.contains("nosuch"));
    write(&root.path().join("system/active_gateway"), " m \n");
    write(&root.path().join("system/gateways/m/metadata.json"), &gateway("m", "http://m:1").to_text());
    assert_eq!(resolve(&paths, None, None).expect("the machine's").endpoints, "http://m:1");
}

#[test]
fn the_last_sandbox_is_kept_for_each_workspace_and_not_under_a_url() {
    let root = tempfile::tempdir().expect("a folder");
    let paths = paths(root.path());
    remember_sandbox(&paths, "a", "default", "s1");
    assert_eq!(last_sandbox(&paths, "a", "default").as_deref(), Some("s1"));
    assert_eq!(last_sandbox(&paths, "a", "other"), None);
    forget_sandbox(&paths, "a", "default", "s2");
    assert!(last_sandbox(&paths, "a", "default").is_some());
    forget_sandbox(&paths, "a", "default", "s1");
    assert_eq!(last_sandbox(&paths, "a", "default"), None);
    remember_sandbox(&paths, "http://x:1", "default", "s1");
    assert_eq!(last_sandbox(&paths, "http://x:1", "default"), None);
}

#[test]
fn cli_scenario_16_a_missing_bundle_names_its_first_missing_file() {
    let root = tempfile::tempdir().expect("a folder");
    let paths = paths(root.path());
    let failure = tls_for(&paths, "https://h:1", false, false).expect_err("no bundle");
    assert!(failure.message.contains("gateways/https___h_1/mtls/ca.crt"), "{}", failure.message);
    assert_eq!(tls_for(&paths, "t", true, false), Ok(Tls::Insecure));
}

#[test]
fn a_local_bundle_is_imported_with_a_private_key_file() {
    let root = tempfile::tempdir().expect("a folder");
    let paths = paths(root.path());
    assert!(missing_bundle_file(&paths, "t").expect("a folder").is_some_and(|path| path.ends_with("mtls/ca.crt")));
    for file in ["ca.crt", "client/tls.crt", "client/tls.key"] {
        write(&root.path().join("state/openshell/tls").join(file), file);
    }
    import_bundle(&paths, "t").expect("a bundle");
    assert_eq!(missing_bundle_file(&paths, "t").expect("a folder"), None);
    let key = root.path().join("config/openshell/gateways/t/mtls/tls.key");
    assert_eq!(fs::metadata(key).expect("the key").permissions().mode() & 0o777, 0o600);
}

#[test]
fn with_a_token_certificates_may_be_missing() {
    let root = tempfile::tempdir().expect("a folder");
    let paths = paths(root.path());
    assert_eq!(tls_for(&paths, "t", false, true), Ok(Tls::System));
    write(&root.path().join("config/openshell/gateways/t/mtls/ca.crt"), "authority");
    let of_authority = Tls::Bundle { ca_pem: b"authority".to_vec(), identity_pem: None };
    assert_eq!(tls_for(&paths, "t", false, true), Ok(of_authority));
    let failure = tls_for(&paths, "t", false, false).expect_err("no certificate");
    assert!(failure.message.contains("mtls/tls.crt"), "{}", failure.message);
}

#[test]
fn how_far_a_gateway_was_seen_is_kept_for_its_own_endpoints_only() {
    let root = tempfile::tempdir().expect("a folder");
    let paths = paths(root.path());
    let more_gateway_endpoints = vec!["http://b:1".to_owned()];
    add(&paths, &Metadata { more_gateway_endpoints, ..gateway("prod", "http://a:1") }).expect("a new name");
    let url = "http://staging:1";
    for (name, endpoints, place) in [
        (Some("prod"), None, "prod"),
        (None, None, "prod"),
        (Some("prod"), Some("http://b:1/"), "prod"),
        (None, Some("http://a:1,http://b:1"), "prod"),
        (Some("prod"), Some(url), ""),
        (Some("prod"), Some("http://a:1,http://staging:1"), ""),
        (Some("new"), Some(url), "new"),
        (None, Some(url), url),
    ] {
        let selected = resolve(&paths, name, endpoints).expect("a gateway");
        assert_eq!(selected.place(), place, "{name:?} {endpoints:?}");
    }
}
