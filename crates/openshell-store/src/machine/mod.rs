//! The state machine: openraft's, over [`openshell_state::State`]. It applies entries, writes
//! what they changed together with the index, and publishes the result. Why an entry says
//! what it says was decided elsewhere.

mod stored;
mod view;

use std::io;
use std::sync::Arc;

use futures::{Stream, TryStreamExt};
use openraft::storage::{ApplyResponder, EntryResponder, RaftStateMachine, Snapshot};
use openraft::{EntryPayload, OptionalSend, RaftSnapshotBuilder};
use openshell_chaos::{Bug, Point, bug, disk_point, point};
use openshell_state::State;

use crate::disk::{Batch, Disk, Half};
use crate::fault::{FaultHook, OpenError};
use crate::history::History;
use crate::identity::Identity;
use crate::snapshot::SnapshotData;
use crate::types::{Entry, LogId, ProposalOutcome, SnapshotMeta, StoredMembership, TypeConfig};
use crate::writer::Writer;
use stored::{Pieces, Position};
use view::Publisher;
pub use view::StateView;

/// Entries are published when their batch has grown to this, or when there are no more.
const PIECE_BYTES_MAX: usize = 1024 * 1024;

/// Reads the stored state of a stopped node back, damaged beside it as the disk may be: the state, the last entry applied, and
/// the members as of it.
pub(crate) fn load(disk: &dyn Disk) -> Result<(State, Option<LogId>, StoredMembership), OpenError> {
    let (state, Position { applied, membership }) = stored::load(disk, Pieces::Small)?;
    Ok((state, applied, membership))
}

pub(crate) use stored::{clear_spare, half};

/// Writes the items of a state into an empty disk, in pieces that memory bears. Nothing is synced.
pub(crate) fn put_items(disk: &dyn Disk, state: &State) -> io::Result<()> {
    let mut piece = Batch::new();
    for item in state.items() {
        stored::put_item(&mut piece, Half::default(), item);
        if piece.bytes() >= PIECE_BYTES_MAX {
            disk.write(std::mem::take(&mut piece), false)?;
        }
    }
    disk.write(piece, false)
}

/// Says that the items are those of a state, and where its node is in the log.
pub(crate) fn put_position(batch: &mut Batch, state: &State, applied: LogId, membership: StoredMembership) {
    stored::put_position(batch, state, &Position { applied: Some(applied), membership });
}

/// A snapshot as openraft carries it.
pub type StateSnapshot = Snapshot<crate::types::LeaderId, crate::types::NodeId, crate::types::Member, SnapshotData>;

/// The state machine of this node. openraft owns it; everyone else has the [`StateView`].
pub struct Machine {
    writer: Writer,
    history: History,
    identity: Identity,
    on_fault: FaultHook,
    publisher: Publisher,
    position: Position,
    half: Half,
}

/// What was applied and waits to be written, published and answered.
struct Piece {
    state: State,
    batch: Batch,
    responses: Vec<(ApplyResponder<TypeConfig>, ProposalOutcome)>,
    entries: usize,
}

impl Machine {
    /// The members as of the last entry applied; none before the first.
    #[must_use]
    pub fn membership(&self) -> &StoredMembership {
        &self.position.membership
    }

    pub(crate) fn open(
        writer: Writer,
        history: History,
        identity: Identity,
        on_fault: FaultHook,
    ) -> Result<Self, OpenError> {
        let (state, position) = stored::load(&**writer.disk(), Pieces::Large)?;
        let half = stored::half(&**writer.disk()).map_err(OpenError::io("reading the state"))?;
        let publisher = Publisher::new(taken_over(state));
        Ok(Self { writer, history, identity, on_fault, publisher, position, half })
    }

    /// The published state, for everyone.
    #[must_use]
    pub fn view(&self) -> StateView {
        self.publisher.view()
    }

    /// The last applied entry.
    #[must_use]
    pub fn applied(&self) -> Option<LogId> {
        self.position.applied
    }

    fn begin(&self) -> Piece {
        Piece { state: State::clone(&self.publisher.load()), batch: Batch::new(), responses: Vec::new(), entries: 0 }
    }

    fn apply_one(&mut self, piece: &mut Piece, entry: &Entry) -> io::Result<ProposalOutcome> {
        let index = entry.log_id.index;
        // One that is missing was noticed where the log was read.
        if let Some(applied) = self.position.applied
            && index <= applied.index
        {
            return Err(io::Error::other(format!("entry {} came after {applied} was applied", entry.log_id)));
        }
        let outcome = match &entry.payload {
            EntryPayload::Blank => None,
            EntryPayload::Membership(membership) => {
                disk_point(Point::ApplyMembership)?;
                self.position.membership = StoredMembership::new(Some(entry.log_id), membership.clone());
                None
            }
            EntryPayload::Normal(_) if index == 0 => {
                return Err(io::Error::other("the first entry of the log is a command; it must be a membership"));
            }
            EntryPayload::Normal(proposal) => {
                let command = proposal.decode()?;
                let applied = piece.state.apply(index, &command).map_err(io::Error::other)?;
                for change in &applied.changes {
                    stored::put_change(&mut piece.batch, self.half, change);
                }
                if let Some(history) = applied.history {
                    self.history.add(&mut piece.batch, history);
                }
                Some(applied.outcome)
            }
        };
        // The membership that forms a cluster has index 0, which is the empty state's own.
        if piece.state.revision() < index {
            piece.state.advance(index);
        }
        self.publisher.sample(&piece.state);
        self.position.applied = Some(entry.log_id);
        piece.entries += 1;
        Ok(ProposalOutcome(outcome))
    }

    /// Hands the piece to the writer, then publishes, then answers: who is answered finds
    /// their write on this node. Not synced: it is replayed from the log, which is before it.
    async fn finish(&mut self, mut piece: Piece) -> io::Result<()> {
        if piece.entries == 0 {
            return Ok(());
        }
        stored::put_position(&mut piece.batch, &piece.state, &self.position);
        disk_point(Point::ApplyBeforeWrite)?;
        let history = self.history.clone();
        let revision = piece.state.revision();
        let done = Box::new(move |result: io::Result<()>| {
            if result.is_ok() {
                history.written_through(revision);
            }
        });
        self.writer.submit(piece.batch, false, done).await?;
        disk_point(Point::ApplyAfterWrite)?;
        self.publisher.publish(Arc::new(piece.state));
        disk_point(Point::ApplyAfterPublish)?;
        for (responder, outcome) in piece.responses {
            responder.send(outcome);
        }
        Ok(())
    }

    async fn apply_all<S>(&mut self, mut entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<TypeConfig>>> + Unpin + OptionalSend,
    {
        disk_point(Point::ApplyBegin)?;
        let mut piece = self.begin();
        while let Some((entry, responder)) = entries.try_next().await? {
            let outcome = self.apply_one(&mut piece, &entry)?;
            if let Some(responder) = responder {
                piece.responses.push((responder, outcome));
            }
            if piece.batch.bytes() >= PIECE_BYTES_MAX {
                self.finish(piece).await?;
                piece = self.begin();
            }
        }
        self.finish(piece).await
    }

    /// The state as a snapshot. A clone: nothing is written, the state on disk is the snapshot.
    fn snapshot(&self) -> StateSnapshot {
        let data = SnapshotData {
            state: self.publisher.load(),
            cluster_id: self.identity.cluster_id(),
            last_log_id: self.position.applied,
            membership: self.position.membership.clone(),
        };
        Snapshot { meta: data.meta(), snapshot: data }
    }

    async fn install(&mut self, meta: &SnapshotMeta, data: SnapshotData) -> io::Result<()> {
        if *meta != data.meta() {
            return Err(io::Error::other(format!("the snapshot {} was announced as {meta}", data.meta())));
        }
        disk_point(Point::SnapshotInstallBegin)?;
        let (before, half) = (self.half, self.half.other());
        let mut batch = Batch::new();
        // What an installation left behind that did not come to its end.
        stored::clear(&mut batch, half);
        for item in data.state.items() {
            stored::put_item(&mut batch, half, item);
            if batch.bytes() >= PIECE_BYTES_MAX {
                // One at a time, so that a vote or an append stands behind one piece at most.
                self.writer.write(std::mem::take(&mut batch), false).await?;
                disk_point(Point::SnapshotInstallPiece)?;
            }
        }
        // With this batch, and not before, the state is the new one.
        let position = Position { applied: data.last_log_id, membership: data.membership };
        stored::put_position(&mut batch, &data.state, &position);
        stored::put_half(&mut batch, half);
        stored::clear(&mut batch, before);
        History::clear(&mut batch, data.state.revision());
        disk_point(Point::SnapshotInstallBeforeSwap)?;
        // Synced: the entries that it stands for are not in this node's log.
        self.writer.write(batch, true).await?;
        disk_point(Point::SnapshotInstallAfterSwap)?;
        (self.position, self.half) = (position, half);
        self.history.begin_at(data.state.revision());
        self.publisher.publish_install(Arc::new(taken_over(Arc::unwrap_or_clone(data.state))));
        Ok(())
    }
}

/// A state that was read as a whole, from this disk or from another node, as the node goes on with it.
fn taken_over(state: State) -> State {
    if bug(Bug::ForgottenRequests) { state.without_requests() } else { state }
}

/// Builds one snapshot, captured between two entries.
pub struct SnapshotBuilder(StateSnapshot);

impl RaftSnapshotBuilder<TypeConfig> for SnapshotBuilder {
    type SnapshotData = SnapshotData;

    async fn build_snapshot(&mut self) -> io::Result<StateSnapshot> {
        disk_point(Point::SnapshotBuildEnd)?;
        Ok(self.0.clone())
    }
}

impl RaftStateMachine<TypeConfig> for Machine {
    type SnapshotData = SnapshotData;
    type SnapshotBuilder = SnapshotBuilder;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        Ok((self.position.applied, self.position.membership.clone()))
    }

    async fn apply<S>(&mut self, entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<TypeConfig>>> + Unpin + OptionalSend,
    {
        let result = self.apply_all(entries).await;
        if let Err(error) = &result {
            (self.on_fault)(&format!("an entry could not be applied: {error}"));
        }
        result
    }

    async fn get_snapshot_builder(&mut self) -> SnapshotBuilder {
        point(Point::SnapshotBuildBegin);
        SnapshotBuilder(self.snapshot())
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, data: SnapshotData) -> io::Result<()> {
        let result = self.install(meta, data).await;
        if let Err(error) = &result {
            (self.on_fault)(&format!("a snapshot could not be installed: {error}"));
        }
        result
    }

    /// None before the first entry.
    async fn get_current_snapshot(&mut self) -> io::Result<Option<StateSnapshot>> {
        Ok(self.position.applied.map(|_| self.snapshot()))
    }
}
