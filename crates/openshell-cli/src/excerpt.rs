//! A place in a file that somebody wrote, with the lines around it, as it is shown with an error. Where
//! a field stands in a file is found by `locate`.

use miette::{MietteError, MietteSpanContents, SourceCode, SourceSpan, SpanContents};

/// Lines that are shown before and after.
pub(crate) const AROUND: usize = 2;
/// Characters of a line that are shown: a JSON file may be a single long one.
const LINE_MAX: usize = 160;
/// Of those, characters before the place.
const BEFORE_MAX: usize = 60;

/// Some lines of a file, and which part of them is meant. Control characters are replaced, since the file may come
/// from anybody; the columns stay as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Excerpt {
    /// What is wrong there.
    pub(crate) label: String,
    /// What the place is about, where several are shown.
    pub(crate) title: String,
    name: String,
    /// Number of the first line, from 1.
    first: usize,
    lines: String,
    offset: usize,
    length: usize,
    /// Characters of the line in question that are left out before what is shown.
    skipped: usize,
}

impl Excerpt {
    /// The lines around `place`, a line and a column in characters, both from 1. A place behind the end is
    /// taken for the end.
    pub(crate) fn new(name: &str, text: &str, place: (usize, usize), label: &str) -> Self {
        let all: Vec<&str> = text.lines().collect();
        let at = place.0.saturating_sub(1).min(all.len().saturating_sub(1));
        let from = at.saturating_sub(AROUND);
        let column = place.1.saturating_sub(1).min(all.get(at).map_or(0, |line| line.chars().count()));
        let skipped = if column > LINE_MAX - BEFORE_MAX { column - BEFORE_MAX } else { 0 };
        let mut excerpt = Self {
            label: label.to_owned(),
            title: label.to_owned(),
            name: name.to_owned(),
            first: from + 1,
            lines: String::new(),
            offset: 0,
            length: 0,
            skipped,
        };
        for (number, line) in all.iter().enumerate().skip(from).take(at - from + 1 + AROUND) {
            let shown: String = line.chars().skip(skipped).take(LINE_MAX).map(printable).collect();
            if number == at {
                let start = shown.char_indices().nth(column - skipped).map_or(shown.len(), |(start, _)| start);
                excerpt.offset = excerpt.lines.len() + start;
                excerpt.length = shown.get(start..).map_or(0, word_length);
            }
            excerpt.lines.push_str(&shown);
            excerpt.lines.push('\n');
        }
        excerpt
    }

    pub(crate) fn titled(self, title: impl Into<String>) -> Self {
        Self { title: title.into(), ..self }
    }

    /// The part that is meant, in bytes of what is shown.
    pub(crate) fn span(&self) -> SourceSpan {
        (self.offset, self.length).into()
    }
}

/// Bytes of the word that a text begins with.
fn word_length(text: &str) -> usize {
    let is_end = |letter: char| letter.is_whitespace() || matches!(letter, ':' | ',' | '[' | ']' | '{' | '}');
    match text.find(is_end) {
        Some(0) => 1,
        Some(end) => end,
        None => text.len(),
    }
}

fn printable(letter: char) -> char {
    if letter.is_control() && letter != '\t' { char::REPLACEMENT_CHARACTER } else { letter }
}

impl SourceCode for Excerpt {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let part = self.lines.as_str().read_span(span, before, after)?;
        let line = part.line() + self.first - 1;
        let (name, count) = (self.name.clone(), part.line_count());
        let column = part.column() + self.skipped;
        Ok(Box::new(MietteSpanContents::new_named(name, part.data(), *part.span(), line, column, count)))
    }
}

#[cfg(test)]
mod tests {
    use super::Excerpt;

    fn meant(excerpt: &Excerpt) -> &str {
        &excerpt.lines[excerpt.offset..excerpt.offset + excerpt.length]
    }

    #[test]
    fn the_word_at_the_place_is_meant() {
        let text = "a: 1\nb: 2\nc: [x, größe]\nd: 4\ne: 5\nf: 6\n";
        let excerpt = Excerpt::new("f.yaml", text, (3, 8), "wrong");
        assert_eq!((meant(&excerpt), excerpt.first), ("größe", 1));
        assert_eq!(excerpt.lines, "a: 1\nb: 2\nc: [x, größe]\nd: 4\ne: 5\n");
        assert_eq!(meant(&Excerpt::new("f.yaml", text, (6, 1), "wrong")), "f");
    }

    #[test]
    fn a_place_behind_the_end_is_the_end() {
        for text in ["", "a: 1", "a: 1\n"] {
            for place in [(9, 9), (1, 99), (0, 0)] {
                let excerpt = Excerpt::new("f.yaml", text, place, "wrong");
                assert!(excerpt.offset + excerpt.length <= excerpt.lines.len(), "{text:?} {place:?}");
            }
        }
    }

    #[test]
    fn of_a_long_line_only_what_is_around_the_place_is_shown() {
        let text = format!("{{\"a\": \"{}\", \"wrong\": 1, \"b\": \"{}\"}}", "x".repeat(5000), "y".repeat(5000));
        let column = text.find("\"wrong").expect("it is there") + 1;
        let excerpt = Excerpt::new("f.json", &text, (1, column), "wrong");
        assert_eq!(meant(&excerpt), "\"wrong\"");
        assert!(excerpt.lines.len() < 200, "{}", excerpt.lines.len());
    }

    #[test]
    fn a_file_does_not_steer_the_terminal() {
        let excerpt = Excerpt::new("f.yaml", "a: \u{1b}[31mred\n", (1, 4), "wrong");
        assert_eq!(excerpt.lines, "a: \u{fffd}[31mred\n");
    }
}
