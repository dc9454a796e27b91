//! After a write, a later command never sees an older state, whichever node it asks: how far a gateway was
//! seen is kept beside its registration.

use std::time::Duration;

use openshell_tests::{Cluster, CommandLine, Output, eventually, gateway_command, unique};

const LIMIT: Duration = Duration::from_secs(60);

/// A person for whom all endpoints are one gateway, by its name.
struct Person {
    command_line: CommandLine,
}

impl Person {
    fn new() -> Self {
        Self { command_line: CommandLine::new() }
    }

    async fn run(&self, endpoint: &str, words: &[&str]) -> Output {
        let words: Vec<&str> = ["-g", "cluster"].into_iter().chain(words.iter().copied()).collect();
        self.command_line.run(endpoint, &words).await
    }

    /// Epoch and revision that are kept.
    fn position(&self) -> (u64, u64) {
        let path = self.command_line.home().join("config/openshell/gateways/cluster/position.json");
        let text = std::fs::read_to_string(path).expect("a position is kept");
        let kept: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        (kept["epoch"].as_u64().expect("a number"), kept["revision"].as_u64().expect("a number"))
    }
}

#[tokio::test]
async fn what_was_written_is_read_through_every_node_at_once_without_asking_the_leader() {
    let cluster = Cluster::shared().await;
    let person = Person::new();
    for round in 0..5_u64 {
        let name = unique("seen");
        let node = |step: u64| cluster.gateway((round + step) % 3 + 1).endpoint();
        person.run(&node(0), &["workspace", "create", "--name", &name]).await.success();
        for step in 1..3 {
            let read = person.run(&node(step), &["--consistency", "local", "workspace", "get", &name]).await;
            assert!(read.success().contains(&name), "{read:?}");
        }
    }
}

#[tokio::test]
async fn a_node_that_lags_behind_what_was_seen_answers_nothing_older() {
    let mut cluster = Cluster::start().await;
    let [one, _, three] = [1, 2, 3].map(|id| cluster.gateway(id).endpoint());
    let person = Person::new();
    cluster.kill(3);
    person.run(&one, &["workspace", "create", "--name", "seen"]).await.success();
    let written = person.position();
    cluster.kill(1);
    cluster.kill(2);
    cluster.gateway_mut(3).start().expect("it starts");
    let get = ["--consistency", "local", "--deadline", "2s", "workspace", "get", "seen"];
    // It answers from what it has, and who has seen nothing has to take that.
    let old = eventually("an answer from old state", LIMIT, async || {
        let read = person.command_line.run(&three, &get).await;
        read.stderr.contains("not found").then_some(read)
    });
    old.await.expect("an answer");
    let refused = person.run(&three, &get).await;
    assert!(!refused.failure().contains("not found"), "{refused:?}");
    assert_eq!(person.position(), written);
    cluster.restart_all().await;
    let read = person.run(&three, &get).await;
    assert!(read.success().contains("seen"), "{read:?}");
}

#[tokio::test]
async fn a_restored_cluster_is_said_once_and_the_command_goes_on() {
    let mut cluster = Cluster::start().await;
    let person = Person::new();
    let endpoints = cluster.endpoints();
    person.run(&endpoints, &["workspace", "create", "--name", "kept"]).await.success();
    let export = cluster.file("export");
    let leader = cluster.leader().await;
    let data_dir = cluster.gateway(leader).argument("--data-dir").to_owned();
    for id in cluster.ids() {
        cluster.kill(id);
    }
    let words = ["export", "--data-dir", &data_dir, "--to", export.to_str().expect("text")];
    assert!(gateway_command(&words).status.success());
    let (restored, _) = cluster.restored_from(&export).await.expect("restored");
    let endpoints = restored.endpoints();

    let before = person.position();
    // The call that meets it is a write.
    let created = person.run(&endpoints, &["workspace", "create", "--name", "after"]).await;
    created.success();
    let said = "the cluster was restored from a backup (epoch 2, after 1)";
    assert_eq!(created.stderr.matches(said).count(), 1, "{created:?}");
    assert!(created.stderr.contains("the call is made again"), "{created:?}");
    assert_eq!((before.0, person.position().0), (1, 2));
    for name in ["kept", "after"] {
        let read = person.run(&endpoints, &["workspace", "get", name]).await;
        assert_eq!((read.success().contains(name), read.stderr.as_str()), (true, ""), "{read:?}");
    }
}

#[tokio::test]
async fn another_cluster_under_the_same_name_is_said_and_the_command_goes_on() {
    let cluster = Cluster::shared().await;
    let person = Person::new();
    let far = u64::MAX / 2;
    let text = format!("{{\"epoch\":1,\"revision\":{far}}}\n");
    person.command_line.write("config/openshell/gateways/cluster/position.json", &text);
    let listed = person.run(&cluster.endpoints(), &["workspace", "list"]).await;
    listed.success();
    assert_eq!(listed.stderr.matches("this is another cluster than before").count(), 1, "{listed:?}");
    assert!(person.position().1 < far);
    let listed = person.run(&cluster.endpoints(), &["workspace", "list"]).await;
    assert_eq!((listed.code, listed.stderr.as_str()), (Some(0), ""));
}

#[tokio::test]
async fn a_gateway_that_is_known_by_its_url_only_leaves_nothing_behind() {
    let cluster = Cluster::shared().await;
    let person = CommandLine::new();
    person.run(&cluster.endpoints(), &["workspace", "list"]).await.success();
    let left = std::fs::read_dir(person.home()).expect("the home").count();
    assert_eq!(left, 0);
}
