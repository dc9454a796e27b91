//! A log line as people read it. What a sandbox says is not trusted: nothing in it moves the cursor, changes
//! colours or begins another line.

use std::fmt::Write;

use openshell_proto::v1::SandboxLogLine;

use crate::output::plain;

/// `[seconds.milliseconds] [source] [level] [target] message key=value ...`, never coloured.
pub(super) fn line(line: &SandboxLogLine) -> String {
    let (seconds, milliseconds) = (line.timestamp_ms.div_euclid(1_000), line.timestamp_ms.rem_euclid(1_000));
    let source = if line.source.is_empty() { "gateway" } else { &line.source };
    let mut text = format!(
        "[{seconds}.{milliseconds:03}] [{:<7}] [{:<5}] [{}] {}",
        printable(source),
        printable(&line.level),
        printable(&line.target),
        printable(&line.message)
    );
    for (key, value) in &line.fields {
        // Writing to a string does not fail.
        let _ = write!(text, " {}={}", printable(key), printable(value));
    }
    text
}

/// Plain, with the tabs that programs line their words up with.
pub(super) fn printable(text: &str) -> String {
    text.split('\t').map(plain).collect::<Vec<_>>().join("\t")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_its_time_source_level_target_message_and_fields() {
        let logged = SandboxLogLine {
            timestamp_ms: 1_700_000_000_042,
            level: "INFO".to_owned(),
            target: "proxy".to_owned(),
            message: "connected".to_owned(),
            source: "sandbox".to_owned(),
            fields: [("port".to_owned(), "443".to_owned()), ("host".to_owned(), "a.example".to_owned())].into(),
            ..SandboxLogLine::default()
        };
        assert_eq!(line(&logged), "[1700000000.042] [sandbox] [INFO ] [proxy] connected host=a.example port=443");
        assert_eq!(line(&SandboxLogLine::default()), "[0.000] [gateway] [     ] [] ");
    }

    #[test]
    fn what_a_sandbox_says_does_not_reach_into_the_terminal() {
        let logged =
            SandboxLogLine { message: "a\u{1b}[2J\r\nb\u{7}\tc\u{9b}d".to_owned(), ..SandboxLogLine::default() };
        let shown = line(&logged);
        assert!(!shown.chars().any(|letter| letter.is_control() && letter != '\t'), "{shown:?}");
        assert!(shown.ends_with("a\\u{1b}[2J\\r\\nb\\u{7}\tc\\u{9b}d"), "{shown:?}");
    }
}
