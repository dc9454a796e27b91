//! `openshell logs`: what a sandbox has logged, whichever nodes received it; with `--tail` also what it logs
//! from then on (`cli.md` 2.12).

mod show;
mod tail;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;
use openshell_client::methods;
use openshell_proto::v1::{GetSandboxLogsRequest, WatchSandboxRequest};

use super::sandbox::sandbox_id;
use crate::context::Context;
use crate::failure::Failure;

/// Levels that lines have; any other would let every line through.
const LEVELS: [&str; 6] = ["error", "warn", "info", "ocsf", "debug", "trace"];

/// `openshell logs ...`.
#[derive(Debug, Args)]
pub(crate) struct LogsArguments {
    /// The sandbox; the one used last when absent.
    name: Option<String>,
    /// The last so many lines.
    #[arg(short = 'n', default_value_t = 200, value_name = "LINES")]
    lines: u32,
    /// Goes on with lines as they come, until it is interrupted or the sandbox is deleted.
    #[arg(long)]
    tail: bool,
    /// Only lines of the last while, such as 30s, 5m, 2h or 1d.
    #[arg(long, value_name = "DURATION")]
    since: Option<String>,
    /// Only lines from here: sandbox, gateway or all; repeat for several.
    #[arg(long = "source", value_name = "SOURCE")]
    sources: Vec<String>,
    /// Only lines that are at least this severe: error, warn, info, debug or trace.
    #[arg(long, value_name = "LEVEL")]
    level: Option<String>,
}

/// What was asked for, checked.
struct Wanted {
    lines: u32,
    since_ms: i64,
    sources: Vec<String>,
    level: String,
}

pub(crate) async fn run(arguments: LogsArguments, context: &mut Context<'_>) -> Result<(), Failure> {
    let wanted = Wanted::read(&arguments)?;
    let session = context.session()?;
    let name = context.sandbox_name(&session, arguments.name)?;
    let id = sandbox_id(&session, &name).await?;
    if arguments.tail {
        return tail::run(&session, wanted.watch(id), context.console).await;
    }
    let request = wanted.get(id, session.workspace.clone());
    let answer = session.read(&methods::GET_SANDBOX_LOGS, request).await?;
    for line in &answer.logs {
        context.console.line(&show::line(line));
    }
    for missing in &answer.missing {
        let reason = show::printable(&missing.reason);
        context.console.warn(&format!("lines that node {} has received are missing: {reason}", missing.node));
    }
    Ok(())
}

impl Wanted {
    fn read(arguments: &LogsArguments) -> Result<Self, Failure> {
        let since_ms = match &arguments.since {
            None => 0,
            Some(text) => {
                let while_ms = i64::try_from(duration(text)?.as_millis()).unwrap_or(i64::MAX);
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                // Before the beginning of time is all the same.
                i64::try_from(now.as_millis()).unwrap_or(i64::MAX).saturating_sub(while_ms).max(0)
            }
        };
        let level = arguments.level.clone().unwrap_or_default();
        if !level.is_empty() && !LEVELS.iter().any(|known| level.eq_ignore_ascii_case(known)) {
            let known = LEVELS.join(", ");
            return Err(Failure::new(format!("--level {level:?} is none of {known}")));
        }
        // One word stands for not choosing.
        let sources = if arguments.sources.iter().any(|source| source == "all") { &[][..] } else { &arguments.sources };
        Ok(Self { lines: arguments.lines, since_ms, sources: sources.to_vec(), level: level.to_uppercase() })
    }

    fn get(self, sandbox_id: String, workspace: String) -> GetSandboxLogsRequest {
        GetSandboxLogsRequest {
            sandbox_id,
            lines: self.lines,
            since_ms: self.since_ms,
            sources: self.sources,
            min_level: self.level,
            workspace,
        }
    }

    fn watch(self, id: String) -> WatchSandboxRequest {
        WatchSandboxRequest {
            id,
            follow_logs: true,
            log_tail_lines: self.lines,
            log_since_ms: self.since_ms,
            log_sources: self.sources,
            log_min_level: self.level,
            ..WatchSandboxRequest::default()
        }
    }
}

/// A number and a unit.
fn duration(text: &str) -> Result<Duration, Failure> {
    let wrong = || Failure::new(format!("--since {text:?} must be a number and a unit, such as 30s, 5m, 2h or 1d"));
    let split = text.find(|letter: char| !letter.is_ascii_digit()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(split);
    let seconds: u64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    Ok(Duration::from_secs(number.saturating_mul(seconds)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: LogsArguments,
    }

    fn wanted(words: &[&str]) -> Result<Wanted, Failure> {
        let line = Line::try_parse_from([&["logs"], words].concat()).expect("good flags");
        Wanted::read(&line.arguments)
    }

    #[test]
    fn without_flags_two_hundred_lines_of_everything_are_wanted() {
        let request = wanted(&[]).expect("nothing is wrong").get("id".to_owned(), "w".to_owned());
        let expected = GetSandboxLogsRequest {
            sandbox_id: "id".to_owned(),
            lines: 200,
            workspace: "w".to_owned(),
            ..GetSandboxLogsRequest::default()
        };
        assert_eq!(request, expected);
    }

    #[test]
    fn flags_become_the_conditions_of_the_request() {
        let words = ["box", "-n", "7", "--source", "sandbox", "--source", "gateway", "--level", "warn"];
        let request = wanted(&words).expect("nothing is wrong").watch("id".to_owned());
        let expected = WatchSandboxRequest {
            id: "id".to_owned(),
            follow_logs: true,
            log_tail_lines: 7,
            log_sources: vec!["sandbox".to_owned(), "gateway".to_owned()],
            log_min_level: "WARN".to_owned(),
            ..WatchSandboxRequest::default()
        };
        assert_eq!(request, expected);
        assert_eq!(wanted(&["--source", "all"]).expect("a word of its own").sources, [""; 0]);
    }

    #[test]
    fn since_is_a_number_and_a_unit() {
        for (text, seconds) in [("30s", 30), ("5m", 300), ("2h", 7_200), ("1d", 86_400)] {
            assert_eq!(duration(text).map(|since| since.as_secs()), Ok(seconds), "{text}");
        }
        for text in ["", "5", "m", "5 m", "5ms", "-5m", "5m5", "99999999999999999999s"] {
            assert!(duration(text).is_err(), "{text}");
        }
        assert_eq!(wanted(&["--since", "999999999999d"]).expect("a long while").since_ms, 0);
        assert!(wanted(&["--since", "1h"]).expect("an hour").since_ms > 0);
    }

    #[test]
    fn a_level_that_no_line_has_is_refused() {
        assert!(wanted(&["--level", "warning"]).is_err());
        assert_eq!(wanted(&["--level", "Ocsf"]).expect("a level").level, "OCSF");
    }
}
