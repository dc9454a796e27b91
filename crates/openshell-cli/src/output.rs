//! What people and scripts read: the two streams, colour, tables, reports of failures, documents, times.
//! What is said is decided by each command.

mod document;
mod paint;
mod plain;
mod prompt;
mod report;
mod spinner;
mod table;
mod time;

use std::io::{IsTerminal, Write};
use std::os::fd::AsFd;
use std::process::ExitCode;

use clap::ValueEnum;
use terminal_size::{Width, terminal_size_of};

pub(crate) use document::{json, yaml};
pub(crate) use paint::Paint;
pub(crate) use plain::plain;
pub(crate) use prompt::{choose, confirm};
pub(crate) use spinner::Spinner;
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
    is_read: bool,
    /// For stdout.
    pub(crate) paint: Paint,
    /// For stderr.
    pub(crate) paint_err: Paint,
    /// Whether a line on stderr can be written over.
    is_terminal_err: bool,
}

impl Console {
    pub(crate) fn of_this_process() -> Self {
        Self {
            out: Box::new(std::io::stdout()),
            err: Box::new(std::io::stderr()),
            is_read: true,
            paint: Paint::for_stream(width(std::io::stdout())),
            paint_err: Paint::for_stream(width(std::io::stderr())),
            is_terminal_err: std::io::stderr().is_terminal(),
        }
    }

    /// A line on stdout.
    pub(crate) fn line(&mut self, text: &str) {
        self.is_read &= writeln!(self.out, "{text}").is_ok();
    }

    /// Text on stdout that ends its own lines.
    pub(crate) fn print(&mut self, text: &str) {
        self.is_read &= self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush()).is_ok();
    }

    /// Whether stdout takes what is printed. A command that goes on for ever ends when it does not.
    pub(crate) fn is_read(&self) -> bool {
        self.is_read
    }

    /// A line on stderr.
    pub(crate) fn note(&mut self, text: &str) {
        drop(writeln!(self.err, "{text}"));
    }

    /// A line on stderr in place of the last one of its kind, or none any more; nothing where there is no terminal.
    pub(crate) fn status_line(&mut self, text: Option<&str>) {
        if self.is_terminal_err {
            drop(write!(self.err, "\r\x1b[K{}", text.unwrap_or_default()).and_then(|()| self.err.flush()));
        }
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
        let text = report::report(failure, self.paint_err);
        self.note(&text);
        ExitCode::from(failure.exit_code)
    }
}

/// Columns of the terminal that a stream is; none when it is not one.
fn width(stream: impl IsTerminal + AsFd) -> Option<u16> {
    const USUAL: u16 = 80;
    let is_terminal = stream.is_terminal();
    // Some terminals, such as those of programs that drive programs, have no size.
    let width = || terminal_size_of(stream).map_or(USUAL, |(Width(width), _)| width);
    is_terminal.then(width).map(|width| if width == 0 { USUAL } else { width })
}
