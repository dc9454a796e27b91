//! The profiles that every cluster knows: embedded files, read by the same parser as people's own.
//! `pypi` is left out for now. Installing them in a cluster is done by an entry, not here.

use std::sync::LazyLock;

use openshell_proto::v1::ProviderProfile;

use crate::file;

/// Identifies this catalogue; it grows whenever a built-in profile changes.
pub const CATALOGUE_NUMBER: u32 = 1;

/// What `source` says on every built-in profile.
pub const SOURCE: &str = "builtin";

/// In the order of their ids.
const FILES: [&str; 12] = [
    include_str!("../builtin/aws.yaml"),
    include_str!("../builtin/aws-bedrock.yaml"),
    include_str!("../builtin/aws-s3.yaml"),
    include_str!("../builtin/claude-code.yaml"),
    include_str!("../builtin/codex.yaml"),
    include_str!("../builtin/copilot.yaml"),
    include_str!("../builtin/cursor.yaml"),
    include_str!("../builtin/deepinfra.yaml"),
    include_str!("../builtin/github.yaml"),
    include_str!("../builtin/google-cloud.yaml"),
    include_str!("../builtin/google-vertex-ai.yaml"),
    include_str!("../builtin/nvidia.yaml"),
];

static CATALOGUE: LazyLock<Vec<ProviderProfile>> = LazyLock::new(|| FILES.into_iter().map(load).collect());

/// The built-in profiles, sorted by id, with `source` set to [`SOURCE`], no scope and version 0.
///
/// Source: providers.md 8.1 to 8.4.
pub fn catalogue() -> &'static [ProviderProfile] {
    &CATALOGUE
}

fn load(text: &str) -> ProviderProfile {
    let file = file::parse_yaml(text).expect("an embedded profile parses");
    let mut profile = file::lower(file).expect("an embedded profile can be expressed as a message");
    profile.source = SOURCE.to_owned();
    profile
}

#[cfg(test)]
mod tests;
