//! Scenarios 1 to 9: what is listed and read, and from where.

use std::time::Duration;

use openshell_proto::v1::{ProviderProfile, ProviderProfileCategory};
use openshell_tests::eventually;
use tonic::Code;

use super::{delete, everywhere, get, minimal, page};
use crate::rpc::Calls;

/// All but `pypi`, which the catalogue leaves out.
const BUILT_IN: [&str; 12] = [
    "aws",
    "aws-bedrock",
    "aws-s3",
    "claude-code",
    "codex",
    "copilot",
    "cursor",
    "deepinfra",
    "github",
    "google-cloud",
    "google-vertex-ai",
    "nvidia",
];

/// (display name, scope) of the profiles of this id, in order.
fn named<'a>(listed: &'a [ProviderProfile], id: &str) -> Vec<(&'a str, &'a str)> {
    let of_id = listed.iter().filter(|profile| profile.id == id);
    of_id.map(|profile| (profile.display_name.as_str(), profile.scope.as_str())).collect()
}

#[tokio::test]
async fn providers_scenario_1_the_built_in_profiles_are_listed_in_order() {
    everywhere(async |stage| {
        for scope in ["", stage.own()] {
            let listed = stage.ok(&page(scope, 0, 100)).await.profiles;
            assert!(listed.is_sorted_by(|left, right| left.id <= right.id));
            let built_in: Vec<_> = listed.iter().filter(|profile| profile.source == "builtin").collect();
            assert_eq!(built_in.iter().map(|profile| profile.id.as_str()).collect::<Vec<_>>(), BUILT_IN);
            let github = built_in.iter().find(|profile| profile.id == "github").expect("github is built in");
            assert_eq!(github.category(), ProviderProfileCategory::SourceControl);
        }
    })
    .await;
}

#[tokio::test]
async fn providers_scenario_2_a_built_in_profile_and_a_legacy_type() {
    everywhere(async |stage| {
        let github = stage.get(stage.own(), "github").await;
        assert_eq!((github.source.as_str(), github.scope.as_str(), github.resource_version), ("builtin", "", 0));
        stage.missing(stage.own(), "generic").await;
    })
    .await;
}

#[tokio::test]
async fn providers_scenario_3_an_imported_profile_is_read() {
    everywhere(async |stage| {
        assert_eq!(stage.imported(stage.own(), &[minimal("custom-api")]).await, []);
        let read = stage.get(stage.own(), "custom-api").await;
        assert_eq!((read.source.as_str(), read.scope.as_str(), read.resource_version), ("user", "workspace", 1));
        assert!(stage.list(stage.own()).await.contains(&read));
    })
    .await;
}

#[tokio::test]
async fn providers_scenario_4_ids_in_requests_are_normalised() {
    everywhere(async |stage| {
        stage.imported(stage.own(), &[minimal("alex-api")]).await;
        assert_eq!(stage.get(stage.own(), " Alex-API ").await.id, "alex-api");
        assert!(stage.ok(&delete(stage.own(), " Alex-API ")).await.deleted);
        stage.missing(stage.own(), "alex-api").await;
    })
    .await;
}

#[tokio::test]
async fn providers_scenario_5_bad_ids_in_requests() {
    everywhere(async |stage| {
        for id in ["alex_api", "", "   "] {
            stage.refused(Code::InvalidArgument, &get(stage.own(), id)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn providers_scenario_6_pages() {
    everywhere(async |stage| {
        // Others put profiles into the platform's scope meanwhile: looks between which nothing was put.
        let quiet = eventually("a list that stays as it is", Duration::from_secs(60), async || {
            let before = stage.list("").await;
            let count = u32::try_from(before.len()).expect("a short list");
            let mut pages = Vec::new();
            for (offset, limit) in [(0, 0), (0, 5000), (10, 5), (count - 2, 5), (count, 5), (count + 50, 5)] {
                pages.push(stage.ok(&page("", offset, limit)).await.profiles);
            }
            (stage.list("").await == before).then_some((before, pages))
        });
        let (all, pages) = quiet.await.expect("a quiet moment");
        assert_eq!(pages[0], all[..all.len().min(100)]);
        assert_eq!(pages[1], all);
        assert_eq!(pages[2], all[10..all.len().min(15)]);
        assert_eq!(pages[3], all[all.len() - 2..]);
        assert_eq!((pages[4].len(), pages[5].len()), (0, 0));
    })
    .await;
}

#[tokio::test]
async fn providers_scenario_7_platform_profiles_are_seen_from_workspaces() {
    everywhere(async |stage| {
        let (all, one) = (stage.platform_id("all"), stage.platform_id("one"));
        stage.imported("", &[minimal(&all)]).await;
        stage.imported(stage.own(), &[minimal(&one)]).await;
        let here = stage.list(stage.own()).await;
        assert_eq!((named(&here, &all), named(&here, &one)), (vec![(&*all, "platform")], vec![(&*one, "workspace")]));
        let platform = stage.list("").await;
        assert_eq!((named(&platform, &all).len(), named(&platform, &one).len()), (1, 0));
    })
    .await;
}

#[tokio::test]
async fn providers_scenario_8_a_workspace_profile_shadows_the_platforms() {
    everywhere(async |stage| {
        let id = stage.platform_id("shadow-target");
        stage.imported("", &[minimal(&id)]).await;
        let shadow = ProviderProfile { display_name: "D".to_owned(), ..minimal(&id) };
        stage.imported(stage.own(), &[shadow]).await;
        let read = stage.get(stage.own(), &id).await;
        assert_eq!((read.display_name.as_str(), read.scope.as_str()), ("D", "workspace"));
        assert_eq!(named(&stage.list(stage.own()).await, &id), [("D", "workspace"), (&*id, "platform")]);
        assert_eq!(stage.get("", &id).await.scope, "platform");
    })
    .await;
}

#[tokio::test]
async fn providers_scenario_9_workspaces_do_not_see_each_others_profiles() {
    everywhere(async |stage| {
        let (other, third) = (stage.workspace().await, stage.workspace().await);
        for scope in [stage.own(), &other] {
            stage.imported(scope, &[minimal("mine")]).await;
        }
        for (scope, count) in [(stage.own(), 1), (&other, 1), (&third, 0)] {
            assert_eq!(named(&stage.list(scope).await, "mine").len(), count, "{scope}");
        }
    })
    .await;
}
