//! `openshell policy update` as a person types it (`cli.md` 2.10, scenarios 64, 65 and 69), at a follower.

use openshell_tests::{Cluster, ClusterOptions, CommandLine, Output};

use super::{Stage, globally, policy};
use crate::rpc::Calls;

struct Person {
    command_line: CommandLine,
    endpoint: String,
    workspace: String,
}

impl Person {
    fn at(endpoint: String, stage: &Stage) -> Self {
        Self { command_line: CommandLine::new(), endpoint, workspace: stage.own().to_owned() }
    }

    async fn update(&self, flags: &[&str]) -> Output {
        let words = ["--workspace", &self.workspace, "policy", "update", "s"];
        let words: Vec<&str> = words.into_iter().chain(flags.iter().copied()).collect();
        self.command_line.run(&self.endpoint, &words).await
    }
}

#[tokio::test]
async fn cli_scenario_64_65_a_rule_is_shown_then_added_then_there() {
    let cluster = Cluster::shared().await;
    let node = cluster.followers().await[0];
    let stage = Stage::open(cluster.api(node)).await;
    stage.made("s", Some(policy("a.example.com"))).await;
    let person = Person::at(cluster.gateway(node).endpoint(), &stage);
    let flags = ["--add-endpoint", "api.example.com:443:read-only:rest:enforce", "--binary", "/usr/bin/pip"];
    let shown = person.update(&[&flags[..], &["--dry-run"]].concat()).await;
    assert!(shown.success().contains("allow_api_example_com_443:"), "{shown:?}");
    assert!(shown.stderr.contains("would change"), "{shown:?}");
    assert_eq!(stage.revision("s", 0).await.version, 1);
    let submitted = person.update(&flags).await;
    assert_eq!(submitted.success(), "");
    assert!(submitted.stderr.contains("Policy version 2 submitted (hash: "), "{submitted:?}");
    assert_eq!(stage.rules("s").await["allow_api_example_com_443"].binaries[0].path, "/usr/bin/pip");
    let again = person.update(&flags).await;
    assert_eq!(again.success(), "");
    assert!(again.stderr.contains("Policy unchanged (version 2, hash: "), "{again:?}");
}

#[tokio::test]
async fn policy_update_changes_requests_and_takes_away_and_says_what_does_not_fit() {
    let cluster = Cluster::shared().await;
    let node = cluster.followers().await[0];
    let stage = Stage::open(cluster.api(node)).await;
    stage.made("s", Some(policy("a.example.com"))).await;
    let person = Person::at(cluster.gateway(node).endpoint(), &stage);
    let allow = ["--add-allow", "a.example.com:443:post:/x", "--add-deny", "a.example.com:443:GET:/secret"];
    person.update(&allow).await.success();
    let endpoint = stage.rules("s").await["r1"].endpoints[0].clone();
    assert_eq!((endpoint.rules.len(), endpoint.deny_rules.len()), (4, 1));
    for flags in [
        &["--add-allow", "unknown.example.com:443:GET:/"][..],
        &["--add-endpoint", "localhost:443"],
        &["--add-endpoint", "x.example.com:0"],
        &[],
    ] {
        person.update(flags).await.failure();
    }
    assert_eq!(stage.revision("s", 0).await.version, 2);
    person.update(&["--remove-endpoint", "a.example.com:443"]).await.success();
    assert!(stage.rules("s").await.is_empty());
}

#[tokio::test]
async fn cli_scenario_69_under_a_global_policy_nothing_is_updated() {
    let cluster = Cluster::start_with(ClusterOptions { nodes: 1, ..ClusterOptions::default() }).await;
    let cluster = cluster.expect("a cluster starts");
    let stage = Stage::open(cluster.api(1)).await;
    stage.made("s", Some(policy("a.example.com"))).await;
    stage.ok(&globally(stage.set_policy("", policy("g.example.com")))).await;
    let person = Person::at(cluster.gateway(1).endpoint(), &stage);
    let refused = person.update(&["--remove-rule", "r1"]).await;
    assert!(refused.failure().contains("managed globally"), "{refused:?}");
}
