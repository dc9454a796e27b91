//! Scenarios 85 to 93: what a sandbox gets as its provider environment.

use std::time::{SystemTime, UNIX_EPOCH};

use openshell_client::CallError;
use openshell_proto::v1::{
    ProviderCredentialTokenGrant, ProviderCredentialTokenGrantAudienceOverride, ProviderProfile,
};
use tonic::Code;

use super::furnished::{bound, credential, environment, id, keyed};
use super::{endpoint, everywhere, map, says};
use crate::rpc::Calls;
use crate::scenario::minimal;

fn keys<V>(map: &std::collections::BTreeMap<String, V>) -> Vec<&str> {
    map.keys().map(String::as_str).collect()
}

#[tokio::test]
async fn config_scenario_85_attaching_and_detaching_change_keys_and_revision() {
    everywhere(async |stage| {
        stage.profiles(&[keyed("tool", "TOOL_KEY", Some("tool.example.com"))]).await;
        stage.ok(&stage.provider("p", "tool", &["TOOL_KEY"])).await;
        let sandbox = stage.made("box", None).await;
        let before = stage.environment(&sandbox).await;
        assert_eq!(before.environment, map(&[]));
        stage.attach("box", "p").await;
        let attached = stage.environment(&sandbox).await;
        assert_eq!(attached.environment, map(&[("TOOL_KEY", "secret")]));
        assert_eq!(stage.effective(&sandbox).await.provider_env_revision, attached.provider_env_revision);
        stage.scene.detach("box", "p").await;
        let detached = stage.environment(&sandbox).await;
        assert_eq!(detached.environment, map(&[]));
        assert_eq!(stage.effective(&sandbox).await.provider_env_revision, detached.provider_env_revision);
        assert_ne!(attached.provider_env_revision, before.provider_env_revision);
        assert_eq!(detached.provider_env_revision, before.provider_env_revision, "no providers, as before");
    })
    .await;
}

#[tokio::test]
async fn config_scenario_86_two_updates_of_a_provider_give_two_revisions() {
    everywhere(async |stage| {
        stage.ok(&stage.provider("p", "unheard-of", &["SOME_KEY"])).await;
        let sandbox = stage.with_providers("box", &["p"], None).await;
        let mut revisions = vec![stage.environment(&sandbox).await.provider_env_revision];
        for _ in 0..2 {
            // To the same value: that it was written is what counts.
            stage.ok(&stage.update_provider("p", &[("SOME_KEY", "secret")])).await;
            revisions.push(stage.environment(&sandbox).await.provider_env_revision);
        }
        revisions.sort_unstable();
        revisions.dedup();
        assert_eq!(revisions.len(), 3);
    })
    .await;
}

#[tokio::test]
async fn config_scenario_87_without_bindings_there_are_no_credentials() {
    everywhere(async |stage| {
        let granted = granted("/v1");
        stage.profiles(&[keyed("tool", "TOOL_KEY", Some("tool.example.com")), granted]).await;
        let mut timed = stage.provider("t", "tool", &["TOOL_KEY"]);
        let expiries = &mut timed.provider.as_mut().expect("a provider").credential_expires_at_ms;
        expiries.insert("TOOL_KEY".to_owned(), now_ms() + 3_600_000);
        stage.ok(&timed).await;
        stage.ok(&stage.provider("g", "granted", &[])).await;
        stage.ok(&stage.provider("cloud", "google-cloud", &["GCP_ADC_ACCESS_TOKEN"])).await;
        let sandbox = stage.with_providers("box", &["t", "g", "cloud"], None).await;
        let own = stage.as_sandbox(&sandbox).await;
        let [with, without] = [true, false].map(async |flag| environment(&own, id(&sandbox), flag).await);
        let (with, without) = (with.await.expect("answered"), without.await.expect("answered"));
        assert_eq!(keys(&with.environment), ["GCE_METADATA_HOST", "TOOL_KEY"]);
        assert_eq!(keys(&with.static_credential_bindings), ["TOOL_KEY"]);
        assert_eq!(keys(&with.credential_expires_at_ms), ["TOOL_KEY"]);
        assert_eq!(keys(&without.environment), ["GCE_METADATA_HOST"]);
        assert!(without.static_credential_bindings.is_empty() && without.credential_expires_at_ms.is_empty());
        assert_eq!(without.non_secret_environment_keys, ["GCE_METADATA_HOST"]);
        assert_eq!(without.dynamic_credentials, with.dynamic_credentials);
        assert_eq!(without.dynamic_credentials.len(), 1);
        assert_eq!(without.provider_env_revision, with.provider_env_revision);
    })
    .await;
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_millis()).expect("before the end of time")
}

#[tokio::test]
async fn config_scenario_88_an_expired_credential_is_absent() {
    everywhere(async |stage| {
        let mut request = stage.provider("p", "unheard-of", &["EXPIRED_KEY", "LASTING_KEY", "PASSING_KEY"]);
        let passes_ms = now_ms() + 3_600_000;
        let expiries = [("EXPIRED_KEY", now_ms() - 1_000), ("LASTING_KEY", 0), ("PASSING_KEY", passes_ms)];
        request.provider.as_mut().expect("a provider").credential_expires_at_ms =
            expiries.map(|(key, expiry)| (key.to_owned(), expiry)).into();
        stage.ok(&request).await;
        let sandbox = stage.with_providers("box", &["p"], None).await;
        let given = stage.environment(&sandbox).await;
        assert_eq!(keys(&given.environment), ["LASTING_KEY", "PASSING_KEY"]);
        assert_eq!(given.credential_expires_at_ms, [("PASSING_KEY".to_owned(), passes_ms)].into());
    })
    .await;
}

#[tokio::test]
async fn config_scenario_89_without_a_place_a_credential_is_withheld() {
    everywhere(async |stage| {
        stage.profiles(&[keyed("bare", "BARE_KEY", None)]).await;
        stage.ok(&stage.provider("p", "bare", &["BARE_KEY"])).await;
        let sandbox = stage.with_providers("box", &["p"], None).await;
        let withheld = stage.environment(&sandbox).await;
        assert!(withheld.environment.is_empty() && withheld.static_credential_bindings.is_empty());
        let mut revisions = vec![withheld.provider_env_revision];
        for path in ["/v1", "/v2"] {
            stage.ok(&stage.update_policy("box", bound("p", "bound.example.com", path))).await;
            let given = stage.environment(&sandbox).await;
            assert_eq!(given.environment, map(&[("BARE_KEY", "secret")]));
            let places = &given.static_credential_bindings["BARE_KEY"].endpoints;
            let place = (places[0].host.as_str(), places[0].port, places[0].path.as_str());
            assert_eq!((places.len(), place), (1, ("bound.example.com", 443, path)));
            revisions.push(given.provider_env_revision);
        }
        revisions.sort_unstable();
        revisions.dedup();
        assert_eq!(revisions.len(), 3);
    })
    .await;
}

#[tokio::test]
async fn config_scenario_90_a_provider_without_a_profile_has_no_binding() {
    everywhere(async |stage| {
        stage.ok(&stage.provider("p", "unheard-of", &["SOME_KEY"])).await;
        let sandbox = stage.with_providers("box", &["p"], None).await;
        let given = stage.environment(&sandbox).await;
        assert_eq!(given.environment, map(&[("SOME_KEY", "secret")]));
        assert!(given.static_credential_bindings.is_empty() && given.non_secret_environment_keys.is_empty());
    })
    .await;
}

/// A profile whose token is granted, for one path of port 80 of a host.
fn granted(path: &str) -> ProviderProfile {
    let mut profile = ProviderProfile {
        credentials: vec![credential("access_token", "")],
        endpoints: vec![endpoint("H.example.com")],
        ..minimal("granted")
    };
    (profile.endpoints[0].port, profile.endpoints[0].path) = (80, path.to_owned());
    profile.credentials[0].env_vars.clear();
    profile.credentials[0].token_grant = Some(ProviderCredentialTokenGrant {
        token_endpoint: "https://auth.example.com/token".to_owned(),
        audience: "usual".to_owned(),
        ..ProviderCredentialTokenGrant::default()
    });
    profile
}

#[tokio::test]
async fn config_scenario_91_token_grants_are_dynamic_credentials() {
    everywhere(async |stage| {
        stage.profiles(&[granted("/v1")]).await;
        stage.ok(&stage.provider("g", "granted", &[])).await;
        let sandbox = stage.with_providers("box", &["g"], None).await;
        let key = "h.example.com\t80\t/v1\tg:access_token";
        let before = stage.environment(&sandbox).await;
        assert_eq!(keys(&before.dynamic_credentials), [key]);
        let mut changed = granted("/v1");
        let grant = changed.credentials[0].token_grant.as_mut().expect("a grant");
        grant.audience_overrides = vec![ProviderCredentialTokenGrantAudienceOverride {
            host: "h.example.com".to_owned(),
            audience: "special".to_owned(),
            scopes: vec!["narrow".to_owned()],
            ..ProviderCredentialTokenGrantAudienceOverride::default()
        }];
        stage.profile_is_now(changed).await;
        let after = stage.environment(&sandbox).await;
        assert_ne!(after.provider_env_revision, before.provider_env_revision);
        let grant = after.dynamic_credentials[key].token_grant.as_ref().expect("a grant");
        assert_eq!((grant.audience.as_str(), grant.scopes.as_slice()), ("special", &["narrow".to_owned()][..]));
        assert!(grant.audience_overrides.is_empty());
    })
    .await;
}

#[tokio::test]
async fn config_scenario_93_a_user_asks_for_no_environment() {
    everywhere(async |stage| {
        let sandbox = stage.made("box", None).await;
        match environment(&stage.scene.api, id(&sandbox), true).await {
            Err(CallError::Refused(status)) => {
                assert_eq!(status.code(), Code::PermissionDenied);
                says(status.message(), &["requires a sandbox principal"]);
            }
            other => panic!("a refusal is expected: {other:?}"),
        }
    })
    .await;
}
