//! What is said, and on which stream. A reader that hangs up is no reason to stop half-way through, so
//! that errors of the streams themselves are dropped.

use std::io::Write;

/// A line on stdout.
pub(crate) fn line(text: &str) {
    drop(writeln!(std::io::stdout(), "{text}"));
}

/// A line that starts something new, set off from what came before.
pub(crate) fn heading(text: &str) {
    line(&format!("\n== {text}"));
}

/// A line on stderr.
pub(crate) fn error(text: &str) {
    drop(writeln!(std::io::stderr(), "{text}"));
}
