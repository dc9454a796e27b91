//! Members that are replaced, and clusters that are made from an export.

use std::collections::BTreeMap;
use std::time::Duration;

use openshell_client::{CallError, Seen, methods};
use openshell_proto::cluster::{GetDigestRequest, IssueSandboxTokenRequest};
use openshell_proto::sandbox::GetSandboxConfigRequest;
use openshell_proto::v1::GetSandboxProviderEnvironmentRequest;
use openshell_tests::{
    Api, Cluster, CommandLine, Scene, eventually, gateway_command, http_get, policy_allowing, profile,
};
use tonic::Code;

use crate::starts::refusal;

const LIMIT: Duration = Duration::from_secs(60);

type Environment = BTreeMap<String, String>;

#[tokio::test]
async fn a_dead_node_is_replaced_by_command_while_updates_go_on() {
    let mut cluster = Cluster::start().await;
    cluster.api(1).enable_providers_v2(true).await;
    let scene = Scene::open(cluster.api_of_all()).await;
    let mut stored = scene.import(profile("acme", &["a.example.com"])).await;
    scene.create_provider("acme-main", "acme").await;
    let sandbox = scene.create_sandbox("box", &["acme-main"], policy_allowing("docs.example.com")).await;
    // More than the log keeps, so that the new node begins with a snapshot.
    for update in 0..400 {
        stored.display_name = format!("Update {update}");
        stored = scene.update(stored).await.message;
    }
    let old = cluster.followers().await[0];
    cluster.kill(old);
    let mut gone = cluster.take_out(old);
    let staying: Vec<u64> = cluster.ids().collect();
    let endpoints = staying.iter().map(|id| cluster.gateway(*id).endpoint()).collect::<Vec<_>>().join(",");
    let command_line = CommandLine::new();
    let (old_word, through) = (old.to_string(), scene.through(cluster.api_of_all()));
    let words = ["cluster", "replace", &old_word, "--with", "4"];
    nobody_waits(command_line.run(&endpoints, &words).await.failure());
    cluster.start_newcomer(4).await.expect("the new node waits");
    let updates = async {
        for update in 400..500 {
            stored.display_name = format!("Update {update}");
            stored = through.update(stored.clone()).await.message;
        }
    };
    let (output, ()) = tokio::join!(command_line.run(&endpoints, &words), updates);
    assert!(output.success().contains(&format!("Node 4 took the place of node {old}")), "{output:?}");
    command_line.run(&endpoints, &words).await.success();
    cluster.ready(LIMIT).await.expect("the new node is ready");
    let there = scene.through(cluster.api(4));
    assert_eq!(there.profile("acme").await.resource_version, 501);
    let hosts = there.config(&sandbox).await.message;
    assert_eq!(hosts, scene.through(cluster.api(staying[0]).linearizable()).config(&sandbox).await.message);
    stored.display_name = "Through the new node".to_owned();
    assert_eq!(there.update(stored).await.message.resource_version, 502);
    // The old disk is refused, and the node says so.
    gone.start().expect("the old node starts");
    let port = gone.ports().health;
    says_that_it_was_removed(port).await;
    let refused =
        scene.through(openshell_tests::Api::new(&gone.endpoint()).once()).try_attach("box", "acme-main").await;
    assert!(format!("{:?}", refused.expect_err("not served")).contains("was removed from the cluster"));
    gone.kill().expect("killed");
    for id in cluster.ids() {
        cluster.kill(id);
    }
    // Also when nobody is there to say it again.
    gone.start().expect("the old node starts");
    says_that_it_was_removed(port).await;
    let local = openshell_tests::Api::new(&gone.endpoint()).local().once();
    let asked = GetSandboxConfigRequest { sandbox_id: sandbox.clone() };
    let refused = local.call(&methods::GET_SANDBOX_CONFIG, asked).await.expect_err("not served");
    assert!(format!("{refused:?}").contains("was removed from the cluster"));
    gone.kill().expect("killed");
    cluster.restart_all().await;
    // Nor is its id a new node's.
    let members = cluster.gateway(staying[0]).argument("--initial-cluster").to_owned();
    let addresses: Vec<&str> = members.split(',').filter_map(|entry| Some(entry.split_once('=')?.1)).collect();
    let empty = cluster.file("empty").display().to_string();
    let said = refusal(gone.joining(&addresses.join(","), &empty, cluster.file("spent.log"))).await;
    assert!(said.contains(&format!("node {old} was removed from the cluster")), "{said}");
    let digests = cluster.digests_at_rest(LIMIT).await.expect("the nodes come to rest");
    assert!(digests.iter().all(|digest| digest.digest == digests[0].digest), "{digests:?}");
    let answer = command_line.run(&cluster.endpoints(), &["cluster", "replace", "9", "--with", "5"]).await;
    assert!(answer.failure().contains("node 9 is not a member"), "{answer:?}");
}

#[tokio::test]
async fn a_node_that_has_no_state_yet_knows_of_which_epoch_answers_and_callers_speak() {
    let mut cluster = Cluster::start().await;
    let scene = Scene::open(cluster.api_of_all()).await;
    let mut stored = scene.import(profile("acme", &["a.example.com"])).await;
    // More than the log keeps: without a snapshot the new node has nothing.
    for update in 0..400 {
        stored.display_name = format!("Update {update}");
        stored = scene.update(stored).await.message;
    }
    let old = cluster.followers().await[0];
    cluster.kill(old);
    cluster.take_out(old);
    let endpoints = cluster.endpoints();
    cluster.start_trapped_newcomer(4, "snapshot.install.begin=sleep:4000").await.expect("the new node waits");
    let through = scene.through(cluster.api(4).once());
    let there = cluster.api(4).local().once();
    stored.display_name = "Through the new node".to_owned();
    let updated = eventually("an answer through the new node", LIMIT, async || {
        let answer = through.try_update(stored.clone()).await.ok()?;
        let own = there.call(&methods::GET_DIGEST, GetDigestRequest::default()).await.ok()?;
        // Nothing to compare it with is there yet.
        let elsewhere = Seen { epoch: Some(9), revision: Some(1), ..Seen::default() };
        let stale = scene.through(cluster.api(4).once().not_before(&elsewhere)).try_update(stored.clone()).await;
        Some((answer, own.seen, stale))
    });
    let old_word = old.to_string();
    let words = ["cluster", "replace", &old_word, "--with", "4"];
    let command_line = CommandLine::new();
    let (output, updated) = tokio::join!(command_line.run(&endpoints, &words), updated);
    let (answer, own, stale) = updated.expect("it leads on what it is asked");
    assert_eq!((own.node, own.epoch), (Some(4), Some(0)), "it has a state by now, and the test shows nothing");
    assert_eq!((answer.seen.node, answer.seen.epoch), (Some(4), Some(1)));
    assert!(
        format!("{:?}", stale.expect_err("of another cluster"))
            .contains("has seen epoch 9, this cluster is in epoch 1")
    );
    output.success();
}

async fn says_that_it_was_removed(health: u16) {
    let told = eventually("the old node to say that it was removed", LIMIT, async || {
        let (status, page) = http_get(health, "/readyz").await.ok()?;
        (status == 503 && page.contains("was removed from the cluster")).then_some(())
    });
    told.await.expect("it says so");
}

/// A replacement by a node that was not started says so.
fn nobody_waits(said: &str) {
    assert!(said.contains("no node 4 waits to be added; start it"), "{said}");
}

/// A token of the sandbox `box`.
async fn a_token(scene: &Scene) -> String {
    let request = IssueSandboxTokenRequest { name: "box".to_owned(), workspace: scene.workspace.clone() };
    scene.api.call(&methods::ISSUE_SANDBOX_TOKEN, request).await.expect("an admin gets a token").message.token
}

/// What the sandbox is given of its providers, as anybody there could see it.
async fn credentials(own: &Api, sandbox: &str) -> Result<Environment, CallError> {
    let request = GetSandboxProviderEnvironmentRequest {
        sandbox_id: sandbox.to_owned(),
        supports_static_credential_bindings: true,
    };
    let answer = own.linearizable().call(&methods::GET_SANDBOX_PROVIDER_ENVIRONMENT, request).await?;
    Ok(answer.message.environment.into_iter().collect())
}

async fn credentials_survive_and_tokens_do_not(
    restored: &Cluster,
    scene: &Scene,
    sandbox: &str,
    token: &str,
    sealed: &Environment,
) {
    for node in restored.ids() {
        let access = restored.gateway(node).access();
        let refused = credentials(&access.bearer(token), sandbox).await.expect_err("a token of before the export");
        assert_eq!(refused.refusal_code(), Some(Code::Unauthenticated), "through node {node}: {refused}");
        let token = a_token(&scene.through(restored.api(node).linearizable())).await;
        let found = credentials(&access.bearer(&token), sandbox).await.expect("a token of the new cluster");
        assert_eq!(found, *sealed, "opened with the same key");
    }
}

#[tokio::test]
async fn an_export_makes_a_new_cluster_with_the_same_records_in_the_next_epoch() {
    let mut cluster = Cluster::start().await;
    cluster.api(1).enable_providers_v2(true).await;
    let scene = Scene::open(cluster.api_of_all()).await;
    scene.import(profile("acme", &["a.example.com"])).await;
    scene.create_provider("acme-main", "acme").await;
    let sandbox = scene.create_sandbox("box", &["acme-main"], policy_allowing("docs.example.com")).await;
    let before = scene.through(scene.api.linearizable()).config(&sandbox).await;
    let token = a_token(&scene).await;
    let sealed = credentials(&cluster.gateway(1).access().bearer(&token), &sandbox).await.expect("its own");
    assert!(!sealed.is_empty());
    let (leader, export) = (cluster.leader().await, cluster.file("export"));
    let data_dir = cluster.gateway(leader).argument("--data-dir").to_owned();
    let words = ["export", "--data-dir", &data_dir, "--to", export.to_str().expect("text")];
    let running = gateway_command(&words);
    assert!(!running.status.success() && !export.exists(), "a running node is not exported: {running:?}");
    for id in cluster.ids() {
        cluster.kill(id);
    }
    let exported = gateway_command(&words);
    let exported = String::from_utf8_lossy(&exported.stdout).into_owned();
    let again = gateway_command(&words);
    assert!(String::from_utf8_lossy(&again.stderr).contains("overwrites nothing"), "{again:?}");

    let (restored, said) = cluster.restored_from(&export).await.expect("restored");
    let digest = |text: &str| text.lines().find(|line| line.contains("records digest")).map(str::to_owned);
    assert!(digest(&exported).is_some(), "{exported}");
    for said in &said {
        assert_eq!(digest(said), digest(&exported));
        assert!(said.contains("epoch:          2"), "{said}");
    }
    for id in restored.ids() {
        let there = scene.through(restored.api(id).linearizable());
        let after = there.config(&sandbox).await;
        assert_eq!(after.message, before.message, "through node {id}");
        assert_eq!((before.seen.epoch, after.seen.epoch), (Some(1), Some(2)));
        // A client that has seen the epoch before is told so.
        let stale = scene.through(restored.api(id).not_before(&before.seen)).try_attach("box", "acme-main").await;
        let Err(CallError::Refused(status)) = stale else { panic!("{stale:?}") };
        assert!(status.message().contains("has seen epoch 1, this cluster is in epoch 2"), "{status:?}");
        assert_eq!(status.code() as i32, 9, "FAILED_PRECONDITION");
    }
    credentials_survive_and_tokens_do_not(&restored, &scene, &sandbox, &token, &sealed).await;
    scene.through(restored.api(2)).import(profile("next", &["b.example.com"])).await;
    let digests = restored.digests_at_rest(LIMIT).await.expect("the nodes come to rest");
    assert!(digests.iter().all(|digest| digest.digest == digests[0].digest), "{digests:?}");

    // What cannot be restored leaves nothing behind.
    let key = cluster.gateway(1).argument("--secrets-key-file").to_owned();
    let (damaged, wrong) = (cluster.file("damaged"), cluster.file("wrong.key"));
    let mut bytes = std::fs::read(&export).expect("readable");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&damaged, bytes).expect("writable");
    std::fs::write(&wrong, "ab".repeat(32)).expect("writable");
    for (from, key, words) in
        [(&damaged, key.as_str(), "it is damaged at byte"), (&export, wrong.to_str().expect("text"), "sealed with")]
    {
        let place = cluster.file("nowhere");
        let place_word = place.to_str().expect("text");
        let from = from.to_str().expect("text");
        let refused =
            gateway_command(&["restore", "--from", from, "--data-dir", place_word, "--secrets-key-file", key]);
        let text = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && text.contains(words), "{text}");
        assert!(!place.exists(), "nothing was written");
    }
}
