//! What the scenarios of both contracts begin with, and how what they hear is compared.

use std::collections::BTreeMap;

use openshell_proto::datamodel::{ObjectMeta, Provider};
use openshell_proto::v1::{CreateProviderRequest, ProviderProfile, ProviderProfileCategory};

/// "Minimal profile X" of the scenarios.
pub(crate) fn minimal(id: &str) -> ProviderProfile {
    ProviderProfile {
        id: id.to_owned(),
        display_name: id.to_owned(),
        category: ProviderProfileCategory::Other.into(),
        ..ProviderProfile::default()
    }
}

/// A provider of a workspace's own scope, not made yet, with these credentials.
pub(crate) fn provider(
    workspace: &str,
    name: &str,
    provider_type: &str,
    credentials: &[(&str, &str)],
) -> CreateProviderRequest {
    let provider = Provider {
        metadata: Some(ObjectMeta { name: name.to_owned(), ..ObjectMeta::default() }),
        r#type: provider_type.to_owned(),
        credentials: map(credentials),
        profile_workspace: workspace.to_owned(),
        ..Provider::default()
    };
    CreateProviderRequest { provider: Some(provider), workspace: workspace.to_owned() }
}

pub(crate) fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[track_caller]
pub(crate) fn says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "{text:?} lacks {word:?}");
    }
}
