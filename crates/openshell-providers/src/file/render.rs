//! Canonical export: the file form of a profile as text, with fixed key order, defaults omitted and
//! maps in byte order (providers.md 1.10).

use openshell_proto::v1::ProviderProfile;
use serde::Serialize;

use super::raise::raise;
use super::shape::ProfileFile;

/// The profile as a YAML document, ending in a newline.
///
/// Source: providers.md F-EXP-1 to F-EXP-8.
pub fn render_yaml(profile: &ProviderProfile) -> String {
    yaml(&raise(profile.clone()))
}

/// The profile as a JSON object, indented by two spaces, ending in a newline.
///
/// Source: providers.md F-EXP-1 to F-EXP-8.
pub fn render_json(profile: &ProviderProfile) -> String {
    json(&raise(profile.clone()))
}

/// Several profiles as a YAML sequence, ordered by category number, then id.
///
/// Source: providers.md F-EXP-9.
pub fn render_yaml_list(profiles: &[ProviderProfile]) -> String {
    yaml(&in_order(profiles))
}

/// Several profiles as a JSON array, ordered by category number, then id.
///
/// Source: providers.md F-EXP-9.
pub fn render_json_list(profiles: &[ProviderProfile]) -> String {
    json(&in_order(profiles))
}

fn in_order(profiles: &[ProviderProfile]) -> Vec<ProfileFile> {
    let mut ordered: Vec<&ProviderProfile> = profiles.iter().collect();
    // Stable, so that a workspace profile stays before the platform profile it hides.
    ordered.sort_by(|left, right| (left.category, &left.id).cmp(&(right.category, &right.id)));
    ordered.into_iter().cloned().map(raise).collect()
}

fn yaml(value: &impl Serialize) -> String {
    serde_yaml::to_string(value).expect("strings, numbers, lists and string-keyed maps always have a YAML form")
}

fn json(value: &impl Serialize) -> String {
    let mut text =
        serde_json::to_string_pretty(value).expect("strings, numbers, lists and string-keyed maps are always JSON");
    text.push('\n');
    text
}
