//! What is shown of the members' state, once or whenever it changes. A terminal shows the newest state in the
//! same place, every second; anything else gets one document for each change.

use std::io::IsTerminal;
use std::pin::pin;
use std::time::Duration;

use openshell_client::{CallError, CallOptions, methods};
use openshell_proto::cluster::{GetStatusRequest, GetStatusResponse};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::context::{Context, Session};
use crate::failure::Failure;
use crate::output::{self, Format, Paint};

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(1);
/// How long one look may take: what it shows is old after that.
const LOOK_MAX: Duration = Duration::from_secs(5);
/// How long the cluster may be away before the command gives up.
const PATIENCE: Duration = Duration::from_secs(60);
/// To the first place of the screen, and nothing from there on.
const HOME_AND_CLEAR: &str = "\x1b[H\x1b[J";

/// One way to show the state of all members.
#[derive(Clone, Copy)]
pub(super) struct View {
    /// For people.
    pub(super) rows: fn(&GetStatusResponse, Paint) -> String,
    /// For scripts.
    pub(super) document: fn(&GetStatusResponse) -> Value,
    /// Takes away what is no change.
    pub(super) essence: fn(&mut GetStatusResponse),
}

impl View {
    /// Whether there is something new to show.
    pub(super) fn differs(&self, before: &GetStatusResponse, after: &GetStatusResponse) -> bool {
        let essential = |status: &GetStatusResponse| {
            let mut status = status.clone();
            (self.essence)(&mut status);
            status
        };
        essential(before) != essential(after)
    }

    fn text(&self, status: &GetStatusResponse, format: Format, paint: Paint) -> String {
        match format {
            Format::Table => (self.rows)(status, paint),
            Format::Json => output::json((self.document)(status)),
            Format::Yaml => output::yaml((self.document)(status)),
        }
    }
}

/// The state of all members, as some node sees it. No consistency is asked for: a cluster without a leader
/// must still say how it is.
pub(super) async fn look(session: &Session, options: &CallOptions) -> Result<GetStatusResponse, CallError> {
    let answer = session.client.call(&methods::GET_STATUS, GetStatusRequest {}, options).await;
    Ok(answer.map_err(CallError::of_a_read)?.message)
}

/// Shows it once.
pub(super) async fn show(view: View, format: Format, context: &mut Context<'_>) -> Result<(), Failure> {
    let status = look(&context.session()?, &CallOptions::default()).await?;
    let text = view.text(&status, format, context.console.paint);
    context.console.print(&text);
    Ok(())
}

/// Shows it again and again until Ctrl-C, which is a good end. While no node answers, that is said once.
pub(super) async fn follow(view: View, format: Format, context: &mut Context<'_>) -> Result<(), Failure> {
    let session = context.session()?;
    let mut interrupted = pin!(tokio::signal::ctrl_c());
    let mut screen = Screen::new(format);
    let mut heard = None;
    loop {
        let options = CallOptions::default().deadline(LOOK_MAX);
        let looked = tokio::select! {
            _ = &mut interrupted => return Ok(()),
            looked = look(&session, &options) => looked,
        };
        match (looked, heard) {
            (Ok(status), _) => {
                heard = Some(Instant::now());
                if let Some(text) = screen.next(view, status, context.console.paint) {
                    context.console.print(&text);
                }
                if !context.console.is_read() {
                    return Ok(());
                }
            }
            // Words that are wrong, or a gateway that was never there, are a failure at once.
            (Err(error @ CallError::Refused(_)), _) | (Err(error), None) => return Err(error.into()),
            (Err(error), Some(since)) if since.elapsed() > PATIENCE => return Err(error.into()),
            (Err(error), Some(_)) => {
                if let Some(note) = screen.lost(&error) {
                    context.console.warn(&note);
                }
            }
        }
        tokio::select! {
            _ = &mut interrupted => return Ok(()),
            () = sleep(PAUSE) => {}
        }
    }
}

/// What stands on the screen, or was printed last.
struct Screen {
    format: Format,
    /// The same place is written again.
    redraws: bool,
    shown: Option<GetStatusResponse>,
    is_lost: bool,
}

impl Screen {
    fn new(format: Format) -> Self {
        let redraws = format == Format::Table && std::io::stdout().is_terminal();
        Self { format, redraws, shown: None, is_lost: false }
    }

    /// What to print for a state; nothing when it was printed already.
    fn next(&mut self, view: View, status: GetStatusResponse, paint: Paint) -> Option<String> {
        self.is_lost = false;
        let text = view.text(&status, self.format, paint);
        if self.redraws {
            let hint = paint.dim("Every second, until Ctrl-C.");
            return Some(format!("{HOME_AND_CLEAR}{text}\n{hint}\n"));
        }
        let is_new = self.shown.as_ref().is_none_or(|shown| view.differs(shown, &status));
        let separator = match (self.format, &self.shown) {
            (_, None) | (Format::Json, Some(_)) => "",
            (Format::Table, Some(_)) => "\n",
            (Format::Yaml, Some(_)) => "---\n",
        };
        is_new.then(|| {
            self.shown = Some(status);
            format!("{separator}{text}")
        })
    }

    /// What to say when no node answers; nothing when it was said already.
    fn lost(&mut self, error: &CallError) -> Option<String> {
        let was_lost = std::mem::replace(&mut self.is_lost, true);
        (!was_lost).then(|| format!("no node answers, looking again: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::status::VIEW;
    use super::super::status::tests::status;
    use super::{Format, Paint, Screen};
    use openshell_client::CallError;

    fn screen(format: Format, redraws: bool) -> Screen {
        Screen { format, redraws, shown: None, is_lost: false }
    }

    #[test]
    fn each_change_is_one_document_and_the_same_state_is_none() {
        for (format, between) in [(Format::Table, "\nID"), (Format::Yaml, "---\ncluster_id"), (Format::Json, "{\n")] {
            let mut screen = screen(format, false);
            let first = screen.next(VIEW, status(), Paint::plain()).expect("the first state is new");
            assert!(!first.starts_with('\n') && !first.starts_with("---"), "{first}");
            assert_eq!(screen.next(VIEW, status(), Paint::plain()), None);
            let mut changed = status();
            changed.leader = 3;
            changed.members[0].role = "follower".into();
            let second = screen.next(VIEW, changed, Paint::plain()).expect("it changed");
            assert!(second.starts_with(between) && second.contains("follower"), "{second}");
        }
    }

    #[test]
    fn a_terminal_shows_every_look_in_the_same_place() {
        let mut screen = screen(Format::Table, true);
        for _ in 0..2 {
            let text = screen.next(VIEW, status(), Paint::plain()).expect("drawn again");
            assert!(text.starts_with("\x1b[H\x1b[JID ") && text.ends_with("Ctrl-C.\n"), "{text:?}");
        }
    }

    #[test]
    fn a_cluster_that_is_away_is_mentioned_once_each_time() {
        let mut screen = screen(Format::Json, false);
        let error = CallError::Unreachable(Vec::new());
        assert!(screen.lost(&error).is_some() && screen.lost(&error).is_none());
        screen.next(VIEW, status(), Paint::plain()).expect("there again");
        assert!(screen.lost(&error).is_some());
    }
}
