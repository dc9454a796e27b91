//! What is wrong with a policy file, and where.

use std::fmt;

/// A file that is no policy. It must be changed before it is read again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    /// What is wrong, without the place.
    pub message: String,
    /// Line, from 1, where known.
    pub line: Option<usize>,
    /// Column, from 1, where known.
    pub column: Option<usize>,
    /// The field, as in `network_policies.web.endpoints[0].port`, where known.
    pub path: Option<String>,
}

impl ParseError {
    /// Takes the place out of the parser's sentence, so that callers can print it their own way.
    pub(super) fn from_yaml(error: serde_yaml::Error) -> ParseError {
        let text = error.to_string();
        let location = error.location();
        let (line, column) = (location.as_ref().map(|at| at.line()), location.as_ref().map(|at| at.column()));
        let suffix = match (line, column) {
            (Some(line), Some(column)) => format!(" at line {line} column {column}"),
            (_, _) => String::new(),
        };
        let text = if suffix.is_empty() { text } else { text.replacen(&suffix, "", 1) };
        if text.contains("more than one document") {
            let message = "the file holds more than one YAML document; keep one".to_owned();
            return ParseError { message, line, column, path: None };
        }
        // The parser writes `path: sentence`; its sentences never have a colon before their first space.
        let (path, message) = match text.split_once(": ") {
            Some((path, rest)) if !path.contains(char::is_whitespace) => (Some(path.to_owned()), rest.to_owned()),
            Some(_) | None => (None, text),
        };
        ParseError { message, line, column, path }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(path) = &self.path {
            write!(out, "{path}: ")?;
        }
        out.write_str(&self.message)?;
        if let (Some(line), Some(column)) = (self.line, self.column) {
            write!(out, " (line {line}, column {column})")?;
        }
        Ok(())
    }
}

impl std::error::Error for ParseError {}
