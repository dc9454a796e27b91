//! `openshell workspace` and `openshell whoami` as a person types them: scenarios 19 and 74 to 78 of the
//! command line, and what a member with a certificate may do.

use openshell_tests::{Cluster, CommandLine, Output, Shared, unique};
use serde_json::{Value, json};

/// A person at the nodes of a cluster where everybody is the developer.
struct Person {
    command_line: CommandLine,
    cluster: Shared,
}

impl Person {
    async fn new() -> Self {
        Self { command_line: CommandLine::new(), cluster: Cluster::shared().await }
    }

    async fn run(&self, words: &[&str]) -> Output {
        self.command_line.run(&self.cluster.endpoints(), words).await
    }

    async fn workspace(&self) -> String {
        let name = unique("team");
        self.run(&["workspace", "create", "--name", &name]).await.success();
        name
    }
}

fn document(output: &Output) -> Value {
    serde_json::from_str(output.success()).expect("JSON")
}

#[tokio::test]
async fn cli_scenario_19_whoami() {
    let _cluster = Cluster::shared().await;
    let person = Person::new().await;
    let shown = document(&person.run(&["whoami", "-o", "json"]).await);
    let expected = json!({
        "subject": "unauthenticated-local-dev", "identity_provider": "local_dev", "display_name": null,
        "roles": ["openshell-user", "openshell-admin"], "scopes": ["openshell:all"],
    });
    assert_eq!(shown, expected);
    let text = person.run(&["whoami"]).await;
    assert!(text.success().contains("Subject: unauthenticated-local-dev"), "{text:?}");
}

#[tokio::test]
async fn cli_scenario_74_a_workspace_is_made_with_labels_and_found_by_them() {
    let _cluster = Cluster::shared().await;
    let person = Person::new().await;
    let (name, label) = (unique("team"), format!("env={}", unique("dev")));
    let made = person.run(&["workspace", "create", "--name", &name, "--label", &label]).await;
    assert!(made.success().contains(&format!("Created workspace {name}")), "{made:?}");
    let listed = person.run(&["workspace", "list", "--label-selector", &label, "-o", "yaml"]).await;
    assert_eq!(listed.success().matches("name:").count(), 1, "{listed:?}");
    assert!(listed.stdout.contains(&name) && listed.stdout.contains("status: Active"), "{listed:?}");
}

#[tokio::test]
async fn cli_scenario_75_a_workspace_that_holds_something_is_terminating() {
    let _cluster = Cluster::shared().await;
    let person = Person::new().await;
    let name = person.workspace().await;
    let words = ["provider", "create", "--name", "p", "--type", "github", "--credential", "GITHUB_TOKEN=x"];
    person.run(&[&["--workspace", &name][..], &words].concat()).await.success();
    let refused = person.run(&["workspace", "delete", &name]).await;
    assert!(refused.failure().contains("still contains resources"), "{refused:?}");
    let listed = document(&person.run(&["workspace", "list", "--limit", "1000", "-o", "json"]).await);
    let items = listed.as_array().expect("a list");
    let own = items.iter().find(|item| item["name"] == json!(name)).expect("it is there");
    assert_eq!(own["status"], json!("Terminating"));
    person.run(&["--workspace", &name, "provider", "delete", "p"]).await.success();
    let deleted = person.run(&["workspace", "delete", &name]).await;
    assert!(deleted.success().contains(&format!("Deleted workspace {name}")), "{deleted:?}");
}

#[tokio::test]
async fn cli_scenario_76_the_workspace_default_stays_and_an_unknown_one_is_not_found() {
    let _cluster = Cluster::shared().await;
    let person = Person::new().await;
    assert!(person.run(&["workspace", "delete", "default"]).await.failure().contains("cannot be deleted"));
    let missing = person.run(&["provider", "list", "--workspace", "nows"]).await;
    assert!(missing.failure().contains("requested entity was not found"), "{missing:?}");
}

#[tokio::test]
async fn cli_scenario_77_a_role_is_checked_before_anybody_is_asked() {
    let _cluster = Cluster::shared().await;
    let person = Person::new().await;
    let name = person.workspace().await;
    let member = ["--workspace", &name, "--subject", "mia"];
    let add = |role: &'static str| [&["workspace", "member", "add"][..], &member, &["--role", role]].concat();
    let nobody = person.command_line.run("http://127.0.0.1:1", &add("owner")).await;
    assert!(nobody.failure().contains("owner") && !nobody.stderr.contains("reached"), "{nobody:?}");
    let added = person.run(&add("ADMIN")).await;
    assert!(added.success().contains(&format!("Added mia to workspace {name} as ADMIN")), "{added:?}");
    assert!(person.run(&add("user")).await.failure().contains("already"));
    let list = ["workspace", "member", "list", "--workspace", &name];
    assert_eq!(person.run(&list).await.success(), "SUBJECT  ROLE\nmia      admin\n");
    let paged = person.run(&[&list[..], &["--offset", "1"]].concat()).await;
    assert_eq!(paged.success(), format!("No members found in workspace {name}.\n"));
    let remove = [&["workspace", "member", "remove"][..], &member].concat();
    assert!(person.run(&remove).await.success().contains("Removed mia"));
    assert!(person.run(&remove).await.success().contains("! Member mia not found"), "it is no failure");
}

#[tokio::test]
async fn cli_scenario_78_members_are_of_a_workspace_that_is_named_after_the_command() {
    let _cluster = Cluster::shared().await;
    let person = Person::new().await;
    let name = person.workspace().await;
    for words in [
        &["--workspace", &name, "workspace", "member", "list"][..],
        &["workspace", "member", "list"],
        &["workspace", "member", "add", "--workspace", &name, "--subject", "mia"],
        &["workspace", "member", "remove", "--workspace", &name],
        &["workspace", "member"],
    ] {
        let output = person.run(words).await;
        assert_eq!(output.code, Some(2), "{words:?}: {output:?}");
        assert!(output.stdout.is_empty(), "{words:?}: {output:?}");
    }
    // The one after the command counts.
    let words = ["--workspace", "nowhere", "workspace", "member", "list", "--workspace", &name];
    assert_eq!(person.run(&words).await.success(), format!("No members found in workspace {name}.\n"));
}
