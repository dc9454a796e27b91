//! The document of a policy file and its upper levels. Endpoints and their rules are in `endpoint`.

use openshell_proto::sandbox::{
    FilesystemPolicy, LandlockPolicy, MiddlewareEndpointSelector, NetworkBinary, NetworkMiddlewareConfig,
    NetworkPolicyRule, ProcessPolicy, SandboxPolicy,
};
use serde::Deserialize;

use super::endpoint::EndpointFile;
use super::values::{ConfigMap, UniqueMap};

/// The whole file (config.md PM-1).
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PolicyFile {
    version: u32,
    filesystem_policy: Option<FilesystemFile>,
    landlock: Option<LandlockFile>,
    process: Option<ProcessFile>,
    #[serde(default)]
    network_policies: UniqueMap<RuleFile>,
    #[serde(default)]
    network_middlewares: UniqueMap<MiddlewareFile>,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct FilesystemFile {
    include_workdir: bool,
    read_only: Vec<String>,
    read_write: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct LandlockFile {
    compatibility: String,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct ProcessFile {
    run_as_user: String,
    run_as_group: String,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct RuleFile {
    name: String,
    endpoints: Vec<EndpointFile>,
    binaries: Vec<BinaryFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BinaryFile {
    path: String,
    /// Accepted from old files; it means nothing any more.
    #[serde(rename = "harness")]
    _harness: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MiddlewareFile {
    #[serde(default)]
    name: String,
    middleware: String,
    #[serde(default)]
    order: i32,
    #[serde(default)]
    config: ConfigMap,
    #[serde(default)]
    on_error: String,
    endpoints: Option<SelectorFile>,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct SelectorFile {
    include: Vec<String>,
    exclude: Vec<String>,
}

impl PolicyFile {
    /// The message that the file stands for (config.md PM-2, PM-3, PM-8).
    pub(super) fn into_policy(self) -> SandboxPolicy {
        SandboxPolicy {
            version: self.version,
            filesystem: self.filesystem_policy.map(|file| FilesystemPolicy {
                include_workdir: file.include_workdir,
                read_only: file.read_only,
                read_write: file.read_write,
            }),
            landlock: self.landlock.map(|file| LandlockPolicy { compatibility: file.compatibility }),
            process: self
                .process
                .map(|file| ProcessPolicy { run_as_user: file.run_as_user, run_as_group: file.run_as_group }),
            network_policies: self.network_policies.map(RuleFile::into_rule),
            network_middlewares: self.network_middlewares.map(MiddlewareFile::into_middleware),
        }
    }
}

/// An entry without a name has its key for a name.
fn named(key: &str, name: String) -> String {
    if name.is_empty() { key.to_owned() } else { name }
}

impl RuleFile {
    fn into_rule(self, key: &str) -> NetworkPolicyRule {
        NetworkPolicyRule {
            name: named(key, self.name),
            endpoints: self.endpoints.into_iter().map(EndpointFile::into_endpoint).collect(),
            binaries: self
                .binaries
                .into_iter()
                .map(|binary| NetworkBinary { path: binary.path, harness: false })
                .collect(),
        }
    }
}

impl MiddlewareFile {
    fn into_middleware(self, key: &str) -> NetworkMiddlewareConfig {
        NetworkMiddlewareConfig {
            name: named(key, self.name),
            middleware: self.middleware,
            config: Some(self.config.0),
            on_error: self.on_error,
            endpoints: self
                .endpoints
                .map(|file| MiddlewareEndpointSelector { include: file.include, exclude: file.exclude }),
            order: self.order,
        }
    }
}
