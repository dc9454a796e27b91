//! The file form of a policy: YAML, and JSON with the same keys. What a policy means, and whether it is
//! safe, is not judged here.

use openshell_proto::sandbox::SandboxPolicy;

pub mod bounds;
mod endpoint;
mod error;
mod file;
mod params;
mod render;
mod render_endpoint;
mod values;

pub use error::ParseError;
pub use render::{render, to_json};

/// Reads a policy file: one YAML document (JSON is YAML too), in which every key is known.
///
/// Shape: an absent section stays absent; an empty rule or middleware name becomes its key; `port` and `ports`
/// become one list; nested `params` become dotted keys.
/// Errors: [`ParseError`], also for a file that would take memory out of proportion ([`bounds`]); the file must be changed first. Source: config.md PM-1 to PM-9, cli.md 4.
pub fn parse(text: &str) -> Result<SandboxPolicy, ParseError> {
    bounds::check(text).map_err(|message| ParseError { message, line: None, column: None, path: None })?;
    let file: file::PolicyFile = serde_yaml::from_str(text).map_err(ParseError::from_yaml)?;
    Ok(file.into_policy())
}

#[cfg(test)]
mod tests;
