//! Lists as a person types them: whole, however many pages they take, and short only where somebody said so.

use std::time::Duration;

use futures::future::join_all;
use futures::stream::{self, StreamExt};
use openshell_client::methods;
use openshell_proto::v1::{CreateWorkspaceRequest, DeleteProviderRequest, ProviderProfile, ProviderProfileCategory};
use openshell_tests::{Cluster, CommandLine, Output, Relay, Scene, eventually, policy_allowing, profile, unique};

const LIMIT: Duration = Duration::from_secs(60);

fn numbered(prefix: &str, numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|number| format!("{prefix}-{number:04}")).collect()
}

async fn create_providers(scene: &Scene, names: &[String]) {
    stream::iter(names).map(|name| scene.create_provider(name, "acme")).buffer_unordered(50).count().await;
}

async fn run(scene: &Scene, endpoint: &str, words: &[&str]) -> Output {
    let words: Vec<&str> = ["--workspace", &scene.workspace].into_iter().chain(words.iter().copied()).collect();
    CommandLine::new().run(endpoint, &words).await
}

/// The lines, in alphabetical order: things that were made at once are listed in no particular one.
fn sorted(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[tokio::test]
async fn lists_are_read_past_the_first_page_to_their_end() {
    let cluster = Cluster::shared().await;
    let scene = Scene::open(cluster.api_of_all()).await;
    scene.import(profile("acme", &["a.example.com"])).await;
    let providers = numbered("p", 0..230);
    create_providers(&scene, &providers).await;
    let sandboxes = numbered("s", 0..130);
    let creating =
        stream::iter(&sandboxes).map(|name| scene.create_sandbox(name, &[], policy_allowing("docs.example.com")));
    creating.buffer_unordered(50).count().await;
    let endpoint = cluster.gateway(2).endpoint();

    let listed = run(&scene, &endpoint, &["provider", "list", "--names"]).await;
    assert_eq!((sorted(listed.success()), listed.stderr.as_str()), (providers, ""));
    let listed = run(&scene, &endpoint, &["provider", "list"]).await;
    assert_eq!(listed.success().lines().count(), 231, "a header and a row each");
    let listed = run(&scene, &endpoint, &["sandbox", "list", "--names"]).await;
    assert_eq!((sorted(listed.success()), listed.stderr.as_str()), (sandboxes, ""));
    let listed = run(&scene, &endpoint, &["sandbox", "list", "--ids"]).await;
    assert_eq!(listed.success().lines().count(), 130);
    let everywhere = CommandLine::new().run(&endpoint, &["provider", "list", "--names", "--all-workspaces"]).await;
    let ours = everywhere.success().lines().filter(|line| line.starts_with(&scene.workspace)).count();
    assert_eq!(ours, 230);
    // A provider far behind the first page is found.
    let words = ["sandbox", "create", "--name", "box", "--provider", "p-0229"];
    run(&scene, &endpoint, &words).await.success();
    let deleted = run(&scene, &endpoint, &["sandbox", "delete", "--all"]).await;
    assert_eq!(deleted.success().lines().count(), 131);
}

#[tokio::test]
async fn workspaces_and_profiles_are_listed_to_their_end() {
    let cluster = Cluster::shared().await;
    let scene = Scene::open(cluster.api_of_all()).await;
    let mark = unique("mark");
    let create = async |number| {
        let labels = [("mark".to_owned(), mark.clone())].into();
        let request = CreateWorkspaceRequest { name: format!("{mark}-{number}"), labels };
        scene.api.call(&methods::CREATE_WORKSPACE, request).await.expect("a workspace is created");
    };
    join_all((0..120).map(create)).await;
    let endpoint = cluster.gateway(3).endpoint();
    let words = ["workspace", "list", "--label-selector", &format!("mark={mark}"), "-o", "json"];
    let listed = CommandLine::new().run(&endpoint, &words).await;
    let listed: Vec<serde_json::Value> = serde_json::from_str(listed.success()).expect("a list");
    assert_eq!(listed.len(), 120);

    // More than the largest page: in one import, and in three pages.
    let profiles = (0..1100).map(|number| ProviderProfile {
        id: format!("many-{number:04}"),
        display_name: "One of many".to_owned(),
        category: ProviderProfileCategory::Other.into(),
        ..ProviderProfile::default()
    });
    let imported = scene.try_import(profiles.collect()).await.expect("an answer").message;
    assert_eq!(imported.profiles.len(), 1100, "{:?}", imported.diagnostics);
    let relay = Relay::to(&endpoint).await;
    let listed = run(&scene, relay.url(), &["provider", "list-profiles", "-o", "json"]).await;
    let listed: Vec<serde_json::Value> = serde_json::from_str(listed.success()).expect("a list");
    let ids: Vec<&str> =
        listed.iter().filter_map(|profile| profile["id"].as_str()).filter(|id| id.starts_with("many-")).collect();
    assert_eq!(ids, numbered("many", 0..1100));
    assert!(relay.take_calls().len() >= 3, "in pages");
}

#[tokio::test]
async fn a_limit_is_held_to_and_what_it_leaves_out_is_said() {
    let cluster = Cluster::shared().await;
    let scene = Scene::open(cluster.api_of_all()).await;
    scene.import(profile("acme", &["a.example.com"])).await;
    let names = numbered("p", 0..7);
    for name in &names {
        scene.create_provider(name, "acme").await;
    }
    let endpoint = cluster.gateway(1).endpoint();
    let list = async |words: &[&str]| {
        let words = [&["provider", "list", "--names"], words].concat();
        let listed = run(&scene, &endpoint, &words).await;
        (listed.success().lines().map(str::to_owned).collect::<Vec<_>>(), listed.stderr)
    };
    let (shown, said) = list(&["--limit", "3"]).await;
    assert_eq!(shown, names[..3]);
    assert!(said.contains("more than the 3 shown") && said.contains("--offset 3"), "{said}");
    let (shown, said) = list(&["--limit", "3", "--offset", "3"]).await;
    assert_eq!(shown, names[3..6]);
    assert!(said.contains("--offset 6"), "{said}");
    assert_eq!(list(&["--limit", "3", "--offset", "6"]).await, (names[6..].to_vec(), String::new()));
    assert_eq!(list(&["--limit", "7"]).await, (names.clone(), String::new()));
    assert_eq!(list(&["--offset", "4"]).await, (names[4..].to_vec(), String::new()));
    assert_eq!(list(&["--offset", "9"]).await, (Vec::new(), String::new()));
    assert_eq!(list(&["--limit", "0"]).await, (names.clone(), String::new()));
    let listed = run(&scene, &endpoint, &["provider", "list", "--limit", "2", "-o", "json"]).await;
    let items: Vec<serde_json::Value> = serde_json::from_str(listed.success()).expect("stdout is the list only");
    assert_eq!(items.len(), 2);
    assert!(listed.stderr.contains("more than the 2 shown"), "{listed:?}");
}

#[tokio::test]
async fn what_stays_is_listed_once_while_others_come_and_go() {
    let cluster = Cluster::shared().await;
    let scene = Scene::open(cluster.api_of_all()).await;
    scene.import(profile("acme", &["a.example.com"])).await;
    let early = numbered("early", 0..150);
    let late = numbered("late", 0..150);
    create_providers(&scene, &early).await;
    create_providers(&scene, &late).await;
    let endpoint = cluster.gateway(2).endpoint();
    let coming_and_going = async {
        for (number, name) in early.iter().enumerate() {
            let request = DeleteProviderRequest { name: name.clone(), workspace: scene.workspace.clone() };
            scene.api.call(&methods::DELETE_PROVIDER, request).await.expect("it is deleted");
            scene.create_provider(&format!("new-{number}"), "acme").await;
        }
    };
    let listing = async {
        let mut lists = Vec::new();
        let enough = async || {
            let listed = run(&scene, &endpoint, &["provider", "list", "--names"]).await;
            lists.push(listed.success().to_owned());
            listed.stdout.contains("new-149").then_some(())
        };
        eventually("the last of the new ones", LIMIT, enough).await.expect("it comes");
        lists
    };
    let ((), lists) = tokio::join!(coming_and_going, listing);
    for list in lists {
        let lines = sorted(&list);
        let stayed: Vec<&String> = lines.iter().filter(|line| line.starts_with("late-")).collect();
        assert_eq!(stayed, late.iter().collect::<Vec<_>>());
        assert!(lines.windows(2).all(|pair| pair[0] != pair[1]), "nothing twice");
    }
}

#[tokio::test]
async fn a_page_too_large_for_one_message_is_asked_for_in_smaller_ones() {
    let cluster = Cluster::shared().await;
    let scene = Scene::open(cluster.api_of_all()).await;
    let ids = numbered("large", 0..100);
    for batch in ids.chunks(16) {
        let profiles = batch.iter().map(|id| ProviderProfile {
            id: id.clone(),
            display_name: "A large one".to_owned(),
            description: "d".repeat(60_000),
            category: ProviderProfileCategory::Other.into(),
            ..ProviderProfile::default()
        });
        assert!(scene.try_import(profiles.collect()).await.expect("an answer").message.imported);
    }
    let listed = run(&scene, &cluster.gateway(1).endpoint(), &["provider", "list-profiles"]).await;
    let shown: Vec<&str> = listed
        .success()
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|id| id.starts_with("large-"))
        .collect();
    assert_eq!(shown, ids);
}
