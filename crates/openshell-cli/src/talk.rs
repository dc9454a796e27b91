//! What is said about calls while they are made, on stderr: that one is repeated, that the cluster was
//! restored, with `-v` what each answer was made from, and a spinner for those that take long. It also keeps
//! how far the gateway was seen, for the next command.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use openshell_client::{End, Ended, Event, Position, Seen};

use crate::config::{Paths, forget_position, keep_position};
use crate::failure::Failure;
use crate::output::{Paint, Spinner};

/// One session's talk.
pub(crate) struct Talk {
    paths: Paths,
    gateway: String,
    /// `-v` was given.
    is_verbose: bool,
    paint: Paint,
    spinner: Spinner,
    /// What was said already about endpoints in this call.
    said: Mutex<BTreeSet<String>>,
    /// The position could not be kept once: it is not tried again, as each time may take a second.
    has_given_up: AtomicBool,
}

impl Talk {
    /// About calls to this gateway. With log lines in between there is no spinner.
    pub(crate) fn new(paths: &Paths, gateway: &str, verbose: u8, paint: Paint) -> Self {
        Self {
            paths: paths.clone(),
            gateway: gateway.to_owned(),
            is_verbose: verbose > 0,
            paint,
            spinner: Spinner::new(verbose == 0 && std::env::var_os("RUST_LOG").is_none()),
            said: Mutex::default(),
            has_given_up: AtomicBool::new(false),
        }
    }

    pub(crate) fn hear(&self, event: &Event<'_>) {
        match event {
            Event::Begun => {
                self.said.lock().unwrap_or_else(PoisonError::into_inner).clear();
                self.spinner.begin("Waiting for the gateway");
            }
            Event::Repeated { endpoint, reason, next } => {
                self.spinner.say(&format!("Waiting for {next}"));
                let text = repeated(endpoint.as_str(), reason, next.as_str());
                // An outage of half a minute is a few lines, not a hundred.
                if self.said.lock().unwrap_or_else(PoisonError::into_inner).insert(text.clone()) {
                    self.warn(&text);
                }
            }
            Event::Restored { kept, now, repeats } => {
                self.warn(&restored(*kept, now, *repeats));
                self.or_give_up(|| forget_position(&self.paths, &self.gateway, *kept));
            }
            Event::Moved(position) => {
                self.or_give_up(|| keep_position(&self.paths, &self.gateway, *position));
            }
            Event::Ended(ended) => {
                self.spinner.end();
                if self.is_verbose {
                    self.spinner.line(&self.paint.dim(&format!("· {}", facts(ended))));
                }
            }
        }
    }

    fn warn(&self, text: &str) {
        self.spinner.line(&format!("{} {text}", self.paint.yellow("!")));
    }

    /// The command goes on when it fails, as what it was asked for is done, and keeps nothing from then on.
    fn or_give_up(&self, keep: impl FnOnce() -> Result<(), Failure>) {
        if self.has_given_up.load(Ordering::Relaxed) {
            return;
        }
        if let Err(failure) = keep() {
            self.has_given_up.store(true, Ordering::Relaxed);
            let causes = failure.causes.last().map(|cause| format!(" ({cause})")).unwrap_or_default();
            self.warn(&format!("how far the gateway was seen is not kept: {}{causes}", failure.message));
        }
    }
}

fn repeated(endpoint: &str, reason: &str, next: &str) -> String {
    let next = if next == endpoint { "it is asked again".to_owned() } else { format!("asking {next}") };
    format!("no answer from {endpoint} ({reason}): {next}")
}

/// In one sentence, as the position is dropped by now.
fn restored(kept: Position, now: &Seen, repeats: bool) -> String {
    let so = if repeats { "and the call is made again" } else { "so that what was seen before may be gone" };
    match Position::of(now) {
        Some(now) if now.epoch > kept.epoch => format!(
            "the cluster was restored from a backup (epoch {}, after {}): what was seen of it before is forgotten, {so}",
            now.epoch, kept.epoch
        ),
        Some(now) => format!(
            "this is another cluster than before (epoch {}, revision {}, after epoch {}, revision {}): what was seen \
             before is forgotten, {so}",
            now.epoch, now.revision, kept.epoch, kept.revision
        ),
        None => format!("this is another cluster than before: what was seen before is forgotten, {so}"),
    }
}

/// `GetProvider: node 2, revision 118 (epoch 1), age 12 ms, 1 attempt, 3 ms, http://127.0.0.1:17671`.
fn facts(ended: &Ended<'_>) -> String {
    let name = ended.path.rsplit('/').next().unwrap_or_default();
    let mut facts = Vec::new();
    match ended.end {
        End::Answered => {}
        End::Refused(code) => facts.push(format!("refused ({code:?})")),
        End::Failed => facts.push("no answer".to_owned()),
        End::Abandoned => facts.push("given up".to_owned()),
    }
    let Seen { epoch, revision, node, age_ms } = ended.seen;
    facts.extend(node.map(|node| format!("node {node}")));
    facts.extend(revision.map(|revision| match epoch {
        Some(epoch) => format!("revision {revision} (epoch {epoch})"),
        None => format!("revision {revision}"),
    }));
    facts.extend(age_ms.map(|age_ms| format!("age {age_ms} ms")));
    facts.push(format!("{} {}", ended.attempts, if ended.attempts == 1 { "attempt" } else { "attempts" }));
    facts.push(format!("{} ms", ended.elapsed.as_millis()));
    facts.extend(ended.endpoint.map(|endpoint| endpoint.to_string()));
    format!("{name}: {}", facts.join(", "))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Duration;

    use openshell_client::{End, Ended, EndpointUrl, Position, Seen};

    use super::{Talk, facts, repeated, restored};
    use crate::config::Paths;
    use crate::failure::Failure;
    use crate::output::Paint;

    #[test]
    fn what_cannot_be_kept_once_is_not_tried_again() {
        let talk = Talk::new(&Paths::from_variables(|_| None), "g", 0, Paint::plain());
        let tries = Cell::new(0);
        for outcome in [Ok(()), Ok(()), Err(Failure::new("it is full")), Ok(()), Err(Failure::new("it is full"))] {
            talk.or_give_up(|| {
                tries.set(tries.get() + 1);
                outcome
            });
        }
        assert_eq!(tries.get(), 3);
    }

    #[test]
    fn a_repetition_says_who_was_silent_and_who_is_asked_now() {
        assert_eq!(
            repeated("http://a:1", "connection reset", "http://b:1"),
            "no answer from http://a:1 (connection reset): asking http://b:1"
        );
        assert!(repeated("http://a:1", "no leader", "http://a:1").ends_with(": it is asked again"));
    }

    #[test]
    fn a_restored_cluster_and_another_one_are_told_apart() {
        let kept = Position { epoch: 1, revision: 50 };
        let now = |epoch, revision| Seen { epoch: Some(epoch), revision: Some(revision), ..Seen::default() };
        let text = restored(kept, &now(2, 40), true);
        assert!(text.contains("restored from a backup (epoch 2, after 1)") && text.ends_with("made again"), "{text}");
        let text = restored(kept, &now(1, 7), false);
        assert!(text.starts_with("this is another cluster") && text.contains("revision 7"), "{text}");
        assert!(!text.contains("made again"), "{text}");
    }

    #[test]
    fn the_facts_of_a_call_leave_out_what_nobody_said() {
        let endpoint = EndpointUrl::parse("http://a:1").expect("a URL");
        let seen = Seen { epoch: Some(1), revision: Some(118), node: Some(2), age_ms: Some(12) };
        let mut ended = Ended {
            path: "/openshell.v1.OpenShell/GetProvider",
            endpoint: Some(&endpoint),
            seen,
            attempts: 1,
            elapsed: Duration::from_micros(3_400),
            end: End::Answered,
        };
        assert_eq!(
            facts(&ended),
            "GetProvider: node 2, revision 118 (epoch 1), age 12 ms, 1 attempt, 3 ms, http://a:1"
        );
        ended.end = End::Refused(tonic::Code::NotFound);
        assert!(facts(&ended).starts_with("GetProvider: refused (NotFound), node 2, "), "{}", facts(&ended));
        ended = Ended { endpoint: None, seen: Seen::default(), attempts: 3, end: End::Failed, ..ended };
        assert_eq!(facts(&ended), "GetProvider: no answer, 3 attempts, 3 ms");
    }
}
