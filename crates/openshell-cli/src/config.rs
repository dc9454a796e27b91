//! The configuration directory: registrations of gateways, which one is active, the bundles and tokens
//! that belong to them, how far each was seen, and the sandbox used last (`cli.md` 1.4 to 1.8). No network.

mod credentials;
mod files;
mod last_sandbox;
mod logout;
mod metadata;
mod paths;
mod position;
mod registry;
mod selection;
mod token;

pub(crate) use credentials::{import_bundle, missing_bundle_file, tls_for};
pub(crate) use last_sandbox::{forget_sandbox, last_sandbox, remember_sandbox};
pub(crate) use logout::{check_login, log_out};
pub(crate) use metadata::Metadata;
pub(crate) use paths::Paths;
pub(crate) use position::{forget_position, keep_position, position};
pub(crate) use registry::{Registered, Source, active, add, find, list, remove, select};
pub(crate) use selection::{Selected, resolve};
pub(crate) use token::{Giver, Token, stored_token};

#[cfg(test)]
mod tests;
