//! Who may be a member: the part of it that is in the cluster's own record. A replacement is
//! written down before it has any effect and struck off when it is done, so that it can be
//! completed by whoever leads; an id that went is never let in again. The voters themselves are
//! Raft's.

use openshell_proto::log::{Cluster, Replacement};

use crate::decision::{Call, Decision, Draft};
use crate::key::Key;
use crate::refusal::Refusal;

/// Writes down that `new` is to take the place of `old`. A replacement of the same member by
/// another node that was under way is given up: that node's id is spent.
///
/// # Errors
/// `FAILED_PRECONDITION` when the id was used before, another member is being replaced, or there is
/// no cluster yet.
pub fn begin(call: Call<'_>, old: u64, new: u64) -> Result<Decision, Refusal> {
    change(call, |cluster| {
        if let Some(under_way) = &cluster.replacement
            && under_way.old != old
        {
            let Replacement { old, new } = under_way;
            return Err(Refusal::precondition(format!(
                "node {old} is being replaced by node {new}; complete that first: openshell cluster replace {old} \
                 --with {new}"
            )));
        }
        if cluster.removed_nodes.contains(&new) {
            return Err(used(new));
        }
        let given_up = cluster.replacement.take().map(|before| before.new).filter(|before| *before != new);
        cluster.removed_nodes.extend(given_up);
        cluster.replacement = Some(Replacement { old, new });
        Ok(())
    })
}

/// Strikes a replacement off once the members have changed: from then on `old` is refused.
///
/// # Errors
/// `FAILED_PRECONDITION` when there is no cluster yet.
pub fn conclude(call: Call<'_>, old: u64, new: u64) -> Result<Decision, Refusal> {
    change(call, |cluster| {
        if cluster.replacement == Some(Replacement { old, new }) {
            cluster.replacement = None;
        }
        if !cluster.removed_nodes.contains(&old) {
            cluster.removed_nodes.push(old);
        }
        Ok(())
    })
}

/// The refusal of an id that was used before.
#[must_use]
pub fn used(node: u64) -> Refusal {
    Refusal::precondition(format!(
        "node id {node} was used in this cluster before, and ids are never used twice; start the new node in an empty \
         directory under an id that was never used"
    ))
}

/// Changes the cluster's record, or answers when it is so already.
fn change(call: Call<'_>, change: impl FnOnce(&mut Cluster) -> Result<(), Refusal>) -> Result<Decision, Refusal> {
    let Some(before) = call.state.cluster() else {
        return Err(Refusal::precondition("the cluster is not formed yet"));
    };
    let mut cluster = before.value.clone();
    change(&mut cluster)?;
    if cluster == *before.value {
        return Ok(Decision::Answer(Vec::new()));
    }
    let mut draft = Draft::new();
    draft.rely_on(call.state, Key::cluster());
    draft.put(&Key::cluster(), &cluster);
    Ok(Decision::Transact(draft))
}
