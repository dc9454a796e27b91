//! The rules of `config.md` 5 about the revision of a provider environment, by number. Its layout is compared
//! with a script's in `hashes`.

use openshell_proto::datamodel::ObjectMeta;
use openshell_proto::log::{Origin, Transaction, Write, write};
use openshell_proto::v1::{
    GetSandboxProviderEnvironmentResponse, ProviderProfile, StoredProviderCredentialRefreshState, StoredProviderProfile,
};
use openshell_state::effective::Environment;
use openshell_state::{Code, Key, Opener};
use prost::Message;
use sha2::{Digest as _, Sha256};

use crate::support::{
    World, attach, credential, detach, endpoint, global_setting, imported, minimal, policy_of, provider, sandbox, says,
    static_profile, token_grant, transaction, update, update_policy, update_provider,
};

struct Anything;

impl Opener for Anything {
    fn open(&self, _: &str, _: &str, _: &str, _: &str, _: &str) -> Option<Vec<u8>> {
        Some(b"opened".to_vec())
    }
}

/// The revision that the configuration and the environment of sandbox `s` both say (ER-6).
fn revision(world: &World) -> u64 {
    let composed = Environment::compose(&world.state, "default", world.stored_sandbox("s"), world.time_ms);
    let encoded = composed.expect("an environment").answer(&Anything, true).expect("it opens");
    let given = GetSandboxProviderEnvironmentResponse::decode(encoded.as_slice()).expect("an answer");
    assert_eq!(given.provider_env_revision, world.effective("s").provider_env_revision, "ER-6");
    given.provider_env_revision
}

/// A sandbox `s` with the provider `p` of the profile `tool`.
fn with_tool() -> World {
    let mut world = World::new();
    let tool =
        ProviderProfile { credentials: vec![credential("k", "TOOL_KEY")], ..static_profile("tool", "t.example.com") };
    imported(&mut world, "default", tool);
    world.ok(&provider("p", "tool", &["TOOL_KEY"]));
    world.ok(&sandbox("s", &["p"], None));
    world
}

/// A refresh state of `p` that mints `TOOL_KEY`; with an empty id it has no metadata.
fn refresh(world: &World, id: &str, epoch: &str) -> StoredProviderCredentialRefreshState {
    let state = crate::support::refresh(world, "p", id, "TOOL_KEY", epoch);
    StoredProviderCredentialRefreshState { metadata: state.metadata.filter(|_| !id.is_empty()), ..state }
}

#[test]
fn er_2_the_epoch_of_a_refresh_is_its_own_or_its_id_and_must_be_there() {
    let mut world = with_tool();
    let mut seen = Vec::new();
    for (id, epoch) in [("id", "epoch"), ("id", ""), ("id", "id"), ("", "epoch")] {
        let state = refresh(&world, id, epoch);
        world.write_refresh(&state);
        seen.push(revision(&world));
    }
    assert_eq!(seen[1], seen[2], "an empty one is the id");
    assert!(seen[0] != seen[1] && seen[0] != seen[3], "{seen:?}");
    let state = refresh(&world, "", "");
    world.write_refresh(&state);
    let refusal = world.try_effective("s").expect_err("neither");
    assert_eq!(refusal.code, Code::FailedPrecondition);
    says(&refusal.message, &["TOOL_KEY", "\"p\"", "authorization epoch"]);
}

#[test]
fn er_3_a_version_counts_and_a_value_does_not() {
    let mut world = with_tool();
    let before = revision(&world);
    // The same version with another sealed value, which no call would leave behind.
    let mut provider = world.stored_provider("p").clone();
    provider.credential_handles.get_mut("TOOL_KEY").expect("a handle").handle = "sealed anew".to_owned();
    world.write(&Key::provider("default", "p"), Some(&provider));
    assert_eq!(revision(&world), before);
    world.ok(&update_provider("p", &[], &[]));
    assert_ne!(revision(&world), before, "an update of nothing is an update");
}

/// Bytes of a message whose last map entries stand in the other order.
fn with_entries_turned(profile: &ProviderProfile) -> (Vec<u8>, Vec<u8>) {
    let annotated = |pairs: &[(&str, &str)]| ProviderProfile {
        annotations: crate::support::map(pairs),
        ..ProviderProfile::default()
    };
    let [a, b] = [[("a", "1")], [("b", "2")]].map(|pair| annotated(&pair).encode_to_vec());
    let rest = ProviderProfile { annotations: Default::default(), ..profile.clone() }.encode_to_vec();
    ([rest.clone(), a.clone(), b.clone()].concat(), [rest, b, a].concat())
}

#[test]
fn er_5_the_order_of_map_entries_on_the_wire_changes_nothing() {
    let mut world = with_tool();
    let profile = world.stored_profile("default", "tool").profile.clone().expect("a profile");
    let (one, other) = with_entries_turned(&profile);
    assert_ne!(one, other);
    let revisions = [one, other].map(|profile| {
        let metadata = Some(ObjectMeta { resource_version: 7, ..ObjectMeta::default() });
        let mut bytes = StoredProviderProfile { metadata, ..StoredProviderProfile::default() }.encode_to_vec();
        // Field 2, a message.
        prost::encoding::encode_key(2, prost::encoding::WireType::LengthDelimited, &mut bytes);
        prost::encoding::encode_varint(profile.len() as u64, &mut bytes);
        bytes.extend(profile);
        let read = StoredProviderProfile::decode(bytes.as_slice()).expect("a stored profile").profile;
        assert_eq!(read.expect("a profile").annotations.len(), 2);
        let change = Some(write::Change::Put(bytes));
        world.apply(transaction(Transaction {
            origin: Some(Origin { time_ms: world.time_ms, ..Origin::default() }),
            writes: vec![Write { key: Some(Key::profile("default", "tool").to_proto()), change }],
            ..Transaction::default()
        }));
        revision(&world)
    });
    assert_eq!(revisions[0], revisions[1]);
}

#[test]
fn er_6_without_providers_and_bindings_it_is_a_constant() {
    let mut world = World::new();
    world.ok(&sandbox("s", &[], None));
    let digest = Sha256::digest("openshell-provider-env-revision-v4");
    let constant = u64::from_le_bytes(digest[..8].try_into().expect("eight bytes"));
    assert_eq!(revision(&world), constant);
    world.ok(&update_policy("s", crate::support::policy("a.example.com")));
    assert_eq!(revision(&world), constant);
}

/// Asserts that a change moves the revision.
#[track_caller]
fn moves(world: &mut World, what: &str, change: impl FnOnce(&mut World)) {
    let before = revision(world);
    change(world);
    assert_ne!(revision(world), before, "{what}");
}

#[test]
fn er_7_what_must_move_it_moves_it() {
    let mut world = with_tool();
    imported(&mut world, "default", token_grant("granted", "g.example.com", "/v1"));
    world.ok(&provider("g", "granted", &[]));
    moves(&mut world, "an attachment", |world| drop(world.ok(&attach("s", "g"))));
    moves(&mut world, "a changed grant", |world| {
        let mut changed = token_grant("granted", "g.example.com", "/v1");
        changed.credentials[0].token_grant.as_mut().expect("a grant").scopes = vec!["read".to_owned()];
        assert!(world.ok(&update("default", 1, changed)).updated);
    });
    moves(&mut world, "a detachment", |world| drop(world.ok(&detach("s", "g"))));
    for _ in 0..2 {
        moves(&mut world, "an update, within one millisecond", |world| {
            world.ok(&update_provider("p", &[], &[]));
            world.time_ms -= 1;
        });
    }
    moves(&mut world, "a refresh", |world| world.write_refresh(&refresh(world, "id", "epoch")));
    moves(&mut world, "another epoch", |world| world.write_refresh(&refresh(world, "id", "later")));
    let before = revision(&world);
    world.ok(&global_setting("providers_v2_enabled", true));
    assert_eq!(revision(&world), before, "composition alone does not");
}

#[test]
fn er_7_bindings_move_it_when_they_come_change_and_go() {
    let mut world = World::new();
    imported(&mut world, "default", ProviderProfile { credentials: vec![credential("k", "P_KEY")], ..minimal("bare") });
    world.ok(&provider("p", "bare", &["P_KEY"]));
    world.ok(&sandbox("s", &["p"], None));
    let unbound = revision(&world);
    let bound = |path: &str, bound: bool| {
        let mut one = endpoint("b.example.com", 443);
        path.clone_into(&mut one.path);
        one.credential_binding =
            bound.then(|| openshell_proto::sandbox::NetworkCredentialBinding { provider: "p".to_owned() });
        update_policy("s", policy_of("r1", one))
    };
    moves(&mut world, "a binding that comes", |world| drop(world.ok(&bound("/v1", true))));
    moves(&mut world, "another path", |world| drop(world.ok(&bound("/v2", true))));
    moves(&mut world, "a binding that goes", |world| drop(world.ok(&bound("/v2", false))));
    assert_eq!(revision(&world), unbound);
}

#[test]
fn er_7_a_platforms_profile_moves_who_is_bound_to_it_though_a_workspaces_hides_it() {
    let mut world = World::new();
    imported(&mut world, "", static_profile("tool", "platform.example.com"));
    imported(&mut world, "default", static_profile("tool", "workspace.example.com"));
    let mut wide = provider("p", "tool", &["P_KEY"]);
    wide.provider.as_mut().expect("a provider").profile_workspace = String::new();
    world.ok(&wide);
    world.ok(&sandbox("s", &["p"], None));
    moves(&mut world, "the platform's", |world| {
        assert!(world.ok(&update("", 1, static_profile("tool", "new.example.com"))).updated);
    });
    let before = revision(&world);
    assert!(world.ok(&update("default", 1, static_profile("tool", "new.example.com"))).updated);
    assert_eq!(revision(&world), before, "the workspace's is not its own: a departure from ER-4");
}
