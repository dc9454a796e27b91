//! The scenarios of `providers.md` 9 about refresh, by number, and what a mint may and may not do
//! between its two entries.

mod overtaken;

use openshell_proto::peer::{MintFailure, Minted, SettleRefreshRequest, settle_refresh_request};
use openshell_proto::v1::{
    ConfigureProviderRefreshRequest, DeleteProviderRefreshRequest, DeleteProviderRequest,
    GetProviderRefreshStatusRequest, ProviderCredentialRefresh, ProviderCredentialRefreshMaterial,
    ProviderCredentialRefreshOutput, ProviderCredentialRefreshStatus, ProviderCredentialRefreshStrategy as Strategy,
    ProviderProfile, ProviderProfileCredential, RotateProviderCredentialRequest, StoredProviderCredentialRefreshState,
    StoredRefreshClaim, UpdateProviderRequest,
};
use openshell_state::decide::refresh::{Awaited, Claiming};
use openshell_state::{Code, query};
use prost::Message;

use crate::support::{
    World, attach, credential, draft, global_setting, import, map, minimal, provider, sandbox, says, update_provider,
};

const KEY: &str = "ACME_TOKEN";
const SECRET: &str = "canary-refresh-0815";

/// A profile whose one credential is minted by client credentials.
fn minted_profile(id: &str) -> ProviderProfile {
    let material = |name: &str| ProviderCredentialRefreshMaterial {
        name: name.to_owned(),
        required: true,
        ..ProviderCredentialRefreshMaterial::default()
    };
    let refresh = ProviderCredentialRefresh {
        strategy: Strategy::Oauth2ClientCredentials as i32,
        token_url: "https://auth.example.com/token".to_owned(),
        scopes: vec!["read".to_owned()],
        refresh_before_seconds: 60,
        max_lifetime_seconds: 1800,
        material: vec![material("client_id"), material("client_secret")],
        ..ProviderCredentialRefresh::default()
    };
    let credential = ProviderProfileCredential { refresh: Some(refresh), ..credential("token", KEY) };
    ProviderProfile { credentials: vec![credential], ..minimal(id) }
}

fn sts_profile() -> ProviderProfile {
    let output = |output: &str, credential: &str| ProviderCredentialRefreshOutput {
        output: output.to_owned(),
        credential: credential.to_owned(),
    };
    let refresh = ProviderCredentialRefresh {
        strategy: Strategy::AwsStsAssumeRole as i32,
        additional_outputs: vec![output("secret_access_key", "secret"), output("session_token", "session")],
        ..ProviderCredentialRefresh::default()
    };
    let key = ProviderProfileCredential { refresh: Some(refresh), ..credential("key", "AWS_ACCESS_KEY_ID") };
    let rest = [credential("secret", "AWS_SECRET_ACCESS_KEY"), credential("session", "AWS_SESSION_TOKEN")];
    ProviderProfile { credentials: std::iter::once(key).chain(rest).collect(), ..minimal("sts") }
}

/// A world with a provider `p` whose credential can be minted.
fn world() -> World {
    let mut world = World::new();
    world.ok(&import("default", &[minted_profile("acme"), sts_profile()]));
    world.ok(&provider("p", "acme", &[]));
    world
}

fn configure(provider: &str, material: &[(&str, &str)]) -> ConfigureProviderRefreshRequest {
    ConfigureProviderRefreshRequest {
        provider: provider.to_owned(),
        credential_key: KEY.to_owned(),
        strategy: Strategy::Oauth2ClientCredentials as i32,
        material: map(material),
        ..ConfigureProviderRefreshRequest::default()
    }
}

fn usual() -> ConfigureProviderRefreshRequest {
    configure("p", &[("client_id", "me"), ("client_secret", SECRET)])
}

fn delete() -> DeleteProviderRefreshRequest {
    DeleteProviderRefreshRequest {
        provider: "p".to_owned(),
        credential_key: KEY.to_owned(),
        ..DeleteProviderRefreshRequest::default()
    }
}

/// A rotation that waited for this claim.
fn awaited(claim: &StoredRefreshClaim) -> Awaited {
    let request = RotateProviderCredentialRequest {
        provider: "p".to_owned(),
        credential_key: KEY.to_owned(),
        ..RotateProviderCredentialRequest::default()
    };
    Awaited { request, claim: claim.clone() }
}

fn claim(id: &str) -> Claiming {
    Claiming {
        workspace: String::new(),
        provider: "p".to_owned(),
        credential_key: KEY.to_owned(),
        id: id.to_owned(),
        node: 1,
        term: 1,
        patience_ms: 60_000,
        only_when_due: false,
    }
}

fn settlement(claim: &str, result: settle_refresh_request::Result) -> SettleRefreshRequest {
    SettleRefreshRequest {
        workspace: "default".to_owned(),
        provider: "p".to_owned(),
        credential_key: KEY.to_owned(),
        claim: claim.to_owned(),
        result: Some(result),
        caller: None,
    }
}

fn minted(claim: &str, value: &str) -> SettleRefreshRequest {
    let minted = Minted { value: value.to_owned(), lifetime_seconds: 600, refresh_token: String::new() };
    settlement(claim, settle_refresh_request::Result::Minted(minted))
}

fn not_minted(claim: &str) -> SettleRefreshRequest {
    let failure = MintFailure {
        code: Code::Unavailable as u32,
        message: "the token endpoint does not answer".to_owned(),
        failure_code: "unreachable".to_owned(),
        ..MintFailure::default()
    };
    settlement(claim, settle_refresh_request::Result::Failure(failure))
}

fn status(world: &World, provider: &str) -> Vec<ProviderCredentialRefreshStatus> {
    let request =
        GetProviderRefreshStatusRequest { provider: provider.to_owned(), ..GetProviderRefreshStatusRequest::default() };
    query::refresh::status(&world.state, &world.principal, &request).expect("a status").credentials
}

fn stored(world: &World) -> &StoredProviderCredentialRefreshState {
    query::refresh::current(&world.state, "default", "p", KEY).expect("it is configured")
}

fn version(world: &World) -> u64 {
    world.stored_provider("p").metadata.as_ref().expect("metadata").resource_version
}

fn expiry(world: &World) -> Option<i64> {
    world.stored_provider("p").credential_expires_at_ms.get(KEY).copied()
}

fn expiring(expires_at_ms: i64) -> ConfigureProviderRefreshRequest {
    ConfigureProviderRefreshRequest { expires_at_ms: Some(expires_at_ms), ..usual() }
}

#[test]
fn providers_scenario_68_configure_status_delete() {
    let mut world = world();
    let expires_at_ms = world.time_ms + 3_600_000;
    let answer = world.ok(&expiring(expires_at_ms)).status.expect("a status");
    assert_eq!((answer.status.as_str(), answer.expires_at_ms), ("configured", expires_at_ms));
    assert_eq!(answer.next_refresh_at_ms, expires_at_ms - 60_000, "RS-1 with the profile's 60 s");
    assert_eq!(status(&world, "p"), [answer]);
    assert_eq!(expiry(&world), Some(expires_at_ms));
    let state = stored(&world);
    assert_eq!(state.secret_material_keys, ["client_secret"], "secret, although the caller did not say so");
    assert!(state.material.is_empty());
    assert_eq!(
        (state.token_url.as_str(), state.scopes.as_slice()),
        ("https://auth.example.com/token", &["read".to_owned()][..])
    );
    assert!(world.ok(&delete()).deleted);
    assert_eq!((status(&world, "p").len(), expiry(&world)), (0, None));
    assert!(!world.ok(&delete()).deleted, "deleting again is no error");
}

#[test]
fn no_material_is_readable_in_any_entry_whoever_forgot_to_mark_it() {
    let mut world = world();
    let mut request = usual();
    request.material.insert("passphrase".to_owned(), format!("{SECRET}-unmarked"));
    world.ok(&request);
    world.ok(&claim("a"));
    world.ok(&minted("a", &format!("{SECRET}-token")));
    for (index, command) in &world.log {
        let bytes = command.encode_to_vec();
        assert!(!bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes()), "entry {index}");
    }
}

#[test]
fn providers_scenario_69_a_manual_expiry_survives() {
    let mut world = world();
    world.ok(&expiring(world.time_ms + 3_600_000));
    let manual = world.time_ms + 7_200_000;
    let mut request = update_provider("p", &[], &[]);
    request.credential_expires_at_ms.insert(KEY.to_owned(), manual);
    world.ok(&request);
    assert!(world.ok(&delete()).deleted);
    assert_eq!(expiry(&world), Some(manual));
}

#[test]
fn providers_scenario_70_what_cannot_be_configured() {
    let mut world = world();
    let with = |name: &str, value: &str| {
        let mut request = usual();
        request.material.insert(name.to_owned(), value.to_owned());
        request
    };
    for (request, word) in [
        (with("token_url", "https://elsewhere"), "token_url"),
        (with("token_uri", "https://elsewhere"), "token_uri"),
        (with("sts_endpoint_url", ""), "sts_endpoint_url"),
        (with("aws_access_key_id", "x"), "both"),
        (with("aws_session_token", "x"), "aws_session_token"),
        (with("refresh_before_seconds", "soon"), "refresh_before_seconds"),
        (with("max_lifetime_seconds", "-1"), "max_lifetime_seconds"),
        (configure("p", &[("client_secret", SECRET)]), "client_id"),
        (configure("p", &[("client_id", " "), ("client_secret", SECRET)]), "client_id"),
        (ConfigureProviderRefreshRequest { secret_material_keys: vec!["none".to_owned()], ..usual() }, "none"),
        (ConfigureProviderRefreshRequest { expires_at_ms: Some(-1), ..usual() }, "expires_at_ms"),
        (ConfigureProviderRefreshRequest { credential_key: "A-B".to_owned(), ..usual() }, "A-B"),
        (ConfigureProviderRefreshRequest { credential_key: " ".to_owned(), ..usual() }, "credential_key"),
        (ConfigureProviderRefreshRequest { provider: " ".to_owned(), ..usual() }, "provider"),
        (ConfigureProviderRefreshRequest { strategy: Strategy::Static as i32, ..usual() }, "not gateway-mintable"),
        (ConfigureProviderRefreshRequest { strategy: Strategy::External as i32, ..usual() }, "not gateway-mintable"),
        (ConfigureProviderRefreshRequest { strategy: 0, ..usual() }, "strategy"),
    ] {
        says(&world.refused(Code::InvalidArgument, &request), &[word]);
    }
    let many: Vec<(String, String)> = (0..65).map(|i| (format!("k{i}"), "v".to_owned())).collect();
    let many = ConfigureProviderRefreshRequest { material: many.into_iter().collect(), ..usual() };
    says(&world.refused(Code::InvalidArgument, &many), &["material", "64"]);
    let missing = ConfigureProviderRefreshRequest { provider: "nobody".to_owned(), ..usual() };
    world.refused(Code::NotFound, &missing);
    assert!(status(&world, "p").is_empty(), "no state stays behind");
}

#[test]
fn providers_scenario_70_assuming_an_aws_role_is_refused_in_words() {
    let mut world = world();
    world.ok(&provider("aws", "sts", &[]));
    world.ok(&provider("plain", "no-profile", &["X"]));
    let sts = |provider: &str, key: &str| ConfigureProviderRefreshRequest {
        credential_key: key.to_owned(),
        strategy: Strategy::AwsStsAssumeRole as i32,
        ..configure(provider, &[("role_arn", "arn")])
    };
    says(&world.refused(Code::FailedPrecondition, &sts("aws", "AWS_ACCESS_KEY_ID")), &["providers_v2_enabled"]);
    world.ok(&global_setting("providers_v2_enabled", true));
    for request in [sts("plain", "AWS_ACCESS_KEY_ID"), sts("aws", "AWS_SECRET_ACCESS_KEY")] {
        says(&world.refused(Code::FailedPrecondition, &request), &["declares no aws_sts_assume_role"]);
    }
    says(
        &world.refused(Code::Unimplemented, &sts("aws", "AWS_ACCESS_KEY_ID")),
        &["does not mint by aws_sts_assume_role"],
    );
    assert!(status(&world, "aws").is_empty());
}

#[test]
fn providers_scenario_71_a_configured_key_is_reserved_before_anything_is_minted() {
    let mut world = world();
    world.ok(&provider("q", "acme", &[]));
    world.ok(&sandbox("s", &["p", "q"], None));
    world.ok(&usual());
    let second = configure("q", &[("client_id", "me"), ("client_secret", SECRET)]);
    says(&world.refused(Code::FailedPrecondition, &second), &["\"p\"", "\"q\"", "\"s\"", KEY]);
    // Attached later, it is the same.
    world.ok(&provider("r", "acme", &[]));
    world.ok(&configure("r", &[("client_id", "me"), ("client_secret", SECRET)]));
    says(&world.refused(Code::FailedPrecondition, &attach("s", "r")), &[KEY]);
}

#[test]
fn providers_scenario_71_of_two_that_reserve_one_key_at_once_one_is_decided_again() {
    let mut world = world();
    world.ok(&provider("q", "acme", &[]));
    world.ok(&sandbox("s", &["p", "q"], None));
    let first = draft(world.decide(&usual()));
    let second = draft(world.decide(&configure("q", &[("client_id", "me"), ("client_secret", SECRET)])));
    assert_eq!(world.commit(first).outcome, openshell_state::Outcome::Installed);
    let lost = world.commit(second).outcome;
    assert!(matches!(lost, openshell_state::Outcome::GuardFailed { .. }), "{lost:?}");
}

#[test]
fn providers_scenario_72_keys_that_a_refresh_owns_are_not_the_callers() {
    let mut world = world();
    world.ok(&usual());
    world.ok(&claim("a"));
    world.ok(&minted("a", "first"));
    let before = world.stored_provider("p").clone();
    for value in ["mine", ""] {
        let text = world.refused(Code::FailedPrecondition, &update_provider("p", &[(KEY, value)], &[]));
        says(&text, &[KEY, "provider refresh"]);
    }
    assert_eq!(world.stored_provider("p"), &before);
    // Its expiry is (UP-7).
    let mut expiry_only: UpdateProviderRequest = update_provider("p", &[], &[]);
    expiry_only.credential_expires_at_ms.insert(KEY.to_owned(), 0);
    world.ok(&expiry_only);
}

#[test]
fn providers_scenario_73_what_cannot_be_minted_is_not_claimed() {
    let mut world = world();
    says(&world.refused(Code::NotFound, &claim("a")), &["no refresh configured"]);
    says(&world.refused(Code::NotFound, &Claiming { provider: "nobody".to_owned(), ..claim("a") }), &["nobody"]);
    world.refused(Code::InvalidArgument, &Claiming { credential_key: String::new(), ..claim("a") });
}

#[test]
fn providers_scenario_74_a_configuration_is_a_new_epoch_and_a_rotation_is_not() {
    let mut world = world();
    world.ok(&usual());
    let first = stored(&world).clone();
    world.ok(&claim("a"));
    world.ok(&minted("a", "token"));
    let rotated = stored(&world).clone();
    assert_eq!(rotated.authorization_epoch, first.authorization_epoch);
    world.ok(&usual());
    let again = stored(&world).clone();
    let id = |state: &StoredProviderCredentialRefreshState| state.metadata.as_ref().expect("metadata").id.clone();
    assert_eq!(id(&again), id(&first));
    assert_ne!(again.authorization_epoch, first.authorization_epoch);
    assert_eq!(again.last_refresh_at_ms, rotated.last_refresh_at_ms, "RC-3 keeps it");
    assert_eq!(again.expires_at_ms, rotated.expires_at_ms, "an omitted expiry keeps the old one");
}

#[test]
fn a_mint_sets_the_credential_and_its_expiry_and_clears_the_error() {
    let mut world = world();
    world.ok(&usual());
    assert_eq!(stored(&world).next_refresh_at_ms, 0, "due at once");
    world.ok(&claim("a"));
    let before = version(&world);
    let answer = world.ok(&minted("a", "token")).status.expect("a status");
    assert_eq!((answer.status.as_str(), answer.last_error.as_str()), ("refreshed", ""));
    assert_eq!(answer.expires_at_ms, world.time_ms + 600_000, "what the issuer said is less than 1,800 s");
    assert_eq!(answer.next_refresh_at_ms, answer.expires_at_ms - 60_000);
    assert_eq!((answer.last_refresh_at_ms, expiry(&world)), (world.time_ms, Some(answer.expires_at_ms)));
    assert_eq!(version(&world), before + 1);
    assert!(world.stored_provider("p").credential_handles.contains_key(KEY));
    assert!(stored(&world).claim.is_none());
}

#[test]
fn a_failure_is_recorded_backs_off_and_takes_nothing_away() {
    let mut world = world();
    world.ok(&usual());
    world.ok(&claim("a"));
    world.ok(&minted("a", "good"));
    let good = world.stored_provider("p").clone();
    let mut claimed = StoredRefreshClaim::default();
    for (failures, minutes) in [(1, 1), (2, 2), (3, 4)] {
        claimed = world.ok(&claim("again"));
        let refusal = world.call(&not_minted("again")).expect_err("it failed");
        assert_eq!(refusal.code, Code::Unavailable);
        let shown = &status(&world, "p")[0];
        assert_eq!((shown.status.as_str(), shown.failure_code.as_str()), ("error", "unreachable"));
        says(&shown.last_error, &["does not answer"]);
        assert_eq!(shown.next_refresh_at_ms, world.time_ms + minutes * 60_000, "after {failures} failures");
        assert_eq!(shown.last_error_at_ms, world.time_ms);
    }
    assert_eq!(world.stored_provider("p"), &good, "the last good token stays");
    says(&world.call(&awaited(&claimed)).expect_err("it stands at an error").message, &["does not answer"]);
    let claimed = world.ok(&claim("b"));
    world.ok(&minted("b", "better"));
    assert_eq!(stored(&world).consecutive_failures, 0);
    assert_eq!(world.ok(&awaited(&claimed)).status, Some(status(&world, "p")[0].clone()));
}

#[test]
fn who_mints_what_is_due_claims_nothing_else() {
    let mut world = world();
    world.ok(&expiring(world.time_ms + 3_600_000));
    let when_due = |id: &str| Claiming { only_when_due: true, ..claim(id) };
    let due = |world: &World| query::refresh::is_due(stored(world), world.time_ms);
    assert!(!due(&world));
    assert_eq!(world.ok(&when_due("a")), StoredRefreshClaim::default());
    world.time_ms += 3_540_000;
    assert!(due(&world));
    assert_eq!(world.ok(&when_due("b")).id, "b");
    assert!(!due(&world), "somebody mints it");
}
