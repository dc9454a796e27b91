//! Profile files: the YAML and JSON forms of a profile, and their way to and from the message. No
//! file is opened here, and nothing is validated beyond what the message could not express.

mod credential;
mod endpoint;
mod lower;
mod matcher;
mod raise;
mod render;
mod shape;
mod words;

use std::fmt;

use openshell_policy::yaml::bounds;
use openshell_proto::v1::ProviderProfile;

pub use lower::{FileProblem, lower};
pub use render::{render_json, render_json_list, render_yaml, render_yaml_list};
pub use shape::ProfileFile;

/// Why a text is no profile file. Trying again with the same text fails the same way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    /// What is wrong, without the place.
    pub message: String,
    /// Line of the problem, from 1, where it is known.
    pub line: Option<usize>,
    /// Column of the problem, from 1, where it is known.
    pub column: Option<usize>,
}

impl fmt::Display for ParseError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.line, self.column) {
            (Some(line), Some(column)) => write!(out, "{} (line {line}, column {column})", self.message),
            _ => out.write_str(&self.message),
        }
    }
}

impl std::error::Error for ParseError {}

/// Parses one YAML document. Unknown keys are ignored on every level.
///
/// Errors: a missing required key, a wrong type, a repeated key, an unknown category or strategy,
/// no document or several; a file that would take memory out of proportion. Source: providers.md F-PARSE-1 to F-PARSE-7.
pub fn parse_yaml(text: &str) -> Result<ProfileFile, ParseError> {
    bounded(text)?;
    serde_yaml::from_str(text).map_err(|error| {
        let place = error.location().map(|place| (place.line(), place.column()));
        parse_error(&error.to_string(), place)
    })
}

/// Parses one JSON object. Unknown keys are ignored on every level.
///
/// Errors: as [`parse_yaml`], and anything after the object. Source: providers.md F-PARSE-8.
pub fn parse_json(text: &str) -> Result<ProfileFile, ParseError> {
    // serde would take the values of an array for the fields of a profile, in their order.
    if text.trim_start().starts_with('[') {
        let message = "a file holds one profile as an object, not a list: use one file a profile".to_owned();
        return Err(ParseError { message, line: Some(1), column: None });
    }
    bounded(text)?;
    serde_json::from_str(text).map_err(|error| parse_error(&error.to_string(), Some((error.line(), error.column()))))
}

/// Parses by the extension of the file's name, without its dot: exactly `yaml`, `yml` or `json`.
///
/// Errors: any other extension, and those of the two parsers. Source: providers.md F-WHERE-2.
pub fn parse(extension: &str, text: &str) -> Result<ProfileFile, ParseError> {
    match extension {
        "yaml" | "yml" => parse_yaml(text),
        "json" => parse_json(text),
        other => Err(ParseError {
            message: format!("unsupported file extension {other:?}: name the file .yaml, .yml or .json"),
            line: None,
            column: None,
        }),
    }
}

fn bounded(text: &str) -> Result<(), ParseError> {
    bounds::check(text).map_err(|message| ParseError { message, line: None, column: None })
}

/// Both parsers append the place to their text; it is carried in fields of its own instead.
fn parse_error(text: &str, place: Option<(usize, usize)>) -> ParseError {
    let Some((line, column)) = place.filter(|(line, _)| *line > 0) else {
        return ParseError { message: text.to_owned(), line: None, column: None };
    };
    let message = text.replace(&format!(" at line {line} column {column}"), "");
    ParseError { message, line: Some(line), column: Some(column) }
}

/// The profile as it is after a journey through the file form: what files cannot express is dropped
/// (endpoint bindings and marks, unknown enum numbers, an empty discovery).
///
/// Source: providers.md F-MAP-1 to F-MAP-7.
pub fn normalise_profile(profile: ProviderProfile) -> ProviderProfile {
    lower::into_profile(raise::raise(profile))
}

#[cfg(test)]
mod tests;
