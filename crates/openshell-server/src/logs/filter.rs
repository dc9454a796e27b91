//! Which lines a reader wants (`config.md` SR-50).

use openshell_proto::v1::SandboxLogLine;
use tonic::Status;

use super::line::{Line, SANDBOX, Severity};

/// What counts as the source of a line that names none.
const GATEWAY: &str = "gateway";
/// A reader names no more sources than this, and no longer ones: they are held for as long as it follows.
const SOURCES_MAX: usize = 32;
const WORD_BYTES_MAX: usize = 256;

/// What a line must be like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Filter {
    since_ms: i64,
    /// None: any.
    sources: Vec<String>,
    least: Severity,
}

impl Filter {
    /// What another node asks for, which has read it.
    pub(super) fn new(since_ms: i64, sources: &[String], min_level: &str) -> Self {
        Self { since_ms, sources: sources.to_vec(), least: Severity::of(min_level) }
    }

    /// What a caller asks for. A level that is not known, or empty, lets everything through.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` when more is asked for than a node holds for one reader.
    pub(super) fn read(since_ms: i64, sources: &[String], min_level: &str) -> Result<Self, Status> {
        let long = |word: &str| word.len() > WORD_BYTES_MAX;
        if sources.len() > SOURCES_MAX || sources.iter().any(|source| long(source)) || long(min_level) {
            let text = format!(
                "at most {SOURCES_MAX} sources and a level, of at most {WORD_BYTES_MAX} bytes each, may be named"
            );
            return Err(Status::invalid_argument(text));
        }
        Ok(Self::new(since_ms, sources, min_level))
    }

    /// Of what comes while somebody follows.
    pub(super) fn lets_live(&self, line: &Line) -> bool {
        self.fits(SANDBOX, line.severity)
    }

    /// Of what is there already.
    pub(super) fn lets(&self, line: &Line) -> bool {
        line.time_ms >= self.since_ms && self.lets_live(line)
    }

    /// As [`Filter::lets`], of a line that any node may have sent.
    pub(super) fn lets_read(&self, line: &SandboxLogLine) -> bool {
        line.timestamp_ms >= self.since_ms && self.fits(&line.source, Severity::of(&line.level))
    }

    fn fits(&self, source: &str, severity: Severity) -> bool {
        let source = if source.is_empty() { GATEWAY } else { source };
        severity >= self.least && (self.sources.is_empty() || self.sources.iter().any(|wanted| wanted == source))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(time_ms: i64, level: &str, source: &str) -> SandboxLogLine {
        let (level, source) = (level.to_owned(), source.to_owned());
        SandboxLogLine { timestamp_ms: time_ms, level, source, ..SandboxLogLine::default() }
    }

    fn levels_let(min_level: &str) -> Vec<&'static str> {
        let filter = Filter::read(0, &[], min_level).expect("a filter");
        let levels = ["ERROR", "WARN", "INFO", "OCSF", "DEBUG", "TRACE", "other", ""];
        levels.into_iter().filter(|level| filter.lets_read(&line(0, level, "sandbox"))).collect()
    }

    #[test]
    fn sr_50_a_level_lets_through_what_is_at_least_as_severe() {
        assert_eq!(levels_let("ERROR"), ["ERROR"]);
        assert_eq!(levels_let("warn"), ["ERROR", "WARN"]);
        for info in ["INFO", "OCSF"] {
            assert_eq!(levels_let(info), ["ERROR", "WARN", "INFO", "OCSF"], "{info}: both are one level");
        }
        assert_eq!(levels_let("DEBUG"), ["ERROR", "WARN", "INFO", "OCSF", "DEBUG"]);
        assert_eq!(levels_let("TRACE"), ["ERROR", "WARN", "INFO", "OCSF", "DEBUG", "TRACE"]);
        for anything in ["", "other"] {
            assert_eq!(levels_let(anything).len(), 8, "{anything:?}: a line of unknown level passes only here");
        }
    }

    #[test]
    fn sr_50_a_source_is_matched_exactly_and_an_empty_one_is_the_gateways() {
        let lets = |wanted: &[&str], source: &str| {
            let wanted: Vec<String> = wanted.iter().map(|&wanted| wanted.to_owned()).collect();
            Filter::read(0, &wanted, "").expect("a filter").lets_read(&line(0, "INFO", source))
        };
        assert!(lets(&[], "anything") && lets(&[], ""));
        assert!(lets(&["sandbox"], "sandbox") && lets(&["other", "sandbox"], "sandbox"));
        assert!(!lets(&["sandbox"], "sandbox2") && !lets(&["Sandbox"], "sandbox"));
        assert!(lets(&["gateway"], "") && !lets(&["sandbox"], "") && !lets(&[""], ""));
    }

    #[test]
    fn sr_50_a_time_keeps_what_came_before_it_out() {
        let filter = Filter::read(10, &[], "").expect("a filter");
        assert!(!filter.lets_read(&line(9, "INFO", "")) && filter.lets_read(&line(10, "INFO", "")));
    }

    #[test]
    fn who_names_too_much_is_refused() {
        let many = vec![String::new(); SOURCES_MAX + 1];
        let long = "x".repeat(WORD_BYTES_MAX + 1);
        for (sources, level) in [(many, ""), (vec![long.clone()], ""), (Vec::new(), long.as_str())] {
            let status = Filter::read(0, &sources, level).expect_err("too much");
            assert_eq!(status.code(), tonic::Code::InvalidArgument);
        }
    }
}
