//! The profile language: YAML and JSON files, ids and aliases, every diagnostic, the built-in
//! catalogue, token-grant ambiguity, and what a profile contributes to a sandbox. Records are the
//! messages of `openshell-proto`. Deliberately not here: anything that needs state, such as which
//! sandbox uses which profile, whether an id is taken, and versions (`openshell-state`).

pub mod builtin;
pub mod environment;
pub mod file;
pub mod id;
pub mod layer;
pub mod predicates;
pub mod provider_type;
mod selector;
pub mod token_grant;
pub mod validate;
pub mod verdict;

pub use file::normalise_profile;
pub use layer::layer;
