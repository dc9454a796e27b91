//! The words people type, one noun a module: the arguments of its commands, the calls they make, and
//! what they print.

pub(crate) mod absent;
pub(crate) mod cluster;
pub(crate) mod completions;
pub(crate) mod gateway;
pub(crate) mod logs;
pub(crate) mod pairs;
pub(crate) mod policy;
pub(crate) mod provider;
pub(crate) mod provider_profile;
pub(crate) mod rollout;
pub(crate) mod rule;
pub(crate) mod sandbox;
pub(crate) mod sandbox_provider;
pub(crate) mod setting_value;
pub(crate) mod settings;
pub(crate) mod status;
pub(crate) mod whoami;
pub(crate) mod workspace;
