//! Scenarios 61 to 70 and 80: policies of a sandbox and of all. `config/commands.rs` has what `policy update`
//! makes of a policy.

use openshell_proto::v1::UpdateConfigResponse;
use openshell_tests::{Cluster, POLICY_FILE, Relay};
use serde_json::json;
use tonic::Status;

use super::{Person, cluster_of_one};

/// Somebody with the sandbox `s1`, its policy in `p.yaml` and another in `other.yaml`, at this URL.
async fn writer(endpoint: &str) -> Person {
    let person = Person::at(endpoint).await;
    person.writes("p.yaml", POLICY_FILE);
    person.writes("other.yaml", &POLICY_FILE.replace("docs.example.com", "other.example.com"));
    person.types("sandbox create --name s1 --policy p.yaml").await.success();
    person
}

async fn writer_at_a_follower(cluster: &Cluster) -> Person {
    writer(&cluster.gateway(cluster.followers().await[0]).endpoint()).await
}

#[tokio::test]
async fn cli_scenario_61_a_policy_is_submitted_and_then_unchanged() {
    let cluster = Cluster::shared().await;
    let person = writer_at_a_follower(&cluster).await;
    for said in ["✓ Policy version 2 submitted (hash: ", "· Policy unchanged (version 2, hash: "] {
        let set = person.types("policy set s1 --policy other.yaml").await;
        assert_eq!(set.success(), "");
        assert!(set.stderr.starts_with(said), "{said}: {set:?}");
    }
}

#[tokio::test]
async fn cli_scenario_62_a_policy_that_nobody_loads_is_waited_for_as_long_as_was_said() {
    let cluster = Cluster::shared().await;
    let person = writer_at_a_follower(&cluster).await;
    let waited = person.types("policy set s1 --policy other.yaml --wait --timeout 2").await;
    assert_eq!((waited.code, waited.stdout.as_str()), (Some(124), ""), "{waited:?}");
    let waited = person.types("policy update s1 --remove-rule documentation --wait --timeout 1").await;
    assert_eq!(waited.code, Some(124), "{waited:?}");
}

#[tokio::test]
async fn a_gateway_that_cannot_say_what_became_of_a_policy_is_waited_for_no_longer_than_was_said() {
    let cluster = Cluster::shared().await;
    let person = writer_at_a_follower(&cluster).await;
    let relay = Relay::to(&person.endpoint).await;
    let answered = |status| relay.answer("GetSandboxPolicyStatus", Err::<&UpdateConfigResponse, _>(status));
    answered(Status::unavailable("it is away"));
    let words = "--deadline 1s policy set s1 --policy other.yaml --wait --timeout 2";
    let waited = person.types_at(relay.url(), words).await;
    assert_eq!((waited.code, waited.stdout.as_str()), (Some(124), ""), "{waited:?}");
    assert!(waited.stderr.contains("did not load policy version 2 within 2 s"), "{waited:?}");
    answered(Status::not_found("it is gone"));
    let words = "policy set s1 --policy p.yaml --wait --timeout 604800";
    let waited = person.types_at(relay.url(), words).await;
    assert_eq!(waited.code, Some(1), "a refusal ends the waiting: {waited:?}");
    assert!(waited.stderr.contains("it is gone"), "{waited:?}");
    // More seconds than any clock can count.
    let words = format!("policy set s1 --policy p.yaml --wait --timeout {}", u64::MAX);
    assert_eq!(person.types_at(relay.url(), &words).await.code, Some(2));
}

#[tokio::test]
async fn cli_scenario_63_a_file_that_is_no_policy_is_not_sent() {
    let cluster = Cluster::shared().await;
    let person = writer_at_a_follower(&cluster).await;
    person.writes("unknown.yaml", &POLICY_FILE.replace("network_policies", "network_policy"));
    let relay = Relay::to(&person.endpoint).await;
    let unknown = person.types_at(relay.url(), "policy set s1 --policy unknown.yaml").await;
    assert!(unknown.failure().contains("network_policy"), "{unknown:?}");
    let missing = person.types_at(relay.url(), "policy set s1 --policy missing.yaml").await;
    assert!(missing.failure().contains("missing.yaml"), "{missing:?}");
    assert_eq!(relay.take_calls(), [""; 0]);
}

#[tokio::test]
async fn cli_scenario_64_and_65_a_rule_is_tried_and_then_added_once() {
    let cluster = Cluster::shared().await;
    let person = writer_at_a_follower(&cluster).await;
    let add = "policy update s1 --add-endpoint api.example.com:443:read-only:rest:enforce --binary /usr/bin/pip";
    let shown = person.types(&format!("{add} --dry-run")).await;
    assert!(shown.success().contains("allow_api_example_com_443"), "{shown:?}");
    let stored = person.types("policy get s1 --full").await;
    assert!(!stored.success().contains("api_example_com"), "{stored:?}");
    for said in ["Policy version 2 submitted", "Policy unchanged (version 2"] {
        let updated = person.types(add).await;
        assert_eq!(updated.success(), "");
        assert!(updated.stderr.contains(said), "{said}: {updated:?}");
    }
}

#[tokio::test]
async fn cli_scenario_66_and_67_what_is_in_effect_and_each_revision_are_shown() {
    let cluster = Cluster::shared().await;
    let person = writer_at_a_follower(&cluster).await;
    person.types("policy set s1 --policy other.yaml").await.success();
    assert_eq!(person.reads("policy get s1 -o json").await["status"], json!("effective"));
    assert_eq!(person.reads("policy get s1 --rev 1 -o json").await["status"], json!("superseded"));
    person.types("policy get s1 --rev 99").await.failure();
    let listed = person.types("policy list s1").await;
    let rows: Vec<Vec<&str>> = listed.success().lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["VERSION", "HASH", "STATUS", "CREATED", "ERROR"]);
    assert_eq!(rows[1..].iter().map(|row| row[0]).collect::<Vec<_>>(), ["2", "1"]);
}

#[tokio::test]
async fn cli_scenario_68_69_and_70_a_policy_for_all_is_confirmed_holds_and_is_deleted() {
    let cluster = cluster_of_one().await;
    let person = writer(&cluster.gateway(1).endpoint()).await;
    let relay = Relay::to(&person.endpoint).await;
    person.types_at(relay.url(), "policy set --global --policy other.yaml").await.failure();
    assert_eq!(relay.take_calls(), [""; 0], "nothing is asked without a word");
    let set = person.types("policy set --global --policy other.yaml --yes").await;
    assert_eq!(set.success(), "");
    assert!(set.stderr.starts_with("✓ Global policy configured (hash: "), "{set:?}");

    let add = "policy update s1 --add-endpoint api.example.com:443:read-only:rest:enforce --binary /usr/bin/pip";
    for words in ["policy set s1 --policy p.yaml", add] {
        let refused = person.types(words).await;
        assert!(refused.failure().contains("global"), "{words}: {refused:?}");
    }
    let shown = person.types("policy get s1").await;
    let source = shown.success().lines().find(|line| line.starts_with("Source:")).expect("a source");
    assert!(source.ends_with("global"), "{shown:?}");

    person.types("policy delete").await.failure();
    person.types("policy delete --global").await.failure();
    let deleted = person.types("policy delete --global --yes").await;
    assert!(deleted.success().starts_with("✓ Deleted"), "{deleted:?}");
    let again = person.types("policy delete --global --yes").await;
    assert!(again.success().starts_with("! ") && again.stdout.contains("not found"), "{again:?}");
    person.types("policy set s1 --policy other.yaml").await.success();
}

#[tokio::test]
async fn cli_scenario_80_a_gateway_that_answers_a_short_hash_breaks_nothing() {
    let cluster = Cluster::shared().await;
    let person = writer_at_a_follower(&cluster).await;
    let relay = Relay::to(&person.endpoint).await;
    for hash in ["abc", "", "ä".repeat(20).as_str()] {
        let answer =
            UpdateConfigResponse { version: 7, policy_hash: hash.to_owned(), ..UpdateConfigResponse::default() };
        relay.answer("UpdateConfig", Ok(&answer));
        let set = person.types_at(relay.url(), "policy set s1 --policy other.yaml").await;
        assert_eq!(set.success(), "");
        assert!(set.stderr.contains("Policy version 7 submitted"), "{set:?}");
    }
}
