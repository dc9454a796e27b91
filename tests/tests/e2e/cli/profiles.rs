//! Scenarios 32 to 47: profiles as files.

use openshell_tests::{Cluster, Relay, unique};
use serde_json::json;

use super::{PROFILE, Person, cluster_of_one};

const IMPORT: &str = "provider profile import -f custom.yaml";

/// The ids of the profiles that the person sees.
async fn ids(person: &Person) -> Vec<String> {
    let listed = person.reads("provider list-profiles -o json").await;
    let id = |profile: &serde_json::Value| profile["id"].as_str().expect("an id").to_owned();
    listed.as_array().expect("a list").iter().map(id).collect()
}

/// A profile of this id that is as short as can be.
fn short(id: &str) -> String {
    format!("id: {id}\ndisplay_name: '{id}'\nendpoints:\n  - {{host: {id}.example.com, port: 443}}\n")
}

/// Somebody who has imported [`PROFILE`] from `custom.yaml`.
async fn importer(cluster: &Cluster) -> Person {
    let person = Person::at_a_follower(cluster).await;
    person.writes("custom.yaml", PROFILE);
    assert_eq!(person.types(IMPORT).await.success(), "Imported 1 provider profile.\n");
    person
}

/// Somebody who has imported [`PROFILE`], and has it exported as `exported.yaml`.
async fn exporter(cluster: &Cluster) -> (Person, String) {
    let person = importer(cluster).await;
    let exported = person.types("provider profile export custom-api -o yaml").await.success().to_owned();
    person.writes("exported.yaml", &exported);
    (person, exported)
}

#[tokio::test]
async fn cli_scenario_32_the_built_in_profiles_come_by_category_and_id() {
    let cluster = cluster_of_one().await;
    let person = Person::at(&cluster.gateway(1).endpoint()).await;
    let listed = person.types("provider list-profiles").await;
    let categories = ["OTHER", "INFERENCE", "AGENT", "SOURCE CONTROL", "MESSAGING", "DATA", "KNOWLEDGE"];
    let shown: Vec<&str> = listed.success().lines().map(str::trim).filter(|line| categories.contains(line)).collect();
    assert!(shown.len() >= 3, "{listed:?}");
    assert!(shown.is_sorted_by_key(|one| categories.iter().position(|category| category == one)), "{shown:?}");
    let of_category = |line: &str| line.split_whitespace().next().unwrap_or_default().to_owned();
    let rows = |category: &str| -> Vec<String> {
        let after = listed.stdout.lines().skip_while(|line| line.trim() != category).skip(2);
        after.take_while(|line| !line.trim().is_empty()).map(of_category).collect()
    };
    let ids: Vec<Vec<String>> = shown.iter().map(|category| rows(category)).collect();
    assert!(ids.iter().all(|ids| ids.is_sorted()), "{ids:?}");
    // One fewer than the reference has: docs/compatibility.md.
    assert_eq!(ids.concat().len(), 12, "{ids:?}");
}

#[tokio::test]
async fn cli_scenario_33_and_34_a_profile_is_imported_once_and_exported_in_order() {
    let cluster = Cluster::shared().await;
    let (person, exported) = exporter(&cluster).await;
    let again = person.types(IMPORT).await;
    assert!(again.failure().contains("field=id"), "{again:?}");
    let keys: Vec<&str> = exported.lines().filter(|line| !line.starts_with([' ', '-'])).collect();
    let keys: Vec<&str> = keys.iter().filter_map(|line| line.split(':').next()).collect();
    let expected = [
        "id",
        "resource_version",
        "display_name",
        "description",
        "category",
        "credentials",
        "endpoints",
        "binaries",
        "inference_capable",
        "source",
        "scope",
    ];
    assert_eq!(keys, expected);
    assert!(exported.contains("resource_version: 1\n"), "{exported}");
}

#[tokio::test]
async fn cli_scenario_35_and_36_an_update_is_made_on_the_version_that_was_exported() {
    let cluster = Cluster::shared().await;
    let (person, exported) = exporter(&cluster).await;
    person.writes("exported.yaml", &exported.replace("Custom API", "Edited"));
    let update = "provider profile update custom-api -f exported.yaml";
    assert!(person.types(update).await.success().contains("Updated provider profile."));
    let exported = person.types("provider profile export custom-api").await;
    assert!(exported.success().contains("resource_version: 2\n") && exported.stdout.contains("Edited"), "{exported:?}");
    let stale = person.types(update).await;
    assert!(stale.failure().contains("The operation was aborted"), "{stale:?}");
    assert!(stale.stderr.contains('2'), "the current version is named: {stale:?}");
}

#[tokio::test]
async fn cli_scenario_37_a_file_without_a_version_is_an_update_of_what_is_there() {
    // The reference refuses it: docs/compatibility.md says why this one does not.
    let cluster = Cluster::shared().await;
    let person = importer(&cluster).await;
    person.writes("custom.yaml", &PROFILE.replace("Custom API", "By hand"));
    person.types("provider profile update custom-api -f custom.yaml").await.success();
    let exported = person.types("provider profile export custom-api").await;
    assert!(
        exported.success().contains("resource_version: 2\n") && exported.stdout.contains("By hand"),
        "{exported:?}"
    );
}

#[tokio::test]
async fn cli_scenario_38_and_39_neither_another_profile_nor_a_built_in_one_is_updated() {
    let cluster = Cluster::shared().await;
    let (person, exported) = exporter(&cluster).await;
    let mismatch = person.types("provider profile update other -f exported.yaml").await;
    assert!(mismatch.failure().contains("field=id"), "{mismatch:?}");
    assert_eq!(person.types("provider profile export custom-api").await.success(), exported);
    let built_in = person.types("provider profile export github").await.success().to_owned();
    person.writes("github.yaml", &built_in);
    let refused = person.types("provider profile update github -f github.yaml").await;
    assert!(refused.failure().contains("built-in"), "{refused:?}");
    let refused = person.types("provider profile delete github").await;
    assert!(refused.failure().contains("The system is not in a state required"), "{refused:?}");
    assert_eq!(person.types("provider profile export github").await.success(), built_in);
}

#[tokio::test]
async fn cli_scenario_40_a_folder_gives_the_files_of_known_endings() {
    let cluster = Cluster::shared().await;
    let person = Person::at_a_follower(&cluster).await;
    for (name, text) in [
        ("dir/a.yml", short("a-one")),
        ("dir/b.yaml", short("b-two")),
        ("dir/c.json", r#"{"id": "c-three", "display_name": "C", "endpoints": []}"#.to_owned()),
        ("dir/d.YAML", short("d-four")),
        ("dir/notes.txt", "notes".to_owned()),
        ("dir/sub/x.yaml", short("x-five")),
    ] {
        person.writes(name, &text);
    }
    let imported = person.types("provider profile import --from dir").await;
    assert_eq!(imported.success(), "Imported 3 provider profiles.\n");
    let ids = ids(&person).await;
    for (id, is_there) in [("a-one", true), ("b-two", true), ("c-three", true), ("d-four", false), ("x-five", false)] {
        assert_eq!(ids.iter().any(|known| known == id), is_there, "{id}: {ids:?}");
    }
}

#[tokio::test]
async fn cli_scenario_41_42_and_43_of_a_folder_with_something_wrong_nothing_is_stored() {
    let cluster = Cluster::shared().await;
    let mut person = Person::at_a_follower(&cluster).await;
    let relay = Relay::to(&person.endpoint).await;
    person.endpoint = relay.url().to_owned();
    let before = ids(&person).await;
    let _ = relay.take_calls();
    person.writes("broken/a.yaml", &short("a-one"));
    person.writes("broken/b.yaml", "id: b-two\n");
    let refused = person.types("provider profile import --from broken").await;
    assert!(refused.failure().contains("broken/b.yaml"), "{refused:?}");
    assert!(!refused.stderr.contains("broken/a.yaml"), "{refused:?}");
    assert_eq!(relay.take_calls(), [""; 0]);

    person.writes("twice/a.yaml", &short("a-one"));
    person.writes("twice/b.yaml", &short("a-one"));
    let refused = person.types("provider profile import --from twice").await;
    let said = refused.failure().lines().find(|line| line.contains("field=id")).expect("a diagnostic");
    assert!(said.contains("twice/b.yaml") && said.contains("duplicate"), "{refused:?}");

    person.writes("broken/c.yaml", &short("a-one"));
    let refused = person.types("provider profile lint --from broken").await;
    let at = |file: &str| refused.stderr.find(file).unwrap_or_else(|| panic!("{file}: {refused:?}"));
    refused.failure();
    assert!(at("broken/b.yaml") < at("broken/c.yaml"), "what was found here comes first: {refused:?}");
    assert_eq!(ids(&person).await, before);
}

#[tokio::test]
async fn cli_scenario_44_and_45_what_is_no_file_of_profiles_is_refused() {
    let cluster = Cluster::shared().await;
    let person = importer(&cluster).await;
    person.writes("empty/notes.txt", "");
    person.writes("x.txt", PROFILE);
    for (words, code) in [
        ("provider profile import --from empty", 1),
        ("provider profile import --from missing", 1),
        ("provider profile import -f missing.yaml", 1),
        ("provider profile import -f x.txt", 1),
        ("provider profile import -f custom.yaml --from empty", 2),
        ("provider profile import", 2),
        ("provider profile export custom-api -o table", 1),
    ] {
        let refused = person.types(words).await;
        assert_eq!((refused.code, refused.stdout.as_str()), (Some(code), ""), "{words}: {refused:?}");
    }
}

#[tokio::test]
async fn cli_scenario_46_of_two_updates_of_one_version_the_second_is_aborted() {
    let cluster = Cluster::shared().await;
    let (person, exported) = exporter(&cluster).await;
    person.writes("first.yaml", &exported.replace("Custom API", "First"));
    person.writes("second.yaml", &exported.replace("Custom API", "Second"));
    let [one, three] = [1, 3].map(|node| cluster.gateway(node).endpoint());
    person.types_at(&one, "provider profile update custom-api -f first.yaml").await.success();
    let second = person.types_at(&three, "provider profile update custom-api -f second.yaml").await;
    assert!(second.failure().contains("The operation was aborted"), "{second:?}");
    let stored = person.types("provider profile export custom-api").await.success().to_owned();
    let first = exported.replace("Custom API", "First").replace("resource_version: 1", "resource_version: 2");
    assert_eq!(stored, first);
}

#[tokio::test]
async fn cli_scenario_47_a_profile_of_the_platform_is_everybodys() {
    let cluster = cluster_of_one().await;
    let person = Person::at(&cluster.gateway(1).endpoint()).await;
    let id = unique("p");
    person.writes("p.yaml", &short(&id));
    person.types("provider profile import --global -f p.yaml").await.success();
    let listed = person.reads("provider list-profiles --global -o json").await;
    let profile = listed.as_array().expect("a list").iter().find(|profile| profile["id"] == json!(id));
    assert_eq!(profile.expect("it is there")["scope"], json!("platform"));
    assert!(ids(&person).await.contains(&id));
}
