//! What becomes of what grows old, as a whole or in part.

use super::*;

#[tokio::test]
async fn what_failed_makes_what_is_in_force_older_by_the_minute() {
    let mut scene = Scene::new().await;
    scene.offer(1, Ok(config(1)), 0);
    scene.settle().await;
    assert_eq!(scene.keeper.standing(), Standing::Current);
    scene.refused.lock().expect("locked").push(2);
    scene.offer(2, Ok(config(2)), 0);
    scene.settle().await;
    assert_eq!(scene.report(), at(2).map(|position| (position, "no".to_owned())));
    scene.beats(30).await;
    assert_eq!(scene.keeper.standing(), Standing::Stale);
    scene.pass(30);
    for _ in 0..3 {
        scene.beat(0);
        scene.settle().await;
        assert!(scene.keeper.is_closed, "it is not put into force again because a newer one failed");
    }
    assert_eq!(scene.outcome.borrow().applied, None);
    scene.refused.lock().expect("locked").clear();
    scene.offer(3, Ok(config(3)), 0);
    scene.settle().await;
    assert_eq!((scene.keeper.is_closed, scene.keeper.standing()), (false, Standing::Current));
}

#[tokio::test]
async fn what_cannot_be_composed_confirms_nothing() {
    let mut scene = Scene::new().await;
    scene.offer(1, Ok(config(1)), 0);
    scene.settle().await;
    scene.offer(2, refusal(), 0);
    scene.settle().await;
    scene.beats(58).await;
    assert_eq!(scene.in_force(), Some((1, false)));
    scene.beats(2).await;
    assert!(scene.keeper.is_closed);
    scene.offer(3, refusal(), 0);
    scene.settle().await;
    assert!(scene.keeper.is_closed, "a new environment does not bring an old policy back");
}

#[tokio::test]
async fn a_policy_grows_no_older_while_only_the_environment_is_refused_and_that_goes_by_itself() {
    let mut scene = Scene::with_token().await;
    scene.pass(20);
    scene.offer_with(2, Ok(config(2)), refusal(), 0);
    scene.settle().await;
    assert_eq!(scene.in_force(), Some((2, true)), "the new policy, and the last credentials");
    assert!(scene.report().is_some_and(|(_, failed)| failed.contains("the provider is missing")));
    scene.beats(38).await;
    assert_eq!((scene.in_force(), scene.keeper.standing()), (Some((2, true)), Standing::Stale));
    assert!(scene.holds_secret());
    // A minute after a node last stood for them.
    scene.beats(2).await;
    assert_eq!((scene.in_force(), scene.holds_secret()), (Some((2, false)), false));
    scene.beats(600).await;
    assert_eq!((scene.in_force(), scene.keeper.standing()), (Some((2, false)), Standing::Stale));
    assert_eq!(scene.keeper.as_of.config_ms, scene.now_ms.load(Ordering::Relaxed), "as of the last heartbeat");
    scene.offer_with(3, Ok(config(3)), Ok(credential()), 0);
    scene.settle().await;
    assert_eq!((scene.in_force(), scene.keeper.standing()), (Some((3, true)), Standing::Current));
}

#[tokio::test]
async fn a_crash_makes_neither_the_policy_older_nor_the_environment_younger() {
    let mut scene = Scene::with_token().await;
    scene.pass(20);
    scene.offer_with(2, Ok(config(2)), refusal(), 0);
    scene.settle().await;
    let mut scene = scene.crashed().await;
    scene.pass(39);
    scene.settle().await;
    assert_eq!(scene.in_force(), Some((2, true)));
    scene.pass(1);
    scene.settle().await;
    assert_eq!((scene.in_force(), scene.holds_secret()), (Some((2, false)), false));
    scene.pass(20);
    scene.settle().await;
    assert_eq!(scene.in_force(), None);
}

#[tokio::test]
async fn the_age_of_a_policy_counts_from_the_last_heartbeat_also_when_the_environment_is_refused() {
    let mut scene = Scene::with_token().await;
    scene.offer_with(2, Ok(config(2)), refusal(), 0);
    scene.settle().await;
    scene.beats(50).await;
    scene.feed.send_modify(|feed| feed.followed = false);
    scene.pass(59);
    scene.settle().await;
    assert_eq!(scene.in_force(), Some((2, false)), "59 s after the last heartbeat");
    scene.pass(1);
    scene.settle().await;
    assert_eq!((scene.in_force(), scene.keeper.standing()), (None, Standing::Closed));
    // A node is back, which still cannot compose the environment.
    scene.feed.send_modify(|feed| feed.followed = true);
    scene.beat(0);
    scene.settle().await;
    assert_eq!((scene.in_force(), scene.holds_secret()), (Some((2, false)), false));
}

#[tokio::test]
async fn credentials_that_were_closed_do_not_come_back_with_a_new_policy_alone() {
    let mut scene = Scene::with_token().await;
    scene.pass(60);
    scene.settle().await;
    assert_eq!(scene.in_force(), None);
    scene.offer_with(2, Ok(config(2)), refusal(), 0);
    scene.settle().await;
    assert_eq!((scene.in_force(), scene.holds_secret()), (Some((2, false)), false));
}

#[tokio::test]
async fn what_is_closed_and_confirmed_comes_back_with_its_credentials() {
    let mut scene = Scene::with_token().await;
    scene.pass(90);
    scene.settle().await;
    assert_eq!(scene.in_force(), None);
    scene.beat(0);
    scene.settle().await;
    assert_eq!((scene.in_force(), scene.holds_secret()), (Some((1, true)), true));
}

#[tokio::test]
async fn a_node_that_is_stale_itself_does_not_keep_anything_open() {
    let mut scene = Scene::new().await;
    scene.offer(1, Ok(config(1)), 0);
    scene.settle().await;
    scene.pass(70);
    scene.beat(70);
    scene.settle().await;
    assert!(scene.keeper.is_closed);
    scene.offer(2, Ok(config(2)), 70);
    scene.settle().await;
    assert!(scene.keeper.is_closed, "what it offers is as old");
    assert!(!scene.folder.path().join("current").exists());
    scene.beat(0);
    scene.settle().await;
    assert!(!scene.keeper.is_closed, "it has heard of its cluster again");
    assert_eq!(scene.report(), applied_at(2));
}

#[tokio::test]
async fn what_grows_too_old_while_the_hook_is_busy_with_it_is_not_put_into_force() {
    let mut scene = Scene::new().await;
    scene.offer(1, Ok(config(1)), 0);
    scene.keeper.advance().await;
    scene.pass(60);
    scene.answer().await;
    assert_eq!((scene.in_force(), scene.outcome.borrow().applied), (None, None));
    assert!(!scene.folder.path().join("current").exists());
    assert_eq!(scene.keeper.untold, Some(ChangeKind::Closed), "the hook has put it into force");
    scene.settle().await;
    assert!(scene.report().is_some_and(|(_, failed)| failed.starts_with("closed")));
    scene.beat(0);
    scene.settle().await;
    assert_eq!((scene.in_force(), scene.report()), (Some((1, false)), applied_at(1)));
}
