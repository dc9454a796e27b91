//! A gateway whose state is not that of the others, as real processes see it: it takes itself out, for
//! good, its data stay for people to look at, and the others go on.

use std::path::PathBuf;
use std::time::Duration;

use openshell_tests::{Cluster, Scene, eventually, gateway_command, plant_difference, profile};

const LIMIT: Duration = Duration::from_secs(60);
const SENTENCE: &str = "the state of this node is not the cluster's: at revision";

/// What the node says in `/readyz` when it says that it withdrew.
async fn withdrawn(cluster: &Cluster, id: u64) -> String {
    let said = eventually("the node that differs to say so", LIMIT, async || {
        let (status, page) = cluster.gateway(id).page("/readyz").await.ok()?;
        (status == 503 && page.contains(SENTENCE)).then_some(page)
    });
    said.await.unwrap_or_else(|error| panic!("{error}\n{}", cluster.logs(20)))
}

/// The lines of one type that `inspect` prints about a stopped node.
fn inspected(data: &str, kind: &str) -> Vec<String> {
    let output = gateway_command(&["inspect", "--data-dir", data]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let kind = format!("\"type\":\"{kind}\"");
    let text = String::from_utf8(output.stdout).expect("text");
    text.lines().filter(|line| line.contains(&kind)).map(str::to_owned).collect()
}

#[tokio::test]
async fn one_of_three_that_differs_stops_serving_for_good_and_the_others_go_on() {
    let mut cluster = Cluster::start().await;
    let scene = Scene::open(cluster.api_of_all()).await;
    let stored = scene.import(profile("acme", &["a.example.com"])).await;
    cluster.digests_at_rest(LIMIT).await.expect("the nodes come to rest");
    let odd = cluster.followers().await[0];
    let data = cluster.gateway(odd).argument("--data-dir").to_owned();
    cluster.gateway_mut(odd).terminate(LIMIT).await.expect("it ends");
    assert!(inspected(&data, "withdrawn").is_empty());
    plant_difference(&PathBuf::from(&data), &scene.workspace).expect("planted");

    cluster.gateway_mut(odd).start().expect("it starts: nothing of it is damaged");
    let said = withdrawn(&cluster, odd).await;
    let there = scene.through(cluster.api(odd).local().once());
    let refused = format!("{:?}", there.try_profile("acme").await.expect_err("it serves nothing"));
    assert!(refused.contains(SENTENCE), "{refused}");
    assert_eq!(cluster.gateway(odd).metric("openshell_state_in_doubt").await, Some(1.0));
    // The others go on, and are not in doubt.
    let others: Vec<u64> = cluster.ids().filter(|id| *id != odd).collect();
    let mut edited = stored;
    edited.display_name = "After it was found".to_owned();
    for id in &others {
        edited = scene.through(cluster.api(*id)).update(edited).await.message;
        let (status, page) = cluster.gateway(*id).page("/readyz").await.expect("a page");
        assert_eq!((status, page.as_str()), (200, "ready\n"));
        assert_eq!(cluster.gateway(*id).metric("openshell_state_in_doubt").await, Some(0.0));
    }

    // What it had is left as it was, and why it withdrew is beside it.
    cluster.gateway_mut(odd).terminate(LIMIT).await.expect("it ends");
    let [mark] = &inspected(&data, "withdrawn")[..] else { panic!("one line") };
    assert!(mark.contains("\"differs\":{") && mark.contains("\"removed\":false"), "{mark}");
    let records = inspected(&data, "record");
    let changed = |line: &&String| line.contains(&scene.workspace) && line.contains("100");
    assert!(records.iter().any(|line| changed(&line)), "{records:#?}");
    // After a restart it is withdrawn from its first word on, with nobody there to compare with.
    for id in &others {
        cluster.kill(*id);
    }
    cluster.gateway_mut(odd).start().expect("it starts");
    let first = eventually("its first word", LIMIT, async || cluster.gateway(odd).page("/readyz").await.ok());
    let (status, page) = first.await.expect("a page");
    assert_eq!(status, 503);
    let sentence = said.split_once(" (node").expect("who has the other digest").0;
    assert!(page.starts_with(sentence), "{page}");
    assert!(there.try_profile("acme").await.is_err());
}

#[tokio::test]
async fn while_the_third_is_down_two_that_differ_serve_and_say_so() {
    let mut cluster = Cluster::start().await;
    let scene = Scene::open(cluster.api_of_all()).await;
    scene.import(profile("acme", &["a.example.com"])).await;
    cluster.digests_at_rest(LIMIT).await.expect("the nodes come to rest");
    for id in 1..=3 {
        cluster.gateway_mut(id).terminate(LIMIT).await.expect("it ends");
    }
    let data = PathBuf::from(cluster.gateway(3).argument("--data-dir"));
    plant_difference(&data, &scene.workspace).expect("planted");
    for id in [1, 3] {
        cluster.gateway_mut(id).start().expect("it starts");
    }
    for id in [1, 3] {
        let said = eventually("a node that serves and says that states differ", LIMIT, async || {
            let (status, page) = cluster.gateway(id).page("/readyz").await.ok()?;
            (status == 200 && page.starts_with("ready, but the states of nodes differ")).then_some(page)
        });
        let said = said.await.unwrap_or_else(|error| panic!("{error}\n{}", cluster.logs(20)));
        assert!(said.contains("none is that of a majority of the 3 voters"), "{said}");
        assert_eq!(cluster.gateway(id).metric("openshell_state_in_doubt").await, Some(1.0));
    }
    scene.import(profile("next", &["b.example.com"])).await;
    // The third decides.
    cluster.gateway_mut(2).start().expect("it starts");
    withdrawn(&cluster, 3).await;
    for id in [1, 2] {
        let said = eventually("the others to be sure", LIMIT, async || {
            let page = cluster.gateway(id).page("/readyz").await.ok()?;
            (page == (200, "ready\n".to_owned())).then_some(())
        });
        said.await.unwrap_or_else(|error| panic!("{error}\n{}", cluster.logs(20)));
    }
}
