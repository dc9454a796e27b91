//! A client that never reads backwards, and what it tells.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tonic::Status;

use super::{Node, health, mute};
use crate::client::{Client, ClientBuilder};
use crate::endpoint::parse_endpoints;
use crate::error::CallError;
use crate::event::Event;
use crate::options::{CallOptions, Consistency};
use crate::position::Position;
use crate::seen::Seen;

/// What a client told, a line each.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Told {
    fn hear(&self, event: &Event<'_>) {
        let line = match event {
            Event::Begun => "begun".to_owned(),
            Event::Repeated { .. } => "repeated".to_owned(),
            Event::Restored { kept, now, repeats } => {
                format!("restored {}/{} {:?} {repeats}", kept.epoch, kept.revision, now.epoch)
            }
            Event::Moved(position) => format!("moved {}/{}", position.epoch, position.revision),
            Event::Ended(ended) => format!("{:?} after {}", ended.end, ended.attempts),
        };
        self.0.lock().expect("an unpoisoned lock").push(line);
    }

    fn lines(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().expect("an unpoisoned lock"))
    }
}

const KEPT: Position = Position { epoch: 1, revision: 30 };

async fn client(nodes: &[&Node], told: &Told) -> Client {
    let mut urls = Vec::new();
    for node in nodes {
        urls.push(node.start().await);
    }
    let told = told.clone();
    let endpoints = parse_endpoints(&urls.join(",")).expect("good endpoints");
    let builder = ClientBuilder::new(endpoints).never_backwards(Some(KEPT));
    builder.listener(Arc::new(move |event| told.hear(event))).build().expect("a good configuration")
}

/// A refusal by a node that is there.
fn refusal(epoch: u64, revision: u64, is_marked: bool) -> Status {
    let mut status = Status::failed_precondition("no");
    status.metadata_mut().insert("x-openshell-epoch", epoch.into());
    status.metadata_mut().insert("x-openshell-revision", revision.into());
    if is_marked {
        status.metadata_mut().insert("x-openshell-position", "lost".parse().expect("a value"));
    }
    status
}

#[tokio::test]
async fn no_answer_may_be_older_than_what_was_kept_or_seen_since() {
    let node = Node { epoch: Some(1), ..Node::default() };
    let told = Told::default();
    let client = client(&[&node], &told).await;
    for _ in 0..2 {
        health(&client, CallOptions::default()).await.expect("an answer");
    }
    assert_eq!(node.heard("x-openshell-epoch"), ["1", "1"]);
    assert_eq!(node.heard("x-openshell-min-revision"), ["30", "42"]);
    let once = ["begun", "moved 1/42", "Answered after 1", "begun", "Answered after 1"];
    assert_eq!(told.lines(), once);
    // What a caller asks for itself comes in its place.
    let seen = Seen { epoch: Some(1), revision: Some(7), ..Seen::default() };
    health(&client, CallOptions::default().not_before(&seen)).await.expect("an answer");
    assert_eq!(node.heard("x-openshell-min-revision")[2], "7");
}

#[tokio::test]
async fn a_position_of_another_life_of_the_cluster_is_dropped_and_the_call_made_again() {
    for refusal in [refusal(2, 9, false), refusal(1, 9, true)] {
        let epoch = Seen::from_metadata(refusal.metadata()).epoch;
        let node = Node { epoch, ..Node::failing([refusal]) };
        let told = Told::default();
        let client = client(&[&node], &told).await;
        health(&client, CallOptions::default()).await.expect("the second attempt is answered");
        assert_eq!(node.heard("x-openshell-min-revision"), ["30", "-"]);
        let ids = node.heard("x-openshell-request-id");
        assert_eq!(ids[0], ids[1], "one call");
        let epoch = epoch.expect("it says so");
        let lines = ["begun", &format!("restored 1/30 Some({epoch}) true"), &format!("moved {epoch}/42")];
        assert_eq!(told.lines()[..3], lines);
    }
}

#[tokio::test]
async fn a_refusal_of_the_request_is_final_and_moves_the_position() {
    let node = Node { epoch: Some(1), ..Node::failing([refusal(1, 50, false)]) };
    let told = Told::default();
    let client = client(&[&node], &told).await;
    let error = health(&client, CallOptions::default()).await.expect_err("a refusal");
    assert!(matches!(error, CallError::Refused(_)), "{error}");
    assert_eq!(told.lines(), ["begun", "moved 1/50", "Refused(FailedPrecondition) after 1"]);
}

#[tokio::test]
async fn a_call_in_doubt_is_not_made_again_at_another_cluster() {
    let (first, second) = (Node::failing([Status::unavailable("lost")]), Node::failing([refusal(2, 9, true)]));
    let told = Told::default();
    let client = client(&[&first, &second], &told).await;
    let error = health(&client, CallOptions::default()).await.expect_err("the first attempt may have taken effect");
    assert!(matches!(error, CallError::Unknown { attempts: 2, .. }), "{error}");
    let lines = ["begun", "repeated", "restored 1/30 Some(2) false", "moved 2/9"];
    assert_eq!(told.lines()[..4], lines);
    health(&client, CallOptions::default()).await.expect("an answer");
    assert_eq!(first.heard("x-openshell-min-revision").len() + second.heard("x-openshell-min-revision").len(), 3);
}

#[tokio::test]
async fn the_end_of_a_call_is_told_whatever_happens() {
    let told = Told::default();
    let hearing = told.clone();
    let endpoints = parse_endpoints(&mute(false).await).expect("a good endpoint");
    let builder = ClientBuilder::new(endpoints).deadline(Duration::from_millis(50));
    let client = builder.listener(Arc::new(move |event| hearing.hear(event))).build().expect("nothing is wrong");
    health(&client, CallOptions::default()).await.expect_err("nobody speaks within the client's deadline");
    assert_eq!(told.lines(), ["begun", "Failed after 1"]);
    let options = CallOptions::default().deadline(Duration::from_secs(60));
    let given_up = tokio::time::timeout(Duration::from_millis(50), health(&client, options)).await;
    assert!(given_up.is_err());
    assert_eq!(told.lines(), ["begun", "Abandoned after 0"]);
}

#[tokio::test]
async fn a_client_may_overrule_the_consistency_of_its_calls() {
    let node = Node::default();
    let endpoints = parse_endpoints(&node.start().await).expect("a good endpoint");
    let builder = ClientBuilder::new(endpoints).consistency(Consistency::Local);
    health(&builder.build().expect("nothing is wrong"), CallOptions::linearizable()).await.expect("an answer");
    assert_eq!(node.heard("x-openshell-consistency"), ["local"]);
}
