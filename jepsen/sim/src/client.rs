//! One client: writes and reads at nodes of its choice, repeats under one id what it is not sure of,
//! and tells the oracle what it was told. Between it and the nodes is no simulated connection: calls
//! and answers take a while or get lost, as the seed has it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use openshell_state::RequestId;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};

use crate::chance::Chance;
use crate::entry::{Heard, Request};
use crate::node::{Ask, Fresh};
use crate::rules::{Write, held};
use crate::world::{World, now_ms};

/// A client gives up a write after this long.
const PATIENCE: Duration = Duration::from_secs(8);
/// One call or answer in so many is lost.
const LOST: u64 = 80;

/// A client between two calls.
pub(crate) struct Client {
    world: Arc<World>,
    number: u64,
    chance: Chance,
    /// By how much its ids must be made at another time than it believes.
    ahead_ms: i64,
    written: u64,
    /// The newest revision that it has heard of itself.
    seen: u64,
    /// What it saw last, for the versions that it expects.
    versions: Vec<u64>,
}

/// How an attempt ended.
enum Attempt<T> {
    Heard(T),
    /// It never left.
    NotSent,
    /// No answer came.
    Lost,
}

/// What is known of a write when its attempts have ended.
enum Outcome {
    Told(Heard),
    /// No attempt came to anything.
    Never,
    Unknown,
}

impl Client {
    pub(crate) fn new(world: Arc<World>, number: u64) -> Self {
        let chance = Chance::new(world.plan.seed, &format!("client {number}"));
        let versions = vec![0; usize::try_from(world.plan.keys).unwrap_or(0)];
        Self { world, number, chance, ahead_ms: 0, written: 0, seen: 0, versions }
    }

    /// Calls until the run is over.
    pub(crate) async fn run(mut self) {
        while !self.world.is_over.load(Ordering::Relaxed) {
            sleep(self.chance.millis(1, 60)).await;
            match self.chance.below(10) {
                0..=2 => self.read(true).await,
                3 => self.read(false).await,
                _ => self.write().await,
            }
        }
    }

    fn next_write(&mut self) -> Write {
        self.written += 1;
        let value = format!("c{}-{}", self.number, self.written);
        let names = self.world.plan.keys;
        let at = self.chance.below(names);
        let key = name(at);
        match self.chance.below(8) {
            0 => Write::Create { key, value },
            1 | 2 => Write::Both { keys: [key, name((at + 1) % names)], value },
            3..=5 => {
                let seen = self.versions[usize::try_from(at).unwrap_or(0)];
                Write::Swap { key, version: seen, value }
            }
            _ => Write::Put { key, value },
        }
    }

    async fn write(&mut self) {
        let write = self.next_write();
        let operation = self.world.oracle().begin(write.clone());
        let mut request = Request { write, id: self.new_id(), is_repeated: false };
        let outcome = self.insist(operation, &mut request).await;
        match outcome {
            Outcome::Told(Heard::Done { revision, held }) => {
                self.seen = self.seen.max(revision);
                self.world.oracle().done(operation, revision, held);
                if self.chance.one_in(8) {
                    self.repeat(operation, request).await;
                }
            }
            Outcome::Told(Heard::Refused { revision, refusal: _ }) => {
                self.seen = self.seen.max(revision);
                self.world.oracle().refused(operation, revision);
            }
            Outcome::Told(Heard::Untimely { .. } | Heard::NotDone) | Outcome::Never => {
                self.world.oracle().not_done(operation);
            }
            Outcome::Told(Heard::Unknown) | Outcome::Unknown => self.world.oracle().unknown(operation),
        }
    }

    /// Attempt after attempt, until there is an answer or the client has had enough.
    async fn insist(&mut self, operation: usize, request: &mut Request) -> Outcome {
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE {
            self.world.oracle().attempt(operation, request.id);
            let limit = self.chance.millis(150, 2_000);
            let sent = request.clone();
            match self.call(limit, |answer| Ask::Write(sent, limit, answer)).await {
                Attempt::Heard(Heard::Untimely { take_ms }) if !request.is_repeated => {
                    self.ahead_ms = take_ms - now_ms();
                    request.id = self.new_id();
                }
                Attempt::Heard(Heard::NotDone) | Attempt::NotSent => {}
                Attempt::Heard(Heard::Unknown | Heard::Untimely { .. }) | Attempt::Lost => request.is_repeated = true,
                Attempt::Heard(heard) => return Outcome::Told(heard),
            }
            sleep(self.chance.millis(1, 150)).await;
        }
        if request.is_repeated { Outcome::Unknown } else { Outcome::Never }
    }

    /// Asks again what was answered: the answer must be the same.
    async fn repeat(&mut self, operation: usize, mut request: Request) {
        request.is_repeated = true;
        let limit = self.chance.millis(150, 2_000);
        let again = self.call(limit, |answer| Ask::Write(request, limit, answer)).await;
        if let Attempt::Heard(heard) = again {
            match heard {
                Heard::Done { revision, held } => self.world.oracle().done(operation, revision, held),
                // Too old to be remembered, or no answer.
                Heard::Untimely { .. } | Heard::NotDone | Heard::Unknown => {}
                Heard::Refused { refusal, .. } => {
                    self.world
                        .violated(format!("a write was acknowledged, and refused when it was repeated: {refusal}"));
                }
            }
        }
    }

    async fn read(&mut self, is_linearizable: bool) {
        let (floor, fresh) = match is_linearizable {
            true => (self.world.oracle().floor(), Fresh::Linearizable),
            false => (self.seen, Fresh::AtLeast(self.seen)),
        };
        let limit = self.chance.millis(150, 2_000);
        if let Attempt::Heard(Some(state)) = self.call(limit, |answer| Ask::Read(fresh, limit, answer)).await {
            self.seen = self.seen.max(state.revision());
            for (at, version) in (0..).zip(&mut self.versions) {
                *version = held(&state, &name(at)).version;
            }
            self.world.oracle().read(floor, state);
        }
    }

    /// One call to some node, and what came of it. The client may lose patience before the node does.
    async fn call<T>(&mut self, limit: Duration, ask: impl FnOnce(oneshot::Sender<T>) -> Ask) -> Attempt<T> {
        let node = self.chance.between(1, self.world.plan.spare());
        sleep(self.chance.millis(0, 10)).await;
        if self.chance.one_in(LOST) {
            sleep(limit).await;
            return Attempt::Lost;
        }
        let Some(running) = self.world.running(node) else { return Attempt::NotSent };
        let (answer, answered) = oneshot::channel();
        if running.asks.send(ask(answer)).is_err() {
            return Attempt::NotSent;
        }
        drop(running);
        let patience = if self.chance.one_in(6) { limit / 4 } else { limit + Duration::from_millis(200) };
        let Ok(Ok(heard)) = timeout(patience, answered).await else { return Attempt::Lost };
        if self.chance.one_in(LOST) {
            sleep(limit).await;
            return Attempt::Lost;
        }
        sleep(self.chance.millis(0, 10)).await;
        Attempt::Heard(heard)
    }

    /// A UUIDv7 of now, by this client's clock.
    fn new_id(&mut self) -> RequestId {
        id_made_at(now_ms() + self.ahead_ms, [self.chance.next(), self.chance.next()])
    }
}

/// The names that clients write to.
pub(crate) fn name(number: u64) -> String {
    format!("k{number}")
}

/// The id of one of the last writes that a node is asked for.
pub(crate) fn last_id(time_ms: i64, node: u64, attempt: u64) -> RequestId {
    id_made_at(time_ms, [u64::MAX, node << 32 | attempt])
}

fn id_made_at(time_ms: i64, rest: [u64; 2]) -> RequestId {
    let mut bytes = [0; 16];
    bytes[..6].copy_from_slice(&time_ms.to_be_bytes()[2..]);
    bytes[6..8].copy_from_slice(&rest[0].to_be_bytes()[..2]);
    bytes[8..].copy_from_slice(&rest[1].to_be_bytes());
    bytes[6] = 0x70 | (bytes[6] & 0x0f);
    bytes[8] = 0x80 | (bytes[8] & 0x3f);
    RequestId::from_bytes(&bytes).expect("version 7")
}
