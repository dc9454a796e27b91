//! `--wait`: after a change, until the sandboxes that it concerns have it. Exit code 1 when some of them could
//! not take it and nobody else is on the way, 124 when time ran out first, as for a policy.

use std::time::Duration;

use clap::Args;
use openshell_client::{CallError, Seen};
use openshell_proto::sync::{GetRolloutResponse, RolloutRow, RolloutState};
use tokio::time::{Instant, sleep};

use super::progress::{Progress, Until};
use super::{Subject, ask_within, show};
use crate::context::{Context, LOOK_MIN, Session};
use crate::failure::{Failure, TIMED_OUT};
use crate::global::duration;

/// Between two looks, growing.
const PAUSE: Duration = Duration::from_millis(25);
const PAUSE_MAX: Duration = Duration::from_millis(400);
/// Cells of the progress bar.
const BAR: usize = 30;

/// What commands that change something take.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct WaitArguments {
    /// Waits until every connected sandbox that the change concerns has applied it, or was sent it.
    #[arg(
        long,
        value_enum,
        value_name = "UNTIL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "applied"
    )]
    wait: Option<Until>,
    /// How long to wait: a number of seconds, or a number and a unit, such as 500ms, 10s or 2m; at most a week.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    wait_timeout: Duration,
}

impl WaitArguments {
    /// Waits, if it was asked for, for a change that an answer speaks of. `all_workspaces` for one that concerns
    /// more than the session's workspace.
    pub(crate) async fn wait(
        self,
        session: &Session,
        seen: Seen,
        all_workspaces: bool,
        context: &mut Context<'_>,
    ) -> Result<(), Failure> {
        let Some(until) = self.wait else { return Ok(()) };
        let revision = seen.revision.ok_or_else(|| {
            Failure::new("the change is made, but the gateway does not say its revision: it cannot be waited for")
        })?;
        let subject = Subject { revision, all_workspaces };
        let outcome = waited(session, subject, until, self.wait_timeout, context).await;
        context.console.status_line(None);
        let (answer, progress) = outcome?;
        conclude(&answer, progress, until, Some(self.wait_timeout), context)
    }

    /// Says that there is nothing to wait for, if it was asked for.
    pub(crate) fn unchanged(self, context: &mut Context<'_>) {
        if self.wait.is_some() {
            context.console.note("· Nothing was changed: there is nothing to wait for");
        }
    }
}

/// Looks until it is over or time is. A gateway that cannot say for a moment is asked again.
async fn waited(
    session: &Session,
    subject: Subject,
    until: Until,
    limit: Duration,
    context: &mut Context<'_>,
) -> Result<(GetRolloutResponse, Progress), Failure> {
    let deadline = Instant::now() + limit;
    let mut pause = PAUSE;
    let mut last = None;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let is_late = left < pause;
        match ask_within(session, subject, left.max(LOOK_MIN)).await {
            Ok(answer) => {
                let progress = Progress::of(&answer, until);
                let bar = format!("{} have {} revision {}", progress.bar(BAR), until.word(), subject.revision);
                context.console.status_line(Some(&bar));
                if progress.is_over() || is_late {
                    return Ok((answer, progress));
                }
                last = Some((answer, progress));
            }
            Err(error @ CallError::Refused(_)) => return Err(error.into()),
            Err(_) if Instant::now() < deadline && !is_late => {}
            // What was seen before says more than that the last look saw nothing.
            Err(error) => {
                return last.ok_or_else(|| {
                    let revision = subject.revision;
                    let text =
                        format!("the change is made, but how far revision {revision} is cannot be seen: {error}");
                    Failure::new(text).with_exit_code(TIMED_OUT)
                });
            }
        }
        sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Says how it ended: success, or those who lag.
pub(super) fn conclude(
    answer: &GetRolloutResponse,
    progress: Progress,
    until: Until,
    limit: Option<Duration>,
    context: &mut Context<'_>,
) -> Result<(), Failure> {
    let (revision, word) = (answer.revision, until.word());
    let Progress { live, done, failed, absent, is_partial } = progress;
    for unasked in &answer.unasked {
        context.console.warn(&show::missing(unasked));
    }
    if progress.is_complete() {
        let besides = if absent == 0 { String::new() } else { format!("; {absent} not connected") };
        let text = match live {
            0 => format!("No sandbox that revision {revision} concerns is connected{besides}"),
            _ => format!("{done} of {live} sandboxes have {word} revision {revision}{besides}"),
        };
        context.console.note_done(&text);
        return Ok(());
    }
    let lags = |row: &&RolloutRow| row.state() != RolloutState::Absent && !until.is_met_by(row, revision);
    let rows: Vec<&RolloutRow> = answer.rows.iter().filter(lags).collect();
    let paint = context.console.paint_err;
    if !rows.is_empty() {
        context.console.note(show::rows(&rows, paint).trim_end());
    }
    let missing = live.saturating_sub(done) as usize;
    if missing > rows.len() {
        context.console.note(&format!("and {} more", missing - rows.len()));
    }
    Err(match limit {
        Some(limit) if is_partial && missing == failed as usize => {
            let text = format!(
                "{done} of {live} sandboxes have {word} revision {revision}, and {absent} more may be connected to a \
                 node that could not be asked within {limit:?}"
            );
            Failure::new(text).with_exit_code(TIMED_OUT)
        }
        Some(limit) if !progress.is_over() => {
            let text = format!("{missing} of {live} sandboxes have not {word} revision {revision} within {limit:?}");
            Failure::new(text).with_exit_code(TIMED_OUT)
        }
        Some(_) | None => Failure::new(format!("{failed} of {live} sandboxes could not apply revision {revision}")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::global::DURATION_MAX;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        name: String,
        #[command(flatten)]
        wait: WaitArguments,
    }

    fn read(words: &[&str]) -> Option<(Option<Until>, Duration)> {
        let line = Line::try_parse_from([&["update"], words].concat()).ok()?;
        assert_eq!(line.name, "box");
        Some((line.wait.wait, line.wait.wait_timeout))
    }

    #[test]
    fn wait_alone_is_for_applied_and_takes_no_word_that_follows_it() {
        let ten = Duration::from_secs(10);
        assert_eq!(read(&["box"]), Some((None, ten)));
        assert_eq!(read(&["--wait", "box"]), Some((Some(Until::Applied), ten)));
        assert_eq!(read(&["--wait=sent", "box"]), Some((Some(Until::Sent), ten)));
        assert_eq!(read(&["box", "--wait=applied", "--wait-timeout", "500ms"]), Some((Some(Until::Applied), ten / 20)));
        assert_eq!(read(&["box", "--wait=soon"]), None);
        assert_eq!(read(&["box", "--wait-timeout=10"]), Some((None, ten)));
        assert_eq!(read(&["box", "--wait-timeout=10080m"]), Some((None, DURATION_MAX)));
        for wrong in ["s", "169h", "-1s", "1.5s", "0s", "10081m", "18446744073709551615s", "18446744073709551615m"] {
            assert_eq!(read(&["box", &format!("--wait-timeout={wrong}")]), None, "{wrong}");
        }
    }
}
