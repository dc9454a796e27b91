//! Changes that are fine each by itself and not together, made at once through different nodes.

use openshell_client::{Answer, CallError};
use openshell_proto::v1::UpdateProviderProfilesResponse;
use openshell_tests::{Cluster, Scene, policy_allowing, token_grant_profile};
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
