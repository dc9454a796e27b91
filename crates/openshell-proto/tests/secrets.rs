//! Which fields hold secrets is said in the descriptor: a field whose name sounds like one is marked
//! with the option `secret`, or stands here with the reason why it holds none.

use std::collections::BTreeSet;

use openshell_proto::pool;
use prost_reflect::{FieldDescriptor, Kind};

/// A review token names the version of a proposal that was looked at, for everybody who may read it,
/// and lets nobody in.
const REVIEW: &str = "names the version of a proposal";
const NAMES: &str = "names, not values";

/// Fields that sound like a secret and hold none, and why.
const NO_SECRETS: [(&str, &str); 10] = [
    ("openshell.log.v1.ExportHeader.secrets_key", "a check value: tells two keys apart and opens nothing"),
    ("openshell.v1.ApproveDraftChunkRequest.review_token", REVIEW),
    ("openshell.v1.ConfigureProviderRefreshRequest.secret_material_keys", NAMES),
    ("openshell.v1.DraftChunkApproval.review_token", REVIEW),
    ("openshell.v1.DraftChunkPayload.review_token", REVIEW),
    ("openshell.v1.GetSandboxProviderEnvironmentResponse.non_secret_environment_keys", NAMES),
    ("openshell.v1.PolicyChunk.review_token", REVIEW),
    ("openshell.v1.ProviderProfileDiscovery.credentials", NAMES),
    ("openshell.v1.StoredDraftChunk.review_token", REVIEW),
    ("openshell.v1.StoredProviderCredentialRefreshState.secret_material_keys", NAMES),
];

fn sounds_secret(name: &str) -> bool {
    let endings = ["token", "svid", "credentials", "private_key"];
    ["secret", "password"].iter().any(|part| name.contains(part))
        || endings.iter().any(|ending| name.ends_with(ending))
        || name == "material"
}

/// Text or bytes, one, many or by key. The fields of a message are looked at where they are declared.
fn holds_text(field: &FieldDescriptor) -> bool {
    let kind = match field.kind() {
        Kind::Message(entry) if field.is_map() => entry.map_entry_value_field().kind(),
        kind => kind,
    };
    matches!(kind, Kind::String | Kind::Bytes)
}

fn is_marked(field: &FieldDescriptor) -> bool {
    let secret = pool().get_extension_by_name("openshell.options.v1.secret").expect("the option exists");
    field.options().get_extension(&secret).as_bool() == Some(true)
}

#[test]
fn every_field_that_sounds_like_a_secret_is_marked_or_has_a_reason() {
    let (mut marked, mut unmarked) = (0, BTreeSet::new());
    let messages = pool().all_messages().filter(|message| message.package_name().starts_with("openshell."));
    for field in messages.flat_map(|message| message.fields().collect::<Vec<_>>()) {
        let name = field.full_name().to_owned();
        if is_marked(&field) {
            assert!(holds_text(&field), "{name} is marked and holds neither text nor bytes");
            marked += 1;
        } else if holds_text(&field) && sounds_secret(field.name()) {
            unmarked.insert(name);
        }
    }
    let excused: BTreeSet<String> = NO_SECRETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(unmarked, excused, "mark a field with (openshell.options.v1.secret), or give a reason here");
    assert!(marked >= 14, "{marked} fields are marked");
}
