//! The cluster's own entries: the first one, which makes the cluster, and those that bring what a
//! newer build has and the cluster lacks: its built-in catalogue, what its rules say of stored
//! profiles, the key that sandbox tokens are signed with. Content that a binary brings is installed by an
//! entry, so that equal revisions compose equally.

use openshell_proto::datamodel::ObjectMeta;
use openshell_proto::log::{Cluster, Command, Origin, command};
use openshell_proto::v1::{ProviderProfile, StoredProviderProfile};
use openshell_providers::{builtin, verdict};
use prost::Message;
use sha2::{Digest as _, Sha256};

use crate::FEATURE_LEVEL;
use crate::access::{DEFAULT_WORKSPACE, Principal};
use crate::decide::{profile, workspace};
use crate::decision::{Call, Decision, Draft, Opener, Stamp};
use crate::key::Key;
use crate::refusal::Refusal;
use crate::state::State;

/// The kind that the cluster's sealed values are bound to.
const CLUSTER: &str = "cluster";
/// The field that the sealed signing key is bound to.
const SIGNING_KEY: &str = "signing_key";

/// The first command of a cluster: its record with a new signing key, the workspace `default` and
/// the built-in catalogue. Applying it again changes nothing, since it relies on there being no cluster.
#[must_use]
pub fn form(cluster_id: &str, epoch: u64, stamp: Stamp<'_>) -> Command {
    let empty = State::empty();
    let call = Call { state: &empty, principal: &Principal::Cluster, stamp };
    let mut draft = Draft::new();
    draft.rely_on(&empty, Key::cluster());
    let mut cluster = Cluster {
        cluster_id: cluster_id.to_owned(),
        epoch,
        feature_level: FEATURE_LEVEL,
        formed_at_ms: stamp.time_ms,
        sealed_signing_key: new_signing_key(stamp),
        profile_rules: verdict::RULES_NUMBER,
        ..Cluster::default()
    };
    let default = workspace::new(&call, DEFAULT_WORKSPACE, &Default::default());
    draft.put(&Key::workspace(DEFAULT_WORKSPACE), &default);
    install_catalogue(&call, &mut draft, &mut cluster);
    draft.put(&Key::cluster(), &cluster);
    command(draft, stamp.time_ms)
}

/// The first command of a cluster that was restored: its record gets the new cluster's id. Applying
/// it again changes nothing, since it relies on the record as it was restored.
#[must_use]
pub fn reform(state: &State, cluster_id: &str, time_ms: i64) -> Command {
    let mut draft = Draft::new();
    draft.rely_on(state, Key::cluster());
    let restored = state.cluster().map(|cluster| cluster.value.clone()).unwrap_or_default();
    let cluster = Cluster { cluster_id: cluster_id.to_owned(), formed_at_ms: time_ms, ..restored };
    draft.put(&Key::cluster(), &cluster);
    command(draft, time_ms)
}

/// Whether the cluster has everything that this build brings.
#[must_use]
pub fn is_upgraded(state: &State) -> bool {
    state.cluster().is_some_and(|cluster| {
        let cluster = cluster.value;
        !cluster.sealed_signing_key.is_empty() && !lacks_catalogue(cluster) && !profile::is_due(state, cluster)
    })
}

fn lacks_catalogue(cluster: &Cluster) -> bool {
    cluster.catalogue_number < builtin::CATALOGUE_NUMBER
}

/// Brings what the cluster lacks: the built-in catalogue of this build in place of an older one, a
/// signing key, verdicts on stored profiles. To be asked again until [`is_upgraded`]: one entry holds so
/// many verdicts and no more.
///
/// # Errors
/// `FAILED_PRECONDITION` before formation.
pub fn upgrade(call: Call<'_>) -> Result<Decision, Refusal> {
    let Some(cluster) = call.state.cluster() else {
        return Err(Refusal::precondition("the cluster is not formed yet"));
    };
    if is_upgraded(call.state) {
        return Ok(Decision::Answer(Vec::new()));
    }
    let mut draft = Draft::new();
    draft.rely_on(call.state, Key::cluster());
    let mut cluster = cluster.value.clone();
    if cluster.sealed_signing_key.is_empty() {
        cluster.sealed_signing_key = new_signing_key(call.stamp);
    }
    let lacks_catalogue = lacks_catalogue(&cluster);
    if lacks_catalogue {
        for (key, _) in call.state.builtin_profiles() {
            if !builtin::catalogue().iter().any(|profile| *profile.id == *key.name) {
                draft.delete(key);
            }
        }
        install_catalogue(&call, &mut draft, &mut cluster);
        draft.touch(Key::composition());
    }
    if lacks_catalogue || profile::is_due(call.state, &cluster) {
        profile::judge(&call, &mut draft, &mut cluster, lacks_catalogue);
    }
    draft.put(&Key::cluster(), &cluster);
    Ok(Decision::Transact(draft))
}

/// A new key as the state keeps it. It is never replaced: tokens that never expire hang on it.
fn new_signing_key(stamp: Stamp<'_>) -> String {
    stamp.sealer.seal(CLUSTER, "", CLUSTER, SIGNING_KEY, &stamp.identifiers.key())
}

/// The seed of the Ed25519 key that the cluster signs sandbox tokens with. None when the cluster has
/// no key yet, or the opener's secrets key is another than the one that sealed it.
#[must_use]
pub fn signing_key(cluster: &Cluster, opener: &dyn Opener) -> Option<[u8; 32]> {
    let opened = opener.open(CLUSTER, "", CLUSTER, SIGNING_KEY, &cluster.sealed_signing_key)?;
    opened.try_into().ok()
}

fn install_catalogue(call: &Call<'_>, draft: &mut Draft, cluster: &mut Cluster) {
    let mut hasher = Sha256::new();
    for profile in builtin::catalogue() {
        let stored = stored(profile, call.stamp.time_ms);
        let bytes = profile.encode_to_vec();
        hasher.update((bytes.len() as u64).to_le_bytes());
        hasher.update(&bytes);
        draft.put(&Key::builtin_profile(&profile.id), &stored);
    }
    cluster.catalogue_digest = hasher.finalize().to_vec();
    cluster.catalogue_number = builtin::CATALOGUE_NUMBER;
}

/// A built-in profile has no version and no id of its own (`providers.md` 8).
fn stored(profile: &ProviderProfile, time_ms: i64) -> StoredProviderProfile {
    let metadata = ObjectMeta { name: profile.id.clone(), created_at_ms: time_ms, ..ObjectMeta::default() };
    StoredProviderProfile { metadata: Some(metadata), profile: Some(profile.clone()), ..Default::default() }
}

fn command(draft: Draft, time_ms: i64) -> Command {
    let origin =
        Origin { principal: Principal::Cluster.subject(), rpc: "formation".to_owned(), time_ms, ..Origin::default() };
    Command { kind: Some(command::Kind::Transaction(draft.into_transaction(origin))) }
}
