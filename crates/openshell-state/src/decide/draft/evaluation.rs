//! What a proposal would come to, judged on the sandbox as it is now: the policy with the rule merged
//! in, what the sandbox enforces now and would enforce then, and the token that names all of this. Who
//! approves, and what an approval writes, is not here.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use openshell_policy::merge::{self, MergeError, Operation};
use openshell_policy::{credentials, findings, hash, safety};
use openshell_proto::sandbox::{NetworkPolicyRule, SandboxPolicy};
use openshell_proto::v1::policy_merge_operation::Operation as Wire;
use openshell_proto::v1::{AddNetworkRule, PolicyMergeOperation, Sandbox};
use prost::Message;
use sha2::{Digest as _, Sha256};

use crate::checks;
use crate::composition::{self, Member, Subject, View, minted_keys};
use crate::decide::draft::TEXT_MAX;
use crate::decide::draft::applied::{self, Applied};
use crate::decide::draft::inbox::without_copies;
use crate::decide::{policy, spec};
use crate::decision::Draft;
use crate::effective;
use crate::key::Key;
use crate::record::DraftChunk;
use crate::refusal::Refusal;
use crate::state::State;

/// Bytes of the two policies that are kept with a chunk; of larger ones the hashes are kept.
const COPIES_BYTES_MAX: usize = 128 * 1024;
/// Endpoints that evaluations of one call may look at, those of the policy counted for each of them.
const WORK_MAX: usize = 64 * 1024;
/// What a review token begins with (`config.md` DC-10).
const TOKEN_PREFIX: &[u8] = b"openshell-proposal-evaluator-v2\0";

/// A sandbox on which proposals are evaluated, one after the other.
pub(super) struct Evaluator<'a> {
    state: &'a State,
    sandbox: &'a Sandbox,
    /// With the policy that proposals are merged into.
    subject: Subject<'a>,
    members: Vec<Member<'a>>,
    /// Of the credentials that the sandbox has, sorted.
    fingerprints: Vec<String>,
    /// What the sandbox enforces now, once somebody asked.
    current: Option<Arc<Enforced>>,
    /// Whether provider rules are composed, or why nobody can say.
    on: Result<bool, Refusal>,
    /// Of [`WORK_MAX`].
    spent: usize,
}

/// A policy as it is enforced, composed and stamped, with its hash; none and empty when there is none.
#[derive(Clone)]
pub(super) struct Enforced {
    policy: Option<SandboxPolicy>,
    hash: String,
}

/// What a proposal comes to.
pub(super) struct Evaluation {
    /// Equal only for the same rule on the same inputs.
    pub(super) token: String,
    /// The sandbox's policy with the rule.
    pub(super) merged: SandboxPolicy,
    /// What of it is the rule's.
    pub(super) applied: Applied,
    /// What is new about what it allows.
    verdict: String,
    current: Arc<Enforced>,
    /// What the sandbox would enforce with it.
    pub(super) candidate: Arc<Enforced>,
}

impl<'a> Evaluator<'a> {
    /// The sandbox as it is. The draft relies on everything that an evaluation depends on.
    ///
    /// Refuses with `FAILED_PRECONDITION` when an attached provider does not exist.
    pub(super) fn open(
        state: &'a State,
        draft: &mut Draft,
        workspace: &'a str,
        sandbox: &'a Sandbox,
    ) -> Result<Self, Refusal> {
        let (id, name) =
            sandbox.metadata.as_ref().map_or(("", ""), |metadata| (metadata.id.as_str(), metadata.name.as_str()));
        draft.rely_on(state, Key::sandbox(workspace, name));
        draft.rely_on(state, policy::next_revision_key(state, workspace, id));
        draft.rely_on(state, Key::gateway_settings());
        let subject = Subject::stored(state, workspace, sandbox);
        let members = View::of(state).members(workspace, &subject.providers)?;
        composition::rely_on_providers(draft, state, workspace, &members);
        composition::rely_on_profiles(draft, state, &members);
        let mut fingerprints: Vec<String> = members.iter().map(fingerprint).collect();
        fingerprints.sort();
        // Where nobody can say, evaluations hear it, each at its place.
        let on = composition::is_on(state);
        Ok(Self { state, sandbox, subject, members, fingerprints, current: None, on, spent: 0 })
    }

    /// What the sandbox composes with.
    pub(super) fn members(&self) -> &[Member<'a>] {
        &self.members
    }

    /// The policy that proposals are merged into; none when the sandbox has none.
    pub(super) fn base(&self) -> Option<&SandboxPolicy> {
        self.subject.base.as_deref()
    }

    /// From now on proposals are merged into this policy, with which the sandbox enforces `enforced`, where that is
    /// known already.
    pub(super) fn rebase(&mut self, base: SandboxPolicy, enforced: Option<Arc<Enforced>>) {
        self.subject.base = Some(Cow::Owned(base));
        self.current = enforced;
    }

    /// Whether the call may evaluate this rule too. The first one always may.
    pub(super) fn afford(&mut self, rule: &NetworkPolicyRule) -> bool {
        let of_members = self.members.iter().filter_map(|member| member.resolved.as_ref());
        let of_members = of_members.map(|resolved| resolved.profile.endpoints.len()).sum::<usize>();
        let of_base = self.base().into_iter().flat_map(|base| base.network_policies.values());
        let of_base = of_base.map(|rule| rule.endpoints.len()).sum::<usize>();
        let spent = self.spent.saturating_add(of_members + of_base + rule.endpoints.len());
        if self.spent > 0 && spent > WORK_MAX {
            return false;
        }
        self.spent = spent.max(1);
        true
    }

    /// Grants another [`WORK_MAX`], to a call that goes over its chunks again.
    pub(super) fn renew(&mut self) {
        self.spent = 0;
    }

    /// The hash of what the sandbox enforces now.
    pub(super) fn current_hash(&mut self) -> Result<String, Refusal> {
        Ok(self.enforced_now()?.hash.clone())
    }

    /// Evaluates a chunk.
    ///
    /// Refuses when the rule cannot be merged, or the result may not be stored: with the code and the words
    /// that the same change of the policy is refused with.
    pub(super) fn evaluate(&mut self, rule_name: &str, rule: &NetworkPolicyRule) -> Result<Evaluation, Refusal> {
        let current = self.enforced_now()?;
        let merged = self.with_rule(rule_name, rule)?;
        let candidate = self.enforced(&merged)?;
        let mut hasher = Sha256::new();
        hasher.update(TOKEN_PREFIX);
        hasher.update(rule_name);
        hasher.update(hash::rule_bytes(rule));
        hasher.update(&current.hash);
        hasher.update(&candidate.hash);
        self.fingerprints.iter().for_each(|fingerprint| hasher.update(fingerprint));
        let nothing = SandboxPolicy::default();
        let found = findings::between(
            current.policy.as_ref().unwrap_or(&nothing),
            candidate.policy.as_ref().unwrap_or(&nothing),
        );
        let verdict = findings::verdict(&found);
        let applied = Applied::between(&self.subject.base_or_empty(), &merged);
        Ok(Evaluation { token: hex::encode(hasher.finalize()), merged, applied, verdict, current, candidate })
    }

    /// The policy with a rule merged in, when it may be stored.
    fn with_rule(&self, rule_name: &str, rule: &NetworkPolicyRule) -> Result<SandboxPolicy, Refusal> {
        let alone = [(rule_name.to_owned(), rule.clone())].into_iter().collect();
        let alone = SandboxPolicy { network_policies: alone, ..SandboxPolicy::default() };
        checks::proposed_credential_context(&alone, &self.members)?;
        let add = Wire::AddRule(AddNetworkRule { rule_name: rule_name.to_owned(), rule: Some(rule.clone()) });
        let operations = merge::parse(&[PolicyMergeOperation { operation: Some(add) }]).map_err(refusal)?;
        merge::check_always_blocked(&operations).map_err(refusal)?;
        self.applied(&operations)
    }

    /// The policy without what an approved chunk added, when it may be stored.
    ///
    /// Refuses with `FAILED_PRECONDITION` when that is nothing, or would take away more.
    pub(super) fn without(&self, chunk: &DraftChunk) -> Result<SandboxPolicy, Refusal> {
        if let Some(before) = applied::restored(chunk, &self.subject.base_or_empty()) {
            return self.storable(before);
        }
        let (rule_name, paths) = applied::removal(chunk, &self.subject.base_or_empty())?;
        // The last one takes the rule with it.
        let removals: Vec<Operation> =
            paths.into_iter().map(|path| Operation::RemoveBinary { rule_name: rule_name.clone(), path }).collect();
        self.applied(&removals)
    }

    fn applied(&self, operations: &[Operation]) -> Result<SandboxPolicy, Refusal> {
        self.storable(merge::apply(&self.subject.base_or_empty(), operations).map_err(refusal)?)
    }

    /// The policy without marks that only the gateway sets, when it may be stored.
    fn storable(&self, mut merged: SandboxPolicy) -> Result<SandboxPolicy, Refusal> {
        credentials::clear_markers(&mut merged);
        spec::policy_size("the merged policy", &merged)?;
        let violations = safety::violations(&merged);
        if !violations.is_empty() {
            return Err(Refusal::invalid(safety::refusal(&violations)));
        }
        let composed = checks::composed(Cow::Borrowed(&merged), &self.members, self.on.clone()?)?;
        checks::endpoint_ambiguity(&composed)?;
        checks::credential_context(&composed, &self.members)?;
        checks::environment_size(&composed, &self.members)?;
        checks::uninspected(&composed, &self.members)?;
        Ok(merged)
    }

    fn enforced_now(&mut self) -> Result<Arc<Enforced>, Refusal> {
        if let Some(current) = &self.current {
            return Ok(Arc::clone(current));
        }
        let current = self.enforced_by(&self.subject)?;
        self.current = Some(Arc::clone(&current));
        Ok(current)
    }

    /// What the sandbox would enforce with this policy.
    fn enforced(&self, base: &SandboxPolicy) -> Result<Arc<Enforced>, Refusal> {
        let Subject { workspace, name, .. } = self.subject;
        let providers = self.subject.providers.clone();
        self.enforced_by(&Subject { workspace, name, providers, base: Some(Cow::Borrowed(base)) })
    }

    fn enforced_by(&self, subject: &Subject<'_>) -> Result<Arc<Enforced>, Refusal> {
        let policy = effective::policy(self.state, subject, self.sandbox, &self.members)?;
        Ok(Arc::new(Enforced { hash: policy.as_ref().map(hash::policy_hash).unwrap_or_default(), policy }))
    }
}

impl Evaluation {
    /// Keeps what the proposal comes to with its chunk.
    pub(super) fn store(self, chunk: &mut DraftChunk) {
        let (current, candidate) = (Arc::unwrap_or_clone(self.current), Arc::unwrap_or_clone(self.candidate));
        let stored = &mut chunk.stored;
        stored.review_token = self.token;
        stored.validation_result = cut(self.verdict);
        stored.application_error.clear();
        stored.current_effective_policy_hash = current.hash;
        stored.candidate_effective_policy_hash = candidate.hash;
        stored.current_effective_policy = current.policy;
        stored.candidate_effective_policy = candidate.policy;
        let copies = [&stored.current_effective_policy, &stored.candidate_effective_policy];
        if copies.into_iter().flatten().map(SandboxPolicy::encoded_len).sum::<usize>() > COPIES_BYTES_MAX {
            without_copies(chunk);
        }
    }
}

/// Keeps with a chunk that its proposal comes to nothing now, and why. No token names that, so that no
/// approval can refer to it.
pub(super) fn store_failure(chunk: &mut DraftChunk, why: &Refusal) {
    let stored = &mut chunk.stored;
    stored.review_token.clear();
    stored.validation_result.clear();
    stored.application_error = cut(why.message.clone());
    stored.current_effective_policy_hash.clear();
    stored.candidate_effective_policy_hash.clear();
    without_copies(chunk);
}

/// Evaluates a chunk and keeps what it comes to, also when that is nothing.
pub(super) fn refresh(evaluator: &mut Evaluator<'_>, chunk: &mut DraftChunk) {
    match evaluator.evaluate(&chunk.stored.rule_name, &chunk.rule) {
        Ok(evaluation) => evaluation.store(chunk),
        Err(why) => store_failure(chunk, &why),
    }
}

/// The start of a text that the policy makes as long as it likes.
fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(TEXT_MAX));
    text
}

fn refusal(error: MergeError) -> Refusal {
    let words = format!("the rule cannot be merged into the sandbox's policy: {error}");
    if error.is_invalid() { Refusal::invalid(words) } else { Refusal::precondition(words) }
}

/// Names what credentials a provider gives the sandbox and where they are used, never their values: a
/// token that is minted anew changes no review.
fn fingerprint(member: &Member<'_>) -> String {
    let mut hasher = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hasher.update((bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    let provider = &member.provider;
    part(member.name.as_bytes());
    part(provider.metadata.as_ref().map_or("", |metadata| &metadata.id).as_bytes());
    part(provider.r#type.as_bytes());
    let held = provider.credentials.keys().chain(provider.credential_handles.keys());
    let minted = member.refreshes.iter().copied().flat_map(minted_keys);
    let keys: BTreeSet<&String> = held.chain(minted).collect();
    part(&(keys.len() as u64).to_le_bytes());
    keys.into_iter().for_each(|key| part(key.as_bytes()));
    if let Some(resolved) = &member.resolved {
        part(resolved.source.scope().as_bytes());
        part(resolved.id.as_bytes());
        part(&(resolved.profile.credentials.len() as u64).to_le_bytes());
        resolved.profile.credentials.iter().for_each(|credential| part(&credential.encode_to_vec()));
        resolved.profile.endpoints.iter().for_each(|endpoint| part(&endpoint.encode_to_vec()));
    }
    hex::encode(hasher.finalize())
}
