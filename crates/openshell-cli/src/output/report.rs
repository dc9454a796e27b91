//! How a failure looks on stderr (`cli.md` 1.11): its sentence, the causes, the places in files that it is
//! about with the lines around them, and what to do next. Which failure it is, and where, is decided in
//! `failure` and `excerpt`.

use std::error::Error;
use std::fmt;

use miette::{Diagnostic, LabeledSpan, MietteHandlerOpts, ReportHandler, SourceCode};

use super::Paint;
use crate::excerpt::Excerpt;
use crate::failure::Failure;

/// The failure as text, ending in a newline. Wrapped where the stream has a width, else one line a
/// sentence; with NO_GRAPHICS without any drawing.
pub(crate) fn report(failure: &Failure, paint: Paint) -> String {
    let mut options = MietteHandlerOpts::new()
        .color(paint.is_colourful())
        .terminal_links(false)
        .force_narrated(!paint.is_drawn_on())
        .context_lines(crate::excerpt::AROUND)
        .wrap_lines(paint.width().is_some());
    if let Some(width) = paint.width() {
        options = options.width(usize::from(width));
    }
    let handler = options.build();
    let report = Report::of(failure);
    let text = Rendered { handler: &handler, report: &report }.to_string();
    format!("{}{}\n", paint.red("Error: "), text.trim_end())
}

struct Rendered<'a> {
    handler: &'a dyn ReportHandler,
    report: &'a Report<'a>,
}

impl fmt::Display for Rendered<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.handler.debug(self.report, out)
    }
}

/// A failure in the words of the library that draws it. One place is drawn with the failure itself;
/// several stand below it, each with a title.
#[derive(Debug)]
struct Report<'a> {
    failure: &'a Failure,
    cause: Option<Cause>,
    places: Vec<Place<'a>>,
}

#[derive(Debug)]
struct Cause {
    text: String,
    next: Option<Box<Cause>>,
}

#[derive(Debug)]
struct Place<'a>(&'a Excerpt);

impl<'a> Report<'a> {
    fn of(failure: &'a Failure) -> Self {
        let chain = |next: Option<Cause>, text: &String| Some(Cause { text: text.clone(), next: next.map(Box::new) });
        let cause = failure.causes.iter().rev().fold(None, chain);
        let places = match failure.excerpts.as_slice() {
            [] | [_] => Vec::new(),
            several => several.iter().map(Place).collect(),
        };
        Self { failure, cause, places }
    }

    fn only_place(&self) -> Option<&'a Excerpt> {
        match self.failure.excerpts.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.failure.message)
    }
}

impl Error for Report<'_> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_ref().map(|cause| cause as &(dyn Error + 'static))
    }
}

impl Diagnostic for Report<'_> {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.failure.advice.as_ref().map(|advice| Box::new(advice) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.only_place().map(|place| place as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        self.only_place().map(labels)
    }

    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        (!self.places.is_empty())
            .then(|| Box::new(self.places.iter().map(|place| place as &dyn Diagnostic)) as Box<dyn Iterator<Item = _>>)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

impl Error for Cause {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.next.as_deref().map(|cause| cause as &(dyn Error + 'static))
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0.title)
    }
}

impl Error for Place<'_> {}

impl Diagnostic for Place<'_> {
    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(self.0)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(labels(self.0))
    }
}

fn labels(place: &Excerpt) -> Box<dyn Iterator<Item = LabeledSpan> + '_> {
    Box::new(std::iter::once(LabeledSpan::new_primary_with_span(Some(place.label.clone()), place.span())))
}

#[cfg(test)]
mod tests {
    use super::report;
    use crate::excerpt::Excerpt;
    use crate::failure::Failure;
    use crate::output::Paint;

    const TEXT: &str =
        "version: 1\nnetwork_policies:\n  web:\n    endpoints:\n    - host: a.example\n      prot: 443\n";

    fn place() -> Excerpt {
        Excerpt::new("policy.yaml", TEXT, (6, 7), "unknown field")
    }

    #[test]
    fn a_failure_is_a_sentence_its_causes_and_what_to_do() {
        let failure = Failure { causes: vec!["one".into(), "two".into()], ..Failure::new("it failed") };
        let text = report(&failure.advise("do this"), Paint::plain());
        assert!(text.starts_with("Error: ") && text.ends_with('\n'), "{text}");
        for part in ["it failed", "one", "two", "do this"] {
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn a_place_in_a_file_is_named_and_shown_with_the_lines_around_it() {
        let text = report(&Failure::new("policy file policy.yaml is not valid").at([place()]), Paint::plain());
        for part in ["policy.yaml:6:7", "- host: a.example", "prot: 443", "unknown field"] {
            assert!(text.contains(part), "{text}");
        }
        assert!(!text.contains("version: 1"), "only the lines around it: {text}");
    }

    #[test]
    fn several_places_stand_below_the_failure_each_with_its_title() {
        let places = [place().titled("first"), place().titled("second")];
        let text = report(&Failure::new("two things are wrong").at(places), Paint::plain());
        for part in ["two things are wrong", "first", "second"] {
            assert!(text.contains(part), "{text}");
        }
        assert_eq!(text.matches("policy.yaml:6:7").count(), 2, "{text}");
    }

    #[test]
    fn without_drawing_everything_is_said_in_lines() {
        let failure = Failure { causes: vec!["one".into()], ..Failure::new("it failed") };
        let text = report(&failure.at([place()]), Paint::without_drawing());
        assert!(text.starts_with("Error: it failed\n    Diagnostic severity: error\n    Caused by: one\n"), "{text}");
        assert!(text.contains("snippet line 6:       prot: 443"), "{text}");
        assert!(text.is_ascii(), "{text}");
    }

    #[test]
    fn long_sentences_are_wrapped_on_a_terminal_only() {
        let sentence = "word ".repeat(60);
        let lines = |paint| report(&Failure::new(sentence.trim()), paint).lines().count();
        assert!(lines(Paint::within(40)) > 5);
        assert_eq!(lines(Paint::plain()), 1);
    }
}
