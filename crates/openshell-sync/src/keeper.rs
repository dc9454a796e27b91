//! The task that installs: the newest offer through the hook and onto the disk, expired credentials out of
//! both, and what is too old out of force. It alone says what is installed.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::clock::{self, Clock};
use crate::configuration::Configuration;
use crate::disk::{DiskError, Kept, Staged, StandingFile, StateDir};
use crate::feed::{Feed, Outcome};
use crate::hook::{Change, ChangeKind, Hook};
use crate::installed::{AgePolicy, AsOf, Lack, Standing};
use crate::status::Status;

/// Before something that failed is tried again: doubled each time.
const AGAIN: Duration = Duration::from_secs(1);
const AGAIN_MAX: Duration = Duration::from_secs(60);
/// Longest that nothing is looked at.
const TICK_MAX: Duration = Duration::from_secs(60);

mod ageing;
mod leaving;
mod offering;
mod saying;

type Applying = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// What is to be installed and is not.
struct Candidate {
    configuration: Arc<Configuration>,
    kind: ChangeKind,
    /// The number of the offer that it was made of.
    offer: u64,
    /// What of it could not be composed.
    lack: Lack,
    as_of: AsOf,
    attempts: u32,
    /// Not before then.
    at: Instant,
    /// Why it failed the last time.
    problem: String,
}

/// What is in force, or would be if it were not closed.
struct Installed {
    configuration: Arc<Configuration>,
    /// Where its files are.
    staged: Staged,
    /// The number of the newest offer that it is all of, but for what is lacking; 0 is what was on disk.
    offer: u64,
    lack: Lack,
}

/// What the hook is busy with.
enum Work {
    Installing(Candidate, Staged),
    Telling(ChangeKind),
}

/// The keeper's ends of what goes between tasks.
pub(crate) struct Ends {
    pub(crate) feed: watch::Receiver<Feed>,
    pub(crate) outcome: watch::Sender<Outcome>,
    pub(crate) status: watch::Sender<Arc<Status>>,
    pub(crate) stop: CancellationToken,
}

pub(crate) struct Keeper {
    state: Arc<Mutex<StateDir>>,
    hook: Arc<dyn Hook>,
    age_policy: AgePolicy,
    clock: Clock,
    feed: watch::Receiver<Feed>,
    outcome: watch::Sender<Outcome>,
    status: watch::Sender<Arc<Status>>,
    stop: CancellationToken,
    installed: Option<Installed>,
    candidate: Option<Candidate>,
    applying: Option<(Work, Applying)>,
    /// The number of the newest offer that was looked at.
    offers: u64,
    /// When what is installed was last known to be current: a part of it, while it is what was said last of that.
    as_of: AsOf,
    is_closed: bool,
    is_closed_on_disk: bool,
    /// Whether the hook has accepted what is installed.
    is_accepted: bool,
    /// What the hook has not been told yet.
    untold: Option<ChangeKind>,
    /// When what is installed is to be written without what was dropped from it, if it is to be.
    rewrite_at: Option<Instant>,
    /// What was replaced, and from when on it may go.
    leaving: Vec<(Staged, Instant)>,
    said: StandingFile,
    said_at: Instant,
    /// The disk did not take what was to be said.
    is_unsaid: bool,
}

impl Keeper {
    pub(crate) fn new(
        state: StateDir,
        kept: Kept,
        hook: Arc<dyn Hook>,
        age_policy: AgePolicy,
        clock: Clock,
        ends: Ends,
    ) -> Self {
        let Ends { feed, outcome, status, stop } = ends;
        let as_of = kept.standing.as_of().until(clock.now_ms());
        let installed = kept.configuration.map(|(found, folder)| Installed {
            configuration: Arc::new(found),
            staged: Staged::at(folder),
            offer: 0,
            lack: Lack::left(as_of),
        });
        Self {
            state: Arc::new(Mutex::new(state)),
            hook,
            age_policy,
            clock,
            feed,
            outcome,
            status,
            stop,
            installed,
            candidate: None,
            applying: None,
            offers: 0,
            as_of,
            is_closed: false,
            is_closed_on_disk: false,
            is_accepted: false,
            untold: None,
            rewrite_at: None,
            leaving: Vec::new(),
            said: kept.standing,
            said_at: Instant::now(),
            is_unsaid: false,
        }
    }

    /// Installs until it is asked to stop, and what the hook is busy with has ended.
    pub(crate) async fn run(mut self) {
        self.begin().await;
        let stop = self.stop.clone();
        loop {
            self.advance().await;
            let tick = self.next_tick();
            tokio::select! {
                () = stop.cancelled() => break,
                Ok(()) = self.feed.changed() => self.take_offer(),
                done = applied(&mut self.applying) => self.conclude(done).await,
                () = sleep_until(tick) => {}
            }
        }
        if self.applying.is_some() {
            let done = applied(&mut self.applying).await;
            self.conclude(done).await;
        }
        self.leave_at_once(Vec::new());
        self.remove_left().await;
        self.say(true).await;
    }

    /// What was installed when the last run ended is in force until something newer is known.
    async fn begin(&mut self) {
        if self.standing() == Standing::Closed {
            // Before anybody can take it for good.
            self.shut();
        } else if self.installed.is_some() {
            // Whichever of the two it was when the last run ended.
            self.is_closed_on_disk = true;
            self.untold = Some(ChangeKind::Restored);
        } else {
            self.settle(0, String::new(), None, true);
        }
        self.match_disk().await;
    }

    /// Does whatever is due, short of waiting.
    async fn advance(&mut self) {
        self.note_age();
        match (self.standing(), self.is_closed) {
            (Standing::Closed, false) => self.shut(),
            (_, true) if self.is_confirmed() => self.open(),
            _ => {}
        }
        self.drop_unusable().await;
        self.match_disk().await;
        self.remove_left().await;
        if self.applying.is_none() {
            self.start_work().await;
        }
        self.note_age();
        self.say(false).await;
        self.publish();
    }

    /// Gives the hook its next work: news of what is installed first, then what is to be.
    async fn start_work(&mut self) {
        if let (Some(kind), Some(installed)) = (self.untold.take(), &self.installed) {
            let (configuration, folder) = (Arc::clone(&installed.configuration), installed.staged.folder().to_owned());
            self.applying = Some((Work::Telling(kind), self.tell(kind, configuration, folder)));
            return;
        }
        if self.is_held_back() {
            return;
        }
        let Some(candidate) = self.candidate.take_if(|candidate| candidate.at <= Instant::now()) else { return };
        if let Some(installed) = self.installed.as_mut().filter(|_| self.is_accepted)
            && candidate.configuration.is_like(&installed.configuration)
        {
            (installed.offer, installed.lack) = (candidate.offer, candidate.lack.clone());
            self.settle(candidate.offer, candidate.lack.reason, Some(&candidate.configuration), true);
            return;
        }
        let (configuration, as_of) = (Arc::clone(&candidate.configuration), candidate.as_of);
        let staged = self.on_disk("writing a configuration", move |state| state.stage(&configuration, as_of)).await;
        match staged {
            Some(staged) => {
                let configuration = Arc::clone(&candidate.configuration);
                let applying = self.tell(candidate.kind, configuration, staged.folder().to_owned());
                self.applying = Some((Work::Installing(candidate, staged), applying));
            }
            None => self.failed(candidate, "it cannot be written to the state directory".to_owned()),
        }
    }

    fn tell(&self, kind: ChangeKind, configuration: Arc<Configuration>, folder: std::path::PathBuf) -> Applying {
        let age = match kind {
            ChangeKind::Installed => Duration::ZERO,
            _ => clock::span(self.clock.now_ms().saturating_sub(self.as_of.config_ms)),
        };
        let hook = Arc::clone(&self.hook);
        Box::pin(async move { hook.apply(&Change { kind, configuration, folder, age }).await })
    }

    /// The hook has answered.
    async fn conclude(&mut self, done: Result<(), String>) {
        let Some((work, _)) = self.applying.take() else { return };
        match (work, done) {
            (Work::Telling(ChangeKind::Closed), Ok(())) => {}
            (Work::Telling(ChangeKind::Closed), Err(problem)) => tracing::warn!(problem, "the hook failed to close"),
            (Work::Telling(kind), done) => self.told(kind, done),
            (Work::Installing(candidate, staged), Err(problem)) => {
                self.discard(staged).await;
                self.failed(candidate, problem);
            }
            (Work::Installing(candidate, staged), Ok(())) => self.put_in_place(candidate, staged).await,
        }
    }

    /// The hook has answered to news of what is installed.
    fn told(&mut self, kind: ChangeKind, done: Result<(), String>) {
        let Some(installed) = &self.installed else { return };
        if self.is_closed {
            // It was closed meanwhile, which the hook is told next.
            return;
        }
        let (configuration, offer) = (Arc::clone(&installed.configuration), installed.offer);
        let lack = installed.lack.clone();
        let was_accepted = std::mem::replace(&mut self.is_accepted, done.is_ok());
        match done {
            // About this one alone: what was offered meanwhile has not been tried.
            Ok(()) if !was_accepted => self.settle(offer, lack.reason, Some(&configuration), true),
            Ok(()) => {}
            Err(problem) => {
                let (as_of, at) = (self.as_of, Instant::now());
                let (attempts, none) = (0, String::new());
                let again = Candidate { configuration, kind, offer, lack, as_of, attempts, at, problem: none };
                self.failed(again, problem);
            }
        }
    }

    /// The hook has accepted a new one.
    async fn put_in_place(&mut self, candidate: Candidate, staged: Staged) {
        // The hook may have taken its time.
        let is_too_old = self.is_too_old(&candidate);
        let committing = staged.clone();
        let committed = self.on_disk("installing", move |state| state.commit(&committing, is_too_old)).await;
        let Some(replaced) = committed else {
            self.discard(staged).await;
            return self.failed(candidate, "it cannot be put in its place in the state directory".to_owned());
        };
        self.linger(replaced);
        let Candidate { configuration, offer, lack, as_of, .. } = candidate;
        tracing::info!(position = ?configuration.position, lacking = lack.reason, "installed");
        self.as_of = self.as_of.later(as_of.until(self.clock.now_ms()));
        (self.is_closed, self.is_closed_on_disk, self.is_accepted) = (false, is_too_old, true);
        (self.untold, self.rewrite_at) = (None, None);
        self.outcome.send_modify(|outcome| outcome.kept = outcome.kept.max(configuration.position));
        if is_too_old {
            self.shut();
        } else {
            self.settle(offer, lack.reason.clone(), Some(&configuration), true);
        }
        self.installed = Some(Installed { configuration, staged, offer, lack });
    }

    /// What was laid out and is not put in its place, or is there no more.
    async fn discard(&mut self, staged: Staged) {
        self.on_disk("removing", move |state| {
            state.discard(&staged);
            Ok(())
        })
        .await;
    }

    /// The one before stays; this one is tried again, unless there is a newer one.
    fn failed(&mut self, mut failed: Candidate, problem: String) {
        tracing::warn!(problem, position = ?failed.configuration.position, "not installed; the last good one stays");
        self.settle(failed.offer, problem.clone(), Some(&failed.configuration), false);
        failed.at = Instant::now() + AGAIN.saturating_mul(2_u32.saturating_pow(failed.attempts)).min(AGAIN_MAX);
        failed.attempts = failed.attempts.saturating_add(1);
        failed.problem = problem;
        match &mut self.candidate {
            None => self.candidate = Some(failed),
            Some(newer) if newer.configuration.is_like(&failed.configuration) => {
                newer.tried_like(&failed);
                let (offer, about) = (newer.offer, Arc::clone(&newer.configuration));
                self.settle(offer, failed.problem, Some(&about), false);
            }
            Some(_) => {}
        }
    }

    /// When something is due that nobody announces.
    fn next_tick(&self) -> Instant {
        let now_ms = self.clock.now_ms();
        let expiry_ms = self.installed.as_ref().and_then(|installed| installed.configuration.next_expiry_ms());
        let times = [expiry_ms, self.age_policy.next_change_ms(self.as_of, now_ms)];
        let spans = times.into_iter().flatten().map(|time_ms| clock::span(time_ms.saturating_sub(now_ms)));
        // A little later, so that it is over then.
        let tick = Instant::now() + spans.min().map_or(TICK_MAX, |span| span + Duration::from_millis(1)).min(TICK_MAX);
        let waits = self.applying.is_some() || self.is_held_back();
        let retry = self.candidate.as_ref().filter(|_| !waits).map(|candidate| candidate.at);
        let unsaid = self.is_unsaid.then(|| self.said_at + AGAIN);
        [retry, unsaid, self.rewrite_at, self.next_to_leave()].into_iter().flatten().fold(tick, Instant::min)
    }

    /// Does something with the state directory, away from this thread. A failure is told and tried again
    /// by whoever needs it.
    fn on_disk<T, F>(&self, doing: &'static str, work: F) -> impl Future<Output = Option<T>> + Send + use<T, F>
    where
        T: Send + 'static,
        F: FnOnce(&mut StateDir) -> Result<T, DiskError> + Send + 'static,
    {
        let state = Arc::clone(&self.state);
        let work = move || work(&mut state.lock().unwrap_or_else(PoisonError::into_inner));
        async move {
            match tokio::task::spawn_blocking(work).await {
                Ok(Ok(done)) => Some(done),
                Ok(Err(error)) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "{doing} failed");
                    None
                }
                // The runtime is shutting down.
                Err(_) => None,
            }
        }
    }
}

/// Waits for the hook, for ever when it is not busy.
async fn applied(applying: &mut Option<(Work, Applying)>) -> Result<(), String> {
    match applying {
        Some((_, applying)) => applying.await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
