//! What the watcher of one sandbox is shown, and how its watch ends.

use std::time::Duration;

use futures::{FutureExt, StreamExt};
use openshell_proto::v1::{DeleteSandboxRequest, WorkspaceMember, WorkspaceRole};
use openshell_state::{Key, decide};
use tonic::Code;

use super::*;
use crate::watch::census::Limits;
use crate::watch::feed::Feed;
use crate::watch::feed::tests::{Standing, member};

/// Far more than anything takes.
const LIMIT: Duration = Duration::from_secs(60);

type Events = std::pin::Pin<Box<dyn Stream<Item = Result<SandboxStreamEvent, Status>>>>;

/// A node with a sandbox that a member of its workspace watches, once the record was shown.
struct Scene {
    node: Arc<Standing>,
    key: Key,
    id: String,
    events: Events,
    stop: CancellationToken,
}

impl Scene {
    async fn open() -> Self {
        let node = Standing::new();
        let (key, id) = node.create_sandbox("box");
        let role = WorkspaceMember { role: WorkspaceRole::User as i32, ..WorkspaceMember::default() };
        node.write(&Key::member("default", "mia"), Some(&role));
        node.publish();
        let hub = Hub::new(node.clone(), Limits::default());
        let stop = CancellationToken::new();
        let asked = WatchSandboxRequest { id: id.clone(), follow_status: true, ..WatchSandboxRequest::default() };
        let begun = Watcher::begin(&hub, &node.state(), member("mia"), asked, stop.clone());
        let events = Box::pin(begun.expect("she may see it").events());
        tokio::spawn(hub.run(stop.clone()));
        let mut scene = Self { node, key, id, events, stop };
        scene.shown().await;
        assert!(scene.events.next().now_or_never().is_none(), "nothing has changed");
        scene
    }

    async fn next(&mut self) -> Option<Result<SandboxStreamEvent, Status>> {
        tokio::time::timeout(LIMIT, self.events.next()).await.expect("something in time")
    }

    async fn shown(&mut self) -> Sandbox {
        let event = self.next().await.expect("an event").expect("no error");
        let Some(sandbox_stream_event::Payload::Sandbox(sandbox)) = event.payload else { panic!("no record") };
        sandbox
    }

    /// Applies the record with another label.
    fn label(&self, value: &str) {
        let mut sandbox = find(&self.node.state(), &self.id).expect("it exists").1.clone();
        let metadata = sandbox.metadata.as_mut().expect("metadata");
        metadata.labels.insert("label".to_owned(), value.to_owned());
        self.node.write(&self.key, Some(&sandbox));
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[tokio::test]
async fn a_change_is_shown_also_when_it_came_in_a_snapshot() {
    let mut scene = Scene::open().await;
    for (value, in_a_snapshot) in [("one", false), ("two", true)] {
        scene.label(value);
        if in_a_snapshot {
            scene.node.forget();
        }
        scene.node.publish();
        assert_eq!(scene.shown().await.metadata.expect("metadata").labels["label"], value);
    }
}

#[tokio::test]
async fn who_is_no_member_any_more_is_shown_nothing_more_and_is_told() {
    let mut scene = Scene::open().await;
    scene.node.write::<WorkspaceMember>(&Key::member("default", "mia"), None);
    scene.node.publish();
    let status = scene.next().await.expect("the end is said").expect_err("she may not see it any more");
    let id = &scene.id;
    // What everybody hears who may not know whether it exists.
    assert_eq!((status.code(), status.message()), (Code::NotFound, &*format!("sandbox with id {id:?} does not exist")));
    assert!(scene.next().await.is_none(), "that was all");
}

#[tokio::test]
async fn a_change_that_comes_with_the_end_of_a_membership_is_not_shown() {
    let mut scene = Scene::open().await;
    scene.label("secret");
    scene.node.write::<WorkspaceMember>(&Key::member("default", "mia"), None);
    scene.node.publish();
    let status = scene.next().await.expect("the end is said").expect_err("she may not see it any more");
    assert_eq!(status.code(), Code::NotFound);
}

#[tokio::test]
async fn the_watch_of_a_sandbox_that_is_deleted_ends_without_a_word() {
    let mut scene = Scene::open().await;
    let request = DeleteSandboxRequest { name: "box".to_owned(), ..DeleteSandboxRequest::default() };
    scene.node.decide(|call| decide::sandbox::delete(call, &request).into());
    scene.node.publish();
    assert!(scene.next().await.is_none());
}
