//! The top level of a profile file: keys, defaults, and the order in which export writes them.

use std::collections::BTreeMap;

use openshell_proto::v1::ProviderProfileCategory;
use serde::{Deserialize, Serialize};

use super::credential::CredentialFile;
use super::endpoint::EndpointFile;
use super::matcher::BinaryFile;
use super::words;

/// A parsed profile file. It remembers what the message cannot hold (an empty list of rules, the
/// `tool` shorthand) until [`super::lower()`] has checked it.
///
/// *Shape*: providers.md 1.3; unknown keys are ignored. *Order* of the fields is the order of export
/// (F-EXP-2), and what is omitted there follows F-EXP-3 and F-EXP-4.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(expecting = "a profile: a mapping with id and display_name")]
pub struct ProfileFile {
    pub(super) id: String,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) resource_version: u64,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) display_name: String,
    #[serde(default)]
    pub(super) description: String,
    #[serde(default = "words::default_category", with = "words::category")]
    pub(super) category: ProviderProfileCategory,
    #[serde(default)]
    pub(super) credentials: Vec<CredentialFile>,
    #[serde(default)]
    pub(super) endpoints: Vec<EndpointFile>,
    #[serde(default)]
    pub(super) binaries: Vec<BinaryFile>,
    #[serde(default)]
    pub(super) inference_capable: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) discovery: DiscoveryFile,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) source: String,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) scope: String,
}

impl ProfileFile {
    /// The id as the file has it, not normalised.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The version that the file states, 0 when it states none.
    pub fn resource_version(&self) -> u64 {
        self.resource_version
    }
}

/// Which credentials a client may look for on its own machine.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(expecting = "a mapping with credentials")]
pub(super) struct DiscoveryFile {
    #[serde(default)]
    pub(super) credentials: Vec<String>,
}

/// Whether a value may be left out of an export.
pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
