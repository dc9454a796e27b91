//! Where inputs start from: the files of `tests/fuzz/corpus`, our own examples and golden files, and, for the
//! targets that read messages, what those files mean as messages.

use std::fs;
use std::path::{Path, PathBuf};

use openshell_policy::yaml;
use openshell_proto::v1::policy_merge_operation::Operation;
use openshell_proto::v1::{
    AddNetworkRule, ImportProviderProfilesRequest, PolicyMergeOperation, ProviderProfile, ProviderProfileImportItem,
    UpdateConfigRequest,
};
use openshell_providers::file;
use prost::Message;

/// Folders of profile files, from the root of the repository.
const PROFILES: [&str; 2] = ["crates/openshell-providers/builtin", "crates/openshell-providers/tests/golden"];
/// Folders of policy files.
const POLICIES: [&str; 2] = ["crates/openshell-policy/tests/golden", "crates/openshell-policy/tests/golden/errors"];

/// All seeds of a target, in an order that does not change.
///
/// # Panics
/// When a folder of the repository is not there.
pub fn seeds(target: &str) -> Vec<Vec<u8>> {
    let mut seeds = files("tests/fuzz/corpus", target);
    match target {
        "profile_file" => seeds.extend(PROFILES.iter().flat_map(|folder| files(folder, ""))),
        "validator" => seeds.extend(profiles().iter().map(Message::encode_to_vec)),
        "import" => seeds.extend(imports()),
        "policy_file" => seeds.extend(POLICIES.iter().flat_map(|folder| files(folder, ""))),
        "merge" => seeds.extend(merges()),
        other => panic!("there is no target {other}"),
    }
    seeds
}

fn files(folder: &str, name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(folder).join(name);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.is_file());
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))).collect()
}

fn profiles() -> Vec<ProviderProfile> {
    let texts = PROFILES.iter().flat_map(|folder| files(folder, ""));
    let read = |bytes: Vec<u8>| file::lower(file::parse_yaml(std::str::from_utf8(&bytes).ok()?).ok()?).ok();
    texts.filter_map(read).collect()
}

fn imports() -> Vec<Vec<u8>> {
    let item = |profile: &ProviderProfile| ProviderProfileImportItem {
        profile: Some(profile.clone()),
        source: "a.yaml".to_owned(),
    };
    let request = |profiles: &[ProviderProfile]| {
        let workspace = "default".to_owned();
        ImportProviderProfilesRequest { profiles: profiles.iter().map(item).collect(), workspace }.encode_to_vec()
    };
    let profiles = profiles();
    profiles.chunks(1).chain(profiles.chunks(5)).map(request).collect()
}

fn merges() -> Vec<Vec<u8>> {
    let texts = POLICIES.iter().flat_map(|folder| files(folder, ""));
    let policies = texts.filter_map(|bytes| yaml::parse(std::str::from_utf8(&bytes).ok()?).ok());
    let request = |operations| {
        UpdateConfigRequest { name: "box".to_owned(), merge_operations: operations, ..UpdateConfigRequest::default() }
            .encode_to_vec()
    };
    policies
        .map(|policy| {
            let add = |(rule_name, rule)| PolicyMergeOperation {
                operation: Some(Operation::AddRule(AddNetworkRule { rule_name, rule: Some(rule) })),
            };
            request(policy.network_policies.into_iter().map(add).collect())
        })
        .collect()
}
