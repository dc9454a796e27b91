//! Scenarios 81 to 85: one command, several nodes.

use std::time::Duration;

use openshell_tests::{Cluster, Relay, eventually};
use serde_json::Value;

use super::Person;

const LIMIT: Duration = Duration::from_secs(60);
const PROFILES: usize = 100;

fn create(name: &str) -> String {
    format!("provider create --name {name} --type github --credential GITHUB_TOKEN=hush")
}

#[tokio::test]
async fn cli_scenario_81_and_84_a_leader_may_go_and_without_a_majority_nothing_is_written() {
    let mut cluster = Cluster::start().await;
    let leader = cluster.leader().await;
    let person = Person::at_a_follower(&cluster).await;
    person.types(&create("before")).await.success();
    cluster.kill(leader);
    let next = async || cluster.leadership().await.filter(|now| now.leader != leader);
    let next = eventually("another leader", LIMIT, next).await.expect("a leader").leader;
    for words in [
        "provider list",
        "provider get before",
        &create("between"),
        "sandbox create --name s1",
        "sandbox provider attach s1 between",
        "sandbox get s1",
        "settings get s1",
        "workspace list",
        "status",
        "cluster status",
    ] {
        person.types(words).await.success();
    }
    // 84: the one that is left has never led, so that nothing can lie in its log either.
    cluster.kill(next);
    let left = cluster.ids().find(|id| ![leader, next].contains(id)).expect("three nodes");
    let alone = person.types_at(&cluster.gateway(left).endpoint(), &create("after")).await;
    assert_eq!(alone.stdout, "");
    alone.failure();
    cluster.restart_all().await;
    assert_eq!(person.types("provider list --names").await.success(), "before\nbetween\n");
}

#[tokio::test]
async fn cli_scenario_82_what_one_node_acknowledged_every_other_shows_at_once() {
    let cluster = Cluster::shared().await;
    let person = Person::at(&cluster.gateway(1).endpoint()).await;
    for round in 0..5 {
        let name = format!("p{round}");
        person.types(&create(&name)).await.success();
        let get = format!("provider get {name}");
        let [two, three] = [2, 3].map(|node| cluster.gateway(node).endpoint());
        let shown = tokio::join!(person.types(&get), person.types_at(&two, &get), person.types_at(&three, &get));
        assert!(shown.0.success().contains("Resource version: 1"), "{shown:?}");
        assert_eq!((shown.1.success(), shown.2.success()), (shown.0.success(), shown.0.success()));
    }
}

#[tokio::test]
async fn cli_scenario_83_of_two_who_create_the_same_one_is_told_that_it_is_there() {
    let cluster = Cluster::shared().await;
    let person = Person::at(&cluster.gateway(1).endpoint()).await;
    for round in 0..5 {
        let create = create(&format!("same-{round}"));
        let [two, three] = [2, 3].map(|node| cluster.gateway(node).endpoint());
        let (one, other) = tokio::join!(person.types_at(&two, &create), person.types_at(&three, &create));
        let (won, lost) = if one.code == Some(0) { (one, other) } else { (other, one) };
        won.success();
        assert!(lost.failure().contains("already exist"), "{lost:?}");
    }
    assert_eq!(person.reads("provider list -o json").await.as_array().map(Vec::len), Some(5));
}

#[tokio::test]
async fn cli_scenario_85_an_import_during_which_the_leader_dies_is_whole_or_nothing() {
    let mut cluster = Cluster::start().await;
    let leader = cluster.leader().await;
    let follower = cluster.ids().find(|id| *id != leader).expect("three nodes");
    let relay = Relay::to(&cluster.gateway(follower).endpoint()).await;
    let person = Person::at(relay.url()).await;
    for number in 0..PROFILES {
        let text = format!(
            "id: one-{number}\ndisplay_name: One\nendpoints:\n  - {{host: one-{number}.example.com, port: 443}}\n"
        );
        person.writes(&format!("dir/{number}.yaml"), &text);
    }
    let importing = person.types("provider profile import --from dir");
    // About when the leader has it; whatever it had done by then, the same must hold.
    let killing = async {
        let is_asked = async || relay.take_calls().contains(&"ImportProviderProfiles".to_owned()).then_some(());
        eventually("the import", LIMIT, is_asked).await.expect("it is asked");
        cluster.kill(leader);
    };
    let (imported, ()) = tokio::join!(importing, killing);
    cluster.restart_all().await;
    let listed = person.reads("provider list-profiles -o json").await;
    let is_one = |profile: &&Value| profile["id"].as_str().is_some_and(|id| id.starts_with("one-"));
    let count = listed.as_array().expect("a list").iter().filter(is_one).count();
    assert!(count == 0 || count == PROFILES, "{count} of them are there: {imported:?}");
    if imported.code == Some(0) {
        assert_eq!((imported.stdout.as_str(), count), ("Imported 100 provider profiles.\n", PROFILES));
    }
    let again = person.types("provider profile import --from dir").await;
    assert_eq!(again.code, Some(i32::from(count == PROFILES)), "{again:?}");
}
