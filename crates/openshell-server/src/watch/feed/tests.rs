//! A node whose history and whose published state move one at a time, as between two moments of a
//! real one: what watches do then is what the tests beside this are about.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use openshell_proto::log::{Command, HistoryEntry, Origin, Reply, Transaction, Write, command, reply, write};
use openshell_proto::v1::{CreateSandboxRequest, SandboxSpec};
use openshell_raft::{Page, PageLimit};
use openshell_state::access::{Principal, User};
use openshell_state::{Call, Decision, Key, Stamp, State, decide};
use prost::Message;
use tokio::sync::watch;

use super::Feed;
use crate::identifiers::RandomIdentifiers;
use crate::logs::{self, Keeper};
use crate::sandbox::tokens::tests::{START_MS, formed, secrets};
use crate::watch::census::Limits;
use crate::watch::hub::Hub;

pub(in crate::watch) struct Standing {
    inner: Mutex<Inner>,
    revisions: watch::Sender<u64>,
}

struct Inner {
    published: Arc<State>,
    /// What was applied and may not be published yet.
    applied: State,
    floor: u64,
    entries: Vec<Arc<HistoryEntry>>,
    age: Duration,
}

/// Who is a member where it is written, and no admin.
pub(in crate::watch) fn member(subject: &str) -> Principal {
    Principal::User(User { subject: subject.to_owned(), ..User::default() })
}

impl Standing {
    /// A node of a cluster that was just formed.
    pub(in crate::watch) fn new() -> Arc<Self> {
        let state = formed("one", &secrets());
        let revisions = watch::Sender::new(state.revision());
        let inner = Inner {
            published: Arc::new(state.clone()),
            floor: state.revision(),
            applied: state,
            entries: Vec::new(),
            age: Duration::ZERO,
        };
        Arc::new(Self { inner: Mutex::new(inner), revisions })
    }

    /// Who is told of its changes.
    pub(in crate::watch) fn hub(self: &Arc<Self>, limits: Limits) -> Arc<Hub> {
        let feed: Arc<dyn Feed> = self.clone();
        Hub::new(feed, Keeper::new(logs::Limits::default(), 1), limits)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("nobody panicked")
    }

    fn apply(&self, transaction: Transaction) {
        let mut inner = self.lock();
        let entry = Command { kind: Some(command::Kind::Transaction(transaction)) };
        let revision = inner.applied.revision() + 1;
        let applied = inner.applied.apply(revision, &entry).expect("our own entries are known");
        inner.entries.extend(applied.history.map(Arc::new));
    }

    /// Applies a record, or that there is none, and publishes nothing.
    pub(in crate::watch) fn write<M: Message>(&self, key: &Key, value: Option<&M>) {
        let change = value.map_or(write::Change::Delete(true), |value| write::Change::Put(value.encode_to_vec()));
        self.apply(Transaction {
            origin: Some(Origin { time_ms: START_MS, ..Origin::default() }),
            writes: vec![Write { key: Some(key.to_proto()), change: Some(change) }],
            reply: Some(Reply { outcome: Some(reply::Outcome::Message(Vec::new())) }),
            ..Transaction::default()
        });
    }

    /// Applies what a rule decides, and publishes nothing.
    pub(in crate::watch) fn decide(&self, rule: impl FnOnce(Call<'_>) -> Decision) {
        let (identifiers, sealer) = (RandomIdentifiers::from_os(), secrets());
        let stamp = Stamp { time_ms: START_MS, identifiers: &identifiers, sealer: &*sealer };
        let state = self.lock().applied.clone();
        let decision = rule(Call { state: &state, principal: &Principal::Cluster, stamp });
        let Decision::Transact(draft) = decision else { panic!("no transaction but {decision:?}") };
        self.apply(draft.into_transaction(Origin { time_ms: START_MS, ..Origin::default() }));
    }

    /// Applies a new sandbox of the default workspace; its key and id.
    pub(in crate::watch) fn create_sandbox(&self, name: &str) -> (Key, String) {
        let spec = Some(SandboxSpec::default());
        let request = CreateSandboxRequest { name: name.to_owned(), spec, ..CreateSandboxRequest::default() };
        self.decide(|call| decide::sandbox::create(call, &request).into());
        let inner = self.lock();
        let sandbox = inner.applied.sandbox("default", name).expect("it was made").value;
        let id = sandbox.metadata.as_ref().expect("metadata").id.clone();
        let (key, _) = inner.applied.sandbox_by_id(&id).expect("it was made");
        (key.clone(), id)
    }

    /// Publishes what was applied.
    pub(in crate::watch) fn publish(&self) -> u64 {
        let mut inner = self.lock();
        inner.published = Arc::new(inner.applied.clone());
        let revision = inner.published.revision();
        drop(inner);
        self.revisions.send_replace(revision);
        revision
    }

    /// The history begins anew with what was applied, as before a snapshot is published.
    pub(in crate::watch) fn forget(&self) -> u64 {
        let mut inner = self.lock();
        inner.entries.clear();
        inner.floor = inner.applied.revision();
        inner.floor
    }

    pub(in crate::watch) fn grow_old(&self, age: Duration) {
        self.lock().age = age;
    }
}

impl Feed for Standing {
    fn state(&self) -> Arc<State> {
        Arc::clone(&self.lock().published)
    }

    fn revisions(&self) -> watch::Receiver<u64> {
        self.revisions.subscribe()
    }

    fn floor(&self) -> u64 {
        self.lock().floor
    }

    fn recent_after(&self, revision: u64, limit: PageLimit) -> Option<Page> {
        let inner = self.lock();
        if revision < inner.floor {
            return Some(Page::Gone { floor: inner.floor });
        }
        let entries = inner.entries.iter().filter(|entry| entry.revision > revision).take(limit.entries);
        Some(Page::Entries(entries.cloned().collect()))
    }

    fn read_after(&self, revision: u64, limit: PageLimit) -> io::Result<Page> {
        self.recent_after(revision, limit).ok_or_else(|| io::Error::other("memory has everything here"))
    }

    fn age(&self) -> Duration {
        self.lock().age
    }
}
