//! The configuration directory: registrations of gateways, which one is active, the bundles and tokens
//! that belong to them, and the sandbox used last (`cli.md` 1.4 to 1.8). No network.

mod credentials;
mod files;
mod last_sandbox;
mod metadata;
mod paths;
mod registry;
mod selection;

pub(crate) use credentials::{bearer_token, import_bundle, missing_bundle_file, tls_for};
pub(crate) use last_sandbox::{forget_sandbox, last_sandbox, remember_sandbox};
pub(crate) use metadata::Metadata;
pub(crate) use paths::Paths;
pub(crate) use registry::{Registered, Source, active, add, find, list, remove, select};
pub(crate) use selection::{Selected, resolve};

#[cfg(test)]
mod tests;
