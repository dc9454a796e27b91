//! How a stream takes text: coloured or not, and how wide. Off a terminal nothing is wrapped, so that
//! scripts read whole values. Padding goes inside the escapes, so that columns line up with them and
//! without.

use std::ffi::OsString;

/// Whether a stream takes colour, and into how many columns text is to fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Paint {
    on: bool,
    width: Option<u16>,
    is_drawn_on: bool,
}

impl Paint {
    /// For a stream of this process. `width` is that of the terminal; none when the stream is not one.
    pub(crate) fn for_stream(width: Option<u16>) -> Self {
        let variable = |name: &str| std::env::var_os(name);
        let on = takes_colour(width.is_some(), variable);
        let is_drawn_on = !is_plain(variable);
        Self { on, width: width.filter(|_| is_drawn_on), is_drawn_on }
    }

    /// Neither coloured nor wrapped.
    #[cfg(test)]
    pub(crate) fn plain() -> Self {
        Self { on: false, width: None, is_drawn_on: true }
    }

    /// Fitted into a width, not coloured.
    #[cfg(test)]
    pub(crate) fn within(width: u16) -> Self {
        Self { width: Some(width), ..Self::plain() }
    }

    /// As with NO_GRAPHICS.
    #[cfg(test)]
    pub(crate) fn without_drawing() -> Self {
        Self { is_drawn_on: false, ..Self::plain() }
    }

    #[cfg(test)]
    pub(crate) fn colourful() -> Self {
        Self { on: true, ..Self::plain() }
    }

    /// The same for what is never coloured.
    pub(crate) fn without_colour(self) -> Self {
        Self { on: false, ..self }
    }

    pub(crate) fn is_colourful(self) -> bool {
        self.on
    }

    /// Columns that text is to fit into, if it is to fit at all.
    pub(crate) fn width(self) -> Option<u16> {
        self.width
    }

    /// Whether errors may have lines drawn around what they show.
    pub(crate) fn is_drawn_on(self) -> bool {
        self.is_drawn_on
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

/// Whether text is wanted that no terminal is needed for: NO_GRAPHICS is set to anything but `0`
/// (`cli.md` 1.3).
fn is_plain(variable: impl Fn(&str) -> Option<OsString>) -> bool {
    variable("NO_GRAPHICS").is_some_and(|value| value != "0")
}

/// The usual rules, in the order of the argument parser's own, so that help and output agree: NO_COLOR
/// refuses, CLICOLOR_FORCE and FORCE_COLOR ask for colour in pipes too, CLICOLOR=0 and TERM=dumb refuse.
fn takes_colour(is_terminal: bool, variable: impl Fn(&str) -> Option<OsString>) -> bool {
    let is_on = |name: &str| variable(name).map(|value| value != "0" && value != "false");
    if is_plain(&variable) || variable("NO_COLOR").is_some_and(|value| !value.is_empty()) {
        return false;
    }
    if is_on("CLICOLOR_FORCE") == Some(true) || is_on("FORCE_COLOR") == Some(true) {
        return true;
    }
    let is_refused = is_on("FORCE_COLOR") == Some(false) || is_on("CLICOLOR") == Some(false);
    is_terminal && !is_refused && variable("TERM").is_none_or(|value| value != "dumb")
}

#[cfg(test)]
mod tests {
    use super::takes_colour;

    #[test]
    fn colour_is_for_terminals_and_the_usual_variables_decide_first() {
        for (is_terminal, variables, expected) in [
            (true, &[][..], true),
            (false, &[], false),
            (true, &[("TERM", "xterm")], true),
            (true, &[("TERM", "dumb")], false),
            (true, &[("NO_COLOR", "1")], false),
            (true, &[("NO_COLOR", "")], true),
            (true, &[("NO_COLOR", "1"), ("FORCE_COLOR", "1")], false),
            (false, &[("FORCE_COLOR", "1")], true),
            (false, &[("FORCE_COLOR", "")], true),
            (true, &[("FORCE_COLOR", "0")], false),
            (false, &[("CLICOLOR_FORCE", "1"), ("TERM", "dumb")], true),
            (true, &[("CLICOLOR", "0")], false),
            (false, &[("CLICOLOR", "1")], false),
            (true, &[("NO_GRAPHICS", "1"), ("FORCE_COLOR", "1")], false),
            (true, &[("NO_GRAPHICS", "0")], true),
        ] {
            let variable = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into());
            assert_eq!(takes_colour(is_terminal, variable), expected, "{is_terminal} {variables:?}");
        }
    }
}
