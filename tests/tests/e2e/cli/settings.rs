//! Scenarios 71 to 73: settings of a sandbox and of all.

use openshell_tests::{Cluster, Relay};
use serde_json::json;

use super::{Person, cluster_of_one};

#[tokio::test]
async fn cli_scenario_71_and_72_a_setting_has_a_known_key_and_a_value_of_its_type() {
    let cluster = Cluster::shared().await;
    let person = Person::at_a_follower(&cluster).await;
    person.types("sandbox create --name s1").await.success();
    let set = person.types("settings set s1 --key ocsf_json_enabled --value yes").await;
    assert!(set.success().contains("Set sandbox setting ocsf_json_enabled=true for s1"), "{set:?}");
    let settings = person.reads("settings get s1 --json").await;
    assert_eq!(settings["settings"]["ocsf_json_enabled"], json!({"scope": "sandbox", "value": "true"}));

    let relay = Relay::to(&person.endpoint).await;
    let unknown = person.types_at(relay.url(), "settings set s1 --key nope --value x").await;
    for key in ["agent_policy_proposals_enabled", "ocsf_json_enabled", "proposal_approval_mode", "providers_v2_enabled"]
    {
        assert!(unknown.failure().contains(key), "{unknown:?}");
    }
    let other = person.types_at(relay.url(), "settings set s1 --key ocsf_json_enabled --value maybe").await;
    assert!(other.failure().contains("maybe"), "{other:?}");
    assert_eq!(relay.take_calls(), [""; 0]);
    let settings = person.reads("settings get s1 --json").await;
    assert_eq!(settings["settings"]["ocsf_json_enabled"]["value"], json!("true"));
}

#[tokio::test]
async fn cli_scenario_73_what_is_set_for_all_is_not_set_for_one() {
    let cluster = cluster_of_one().await;
    let person = Person::at(&cluster.gateway(1).endpoint()).await;
    person.types("sandbox create --name s1").await.success();
    let set = "settings set --global --key ocsf_json_enabled --value true";
    person.types(set).await.failure();
    let confirmed = person.types(&format!("{set} --yes")).await;
    assert!(confirmed.success().contains("Set global setting ocsf_json_enabled=true"), "{confirmed:?}");
    let refused = person.types("settings set s1 --key ocsf_json_enabled --value false").await;
    assert!(refused.failure().contains("The system is not in a state required"), "{refused:?}");
    let settings = person.reads("settings get s1 --json").await;
    assert_eq!(settings["settings"]["ocsf_json_enabled"], json!({"scope": "global", "value": "true"}));
}
