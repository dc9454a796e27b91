//! `openshell rule` as a person types it, against a follower.

use openshell_proto::v1::PolicyChunk;
use openshell_tests::{Cluster, CommandLine, Output};
use serde_json::Value;

use super::{Inbox, proposal};

/// A person who decides about an inbox through one node.
struct Person {
    command_line: CommandLine,
    inbox: Inbox,
    endpoint: String,
}

impl Person {
    async fn new(cluster: &Cluster) -> Self {
        let follower = cluster.followers().await[0];
        let inbox = Inbox::open(cluster.api(follower)).await;
        Self { command_line: CommandLine::new(), inbox, endpoint: cluster.gateway(follower).endpoint() }
    }

    async fn rule(&self, words: &[&str]) -> Output {
        let workspace = ["--workspace", &self.inbox.scene.workspace, "rule"];
        let words: Vec<&str> = workspace.into_iter().chain(words.iter().copied()).collect();
        self.command_line.run(&self.endpoint, &words).await
    }

    async fn propose(&self, proposals: &[PolicyChunk]) -> Vec<String> {
        self.inbox.submit(&self.endpoint, "agent_authored", proposals).await.accepted_chunk_ids
    }

    /// `rule get -o json`.
    async fn chunks(&self) -> Vec<Value> {
        let shown = self.rule(&["get", "box", "-o", "json"]).await;
        let document: Value = serde_json::from_str(shown.success()).expect("a document");
        document["chunks"].as_array().expect("chunks").clone()
    }

    async fn status(&self, id: &str) -> String {
        let chunks = self.chunks().await;
        let chunk = chunks.iter().find(|chunk| chunk["id"] == id).expect("the chunk");
        chunk["status"].as_str().expect("a status").to_owned()
    }
}

#[tokio::test]
async fn rule_get_shows_the_whole_proposal_and_nothing_that_writes_to_a_terminal() {
    let cluster = Cluster::shared().await;
    let person = Person::new(&cluster).await;
    let nothing = person.rule(&["get", "box"]).await;
    assert_eq!(nothing.success(), "No proposed rules for sandbox box.\n");
    let loud = PolicyChunk { rationale: "\u{1b}[31mapprove me".to_owned(), ..proposal("api.example.com") };
    let ids = person.propose(&[loud]).await;
    let shown = person.rule(&["get", "box"]).await;
    for words in
        [&ids[0], "api_example_com", "host: api.example.com", "prover: no new findings", "\\u{1b}[31mapprove me"]
    {
        assert!(shown.success().contains(words), "{words}: {shown:?}");
    }
    assert!(!shown.stdout.contains('\u{1b}'), "{shown:?}");
    let token = person.chunks().await[0]["review_token"].as_str().expect("a token").to_owned();
    assert!(shown.stdout.contains(&token));
    for status in ["approved", "rejected"] {
        let none = person.rule(&["get", "box", "--status", status]).await;
        assert_eq!(none.success(), "No proposed rules for sandbox box.\n");
    }
    assert_eq!(person.rule(&["get", "box", "--status", "other"]).await.code, Some(2));
    assert_eq!(person.rule(&["get", "absent"]).await.code, Some(1));
}

#[tokio::test]
async fn rule_approve_echoes_the_token_of_what_is_stored_or_the_one_that_was_read() {
    let cluster = Cluster::shared().await;
    let person = Person::new(&cluster).await;
    let ids = person.propose(&[proposal("a.example.com"), proposal("b.example.com")]).await;
    let token = person.chunks().await[0]["review_token"].as_str().expect("a token").to_owned();
    let approved = person.rule(&["approve", "box", "--chunk-id", &ids[0]]).await;
    assert!(approved.success().contains(&format!("✓ Approved rule {} for box (policy version: 2, hash: ", ids[0])));
    // What was read before is not what is there now.
    let words = ["approve", "box", "--chunk-id", &ids[1], "--review-token", &token];
    let refused = person.rule(&words).await;
    assert_eq!((refused.code, refused.stdout.as_str()), (Some(1), ""));
    assert!(refused.stderr.contains("review"), "{refused:?}");
    assert_eq!(person.status(&ids[1]).await, "pending");
    person.rule(&["approve", "box", "--chunk-id", &ids[1]]).await.success();
    assert_eq!(person.inbox.rules().await, ["a_example_com", "b_example_com", "base"]);
    let missing = person.rule(&["approve", "box", "--chunk-id", "nothing"]).await;
    assert_eq!(missing.code, Some(1));
    assert_eq!(person.rule(&["approve", "box"]).await.code, Some(2));
}

#[tokio::test]
async fn rule_reject_undo_clear_and_history() {
    let cluster = Cluster::shared().await;
    let person = Person::new(&cluster).await;
    let ids = person.propose(&[proposal("a.example.com"), proposal("b.example.com")]).await;
    person.rule(&["approve", "box", "--chunk-id", &ids[0]]).await.success();
    let undone = person.rule(&["undo", "box", "--chunk-id", &ids[0]]).await;
    assert!(undone.success().contains("Took back the approval"), "{undone:?}");
    assert_eq!((person.status(&ids[0]).await.as_str(), person.inbox.rules().await.len()), ("pending", 1));
    let rejected = person.rule(&["reject", "box", "--chunk-id", &ids[0], "--reason", "not here"]).await;
    assert_eq!(rejected.success(), format!("✓ Rejected rule {} for box\n", ids[0]));
    let again = person.rule(&["reject", "box", "--chunk-id", &ids[0]]).await;
    assert_eq!(again.code, Some(1), "{again:?}");
    let cleared = person.rule(&["clear", "box"]).await;
    assert_eq!(cleared.success(), "✓ Cleared 1 rule of box\n");
    let history = person.rule(&["history", "box"]).await;
    let lines: Vec<&str> = history.success().lines().collect();
    assert!(lines[0].starts_with("TIME") && lines.len() == 3, "{history:?}");
    assert!(lines[1].contains("proposed") && lines[2].contains("rejected") && lines[2].contains("not here"));
    let document = person.rule(&["history", "box", "-o", "yaml"]).await;
    assert!(document.success().contains("event_type: proposed"), "{document:?}");
}

#[tokio::test]
async fn rule_approve_all_says_what_it_left_out() {
    let cluster = Cluster::shared().await;
    let person = Person::new(&cluster).await;
    let nothing = person.rule(&["approve-all", "box"]).await;
    assert_eq!(nothing.success(), "No pending rules for sandbox box.\n");
    let noted = PolicyChunk { security_notes: "look".to_owned(), ..proposal("c.example.com") };
    person.propose(&[proposal("a.example.com"), proposal("b.example.com"), noted]).await;
    let approved = person.rule(&["approve-all", "box"]).await;
    assert!(approved.success().starts_with("✓ Approved 2 rules for box (policy version: 2, hash: "), "{approved:?}");
    assert!(approved.stdout.contains("! Skipped 1 rule: "), "{approved:?}");
    assert_eq!(person.inbox.rules().await.len(), 3);
    // It was evaluated before the others went in: the first attempt brings another evaluation.
    person.rule(&["approve-all", "box", "--include-security-flagged"]).await.success();
    let approved = person.rule(&["approve-all", "box", "--include-security-flagged"]).await;
    assert!(approved.success().starts_with("✓ Approved 1 rule for box"), "{approved:?}");
}

#[tokio::test]
async fn the_family_without_a_word_prints_its_help_and_is_left_out_of_the_list() {
    let cluster = Cluster::shared().await;
    let command_line = CommandLine::new();
    let endpoint = cluster.gateway(1).endpoint();
    for family in ["rule", "rl"] {
        let help = command_line.run(&endpoint, &[family]).await;
        for word in ["get", "approve", "reject", "approve-all", "undo", "clear", "history"] {
            assert!(help.success().contains(word), "{family} {word}: {help:?}");
        }
    }
    let help = command_line.run(&endpoint, &["--help"]).await;
    assert!(!help.success().lines().any(|line| line.trim_start().starts_with("rule")), "{help:?}");
}
