//! What people and scripts read: the two streams, colour, tables, documents, times. What is said is
//! decided by each command.

mod document;
mod paint;
mod prompt;
mod table;
mod time;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use clap::ValueEnum;

pub(crate) use document::{json, yaml};
pub(crate) use paint::Paint;
pub(crate) use prompt::{choose, confirm};
pub(crate) use table::table;
pub(crate) use time::{parse_time_ms, time_text};

use crate::failure::Failure;

/// The forms that lists and records come in (`cli.md` 1.9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Aligned columns or lines for people.
    Table,
    /// Block style, without a document marker.
    Yaml,
    /// Indented by two spaces.
    Json,
}

/// Stdout and stderr of this process. A reader that hangs up is not an error: the rest of the output is
/// dropped and the command goes on, since its calls may matter more than its words.
pub(crate) struct Console {
    out: Box<dyn Write>,
    err: Box<dyn Write>,
    /// For stdout.
    pub(crate) paint: Paint,
    /// For stderr.
    pub(crate) paint_err: Paint,
}

impl Console {
    pub(crate) fn of_this_process() -> Self {
        Self {
            out: Box::new(std::io::stdout()),
            err: Box::new(std::io::stderr()),
            paint: Paint::for_stream(std::io::stdout().is_terminal()),
            paint_err: Paint::for_stream(std::io::stderr().is_terminal()),
        }
    }

    /// A line on stdout.
    pub(crate) fn line(&mut self, text: &str) {
        drop(writeln!(self.out, "{text}"));
    }

    /// Text on stdout that ends its own lines.
    pub(crate) fn print(&mut self, text: &str) {
        drop(self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush()));
    }

    /// A line on stderr.
    pub(crate) fn note(&mut self, text: &str) {
        drop(writeln!(self.err, "{text}"));
    }

    /// `✓ text` on stdout.
    pub(crate) fn done(&mut self, text: &str) {
        let line = format!("{} {text}", self.paint.green("✓"));
        self.line(&line);
    }

    /// `! text` on stdout.
    pub(crate) fn missed(&mut self, text: &str) {
        let line = format!("{} {text}", self.paint.yellow("!"));
        self.line(&line);
    }

    /// `✓ text` on stderr.
    pub(crate) fn note_done(&mut self, text: &str) {
        let line = format!("{} {text}", self.paint_err.green("✓"));
        self.note(&line);
    }

    /// `! text` on stderr.
    pub(crate) fn warn(&mut self, text: &str) {
        let line = format!("{} {text}", self.paint_err.yellow("!"));
        self.note(&line);
    }

    /// Reports a failure on stderr, ends with a blank line, and gives the exit code.
    pub(crate) fn fail(&mut self, failure: &Failure) -> ExitCode {
        let mut text = format!("{} {}\n", self.paint_err.red("Error:"), failure.message);
        for cause in &failure.causes {
            text.push_str(&format!("    Caused by: {cause}\n"));
        }
        self.note(&text);
        ExitCode::from(failure.exit_code)
    }
}
