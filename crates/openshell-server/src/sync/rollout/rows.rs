//! How far each sandbox is, from what nodes know of it: a function of that alone.

use std::collections::BTreeMap;

use openshell_proto::peer::SandboxSession;
use openshell_proto::sync::{RolloutCounts, RolloutRow, RolloutState};

use crate::sync::reasons::bound;

/// Who polls does so every 10 s, or less often, when nothing else was set up.
const POLL_MS: u64 = 30_000;

/// A sandbox that the change concerns.
pub(super) struct Target {
    pub(super) workspace: String,
    pub(super) name: String,
    pub(super) id: String,
    /// Its record says that it is connected.
    pub(super) is_ready: bool,
}

/// What one node knows of a sandbox.
pub(super) struct Part {
    pub(super) node: u64,
    pub(super) session: SandboxSession,
}

/// What is asked.
pub(super) struct Asked {
    pub(super) revision: u64,
    pub(super) stale_after_ms: u64,
    /// At most so many.
    pub(super) rows: usize,
    pub(super) reason_bytes: usize,
}

/// Counts of all, and rows: of those who lag first.
pub(super) fn rows(
    targets: Vec<Target>,
    parts: &BTreeMap<String, Vec<Part>>,
    asked: &Asked,
) -> (RolloutCounts, Vec<RolloutRow>) {
    let mut counts = RolloutCounts::default();
    let mut rows: Vec<RolloutRow> = Vec::with_capacity(targets.len());
    for target in targets {
        let row = row(target, parts, asked);
        count(&mut counts, &row, asked.revision);
        rows.push(row);
    }
    rows.sort_by_cached_key(|row| (rank(row, asked.revision), row.workspace.clone(), row.sandbox.clone()));
    rows.truncate(asked.rows);
    bound(rows.iter_mut().map(|row| &mut row.reason), asked.reason_bytes);
    (counts, rows)
}

fn row(target: Target, parts: &BTreeMap<String, Vec<Part>>, asked: &Asked) -> RolloutRow {
    let parts = parts.get(&target.id).map_or(&[][..], Vec::as_slice);
    let is_followed = |part: &Part| part.session.heard_ms.is_some_and(|heard_ms| heard_ms <= asked.stale_after_ms);
    // A stream whose sandbox says nothing may have been left behind: its node does not know yet.
    let goes_on = |part: &Part| part.session.open && is_followed(part);
    // Of several, the one that goes on and began last; else the one that was heard of last.
    let streams = parts.iter().filter(|part| part.session.opened_ms.is_some());
    let stream = streams.min_by_key(|part| {
        let goes_on = goes_on(part);
        (!goes_on, if goes_on { part.session.opened_ms } else { part.session.heard_ms })
    });
    let poll = parts.iter().filter(|part| part.session.polled_ms.is_some()).min_by_key(|part| part.session.polled_ms);
    // A stream that goes on speaks for itself: what another one remembers may be of a program that has ended since.
    let newest = match stream {
        Some(stream) if goes_on(stream) => Some(stream),
        _ => parts.iter().max_by_key(|part| part.session.applied_revision),
    };
    let applied = newest.filter(|part| part.session.applied_revision >= asked.revision);
    let applied = applied.filter(|applied| {
        !stream.is_some_and(|stream| outweighs(&stream.session, applied.session.applied_revision, asked.revision))
    });
    let is_polled =
        |part: &Part| part.session.polled_ms.is_some_and(|polled_ms| polled_ms <= asked.stale_after_ms.max(POLL_MS));
    let (state, shown) = match (applied, stream, poll) {
        (Some(applied), _, _) => (RolloutState::Applied, Some(applied)),
        (None, Some(stream), _) if is_followed(stream) => (following(&stream.session, asked.revision), Some(stream)),
        (None, _, Some(poll)) if is_polled(poll) => (RolloutState::Unsupported, Some(poll)),
        (None, _, _) => {
            // Whose record does not say any more that it is connected is gone for good, as far as anybody knows.
            let state = if target.is_ready { RolloutState::Stale } else { RolloutState::Absent };
            (state, parts.iter().min_by_key(|part| seen_ms(part).unwrap_or(u64::MAX)))
        }
    };
    let session = shown.map(|part| &part.session);
    RolloutRow {
        workspace: target.workspace,
        sandbox: target.name,
        sandbox_id: target.id,
        state: state as i32,
        reason: session.filter(|_| state == RolloutState::Failed).map_or_else(String::new, |it| it.failure.clone()),
        node: shown.map_or(0, |part| part.node),
        last_seen_ms: parts.iter().filter_map(seen_ms).min(),
        sent_revision: session.map_or(0, |session| session.sent_revision),
        applied_revision: newest.map_or(0, |part| part.session.applied_revision),
        fetched_revision: poll.map_or(0, |poll| poll.session.polled_revision),
    }
}

/// How long ago a node heard of the sandbox, in whichever way.
fn seen_ms(part: &Part) -> Option<u64> {
    [part.session.heard_ms, part.session.polled_ms].into_iter().flatten().min()
}

/// Whether the failure that an open stream has is the last word about a revision that `applied` stands for: the
/// sandbox failed at that very one, or since, and has not said here that it has what is asked about.
fn outweighs(session: &SandboxSession, applied: u64, revision: u64) -> bool {
    let own = session.applied_revision;
    session.open
        && session.failed_revision >= applied.max(revision)
        && (own < revision || session.failed_revision == own)
}

fn following(session: &SandboxSession, revision: u64) -> RolloutState {
    if session.failed_revision >= revision {
        RolloutState::Failed
    } else if session.sent_revision >= revision {
        RolloutState::Sent
    } else {
        RolloutState::Pending
    }
}

fn count(counts: &mut RolloutCounts, row: &RolloutRow, revision: u64) {
    counts.affected += 1;
    let counter = match row.state() {
        RolloutState::Unspecified => return,
        RolloutState::Pending => &mut counts.pending,
        RolloutState::Sent => &mut counts.sent,
        RolloutState::Applied => &mut counts.applied,
        RolloutState::Failed => &mut counts.failed,
        RolloutState::Stale => &mut counts.stale,
        RolloutState::Unsupported => &mut counts.unsupported,
        RolloutState::Absent => &mut counts.absent,
    };
    *counter += 1;
    if row.state() == RolloutState::Unsupported && row.fetched_revision >= revision {
        counts.unsupported_fetched += 1;
    }
}

/// Those first who need somebody to look.
fn rank(row: &RolloutRow, revision: u64) -> u8 {
    match row.state() {
        RolloutState::Failed => 0,
        RolloutState::Stale => 1,
        RolloutState::Pending => 2,
        RolloutState::Sent => 3,
        RolloutState::Unsupported if row.fetched_revision < revision => 4,
        RolloutState::Unsupported => 5,
        RolloutState::Absent | RolloutState::Unspecified => 6,
        RolloutState::Applied => 7,
    }
}

#[cfg(test)]
mod tests;
