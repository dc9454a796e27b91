//! Whoever waits on the command line for what real clients do, while a node is dead.

use openshell_client::Tls;
use openshell_sync::ChangeKind;
use openshell_tests::{Cluster, CommandLine, Output, profile_file};

use super::program::{Steered, call, comes_to_hold, stands, start};
use super::{LIMIT, PROVIDER, Stage, all_are, all_have, is_current_elsewhere, start_beside_the_nodes};

/// Updates the profile to have this host, and waits.
async fn update(person: &CommandLine, cluster: &Cluster, host: &str, wait: &[&str]) -> Output {
    let file = person.write(&format!("{host}.yaml"), &profile_file(PROVIDER, host)).display().to_string();
    person.run(&cluster.endpoints(), &[&["provider", "profile", "update", "-f", &file], wait].concat()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_dead_node_a_wait_names_who_lags_and_succeeds_once_all_live_ones_have_it() {
    let mut cluster = Cluster::start().await;
    let mut stage = Stage::open(cluster.api_of_all()).await;
    let mut followers = stage.followers(4).await;
    let slow = followers.pop().expect("four");
    let victim = cluster.followers().await[0];
    let beside = cluster.ids().find(|id| *id != victim).expect("another node");
    start_beside_the_nodes(&mut followers, &cluster, &Tls::None).await;
    let hook = Steered::new(&stage, &slow);
    let (zone, command) = (format!("zone-{beside}"), hook.command());
    let more = ["--zone", &zone, "--on-change", &command, "--on-change-timeout", "10m"];
    let program = start(&stage, &slow, &cluster, &more);
    let at = stage.update().await;
    all_have(&followers, &stage.host(), at, LIMIT).await;
    comes_to_hold(&slow, &stage.host(), &program).await;
    assert_eq!(stands(&slow, "current", &program).await["node"], beside, "the node beside it");

    cluster.kill(victim);
    let what = "every sandbox to be current at another node";
    all_are(&followers, what, LIMIT, |follower| is_current_elsewhere(follower, victim, at)).await;
    let person = CommandLine::new().with_variable("OPENSHELL_WORKSPACE", &stage.scene.workspace);
    let dead = format!("node {victim} could not be asked");
    let held = call(ChangeKind::Installed, "a101.example.com");
    hook.hold(&held);
    let late = update(&person, &cluster, "a101.example.com", &["--wait", "--wait-timeout", "5s"]).await;
    assert_eq!(late.code, Some(124), "{}", late.stderr);
    assert!(late.stderr.contains("1 of 4 sandboxes have not applied"), "{}", late.stderr);
    assert!(late.stderr.contains(&dead), "{}", late.stderr);
    let rows: Vec<Vec<&str>> = late.stderr.lines().map(|line| line.split_whitespace().collect()).collect();
    let row = rows.iter().find(|row| row.get(1) == Some(&&*slow.name)).expect("who lags is named");
    assert_eq!(row[2..4], ["sent", &beside.to_string()], "{row:?}");
    assert!(row[4].ends_with('s') && row[5] == "ago", "when it was last heard of: {row:?}");
    for other in &followers {
        assert!(!late.stderr.contains(&other.name), "{} has it: {}", other.name, late.stderr);
    }

    hook.release(&held);
    let done = update(&person, &cluster, "a102.example.com", &["--wait", "--wait-timeout", "30s"]).await;
    done.success();
    assert!(done.stderr.contains("4 of 4 sandboxes have applied"), "{}", done.stderr);
    assert!(done.stderr.contains(&dead), "the node is dead all the same: {}", done.stderr);
    for follower in &mut followers {
        follower.stop().await;
    }
}
