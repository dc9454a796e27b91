//! The streams of a node: who follows through it, and who did lately. What it knows goes with it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use openshell_proto::peer::{
    Presence, ReadPresenceRequest, ReadSessionsRequest, SandboxSession, Sessions as Part, SilentSandbox,
};
use openshell_proto::v1::Sandbox;
use openshell_state::phase;
use tokio::sync::watch;
use tokio::time::Instant;
use tonic::Status;

use super::limits::Limits;
use super::polls::Polls;
use super::presence::Arrivals;
use super::pulse::BEATS;
use super::reasons::{REASON_BYTES, bound};
use super::session::{End, Session};
use super::whole_ms;

/// What a node knows of those who follow.
pub(crate) struct Sessions {
    pub(super) limits: Limits,
    life: u64,
    inner: Mutex<Inner>,
    polls: Polls,
    /// Those whose record is to say that they are connected.
    pub(super) arrivals: Arrivals,
    /// What streams live by, each by one of them.
    beats: [watch::Sender<()>; BEATS],
    pub(super) counts: Counts,
}

/// Counts since start.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) messages: AtomicU64,
    pub(super) reports: AtomicU64,
    cut_off: AtomicU64,
    refused: AtomicU64,
}

/// Numbers for the metrics page.
pub(crate) struct SessionGauges {
    /// Streams that go on.
    pub(crate) open: u64,
    /// Sandboxes that poll, or did lately.
    pub(crate) polling: u64,
    /// Configurations that were sent.
    pub(crate) messages: u64,
    pub(crate) reports: u64,
    /// Streams that were ended because nobody read them.
    pub(crate) cut_off: u64,
    /// Streams that were not taken because there were too many.
    pub(crate) refused: u64,
}

#[derive(Default)]
struct Inner {
    number: u64,
    /// Another one whenever somebody comes, goes, falls silent or is heard of again.
    generation: u64,
    /// By sandbox, the newest one, whether or not it goes on.
    newest: BTreeMap<Arc<str>, Arc<Session>>,
    /// In the order in which they ended.
    ended: VecDeque<Arc<Session>>,
    /// Open ones by number, by the beat that they live by.
    open: [BTreeMap<u64, Arc<Session>>; BEATS],
    /// By sandbox, streams that the transport still holds.
    streams: BTreeMap<Arc<str>, usize>,
    all_streams: usize,
}

/// A session for as long as its stream is held.
pub(super) struct Held {
    sessions: Arc<Sessions>,
    pub(super) session: Arc<Session>,
}

impl Sessions {
    /// `life` tells the lives of a node apart.
    pub(crate) fn new(limits: Limits, life: u64) -> Arc<Self> {
        Arc::new(Self {
            limits,
            life,
            inner: Mutex::default(),
            polls: Polls::new(limits.polling),
            arrivals: Arrivals::default(),
            beats: std::array::from_fn(|_| watch::Sender::new(())),
            counts: Counts::default(),
        })
    }

    /// A sandbox's stream begins, which ends the one that it had here. `id` is random; `holds` is the revision
    /// that the sandbox says it has.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED` when there are too many; another node may take it.
    pub(super) fn begin(self: &Arc<Self>, sandbox: &str, id: String, holds: u64) -> Result<Held, Status> {
        let mut inner = self.lock();
        let own = inner.streams.get(sandbox).copied().unwrap_or(0);
        let text = if inner.all_streams >= self.limits.streams {
            format!(
                "this node has {} sandboxes that follow and takes no more; follow through another",
                self.limits.streams
            )
        } else if own >= self.limits.streams_of_one {
            format!("the sandbox has {own} streams at this node that nobody reads; end them first")
        } else {
            inner.number += 1;
            let sandbox: Arc<str> = sandbox.into();
            let session = Arc::new(Session::new(inner.number, id, Arc::clone(&sandbox), holds));
            *inner.streams.entry(Arc::clone(&sandbox)).or_default() += 1;
            inner.all_streams += 1;
            inner.open[beat_of(&session)].insert(session.number, Arc::clone(&session));
            if let Some(before) = inner.newest.insert(sandbox, Arc::clone(&session)) {
                before.close(Some(End::Replaced));
                inner.open[beat_of(&before)].remove(&before.number);
            }
            inner.generation += 1;
            drop(inner);
            return Ok(Held { sessions: Arc::clone(self), session });
        };
        self.counts.refused.fetch_add(1, Ordering::Relaxed);
        Err(Status::resource_exhausted(text))
    }

    /// Comes every time when a stream has to say something.
    pub(super) fn beat(&self, session: &Session) -> watch::Receiver<()> {
        self.beats[beat_of(session)].subscribe()
    }

    /// The streams of one beat have to say something; those that nobody reads end, and whose sandbox says
    /// nothing itself is noticed.
    pub(super) fn strike(&self, beat: usize, now: Instant) {
        let mut inner = self.lock();
        let slow = inner.open[beat].values().filter(|session| session.is_slow(self.limits.slow));
        let slow: Vec<Arc<Session>> = slow.cloned().collect();
        for session in slow {
            tracing::info!(sandbox = &*session.sandbox, "a sandbox does not read its stream, which ends");
            self.counts.cut_off.fetch_add(1, Ordering::Relaxed);
            inner.end(&session, Some(End::Slow), self.limits.remembered);
        }
        let silence = self.limits.silence();
        let fell_silent = inner.open[beat].values().filter(|session| session.falls_silent(now, silence)).count();
        inner.generation += fell_silent as u64;
        drop(inner);
        self.beats[beat].send_replace(());
    }

    /// The stream that a sandbox has here, by the name that it was given.
    pub(super) fn find(&self, sandbox: &str, id: &str) -> Option<Arc<Session>> {
        let inner = self.lock();
        inner.newest.get(sandbox).filter(|session| session.id == id && session.is_open()).cloned()
    }

    /// A sandbox says something itself: somebody is there, whatever it says.
    pub(super) fn heard(&self, session: &Session, now: Instant) {
        if session.hears(now) {
            self.lock().generation += 1;
        }
    }

    /// Has it recorded that a sandbox is there and current, when its record awaits that.
    pub(super) fn arrives(&self, session: &Session, record: &Sandbox) {
        if session.is_connected() && session.is_current() && phase::awaits_connection(record) {
            self.arrivals.add(&session.sandbox);
        }
    }

    /// A sandbox polled, and got the configuration of a revision.
    pub(crate) fn polled(&self, sandbox: &str, revision: u64) {
        self.polls.note(sandbox, revision);
    }

    /// What is known of sandboxes, for another node.
    pub(crate) fn read(&self, request: &ReadSessionsRequest) -> Part {
        let mut parts: BTreeMap<Arc<str>, SandboxSession> = BTreeMap::new();
        let inner = self.lock();
        let newest = |sandbox: &str| inner.newest.get_key_value(sandbox);
        let known: Vec<(Arc<str>, Arc<Session>)> = match request.sandbox_ids.is_empty() {
            true => inner.newest.iter().map(|(id, session)| (Arc::clone(id), Arc::clone(session))).collect(),
            false => {
                let asked = request.sandbox_ids.iter().filter_map(|id| newest(id));
                asked.map(|(id, session)| (Arc::clone(id), Arc::clone(session))).collect()
            }
        };
        drop(inner);
        parts.extend(known.into_iter().map(|(id, session)| (id, session.to_peer())));
        let polled = match request.sandbox_ids.is_empty() {
            true => self.polls.all(),
            false => {
                request.sandbox_ids.iter().filter_map(|id| Some((id.as_str().into(), self.polls.of(id)?))).collect()
            }
        };
        for (id, polled) in polled {
            let part = parts
                .entry(Arc::clone(&id))
                .or_insert_with(|| SandboxSession { sandbox_id: id.to_string(), ..SandboxSession::default() });
            part.polled_ms = Some(whole_ms(polled.ago));
            part.polled_revision = polled.revision;
        }
        bound(parts.values_mut().map(|part| &mut part.failure), REASON_BYTES);
        Part { sessions: parts.into_values().collect() }
    }

    /// Who is connected, for whoever leads, unless it knows; and when others were heard of who may not be missed
    /// yet. A node that `is_old` says that nobody is connected: what it sends is not current.
    pub(crate) fn presence(&self, request: &ReadPresenceRequest, is_old: bool, now: Instant) -> Presence {
        let inner = self.lock();
        // Never what another node has as the generation of this life.
        let generation = if is_old { 0 } else { inner.generation + 1 };
        let unchanged = request.life == self.life && request.generation == generation;
        let mut presence = Presence { life: self.life, generation, unchanged, ..Presence::default() };
        if unchanged || is_old {
            return presence;
        }
        for (id, session) in &inner.newest {
            let heard_ago = session.heard_ago(now);
            if session.is_connected() {
                presence.sandbox_ids.push(id.to_string());
            } else if heard_ago < self.limits.grace {
                presence.silent.push(SilentSandbox { sandbox_id: id.to_string(), heard_ms: whole_ms(heard_ago) });
            }
        }
        presence
    }

    /// Numbers for the metrics page.
    pub(crate) fn gauges(&self) -> SessionGauges {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        SessionGauges {
            open: self.lock().open.iter().map(|open| open.len() as u64).sum(),
            polling: self.polls.len() as u64,
            messages: read(&self.counts.messages),
            reports: read(&self.counts.reports),
            cut_off: read(&self.counts.cut_off),
            refused: read(&self.counts.refused),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// A session goes on no more; the one that took its place is not concerned.
    fn end(&mut self, session: &Arc<Session>, end: Option<End>, remembered: usize) {
        if !session.close(end) {
            return;
        }
        self.open[beat_of(session)].remove(&session.number);
        self.generation += 1;
        self.ended.push_back(Arc::clone(session));
        while self.ended.len() > remembered
            && let Some(oldest) = self.ended.pop_front()
        {
            if self.newest.get(&oldest.sandbox).is_some_and(|newest| Arc::ptr_eq(newest, &oldest)) {
                self.newest.remove(&oldest.sandbox);
            }
        }
    }
}

fn beat_of(session: &Session) -> usize {
    usize::try_from(session.number % BEATS as u64).expect("there are few beats")
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut inner = self.sessions.lock();
        inner.end(&self.session, None, self.sessions.limits.remembered);
        inner.all_streams -= 1;
        if let Some(own) = inner.streams.get_mut(&self.session.sandbox) {
            *own -= 1;
            if *own == 0 {
                inner.streams.remove(&self.session.sandbox);
            }
        }
    }
}

#[cfg(test)]
mod tests;
