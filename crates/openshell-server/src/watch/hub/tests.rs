//! What the hub tells to whom, when history and published state are not at one revision, and when
//! too much waits.

use futures::FutureExt;
use openshell_proto::cluster::WatchRequest;
use openshell_proto::datamodel::Workspace;

use super::*;
use crate::logs::tests::{line, push_as};
use crate::watch::feed::tests::Standing;
use crate::watch::queue::Taken;

fn all(hub: &Hub) -> Interest {
    let request = WatchRequest { all_workspaces: true, ..WatchRequest::default() };
    Interest::read(&hub.feed().state(), &Principal::Cluster, &request).expect("the cluster may watch")
}

fn has_rung(bell: &Bell) -> bool {
    bell.rung().now_or_never().is_some()
}

#[tokio::test]
async fn a_history_that_jumped_rings_only_once_the_state_that_it_jumped_to_is_published() {
    let node = Standing::new();
    let (key, id) = node.create_sandbox("box");
    let listed = node.publish();
    let hub = node.hub(Limits::default());
    let bell = hub.bell(&key, &id, &Principal::Cluster);
    let subscription = hub.join(listed, &all(&hub)).expect("nothing is between");

    // An entry is published while a snapshot, or a cut, has already taken the history beyond it.
    node.create_sandbox("published");
    let published = node.publish();
    node.create_sandbox("ahead");
    let floor = node.forget();
    assert!(published < floor);
    hub.route_through(published).await;
    assert!(!has_rung(&bell), "whoever looks now sees the old state, and is not called again");
    assert_eq!((hub.routed(), subscription.queue.take()), (listed, Taken::Nothing));

    let published = node.publish();
    assert_eq!(published, floor);
    hub.route_through(published).await;
    assert!(has_rung(&bell), "the state may be another");
    assert_eq!((hub.routed(), subscription.queue.take()), (floor, Taken::End(End::Gone { floor })));
}

#[tokio::test]
async fn what_an_entry_changed_is_told_as_long_as_it_is_kept_and_not_before_it_is_applied() {
    let node = Standing::new();
    let (key, _) = node.create_sandbox("box");
    let revision = node.publish();
    let hub = node.hub(Limits::default());
    let told = hub.changed_keys(revision).await.expect("memory has it");
    assert!(told.kept && told.keys.contains(&key.to_proto()), "{told:?}");
    let ahead = hub.changed_keys(revision + 1).await.expect("nothing is read");
    assert!(!ahead.kept && ahead.floor == 0, "nobody knows yet what it changes: {ahead:?}");
    node.create_sandbox("another");
    let floor = node.forget();
    node.publish();
    let gone = hub.changed_keys(revision).await.expect("nothing is read");
    assert_eq!((gone.kept, gone.floor), (false, floor));
}

#[tokio::test]
async fn who_follows_a_sandbox_hears_of_what_concerns_it_and_of_nothing_else() {
    let node = Standing::new();
    let [(a, _), (b, _)] = ["a", "b"].map(|name| node.create_sandbox(name));
    node.publish();
    let hub = node.hub(Limits::default());
    let (first, second) = (hub.follow(&a), hub.follow(&b));
    let settings = openshell_proto::log::Settings::default();
    node.write(&Key::sandbox_settings("default", "a"), Some(&settings));
    node.write(&Key::workspace("elsewhere"), Some(&Workspace::default()));
    hub.route_through(node.publish()).await;
    assert_eq!((has_rung(&first), has_rung(&second)), (true, false));
    node.write(&Key::gateway_settings(), Some(&settings));
    hub.route_through(node.publish()).await;
    assert_eq!((has_rung(&first), has_rung(&second)), (true, true), "it concerns everybody");
    node.write::<openshell_proto::v1::Sandbox>(&b, None);
    hub.route_through(node.publish()).await;
    assert_eq!((has_rung(&first), has_rung(&second)), (false, true), "also that it is gone");
    node.create_sandbox("skipped");
    node.forget();
    hub.route_through(node.publish()).await;
    assert_eq!((has_rung(&first), has_rung(&second)), (true, true), "nobody knows what happened");
    drop((first, second));
    assert!(hub.lock().followers.is_empty());
}

#[tokio::test]
async fn who_has_what_was_skipped_goes_on() {
    let node = Standing::new();
    let hub = node.hub(Limits::default());
    let before = hub.join(hub.routed(), &all(&hub)).expect("nothing is between");
    node.create_sandbox("box");
    let floor = node.forget();
    node.publish();
    // It listed the new state before the hub came to it.
    let after = hub.join(floor, &all(&hub)).expect("nothing is between");
    hub.route_through(floor).await;
    assert_eq!(before.queue.take(), Taken::End(End::Gone { floor }));
    assert_eq!(after.queue.take(), Taken::Nothing);
    node.create_sandbox("next");
    hub.route_through(node.publish()).await;
    let Taken::Entry(entry) = after.queue.take() else { panic!("the next change is there") };
    assert_eq!(entry.revision, floor + 1);
}

#[tokio::test]
async fn when_all_together_have_too_much_the_reader_with_the_most_is_cut_off() {
    let node = Standing::new();
    let begin = node.publish();
    let one = |name: &str| {
        node.write(&Key::workspace(name), Some(&Workspace::default()));
        node.publish()
    };
    // How much one such entry is.
    let measure = node.hub(Limits::default());
    let measured = measure.join(begin, &all(&measure)).expect("nothing is between");
    measure.route_through(one("a")).await;
    let bytes = measured.queue.bytes() as u64;

    let hub = node.hub(Limits { queued_bytes: 3 * bytes, ..Limits::default() });
    let join = || hub.join(hub.routed(), &all(&hub)).expect("nothing is between");
    let slow = join();
    hub.route_through(one("b")).await;
    let quick = join();
    hub.route_through(one("c")).await;
    assert_eq!((hub.gauges().queued_bytes, hub.gauges().cut_off), (3 * bytes, 0), "two for the one, one for the other");
    hub.route_through(one("d")).await;
    assert_eq!((hub.gauges().queued_bytes, hub.gauges().cut_off), (2 * bytes, 1));
    assert_eq!(slow.queue.take(), Taken::End(End::Slow));
    for revision in [begin + 3, begin + 4] {
        let Taken::Entry(entry) = quick.queue.take() else { panic!("the other has everything") };
        assert_eq!(entry.revision, revision);
    }
}

#[tokio::test]
async fn the_log_of_a_sandbox_goes_when_it_is_deleted_also_in_a_snapshot() {
    for in_a_snapshot in [false, true] {
        let node = Standing::new();
        let made = ["gone", "stays"].map(|name| node.create_sandbox(name));
        let listed = node.publish();
        let hub = node.hub(Limits::default());
        hub.route_through(listed).await;
        for (key, id) in &made {
            push_as(&hub.log_keeper, key, id, vec![line(1, "text")]);
        }
        let (key, _) = &made[0];
        node.write::<openshell_proto::v1::Sandbox>(key, None);
        // Another of its name, which has nothing to do with it.
        node.create_sandbox("gone");
        if in_a_snapshot {
            node.forget();
        }
        let published = node.publish();
        assert_eq!(hub.log_keeper.gauges().lines, 2);
        hub.route_through(published).await;
        assert_eq!(hub.log_keeper.gauges().lines, 1, "in a snapshot: {in_a_snapshot}");
    }
}
