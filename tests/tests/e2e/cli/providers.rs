//! Scenarios 20 to 26: provider records. What they are created from is in `credential_sources`.

use openshell_tests::Cluster;
use serde_json::json;

use super::Person;

const CREATE: &str = "provider create --name gh --type gh --credential GITHUB_TOKEN=hush --config a=b";

#[tokio::test]
async fn cli_scenario_20_21_22_and_23_a_provider_is_created_once_and_listed_without_its_secret() {
    let cluster = Cluster::shared().await;
    let person = Person::at_a_follower(&cluster).await;
    assert_eq!(person.types(CREATE).await.success(), "✓ Created provider gh\n");
    let again = person.types(CREATE).await;
    assert!(again.failure().contains("already exist"), "{again:?}");

    let listed = person.types("provider list -o json").await;
    assert!(!listed.success().contains("hush"), "{listed:?}");
    let items = super::document(&listed);
    assert_eq!(items.as_array().map(Vec::len), Some(1), "{items}");
    let item = &items[0];
    assert_eq!((&item["type"], &item["resource_version"]), (&json!("github"), &json!(1)));
    assert_eq!(item["credential_keys"], json!(["GITHUB_TOKEN"]));
    assert_eq!(item["config_keys"], json!(["a"]));

    assert_eq!(person.types("provider list --names").await.success(), "gh\n");
    let everywhere = person.types("provider list --names --all-workspaces").await;
    let own = format!("{}/gh", item["workspace"].as_str().expect("a name"));
    assert!(everywhere.success().lines().any(|line| line == own), "{own}: {everywhere:?}");
}

#[tokio::test]
async fn cli_scenario_24_and_25_an_update_counts_and_what_is_missing_is_not_found() {
    let cluster = Cluster::shared().await;
    let person = Person::at_a_follower(&cluster).await;
    person.types(CREATE).await.success();
    let update = "provider update gh --config a=c --credential-expires-at GITHUB_TOKEN=2030-01-01T00:00:00Z";
    assert_eq!(person.types(update).await.success(), "✓ Updated provider gh\n");
    let item = &person.reads("provider list -o json").await[0];
    assert_eq!(item["resource_version"], json!(2));
    assert_eq!(item["credential_expires_at_ms"], json!({"GITHUB_TOKEN": 1_893_456_000_000_i64}));
    for words in ["provider get nope", "provider update nope --config a=b"] {
        let missing = person.types(words).await;
        assert!(missing.failure().contains("not found"), "{words}: {missing:?}");
    }
}

#[tokio::test]
async fn cli_scenario_26_a_deletion_says_what_was_not_there_and_goes_on() {
    let cluster = Cluster::shared().await;
    let person = Person::at_a_follower(&cluster).await;
    person.types(CREATE).await.success();
    let deleted = person.types("provider delete nope gh").await;
    assert_eq!(deleted.success(), "! Provider nope not found\n✓ Deleted provider gh\n");
    assert_eq!(person.reads("provider list -o json").await, json!([]));
}
