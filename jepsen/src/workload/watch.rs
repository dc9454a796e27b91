//! Watches of all profiles, which go on at other nodes: where a node went away, and now and then because they
//! want to.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use openshell_client::{CallError, Watch as Stream, WatchError};
use openshell_proto::cluster::watch_event::Object;
use openshell_proto::cluster::watch_response::Type;
use openshell_proto::cluster::{self, WatchEvent, WatchKind, WatchRequest, WatchResponse};
use openshell_tests::Access;
use rand::Rng;
use tokio::time::{Instant, sleep, sleep_until};
use tonic::Code;

use super::client::Client;
use super::heard::Heard;
use super::part::{Part, Tasks};
use super::profiles::cell;
use super::running::note_follower;
use super::{Shared, Workload};
use crate::history::{Cell, Cells, Line, News, Position};

const WATCHERS: u64 = 3;
const WATCH: &str = "openshell.cluster.v1.Cluster/Watch";
/// A watcher looks so long for a node that takes it.
const PATIENCE: Duration = Duration::from_secs(60);
/// A watcher leaves its node after a time within these.
const STAYS_MS: std::ops::Range<u64> = 1_000..9_000;
/// Before a watcher that was refused begins again.
const PAUSE: Duration = Duration::from_millis(500);

pub(super) struct Watch {
    shared: Arc<Shared>,
}

impl Watch {
    /// There is nothing to set up: the other workloads write.
    pub(super) async fn prepare(shared: &Arc<Shared>) -> anyhow::Result<Self> {
        Ok(Self { shared: Arc::clone(shared) })
    }
}

impl Part for Watch {
    fn start(&self, _: &mut Tasks, followers: &mut Tasks) {
        for number in 0..WATCHERS {
            let client = Client::new(&self.shared, Workload::Watch, number);
            note_follower(&self.shared.recorder, Workload::Watch, &number.to_string(), false);
            followers.spawn(async move {
                Watcher { client, number, last: None, least: None, initial: None }.work().await;
                Ok(())
            });
        }
    }

    fn finish(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {})
    }
}

struct Watcher {
    client: Client,
    number: u64,
    /// Where to go on from.
    last: Option<Position>,
    /// A state that comes anew is not taken from a node that is further behind than this.
    least: Option<Position>,
    /// The state as far as it has come.
    initial: Option<(Position, Cells)>,
}

/// Why a stream is left.
enum Left {
    /// It came to the end.
    Done,
    /// It goes on elsewhere.
    Moved,
    /// It begins anew, with a state of this revision at least.
    Anew(u64),
    /// It was refused, with this code, or nobody took it.
    Failed(Option<Code>, String),
}

impl Watcher {
    /// Until it has come to the end, or was told that its position is none: then there is nothing to go on from.
    async fn work(mut self) {
        loop {
            let node = self.client.any_node();
            match self.stay(node).await {
                Left::Done => {
                    let recorder = &self.client.shared.recorder;
                    return note_follower(recorder, Workload::Watch, &self.number.to_string(), true);
                }
                Left::Moved => {}
                Left::Anew(revision) => {
                    self.least = self.last.take().map(|last| last.max(Position { revision, ..last })).or(self.least);
                    self.tell(node, News::Anew);
                }
                Left::Failed(code, said) => {
                    let name = code.map(|code| format!("{code:?}")).unwrap_or_default();
                    self.tell(node, News::Failed { code: name, said });
                    if code == Some(Code::FailedPrecondition) {
                        return;
                    }
                    sleep(PAUSE).await;
                }
            }
        }
    }

    /// One stream, which begins at a node and may go on at others.
    async fn stay(&mut self, node: usize) -> Left {
        let nodes = &self.client.shared.nodes;
        let order: Vec<Access> = nodes.iter().cycle().skip(node).take(nodes.len()).cloned().collect();
        let request = WatchRequest {
            kinds: vec![WatchKind::ProviderProfile as i32],
            all_workspaces: true,
            from: self.last.map(|Position { epoch, revision }| cluster::Position { epoch, revision }),
            ..WatchRequest::default()
        };
        let client = Access::to_all(&order).api().client();
        let note = self.client.notes(WATCH);
        let mut stream = Stream::new(client, request, PATIENCE)
            .on_break(move |status| note(Heard::failed_behind(CallError::Refused(status.clone()))));
        self.initial = None;
        let leaves = Instant::now() + Duration::from_millis(self.client.random.random_range(STAYS_MS));
        let mut settled = self.client.shared.settled.clone();
        loop {
            if self.settled().is_some_and(|end| self.last >= Some(end)) {
                return Left::Done;
            }
            tokio::select! {
                next = stream.next() => match next {
                    Ok(response) => {
                        if !self.hear(node, response) {
                            return Left::Moved;
                        }
                    }
                    Err(WatchError::BeginAnew { list_revision, .. }) => return Left::Anew(list_revision),
                    Err(WatchError::Call(error)) => {
                        let left = Left::Failed(error.refusal_code(), error.to_string());
                        self.client.notes(WATCH)(Heard::failed_behind(error));
                        return left;
                    }
                },
                () = sleep_until(leaves), if self.initial.is_none() => return Left::Moved,
                Ok(()) = settled.changed() => {}
            }
        }
    }

    fn settled(&self) -> Option<Position> {
        *self.client.shared.settled.borrow()
    }

    fn tell(&self, node: usize, news: News) {
        let recorder = &self.client.shared.recorder;
        let time_ns = recorder.now_ns();
        recorder.add(Line::Watched { watcher: self.number, time_ns, node: node as u64 + 1, news });
    }

    /// Whether the stream is to be believed further.
    fn hear(&mut self, node: usize, response: WatchResponse) -> bool {
        let kind = response.r#type();
        let Some(position) = response.position else { return true };
        let at = Position { epoch: position.epoch, revision: position.revision };
        let changes: BTreeMap<String, Option<Cell>> = response.events.iter().filter_map(change).collect();
        match kind {
            Type::Initial | Type::Synced if Some(at) < self.least => return false,
            Type::Initial | Type::Synced => {
                // A state that was interrupted begins again, as of another revision.
                let so_far = self.initial.take().filter(|(of, _)| *of == at).map(|(_, cells)| cells);
                let mut cells = so_far.unwrap_or_default();
                cells.extend(changes.into_iter().filter_map(|(key, cell)| Some((key, cell?))));
                if kind == Type::Initial {
                    self.initial = Some((at, cells));
                    return true;
                }
                self.last = Some(at);
                self.tell(node, News::Synced { at, cells });
            }
            Type::Changes => {
                self.last = Some(at);
                if !changes.is_empty() {
                    self.tell(node, News::Changed { at, changes });
                }
            }
            Type::Progress => {
                self.last = Some(at);
                self.tell(node, News::Quiet { at });
            }
            Type::Unspecified => {
                let (code, said) = ("Unspecified".to_owned(), "a message without a type".to_owned());
                self.tell(node, News::Failed { code, said });
            }
        }
        true
    }
}

/// What a profile became; nothing for those that belong to the platform.
fn change(event: &WatchEvent) -> Option<(String, Option<Cell>)> {
    if event.kind() != WatchKind::ProviderProfile || event.workspace.is_empty() {
        return None;
    }
    let now = match &event.object {
        Some(Object::ProviderProfile(profile)) => Some(cell(profile).1),
        _ => None,
    };
    Some((event.name.clone(), now))
}
