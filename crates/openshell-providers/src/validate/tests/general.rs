//! V-GEN, V-ITEM, V-ID and V-BIN: what holds for every diagnostic, and for a profile as a whole.

use openshell_proto::sandbox::{NetworkCredentialBinding, NetworkEndpoint};
use openshell_proto::v1::{ProviderProfile, ProviderProfileDiagnostic, ProviderProfileImportItem};

use super::{accepted, fields, lint, rejected};
use crate::validate;

/// A profile with something wrong at every stop of the tour.
const ALL_WRONG: &str = "credentials:
  - {name: '', env_vars: [''], auth_style: cookie, refresh: {}, token_grant: {token_endpoint: ''}}
  - {name: b, env_vars: [' ']}
discovery: {credentials: [b, gone]}
endpoints: [{host: a, port: 443, protocol: rest, access: full}, {host: '', port: 443, protocol: rest, access: full}]
binaries: [/bin/a, ' ']";

fn named(id: &str) -> ProviderProfile {
    ProviderProfile { id: id.to_owned(), display_name: "Name".to_owned(), ..Default::default() }
}

fn of_ids(ids: &[&str]) -> Vec<ProviderProfileDiagnostic> {
    let profiles: Vec<_> = ids.iter().map(|id| named(id)).collect();
    let labelled: Vec<_> = profiles.iter().map(|profile| ("f.yaml", profile)).collect();
    validate::profiles(&labelled)
}

fn item(profile: Option<ProviderProfile>) -> ProviderProfileImportItem {
    ProviderProfileImportItem { source: " a label ".to_owned(), profile }
}

#[test]
fn v_gen_1_every_problem_is_reported_and_each_is_an_error() {
    let found = lint(ALL_WRONG);
    assert_eq!(found.len(), 10, "{found:?}");
    assert!(found.iter().all(|one| one.severity == "error" && !one.message.is_empty()), "{found:?}");
}

#[test]
fn v_gen_2_a_diagnostic_has_the_trimmed_id_and_the_label_as_it_came() {
    for (id, wanted) in [(" acme ", "acme"), ("  ", "")] {
        let found = validate::profiles(&[(" a label ", &named(id))]);
        assert_eq!((found[0].profile_id.as_str(), found[0].source.as_str()), (wanted, " a label "));
    }
}

#[test]
fn v_gen_3_and_4_checks_have_an_order_and_only_some_fields_an_index() {
    let wanted = [
        "credentials.name",
        "discovery.credentials[1]",
        "credentials.env_vars",
        "credentials.auth_style",
        "credentials.refresh.strategy",
        "credentials.token_grant.token_endpoint",
        "credentials.token_grant.auth_style",
        "credentials.env_vars",
        "endpoints[1]",
        "binaries[1]",
    ];
    assert_eq!(fields(ALL_WRONG), wanted);
    let found = of_ids(&["B", "A"]);
    assert_eq!(found.iter().map(|one| one.profile_id.as_str()).collect::<Vec<_>>(), ["B", "A"], "in input order");
}

#[test]
fn v_item_1_an_item_has_a_profile() {
    let found = validate::items(&[item(None)]);
    let [only] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((only.field.as_str(), only.profile_id.as_str(), only.source.as_str()), ("profile", "", " a label "));
    assert_eq!(validate::items(&[item(Some(named("acme")))]), []);
}

#[test]
fn v_item_2_an_endpoint_names_no_provider() {
    let bound = NetworkEndpoint { credential_binding: Some(NetworkCredentialBinding::default()), ..Default::default() };
    let with = |endpoints| item(Some(ProviderProfile { endpoints, ..named(" Acme") }));
    let found = validate::items(&[with(vec![NetworkEndpoint::default(), bound])]);
    let [only] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((only.field.as_str(), only.profile_id.as_str()), ("endpoints[1].credential_binding", " Acme"));
    assert_eq!(validate::items(&[with(vec![NetworkEndpoint::default()])]), []);
}

#[test]
fn v_id_1_an_id_is_required() {
    for blank in ["", " \t"] {
        let found = of_ids(&[blank]);
        assert_eq!((found.len(), found[0].field.as_str()), (1, "id"), "{blank:?}");
        assert!(found[0].message.contains("required"), "{found:?}");
    }
    assert_eq!(of_ids(&["0"]), []);
}

#[test]
fn v_id_2_an_id_is_canonical() {
    for id in [" acme", "acme ", "Acme", "ac_me", "ac--me", "-acme", "acme-", "ac.me", "äcme"] {
        let found = of_ids(&[id]);
        assert_eq!((found.len(), found[0].field.as_str()), (1, "id"), "{id:?}");
        assert!(found[0].message.contains("lowercase kebab-case"), "{found:?}");
    }
    assert_eq!(of_ids(&["acme", "acme-2", "2-acme-api", &"a".repeat(300)]), []);
}

#[test]
fn v_id_3_an_id_is_unique_in_the_request() {
    let found = of_ids(&["acme", "other", "acme", "acme"]);
    assert_eq!(found.iter().map(|one| one.field.as_str()).collect::<Vec<_>>(), ["id", "id"]);
    assert!(found[0].message.contains("duplicate"), "{found:?}");
    // One that is not canonical is that, and not a duplicate of what it would be.
    assert!(of_ids(&["acme", " acme"])[0].message.contains("kebab-case"));
    assert_eq!(of_ids(&["acme", "acme-2"]), []);
}

#[test]
fn v_bin_1_a_binary_has_a_path() {
    for binary in ["''", "' '", "{path: '', harness: true}"] {
        rejected(&format!("binaries: [/bin/a, {binary}]"), "binaries[1]", "path");
    }
    accepted("binaries: [/bin/a, /bin/a, relative, '**']");
    accepted("binaries: []");
}
