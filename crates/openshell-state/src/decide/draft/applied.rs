//! What an approved chunk changed in the policy, kept with the chunk, so that exactly that is taken back.

use std::collections::BTreeSet;

use openshell_policy::merge::{self, Operation};
use openshell_proto::sandbox::{NetworkEndpoint, NetworkPolicyRule, SandboxPolicy};
use openshell_proto::v1::StoredDraftChunk;
use prost::Message;
use sha2::{Digest as _, Sha256};

use crate::record::DraftChunk;
use crate::refusal::Refusal;

/// Bytes of a rule that is kept as it was before an approval; what replaced a larger one is taken back by binaries.
const BEFORE_BYTES_MAX: usize = 64 * 1024;

/// The rule that a proposal went into, and what is new there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Applied {
    key: String,
    binaries: Vec<String>,
    /// The rule before, encoded; none when there was none, or too much of it.
    before: Option<Vec<u8>>,
    /// The digest of the rule after; empty when what was before is not kept.
    left: Vec<u8>,
}

impl Applied {
    /// Told by the policies before and after the rule was merged in: it changes one rule at most.
    pub(super) fn between(before: &SandboxPolicy, after: &SandboxPolicy) -> Self {
        let changed = |(key, rule): &(&String, &NetworkPolicyRule)| before.network_policies.get(*key) != Some(*rule);
        let Some((key, rule)) = after.network_policies.iter().find(changed) else { return Self::default() };
        let known = before.network_policies.get(key);
        let had: BTreeSet<&str> = known.into_iter().flat_map(paths).collect();
        let binaries = paths(rule).filter(|path| !had.contains(path)).map(str::to_owned).collect();
        let before = known.map(NetworkPolicyRule::encode_to_vec);
        match before.as_ref().is_none_or(|before| before.len() <= BEFORE_BYTES_MAX) {
            true => Self { key: key.clone(), binaries, before, left: digest(rule) },
            false => Self { key: key.clone(), binaries, before: None, left: Vec::new() },
        }
    }

    /// Keeps it with a chunk.
    pub(super) fn write(self, stored: &mut StoredDraftChunk) {
        stored.applied_key = self.key;
        stored.applied_binaries = self.binaries;
        stored.applied_before = self.before;
        stored.applied_left = self.left;
        stored.applied_kept = true;
    }

    /// Nothing of a chunk is in the policy any more.
    pub(super) fn clear(stored: &mut StoredDraftChunk) {
        Self::default().write(stored);
        stored.applied_kept = false;
    }

    /// Of an approved chunk; without a record of it, what its rule names.
    fn of(chunk: &DraftChunk) -> Self {
        let stored = &chunk.stored;
        match stored.applied_kept {
            true => Self {
                key: stored.applied_key.clone(),
                binaries: stored.applied_binaries.clone(),
                before: stored.applied_before.clone(),
                left: stored.applied_left.clone(),
            },
            false => Self {
                key: stored.rule_name.clone(),
                binaries: paths(&chunk.rule).map(str::to_owned).collect(),
                ..Self::default()
            },
        }
    }
}

/// The policy as it was before a chunk was approved, while the rule that it went into is as the approval left it;
/// none once somebody has changed that rule, or where it was not kept.
pub(super) fn restored(chunk: &DraftChunk, policy: &SandboxPolicy) -> Option<SandboxPolicy> {
    let Applied { key, before, left, .. } = Applied::of(chunk);
    let rule = policy.network_policies.get(&key)?;
    if left != digest(rule) {
        return None;
    }
    let mut restored = policy.clone();
    match before {
        Some(before) => {
            restored.network_policies.insert(key, NetworkPolicyRule::decode(before.as_slice()).ok()?);
        }
        None => {
            restored.network_policies.remove(&key);
        }
    }
    Some(restored)
}

/// Leaves what an approval added, without the rule that it went into as it was before: from then on the chunk is
/// taken back by [`removal`].
pub(super) fn without_before(chunk: &mut DraftChunk) {
    chunk.stored.applied_before = None;
    chunk.stored.applied_left.clear();
}

fn digest(rule: &NetworkPolicyRule) -> Vec<u8> {
    Sha256::digest(rule.encode_to_vec()).to_vec()
}

/// What to take out of a policy for an approved chunk to be gone where it cannot be [`restored`]: binaries of one rule.
///
/// Refuses with `FAILED_PRECONDITION` when that would change nothing, or would take away more than the chunk
/// brought.
pub(super) fn removal(chunk: &DraftChunk, policy: &SandboxPolicy) -> Result<(String, Vec<String>), Refusal> {
    let id = &chunk.stored.id;
    let no = |why: String| {
        Err(Refusal::precondition(format!(
            "draft chunk {id:?} cannot be taken back: {why}; change the sandbox's policy instead"
        )))
    };
    if chunk.rule.binaries.is_empty() {
        return no("its rule is for any binary, so there is none to remove".to_owned());
    }
    let Applied { key, binaries, .. } = Applied::of(chunk);
    if binaries.is_empty() {
        return no("its approval added no binary to a rule, and that rule is not as it left it".to_owned());
    }
    let Some(rule) = policy.network_policies.get(&key) else {
        return no(format!("the rule {key:?} that it went into is not in the policy any more"));
    };
    if rule.binaries.is_empty() {
        return no(format!("the rule {key:?} that it went into is for any binary now"));
    }
    let ours: BTreeSet<&str> = binaries.iter().map(String::as_str).collect();
    let there: Vec<String> = paths(rule).filter(|path| ours.contains(path)).map(str::to_owned).collect();
    if there.is_empty() {
        return no(format!("the rule {key:?} that it went into has none of its binaries any more"));
    }
    if there.len() == rule.binaries.len() && !brought_all(chunk, rule) {
        return no(format!("the rule {key:?} that it went into would go with endpoints that the chunk did not bring"));
    }
    Ok((key, there))
}

/// Whether every endpoint of a rule is as the chunk's rule alone makes it.
fn brought_all(chunk: &DraftChunk, rule: &NetworkPolicyRule) -> bool {
    let (Some(brought), Some(there)) = (endpoints(&chunk.rule), endpoints(rule)) else { return false };
    there.is_subset(&brought)
}

/// A rule's endpoints in normal form, encoded.
fn endpoints(rule: &NetworkPolicyRule) -> Option<BTreeSet<Vec<u8>>> {
    let add = Operation::AddRule { rule_name: "rule".to_owned(), rule: rule.clone() };
    let alone = merge::apply(&SandboxPolicy::default(), &[add]).ok()?;
    Some(alone.network_policies.values().flat_map(|rule| &rule.endpoints).map(NetworkEndpoint::encode_to_vec).collect())
}

fn paths(rule: &NetworkPolicyRule) -> impl Iterator<Item = &str> {
    rule.binaries.iter().map(|binary| binary.path.as_str())
}
