//! `tests/vectors/lint.json`: what the reference says about 146 profiles.

use openshell_proto::v1::{ProviderProfile, ProviderProfileDiagnostic, ProviderProfileImportItem};
use prost_reflect::DynamicMessage;
use serde_json::Value;

use crate::{builtin, file, id, validate, verdict};

const VECTORS: &str = include_str!("../../../../../tests/vectors/lint.json");

fn profile(json: &Value) -> ProviderProfile {
    let descriptor = openshell_proto::pool().get_message_by_name("openshell.v1.ProviderProfile").unwrap();
    DynamicMessage::deserialize(descriptor, json.clone()).unwrap().transcode_to().unwrap()
}

/// What a lint in an empty workspace answers: the rules of this crate, and the one conflict rule
/// that needs only the built-in catalogue (V-CONF-1).
fn lint(items: &[ProviderProfileImportItem]) -> Vec<ProviderProfileDiagnostic> {
    let mut found = validate::items(items);
    if items.is_empty() && found.is_empty() {
        found.push(validate::empty_request());
    }
    let profiles: Vec<(&str, ProviderProfile)> = items
        .iter()
        .filter_map(|item| Some((item.source.as_str(), file::normalise_profile(item.profile.clone()?))))
        .collect();
    for (source, profile) in &profiles {
        let taken = id::normalise(&profile.id).filter(|id| builtin::catalogue().iter().any(|known| known.id == *id));
        if let Some(id) = taken {
            found.push(validate::error(source, &id, "id", "managed by source 'builtin'".to_owned()));
        }
    }
    let labelled: Vec<(&str, &ProviderProfile)> = profiles.iter().map(|(source, profile)| (*source, profile)).collect();
    found.extend(validate::profiles(&labelled));
    found
}

#[test]
fn every_recorded_verdict_is_ours_too() {
    let cases: Vec<Value> = serde_json::from_str(VECTORS).unwrap();
    assert_eq!(cases.len(), 146);
    let mut differing = Vec::new();
    for case in &cases {
        let profiles = case["profiles"].as_array().unwrap().iter().enumerate();
        let items: Vec<_> = profiles
            .map(|(index, json)| ProviderProfileImportItem {
                profile: Some(profile(json)),
                source: format!("s{index}"),
            })
            .collect();
        let found = lint(&items);
        let text = |value: &Value, key: &str| value[key].as_str().unwrap().to_owned();
        let wanted = case["diagnostics"]
            .as_array()
            .unwrap()
            .iter()
            .map(|diagnostic| ["source", "profile_id", "field", "severity"].map(|key| text(diagnostic, key)));
        let wanted: Vec<_> = wanted.collect();
        let got: Vec<_> = found
            .iter()
            .cloned()
            .map(|diagnostic| [diagnostic.source, diagnostic.profile_id, diagnostic.field, diagnostic.severity])
            .collect();
        let valid = found.iter().all(|diagnostic| diagnostic.severity != validate::ERROR);
        if got != wanted || Some(valid) != case["valid"].as_bool() {
            differing.push((case["case"].as_str().unwrap(), format!("wanted {wanted:?}, got {found:?}")));
        }
    }
    let listed = include_str!("../../../../../docs/compatibility.md").lines();
    let listed = listed.filter_map(|row| row.strip_prefix("| `lint.json` | `")?.split_once("` |"));
    assert!(
        listed.map(|(case, _)| case).eq(differing.iter().map(|(case, _)| *case)),
        "docs/compatibility.md lists what differs: {differing:#?}"
    );
}

/// What each number of the rules says of the recorded profiles, one line each. Files are added, never
/// edited: rules that judge otherwise have another number, by which leaders know that what is stored
/// has to be judged again. `OPENSHELL_ADD_GOLDEN=1` writes the one of today's number.
#[test]
fn rules_that_judge_otherwise_have_another_number() {
    let cases: Vec<Value> = serde_json::from_str(VECTORS).unwrap();
    let mut found = String::new();
    for case in &cases {
        for json in case["profiles"].as_array().unwrap() {
            let normal = file::normalise_profile(profile(json));
            let word = if verdict::invalid_reason(&normal).is_empty() { "valid" } else { "invalid" };
            found.push_str(&format!("{}: {word}\n", case["case"].as_str().unwrap()));
        }
    }
    let path = format!("src/validate/tests/rules/{}.txt", verdict::RULES_NUMBER);
    if !std::path::Path::new(&path).exists() && std::env::var_os("OPENSHELL_ADD_GOLDEN").is_some() {
        std::fs::write(&path, &found).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let differing: Vec<_> = kept.lines().zip(found.lines()).filter(|(kept, found)| kept != found).collect();
    assert!(differing.is_empty() && kept.lines().count() == found.lines().count(), "{differing:#?}");
}
