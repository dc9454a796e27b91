//! The effective configuration of a sandbox, composed just in time from one state: a pure
//! function, so that nodes at equal revisions give byte-equal answers.

mod config;
mod environment;
mod environment_revision;

pub use config::{config_revision, sandbox_config};
pub(crate) use config::{policy, version_of};
pub use environment::Environment;
pub(crate) use environment_revision::environment_revision;

/// What a sandbox does while its policy does not validate (`config.md` EC-20).
pub const VALIDATION_FAILURE_MODE: &str = "fail_closed";
