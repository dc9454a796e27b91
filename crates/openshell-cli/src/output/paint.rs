//! Colour: only on a terminal, and never when `NO_COLOR` is set. Padding goes inside the escapes, so
//! that columns line up with them and without.

/// Whether a stream takes colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Paint {
    on: bool,
}

impl Paint {
    /// For a stream of this process.
    pub(crate) fn for_stream(is_terminal: bool) -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        Self { on: is_terminal && !refused }
    }

    /// Of what is never coloured.
    pub(crate) fn plain() -> Self {
        Self { on: false }
    }

    #[cfg(test)]
    pub(crate) fn colourful() -> Self {
        Self { on: true }
    }

    pub(crate) fn bold(self, text: &str) -> String {
        self.wrap(text, "1", "0")
    }

    pub(crate) fn dim(self, text: &str) -> String {
        self.wrap(text, "2", "0")
    }

    pub(crate) fn red(self, text: &str) -> String {
        self.wrap(text, "31", "39")
    }

    pub(crate) fn green(self, text: &str) -> String {
        self.wrap(text, "32", "39")
    }

    pub(crate) fn yellow(self, text: &str) -> String {
        self.wrap(text, "33", "39")
    }

    fn wrap(self, text: &str, start: &str, end: &str) -> String {
        if self.on { format!("\x1b[{start}m{text}\x1b[{end}m") } else { text.to_owned() }
    }
}
