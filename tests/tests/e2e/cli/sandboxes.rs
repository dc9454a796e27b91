//! Scenarios 51 to 60: records of sandboxes, and the providers attached to them.

use openshell_proto::v1::AttachSandboxProviderResponse;
use openshell_tests::{Cluster, POLICY_FILE, Relay};
use serde_json::json;
use tonic::Status;

use super::{Person, keys};

/// Somebody with the sandbox `s1` and the provider `gh`, at a follower that a name stands for.
async fn owner(cluster: &Cluster) -> Person {
    let person = Person::at_a_follower(cluster).await;
    person.writes("pol.yaml", POLICY_FILE);
    let create = "sandbox create --name s1 --policy pol.yaml --label a=b";
    let named = [("OPENSHELL_GATEWAY", "here"), ("OPENSHELL_PROVISION_TIMEOUT", "1")];
    // A record is all that there is here, so that nothing is waited for: docs/compatibility.md.
    person.types_with(&named, create).await.success();
    person.types("provider create --name gh --type gh --credential GITHUB_TOKEN=hush").await.success();
    person
}

#[tokio::test]
async fn cli_scenario_51_52_and_53_a_sandbox_is_created_once_and_shown_with_its_policy() {
    let cluster = Cluster::shared().await;
    let person = owner(&cluster).await;
    assert_eq!(person.types("sandbox list --names").await.success(), "s1\n");
    let again = person.types("sandbox create --name s1").await;
    assert!(again.failure().contains("already exists") && again.stderr.contains("--name"), "{again:?}");
    let sandbox = person.reads("sandbox get s1 -o json").await;
    let expected = [
        "annotations",
        "created_at",
        "current_policy_version",
        "id",
        "labels",
        "name",
        "phase",
        "policy",
        "policy_source",
        "resource_version",
        "revision",
        "workspace",
    ];
    assert_eq!(keys(&sandbox), expected);
    assert_eq!((&sandbox["policy"]["version"], &sandbox["policy_source"]), (&json!(1), &json!("sandbox")));
    assert_eq!(sandbox["labels"], json!({"a": "b"}));
}

#[tokio::test]
async fn cli_scenario_54_a_policy_that_is_set_as_it_was_shown_is_unchanged() {
    let cluster = Cluster::shared().await;
    let person = owner(&cluster).await;
    let shown = person.types("sandbox get s1 --policy-only").await;
    person.writes("p.yaml", shown.success());
    let set = person.types("policy set s1 --policy p.yaml").await;
    assert_eq!(set.success(), "");
    assert!(set.stderr.contains("unchanged"), "{set:?}");
}

#[tokio::test]
async fn cli_scenario_55_the_sandbox_that_was_used_last_is_meant_and_named_on_stderr() {
    let cluster = Cluster::shared().await;
    let person = owner(&cluster).await;
    let named = [("OPENSHELL_GATEWAY", "here")];
    let shown = person.types_with(&named, "sandbox get").await;
    assert!(shown.success().contains("Name: s1"), "{shown:?}");
    assert!(shown.stderr.contains("Using sandbox 's1' (last used)"), "{shown:?}");
    assert!(!shown.stdout.contains("last used"), "{shown:?}");
    // A URL is no name to keep it under.
    person.types("sandbox get").await.failure();
    person.types_with(&named, "sandbox delete s1").await.success();
    person.types_with(&named, "sandbox get").await.failure();
}

#[tokio::test]
async fn cli_scenario_56_and_57_a_provider_is_attached_and_detached_once() {
    let cluster = Cluster::shared().await;
    let person = owner(&cluster).await;
    for (words, said) in [
        ("attach s1 gh", "✓ Attached provider gh to sandbox s1\n"),
        ("attach s1 gh", "Provider gh is already attached to sandbox s1.\n"),
    ] {
        assert_eq!(person.types(&format!("sandbox provider {words}")).await.success(), said);
    }
    let listed = person.types("sandbox provider list s1").await;
    let rows: Vec<Vec<&str>> = listed.success().lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows, [vec!["NAME", "TYPE", "CREDENTIAL_KEYS", "CONFIG_KEYS"], vec!["gh", "github", "1", "0"]]);
    for (words, said) in [
        ("detach s1 gh", "✓ Detached provider gh from sandbox s1\n"),
        ("detach s1 gh", "Provider gh was not attached to sandbox s1.\n"),
        ("list s1", "No providers attached to sandbox s1.\n"),
    ] {
        assert_eq!(person.types(&format!("sandbox provider {words}")).await.success(), said);
    }
    let missing = person.types("sandbox provider attach s1 nope").await;
    assert!(missing.failure().contains("The system is not in a state required"), "{missing:?}");
    let missing = person.types("sandbox provider attach nope gh").await;
    assert!(missing.failure().contains("entity was not found"), "{missing:?}");
}

#[tokio::test]
async fn cli_scenario_58_a_provider_that_is_attached_is_not_deleted() {
    let cluster = Cluster::shared().await;
    let person = owner(&cluster).await;
    person.types("sandbox provider attach s1 gh").await.success();
    let refused = person.types("provider delete gh").await;
    assert!(refused.failure().contains("s1"), "{refused:?}");
    assert_eq!(person.types("provider list --names").await.success(), "gh\n");
}

#[tokio::test]
async fn cli_scenario_59_an_attachment_that_lost_a_race_is_to_be_repeated() {
    let cluster = Cluster::shared().await;
    let person = owner(&cluster).await;
    let relay = Relay::to(&person.endpoint).await;
    relay.answer(
        "AttachSandboxProvider",
        Err::<&AttachSandboxProviderResponse, _>(Status::aborted("version 7 is current")),
    );
    for command in ["attach", "detach"] {
        if command == "detach" {
            relay.answer("DetachSandboxProvider", Err::<&AttachSandboxProviderResponse, _>(Status::aborted("changed")));
        }
        let refused = person.types_at(relay.url(), &format!("sandbox provider {command} s1 gh")).await;
        let said = refused.failure().to_lowercase();
        assert!(said.contains("retry") || said.contains("again") || said.contains("repeat"), "{refused:?}");
    }
    // Once: who lost decides whether it is still wanted.
    assert_eq!(relay.take_calls(), ["GetSandbox", "AttachSandboxProvider", "GetSandbox", "DetachSandboxProvider"]);
}

#[tokio::test]
async fn cli_scenario_60_sandboxes_are_deleted_in_order_up_to_the_first_failure() {
    let cluster = Cluster::shared().await;
    let person = Person::at_a_follower(&cluster).await;
    for name in ["s1", "s2"] {
        person.types(&format!("sandbox create --name {name}")).await.success();
    }
    let deleted = person.types("sandbox delete s2 nope s1").await;
    assert_eq!((deleted.code, deleted.stdout.as_str()), (Some(1), "✓ Deleted sandbox s2\n"), "{deleted:?}");
    assert_eq!(person.types("sandbox list --names").await.success(), "s1\n");
    assert_eq!(person.types("sandbox delete --all").await.success(), "✓ Deleted sandbox s1\n");
    assert_eq!(person.types("sandbox delete --all").await.success(), "No sandboxes to delete.\n");
}
