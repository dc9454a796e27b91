//! One proposal as it comes from a sandbox: what it must have whatever the policy, and the chunk that
//! keeps it.

use openshell_policy::{ports, reserved};
use openshell_proto::sandbox::NetworkPolicyRule;
use openshell_proto::v1::{PolicyChunk, StoredDraftChunk};
use prost::Message;

use crate::decide::draft::bounded;
use crate::decision::Call;
use crate::names::{self, NAME_MAX};
use crate::record::DraftChunk;
use crate::record::chunk_status::PENDING;

/// Bytes of a rule, encoded.
const RULE_BYTES_MAX: usize = 64 * 1024;
/// Hits that one submission may count (`config.md` DC-1).
const HITS_MAX: i32 = 100;

/// What a rule is about first: the same for proposals that replace each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// In lower case.
    pub(super) host: String,
    pub(super) port: i32,
    pub(super) binary: String,
}

impl Target {
    /// Of the rule's first endpoint and first binary.
    pub(super) fn of(rule: &NetworkPolicyRule) -> Self {
        let first = rule.endpoints.first();
        let port = first.and_then(|endpoint| ports::effective(endpoint).first().copied()).unwrap_or(0);
        Self {
            host: first.map(|endpoint| endpoint.host.to_lowercase()).unwrap_or_default(),
            port: i32::try_from(port).unwrap_or(0),
            binary: rule.binaries.first().map(|binary| binary.path.clone()).unwrap_or_default(),
        }
    }

    /// Of a stored chunk.
    pub(super) fn stored(chunk: &StoredDraftChunk) -> Self {
        Self { host: chunk.host.clone(), port: chunk.port, binary: chunk.binary.clone() }
    }

    /// Keeps it with a chunk.
    pub(super) fn write(self, chunk: &mut StoredDraftChunk) {
        chunk.host = self.host;
        chunk.port = self.port;
        chunk.binary = self.binary;
    }

    /// What repetitions are recognised by.
    pub(super) fn key(&self) -> String {
        format!("{}:{}:{}", self.host, self.port, self.binary)
    }
}

/// A proposed rule without marks that only the gateway sets. The error says what is wrong with it.
pub(super) fn acceptable(rule: &NetworkPolicyRule) -> Result<NetworkPolicyRule, String> {
    let length = rule.encoded_len();
    if length > RULE_BYTES_MAX {
        return Err(format!("proposed_rule has {length} bytes; at most {RULE_BYTES_MAX} are allowed"));
    }
    let mut rule = rule.clone();
    for endpoint in &mut rule.endpoints {
        endpoint.provider_credentialed = false;
    }
    Ok(rule)
}

/// A proposal that may be looked at: its rule. The error says why not (`config.md` DC-2).
pub(super) fn read(proposed: &PolicyChunk) -> Result<NetworkPolicyRule, String> {
    let name = proposed.rule_name.trim();
    if name.is_empty() {
        return Err("rule_name is missing".to_owned());
    }
    if name.starts_with(reserved::PREFIX) {
        return Err(reserved::refusal(name));
    }
    let bounds = names::bounded("rule_name", name, NAME_MAX)
        .and_then(|()| bounded("rationale", &proposed.rationale))
        .and_then(|()| bounded("security_notes", &proposed.security_notes));
    bounds.map_err(|refusal| refusal.message)?;
    let rule = proposed.proposed_rule.as_ref().ok_or_else(|| "proposed_rule is missing".to_owned())?;
    acceptable(rule)
}

/// Hits that a submission counts.
pub(super) fn hits(proposed: &PolicyChunk) -> i32 {
    proposed.hit_count.clamp(1, HITS_MAX)
}

/// When a submission saw its proposal first and last: now, unless it says otherwise.
pub(super) fn seen(proposed: &PolicyChunk, now_ms: i64) -> (i64, i64) {
    let or_now = |time_ms: i64| if time_ms > 0 { time_ms } else { now_ms };
    (or_now(proposed.first_seen_ms), or_now(proposed.last_seen_ms))
}

/// A pending chunk of a proposal. What it comes to is not known yet.
pub(super) fn chunk(
    call: &Call<'_>,
    sandbox_id: &str,
    draft_version: i64,
    mode: &str,
    proposed: &PolicyChunk,
    rule: NetworkPolicyRule,
) -> DraftChunk {
    let (first_seen_ms, last_seen_ms) = seen(proposed, call.stamp.time_ms);
    let confidence = f64::from(proposed.confidence);
    let mut stored = StoredDraftChunk {
        id: call.stamp.identifiers.uuid(),
        sandbox_id: sandbox_id.to_owned(),
        draft_version,
        status: PENDING.to_owned(),
        rule_name: proposed.rule_name.trim().to_owned(),
        rationale: proposed.rationale.clone(),
        security_notes: proposed.security_notes.clone(),
        // What is no number is no confidence.
        confidence: if confidence.is_nan() { 0.0 } else { confidence.clamp(0.0, 1.0) },
        created_at_ms: call.stamp.time_ms,
        hit_count: hits(proposed),
        first_seen_ms,
        last_seen_ms,
        analysis_mode: mode.to_owned(),
        ..StoredDraftChunk::default()
    };
    Target::of(&rule).write(&mut stored);
    let mut chunk = DraftChunk { stored, rule: NetworkPolicyRule::default() };
    set_rule(&mut chunk, rule);
    chunk
}

/// Gives a chunk a rule, encoded once.
pub(super) fn set_rule(chunk: &mut DraftChunk, rule: NetworkPolicyRule) {
    chunk.stored.proposed_rule = rule.encode_to_vec();
    chunk.rule = rule;
}
