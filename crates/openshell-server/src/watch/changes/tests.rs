//! What a watch says while nothing happens, and how it ends.

use futures::StreamExt;
use openshell_proto::cluster::WatchKind;
use openshell_proto::v1::{WorkspaceMember, WorkspaceRole};
use tonic::Code;

use super::*;
use crate::watch::census::Limits;
use crate::watch::feed::tests::{Standing, member};

/// Far more than anything takes.
const LIMIT: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(5);

type Messages = std::pin::Pin<Box<dyn Stream<Item = Result<WatchResponse, Status>>>>;

fn watch(hub: &Arc<Hub>, request: &WatchRequest) -> Result<Messages, Status> {
    let state = hub.feed().state();
    let begun = Watcher::begin(hub, &state, Principal::Cluster, request, CancellationToken::new());
    Ok(Box::pin(begun?.messages()))
}

async fn next(messages: &mut Messages) -> Result<WatchResponse, Status> {
    tokio::time::timeout(LIMIT, messages.next()).await.expect("a message in time").expect("the end is said")
}

/// Takes the state; the position of the mark that it is complete.
async fn synced(messages: &mut Messages) -> Position {
    loop {
        let message = next(messages).await.expect("the state");
        match message.r#type() {
            Type::Initial => {}
            Type::Synced => return message.position.expect("a position"),
            other => panic!("{other:?} before the state is complete"),
        }
    }
}

fn everything() -> WatchRequest {
    WatchRequest { all_workspaces: true, ..WatchRequest::default() }
}

#[tokio::test]
async fn a_quiet_watch_is_told_again_and_again_where_it_is() {
    let hub = Standing::new().hub(Limits { quiet: SHORT, ..Limits::default() });
    let mut messages = watch(&hub, &everything()).expect("begun");
    let position = synced(&mut messages).await;
    for _ in 0..3 {
        let message = next(&mut messages).await.expect("a message");
        assert_eq!((message.r#type(), message.position), (Type::Progress, Some(position)));
    }
}

#[tokio::test]
async fn a_watch_that_passes_over_what_it_did_not_ask_for_is_told_how_far_it_is() {
    let node = Standing::new();
    let from = Position { epoch: 1, revision: node.publish() };
    for name in ["a", "b"] {
        node.create_sandbox(name);
    }
    node.publish();
    let hub = node.hub(Limits { quiet: Duration::ZERO, ..Limits::default() });
    let kinds = vec![WatchKind::Workspace as i32];
    let mut messages = watch(&hub, &WatchRequest { kinds, from: Some(from), ..everything() }).expect("begun");
    for revision in [from.revision + 1, from.revision + 2] {
        let message = next(&mut messages).await.expect("a message");
        let position = Some(Position { revision, ..from });
        assert_eq!((message.r#type(), message.position), (Type::Progress, position));
    }
}

#[tokio::test]
async fn a_node_that_is_cut_off_ends_its_watches_where_old_state_is_refused() {
    let age = Duration::from_secs(30);
    for (limit, ends) in [(Some(age), true), (None, false)] {
        let node = Standing::new();
        let hub = node.hub(Limits { quiet: SHORT, age: limit, ..Limits::default() });
        let mut messages = watch(&hub, &everything()).expect("begun");
        let position = synced(&mut messages).await;
        node.grow_old(age);
        let message = next(&mut messages).await.expect("it is as old as it may be");
        assert_eq!((message.r#type(), message.position), (Type::Progress, Some(position)));
        node.grow_old(age + Duration::from_secs(1));
        match next(&mut messages).await {
            Ok(message) => assert_eq!((message.r#type(), ends), (Type::Progress, false)),
            Err(status) => {
                assert_eq!((status.code(), ends), (Code::Unavailable, true));
                assert!(status.message().contains("31 s"), "{}", status.message());
                let resume = status.metadata().get(RESUME_REVISION).expect("where to go on").to_str();
                assert_eq!(resume.expect("text"), position.revision.to_string());
                assert!(messages.next().await.is_none(), "that was all");
            }
        }
    }
}

#[tokio::test]
async fn who_does_not_take_the_state_in_time_is_not_told_to_come_back() {
    let hub = Standing::new().hub(Limits { listing: Duration::ZERO, ..Limits::default() });
    let state = hub.feed().state();
    let holders = Arc::strong_count(&state);
    let mut messages = watch(&hub, &everything()).expect("begun");
    assert!(Arc::strong_count(&state) > holders, "the watch holds the state");
    let let_go = async {
        while Arc::strong_count(&state) > holders {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, let_go).await.expect("its time is over");
    let status = next(&mut messages).await.expect_err("the state is let go");
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(status.metadata().get(RESUME_REVISION).is_none(), "there is nothing to go on from");
    assert!(status.message().contains("watch less"), "{}", status.message());
}

#[tokio::test]
async fn a_watch_too_many_is_refused_and_the_others_go_on() {
    let hub = Standing::new().hub(Limits { watches: 1, ..Limits::default() });
    let mut messages = watch(&hub, &everything()).expect("begun");
    let Err(status) = watch(&hub, &everything()) else { panic!("there is room for one") };
    assert_eq!(status.code(), Code::ResourceExhausted);
    synced(&mut messages).await;
    assert_eq!((hub.gauges().watches, hub.gauges().refused), (1, 1));
    drop(messages);
    assert_eq!(hub.gauges().watches, 0);
    drop(watch(&hub, &everything()).expect("there is room again"));
}

#[tokio::test]
async fn a_reader_that_stands_still_gives_up_what_was_read_for_it_and_misses_nothing() {
    let node = Standing::new();
    let from = Position { epoch: 1, revision: node.publish() };
    for name in ["a", "b", "c"] {
        node.create_sandbox(name);
    }
    node.publish();
    let catching_up = WatchRequest { from: Some(from), ..everything() };
    let hub = node.hub(Limits { pages: 1, page_time: SHORT, ..Limits::default() });
    let mut still = watch(&hub, &catching_up).expect("begun");
    let mut seen = vec![next(&mut still).await.expect("a change")];
    // It holds the only page. Another one gets it all the same, and all that is in it.
    let mut other = watch(&hub, &catching_up).expect("begun");
    let mut others = Vec::new();
    for _ in 0..3 {
        others.push(next(&mut other).await.expect("a change"));
    }
    drop(other);
    for _ in 1..3 {
        seen.push(next(&mut still).await.expect("a change"));
    }
    assert_eq!(seen, others);
    let revisions: Vec<u64> = seen.iter().filter_map(|message| Some(message.position?.revision)).collect();
    assert_eq!(revisions, [from.revision + 1, from.revision + 2, from.revision + 3]);
}

#[tokio::test]
async fn who_is_no_member_any_more_hears_so_at_once_and_is_shown_nothing_more() {
    let node = Standing::new();
    let membership = Key::member("default", "mia");
    let user = WorkspaceMember { role: WorkspaceRole::User as i32, ..WorkspaceMember::default() };
    node.write(&membership, Some(&user));
    node.publish();
    // Nothing else would wake the reader within the time of a test.
    let hub = node.hub(Limits { quiet: 100 * LIMIT, ..Limits::default() });
    let stop = CancellationToken::new();
    tokio::spawn(Arc::clone(&hub).run(stop.clone()));
    let (state, of_default) = (hub.feed().state(), WatchRequest::default());
    let begun = Watcher::begin(&hub, &state, member("mia"), &of_default, CancellationToken::new());
    let mut messages: Messages = Box::pin(begun.expect("a member may watch").messages());
    synced(&mut messages).await;
    let ending = async {
        node.create_sandbox("secret");
        node.write::<WorkspaceMember>(&membership, None);
        node.publish();
    };
    let (message, ()) = tokio::join!(next(&mut messages), ending);
    let status = message.expect_err("she may not watch any more");
    assert_eq!(status.code(), Code::PermissionDenied, "{status}");
    assert!(messages.next().await.is_none(), "that was all");
    stop.cancel();
}
