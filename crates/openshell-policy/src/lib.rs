//! The policy language: its file form, what makes a policy unsafe or ambiguous, how provider layers are
//! laid over it, which endpoints carry credentials, and the hash that names its content.
//! Deliberately not here: anything that needs the state (revisions, settings, attached providers).

pub mod ambiguity;
pub mod credentials;
pub mod findings;
pub mod hash;
pub mod host_pattern;
mod language;
pub mod layering;
pub mod merge;
pub mod path_pattern;
pub mod ports;
pub mod reserved;
pub mod rule_name;
pub mod safety;
pub mod static_fields;
pub mod yaml;

pub use language::Budget;
