//! `openshell cluster members`, `transfer-leader` and `--watch`, as people and scripts use them.

use std::time::Duration;

use openshell_client::methods;
use openshell_proto::cluster::TransferLeadershipRequest;
use openshell_tests::{Cluster, CommandLine, Following, eventually};

const LIMIT: Duration = Duration::from_secs(60);

async fn transfer(cluster: &Cluster, words: &[&str]) -> openshell_tests::Output {
    let words: Vec<&str> = ["cluster", "transfer-leader"].into_iter().chain(words.iter().copied()).collect();
    CommandLine::new().run(&cluster.endpoints(), &words).await
}

/// Waits until a majority says that this node leads.
async fn leads(cluster: &Cluster, node: u64) {
    let found = eventually("the node to lead", LIMIT, async || {
        cluster.leadership().await.filter(|leadership| leadership.leader == node)
    });
    found.await.expect("it leads");
}

#[tokio::test]
async fn members_are_rows_and_documents_of_every_node() {
    let cluster = Cluster::shared().await;
    let command_line = CommandLine::new();
    let shown = command_line.run(&cluster.gateway(2).endpoint(), &["cluster", "members"]).await;
    let rows: Vec<Vec<&str>> = shown.success().lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["ID", "ADDRESS", "PEER", "ZONE", "ROLE", "VOTER", "VERSION", "REACHABLE"]);
    assert_eq!(rows.len(), 4, "{shown:?}");
    for (id, row) in (1..).zip(&rows[1..]) {
        let gateway = cluster.gateway(id);
        assert_eq!((row[0], row[1]), (id.to_string().as_str(), gateway.endpoint().as_str()), "{shown:?}");
        assert_eq!((row[3], row[5], row[7]), (format!("zone-{id}").as_str(), "yes", "yes"), "{shown:?}");
    }
    let as_json = command_line.run(&cluster.gateway(3).endpoint(), &["cluster", "members", "-o", "json"]).await;
    let members: serde_json::Value = serde_json::from_str(as_json.success()).expect("a document");
    let members = members.as_array().expect("a list");
    let leaders = members.iter().filter(|member| member["role"] == "leader").count();
    assert_eq!((members.len(), leaders), (3, 1), "{as_json:?}");
    let keys: Vec<_> = members[0].as_object().expect("a member").keys().map(String::as_str).collect();
    assert_eq!(keys, ["address", "id", "peer_address", "reachable", "role", "version", "voter", "zone"]);
    let as_yaml = command_line.run(&cluster.endpoints(), &["cluster", "members", "-o", "yaml"]).await;
    assert!(as_yaml.success().starts_with("- address: "), "{as_yaml:?}");
}

#[tokio::test]
async fn leadership_goes_where_it_is_asked_to_and_the_answer_names_the_new_leader() {
    let cluster = Cluster::start().await;
    let old = cluster.leader().await;
    let to = cluster.followers().await[1];
    let moved = transfer(&cluster, &["--to", &to.to_string()]).await;
    assert_eq!(moved.success(), format!("✓ Node {to} leads, node {old} did before\n"), "{moved:?}");
    leads(&cluster, to).await;
    let log = cluster.gateway(old).log_text();
    assert!(log.contains("leadership is handed over on request"), "{log}");
    // To whoever is fit, asked at a follower only.
    let follower = cluster.gateway(cluster.followers().await[0]).endpoint();
    let words = ["cluster", "transfer-leader", "-o", "json"];
    let moved = CommandLine::new().run(&follower, &words).await;
    let document: serde_json::Value = serde_json::from_str(moved.success()).expect("a document");
    assert_eq!(document["previous"], to, "{moved:?}");
    let now = document["leader"].as_u64().expect("a node");
    assert_ne!(now, to);
    leads(&cluster, now).await;
    // A repetition of the same request moves nothing again.
    let request = TransferLeadershipRequest { to: 0, from: to };
    let answer = cluster.api_of_all().call(&methods::TRANSFER_LEADERSHIP, request).await.expect("answered").message;
    assert_eq!(answer.leader, now);
}

#[tokio::test]
async fn who_cannot_lead_is_refused_in_words_and_everything_stays_as_it_is() {
    let mut cluster = Cluster::start().await;
    let leader = cluster.leader().await;
    let refused = transfer(&cluster, &["--to", &leader.to_string()]).await;
    assert!(refused.failure().contains(&format!("node {leader} leads already")), "{refused:?}");
    let refused = transfer(&cluster, &["--to", "9"]).await;
    assert!(refused.failure().contains("node 9 is not a member; the members are 1, 2, 3"), "{refused:?}");
    let refused = transfer(&cluster, &["--to", "0"]).await;
    assert_eq!(refused.code, Some(2), "{refused:?}");
    let request = TransferLeadershipRequest::default();
    let refused = cluster.api_of_all().call(&methods::TRANSFER_LEADERSHIP, request).await.expect_err("nobody is named");
    assert_eq!(refused.refusal_code(), Some(tonic::Code::InvalidArgument));
    let down = cluster.followers().await[0];
    cluster.kill(down);
    let refused = transfer(&cluster, &["--to", &down.to_string()]).await;
    assert!(refused.failure().contains(&format!("node {down} cannot be reached")), "{refused:?}");
    assert_eq!(cluster.leader().await, leader);
}

#[tokio::test]
async fn only_platform_admins_move_leadership() {
    let cluster = Cluster::shared_with_roles().await;
    let request = TransferLeadershipRequest { to: 0, from: 1 };
    let user = cluster.api_as(1, "mia", &["nobody"]);
    let refused = user.call(&methods::TRANSFER_LEADERSHIP, request).await.expect_err("no admin");
    assert_eq!(refused.refusal_code(), Some(tonic::Code::PermissionDenied), "{refused}");
}

/// Reads documents, each from its first line on, until one satisfies.
async fn document_with(following: &mut Following, is_it: impl Fn(&serde_json::Value) -> bool) {
    loop {
        let mut text = String::new();
        while !text.ends_with("]\n") {
            text.push_str(&following.line().await);
            text.push('\n');
        }
        let document: serde_json::Value = serde_json::from_str(&text).expect("a document");
        if is_it(&document) {
            return;
        }
    }
}

fn role_of(document: &serde_json::Value, node: u64) -> Option<&str> {
    document.as_array()?.iter().find(|member| member["id"] == node)?["role"].as_str()
}

#[tokio::test]
async fn a_watch_prints_one_document_for_each_change_and_ends_well_on_ctrl_c() {
    let cluster = Cluster::start().await;
    let old = cluster.leader().await;
    let to = cluster.followers().await[0];
    let command_line = CommandLine::new();
    let words = ["cluster", "members", "--watch", "-o", "json"];
    let mut following = command_line.follow(&cluster.gateway(to).endpoint(), &words);
    document_with(&mut following, |document| role_of(document, old) == Some("leader")).await;
    transfer(&cluster, &["--to", &to.to_string()]).await.success();
    document_with(&mut following, |document| {
        role_of(document, to) == Some("leader") && role_of(document, old) == Some("follower")
    })
    .await;
    following.interrupt();
    following.ended_well().await;
}
