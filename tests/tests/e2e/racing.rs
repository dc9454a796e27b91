//! Changes that are fine each by itself and not together, made at once through different nodes.

use openshell_client::{Answer, CallError};
use openshell_proto::v1::UpdateProviderProfilesResponse;
use openshell_tests::{Cluster, Scene, policy_allowing, profile, scrape, token_grant_profile};
use tonic::Code;

const ROUNDS: u64 = 8;

/// Whether an update took effect; if not, it must have been refused for the ambiguity.
fn accepted(update: Result<Answer<UpdateProviderProfilesResponse>, CallError>) -> bool {
    let answer = update.expect("a losing update is answered with diagnostics").message;
    if !answer.updated {
        assert_eq!(answer.diagnostics[0].field, "credentials.token_grant.audience_overrides");
    }
    answer.updated
}

#[tokio::test]
async fn of_two_racing_updates_that_are_ambiguous_together_one_is_refused() {
    let cluster = Cluster::shared().await;
    for round in 0..ROUNDS {
        let scene = Scene::open(cluster.api(round % 3 + 1)).await;
        scene.import(token_grant_profile("grant-a", "/a/**")).await;
        scene.import(token_grant_profile("grant-b", "/b/**")).await;
        scene.create_provider("a", "grant-a").await;
        scene.create_provider("b", "grant-b").await;
        let sandbox = scene.create_sandbox("box", &["a", "b"], policy_allowing("docs.example.com")).await;
        let (through, other) = (scene.through(cluster.api(1)), scene.through(cluster.api(2)));
        let (a, b) = tokio::join!(
            through.try_update_as("grant-a", 1, token_grant_profile("grant-a", "/same/**")),
            other.try_update_as("grant-b", 1, token_grant_profile("grant-b", "/same/**")),
        );
        assert_eq!([accepted(a), accepted(b)].iter().filter(|won| **won).count(), 1, "round {round}");
        let linearizable = scene.through(scene.api.linearizable());
        let versions = [
            linearizable.profile("grant-a").await.resource_version,
            linearizable.profile("grant-b").await.resource_version,
        ];
        assert_eq!(versions.iter().sum::<u64>(), 3, "one of the two was written: {versions:?}");
        linearizable.config(&sandbox).await;
    }
}

#[tokio::test]
async fn of_a_racing_update_and_attachment_that_are_ambiguous_together_one_is_refused() {
    let cluster = Cluster::shared().await;
    for round in 0..ROUNDS {
        let scene = Scene::open(cluster.api(round % 3 + 1)).await;
        scene.import(token_grant_profile("grant-a", "/a/**")).await;
        scene.import(token_grant_profile("grant-b", "/b/**")).await;
        scene.create_provider("a", "grant-a").await;
        scene.create_provider("b", "grant-b").await;
        let sandbox = scene.create_sandbox("box", &["a"], policy_allowing("docs.example.com")).await;
        let (through, other) = (scene.through(cluster.api(2)), scene.through(cluster.api(3)));
        let (update, attach) = tokio::join!(
            through.try_update_as("grant-a", 1, token_grant_profile("grant-a", "/b/**")),
            other.try_attach("box", "b"),
        );
        let attached = match attach {
            Ok(answer) => answer.message.attached,
            Err(error) => {
                assert_eq!(error.refusal_code(), Some(Code::FailedPrecondition), "{error}");
                assert!(error.to_string().contains("ambiguous"), "{error}");
                false
            }
        };
        assert_ne!(accepted(update), attached, "exactly one is accepted, in round {round}");
        let linearizable = scene.through(scene.api.linearizable());
        let providers = linearizable.sandbox("box").await.spec.expect("a specification").providers;
        assert_eq!(providers.len(), 1 + usize::from(attached));
        linearizable.config(&sandbox).await;
    }
}

/// Guards that failed on all nodes since they were started.
async fn guard_failures(cluster: &Cluster) -> f64 {
    let mut sum = 0.0;
    for gateway in cluster.gateways() {
        let page = scrape(gateway.ports().metrics).await.expect("a metrics page");
        sum += page.sum("openshell_guard_failures").expect("the number is there");
    }
    sum
}

#[tokio::test]
async fn sixty_four_writers_on_profiles_of_their_own_meet_no_failed_guard() {
    const WRITERS: u64 = 64;
    // Nobody else writes here.
    let cluster = Cluster::start().await;
    cluster.api(1).enable_providers_v2(true).await;
    let scene = Scene::open(cluster.api_of_all()).await;
    let mut writers = Vec::new();
    for number in 0..WRITERS {
        let (id, host) = (format!("tool-{number}"), format!("h{number}.example.com"));
        let stored = scene.import(profile(&id, &[&host])).await;
        scene.create_provider(&id, &id).await;
        scene.create_sandbox(&format!("box-{number}"), &[&id], policy_allowing("docs.example.com")).await;
        writers.push((scene.through(cluster.api(number % 3 + 1)), stored));
    }
    assert_eq!(guard_failures(&cluster).await, 0.0);
    let writing = writers.into_iter().map(|(scene, mut stored)| {
        tokio::spawn(async move {
            for round in 0..10 {
                stored.endpoints[0].host = format!("r{round}.{}", stored.endpoints[0].host);
                stored = scene.update(stored).await.message;
            }
            stored.resource_version
        })
    });
    for written in futures::future::join_all(writing).await {
        assert_eq!(written.expect("a writer ends well"), 11);
    }
    assert_eq!(guard_failures(&cluster).await, 0.0);
}
