//! The main job as a person types it, against three nodes.

use openshell_tests::{Cluster, CommandLine, POLICY_FILE, PROFILE_FILE, unique};

/// A person with a workspace of their own on a shared cluster.
struct Person {
    command_line: CommandLine,
    workspace: String,
}

impl Person {
    async fn new(endpoint: &str) -> Self {
        let person = Self { command_line: CommandLine::new(), workspace: unique("person") };
        let words = ["workspace", "create", "--name", &person.workspace];
        let made = person.command_line.run(endpoint, &words).await;
        assert_eq!(made.code, Some(0), "{made:?}");
        person
    }

    async fn run(&self, endpoint: &str, words: &[&str]) -> openshell_tests::Output {
        let words: Vec<&str> = ["--workspace", &self.workspace].into_iter().chain(words.iter().copied()).collect();
        self.command_line.run(endpoint, &words).await
    }
}

#[tokio::test]
async fn the_main_job_through_three_nodes_by_command_line() {
    let cluster = Cluster::shared().await;
    let [one, two, three] = [1, 2, 3].map(|id| cluster.gateway(id).endpoint());
    let person = Person::new(&one).await;
    person.command_line.write("acme.yaml", PROFILE_FILE);
    person.command_line.write("policy.yaml", POLICY_FILE);
    let imported = person.run(&one, &["provider", "profile", "import", "-f", "acme.yaml"]).await;
    assert!(imported.success().contains("Imported 1 provider profile."), "{imported:?}");
    let words =
        ["provider", "create", "--name", "acme-main", "--type", "acme-api", "--credential", "ACME_TOKEN=secret"];
    let created = person.run(&one, &words).await;
    assert!(created.success().contains("Created provider acme-main"), "{created:?}");
    let words = ["sandbox", "create", "--name", "box", "--provider", "acme-main", "--policy", "policy.yaml"];
    let created = person.run(&one, &words).await;
    assert!(created.success().contains("Created sandbox: box"), "{created:?}");
    let shown = person.run(&one, &["policy", "get", "box", "--full"]).await;
    assert!(shown.success().contains("_provider_acme_main"), "{shown:?}");
    assert!(shown.stdout.contains("api.acme.example"));
    let provider = person.run(&one, &["provider", "get", "acme-main"]).await.success().to_owned();

    person.command_line.write("acme.yaml", &PROFILE_FILE.replace("api.acme.example", "files.acme.example"));
    let updated = person.run(&three, &["provider", "profile", "update", "-f", "acme.yaml"]).await;
    assert!(updated.success().contains("Updated provider profile."), "{updated:?}");

    let shown = person.run(&two, &["policy", "get", "box", "--full"]).await;
    assert!(shown.success().contains("files.acme.example"), "{shown:?}");
    assert!(!shown.stdout.contains("api.acme.example"));
    let base = person.run(&two, &["policy", "get", "box", "--rev", "1", "--full"]).await;
    assert!(!base.success().contains("_provider_"), "{base:?}");
    let unmoved = person.run(&two, &["provider", "get", "acme-main"]).await;
    assert_eq!(unmoved.success(), provider, "the provider is as it was");
}

#[tokio::test]
async fn cli_scenario_66_and_67_revisions_of_a_policy_are_shown_and_listed() {
    let cluster = Cluster::shared().await;
    let endpoints = cluster.endpoints();
    let person = Person::new(&endpoints).await;
    person.run(&endpoints, &["sandbox", "create", "--name", "s1"]).await.success();
    let none = person.run(&endpoints, &["policy", "list", "s1"]).await;
    assert_eq!((none.success(), none.stderr.contains("No policy revisions")), ("", true), "{none:?}");
    for host in ["docs.example.com", "other.example.com"] {
        person.command_line.write("policy.yaml", &POLICY_FILE.replace("docs.example.com", host));
        person.run(&endpoints, &["policy", "set", "s1", "--policy", "policy.yaml"]).await.success();
    }
    let listed = person.run(&endpoints, &["policy", "list", "s1"]).await;
    let rows: Vec<Vec<&str>> = listed.success().lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["VERSION", "HASH", "STATUS", "CREATED", "ERROR"]);
    let states: Vec<_> = rows[1..].iter().map(|row| (row[0], row[1].len(), row[2])).collect();
    assert_eq!(states, [("2", 12, "Pending"), ("1", 12, "Superseded")], "newest first");
    let limited = person.run(&endpoints, &["policy", "list", "s1", "--limit", "1"]).await;
    assert_eq!(limited.success().lines().count(), 2, "{limited:?}");
    let first = person.run(&endpoints, &["policy", "get", "s1", "--rev", "1", "-o", "json"]).await;
    assert!(first.success().contains("\"status\": \"superseded\""), "{first:?}");
    let effective = person.run(&endpoints, &["policy", "get", "s1", "-o", "json"]).await;
    assert!(effective.success().contains("\"status\": \"effective\""), "{effective:?}");
    let missing = person.run(&endpoints, &["policy", "get", "s1", "--rev", "99"]).await;
    assert!(missing.failure().contains("99"), "{missing:?}");
}

#[tokio::test]
async fn what_never_ran_is_neither_stopped_nor_started_by_command() {
    let cluster = Cluster::shared().await;
    let endpoints = cluster.endpoints();
    let person = Person::new(&endpoints).await;
    person.run(&endpoints, &["sandbox", "create", "--name", "s1"]).await.success();
    for command in ["stop", "start"] {
        let refused = person.run(&endpoints, &["sandbox", command, "s1"]).await;
        assert!(refused.failure().contains("PROVISIONING"), "{refused:?}");
        let missing = person.run(&endpoints, &["sandbox", command, "no-such"]).await;
        assert_eq!(missing.code, Some(1), "{missing:?}");
    }
}

#[tokio::test]
async fn a_missing_profile_is_not_found_and_ends_with_exit_code_1() {
    let cluster = Cluster::shared().await;
    let endpoints = cluster.endpoints();
    let person = Person::new(&endpoints).await;
    person.command_line.write("acme.yaml", PROFILE_FILE);
    let missing = person.run(&endpoints, &["provider", "profile", "update", "-f", "acme.yaml"]).await;
    assert!(missing.failure().contains("not found"), "{missing:?}");
    let missing = person.run(&endpoints, &["provider", "profile", "export", "acme-api"]).await;
    assert_eq!(missing.code, Some(1), "{missing:?}");
}

#[tokio::test]
async fn an_update_of_a_built_in_profile_says_so_and_ends_with_exit_code_1() {
    let cluster = Cluster::shared().await;
    let endpoints = cluster.endpoints();
    let person = Person::new(&endpoints).await;
    let exported = person.run(&endpoints, &["provider", "profile", "export", "github"]).await;
    person.command_line.write("github.yaml", exported.success());
    let refused = person.run(&endpoints, &["provider", "profile", "update", "-f", "github.yaml"]).await;
    let said = refused.failure().to_lowercase();
    assert!(said.contains("built-in") || said.contains("builtin"), "{refused:?}");
}

#[tokio::test]
async fn a_file_that_states_a_version_is_held_to_it() {
    let cluster = Cluster::shared().await;
    let endpoints = cluster.endpoints();
    let person = Person::new(&endpoints).await;
    person.command_line.write("acme.yaml", PROFILE_FILE);
    person.run(&endpoints, &["provider", "profile", "import", "-f", "acme.yaml"]).await.success();
    let exported = person.run(&endpoints, &["provider", "profile", "export", "acme-api"]).await;
    person.command_line.write("exported.yaml", exported.success());
    person.run(&endpoints, &["provider", "profile", "update", "acme-api", "-f", "exported.yaml"]).await.success();
    let stale = person.run(&endpoints, &["provider", "profile", "update", "acme-api", "-f", "exported.yaml"]).await;
    assert!(stale.failure().contains("resource_version"), "{stale:?}");
}

#[tokio::test]
async fn the_command_line_goes_on_to_the_next_endpoint_when_one_is_dead() {
    let mut cluster = Cluster::start().await;
    let endpoints = cluster.endpoints();
    let person = Person::new(&endpoints).await;
    person.command_line.write("acme.yaml", PROFILE_FILE);
    person.run(&endpoints, &["provider", "profile", "import", "-f", "acme.yaml"]).await.success();
    cluster.kill(1);
    person.run(&endpoints, &["provider", "profile", "update", "-f", "acme.yaml"]).await.success();
    let exported = person.run(&endpoints, &["provider", "profile", "export", "acme-api"]).await;
    assert!(exported.success().contains("resource_version: 2"), "{exported:?}");
}

#[tokio::test]
async fn cluster_status_has_a_row_for_every_node() {
    let cluster = Cluster::shared().await;
    let person = Person::new(&cluster.endpoints()).await;
    let shown = person.run(&cluster.gateway(2).endpoint(), &["cluster", "status"]).await;
    for zone in ["zone-1", "zone-2", "zone-3"] {
        assert!(shown.success().contains(zone), "{shown:?}");
    }
    assert_eq!(shown.stdout.matches("leader").count(), 1, "{shown:?}");
    assert_eq!(shown.stdout.matches("follower").count(), 2, "{shown:?}");
}
