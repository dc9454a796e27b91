//! Whether stored profiles are valid. The verdict is decided where a profile is written, and again by
//! a leader that brings newer rules or another built-in catalogue; it is written with the record, so
//! that equal revisions compose equally whatever build reads them. Nobody else judges.

use std::borrow::Cow;
use std::cmp::Ordering;

use openshell_proto::log::Cluster;
use openshell_proto::v1::StoredProviderProfile;
use openshell_providers::{builtin, verdict};
use prost::Message;

use crate::composition::View;
use crate::decide::profile::attached::{Candidate, diagnostics_in};
use crate::decision::{Call, Draft};
use crate::key::Key;
use crate::state::{Entry, State};

/// The verdicts of one entry take about so much; what is left is for the next. An entry has 4 MiB at
/// most, a profile 1 MiB, and the built-in catalogue may be in the same entry.
const BYTES_MAX: usize = 1024 * 1024;

/// An entry relies on about so many records and fences: each profile that takes part again adds those that it
/// was checked against.
const GUARDS_MAX: usize = 2048;

/// Why a profile is left out whose id the built-in catalogue has.
pub(super) const COLLIDES: &str = "the built-in catalogue has a profile of this id by now, which is used instead; import \
                                   this one under another id and delete it";

/// Why a profile that would be valid again stays left out. It names no sandbox: who may read a profile
/// of the platform may not know of every workspace.
const CONTRADICTS: &str = "it would be valid again, but sandboxes that use it have come to contradict it meanwhile; update \
                           it, and the diagnostics say where";

/// A profile with the verdict that it gets.
struct Judged<'a> {
    key: &'a Key,
    stored: &'a StoredProviderProfile,
    reason: String,
}

/// Whether profiles are stored that this build's rules have not judged. Where newer ones judged last,
/// it is for builds that have these to say more.
pub(in crate::decide) fn is_due(state: &State, cluster: &Cluster) -> bool {
    match cluster.profile_rules.cmp(&verdict::RULES_NUMBER) {
        Ordering::Less => true,
        Ordering::Equal => state.all_profiles().any(|(_, entry)| is_unjudged(entry, cluster)),
        Ordering::Greater => false,
    }
}

/// A leader with older rules wrote it after the last judgement.
fn is_unjudged(entry: Entry<'_, StoredProviderProfile>, cluster: &Cluster) -> bool {
    entry.revision > cluster.profiles_judged_through && entry.value.judged_by_rules < verdict::RULES_NUMBER
}

/// Judges what is due, and notes in the cluster's record what has been judged once nothing is left. All
/// profiles are due when the rules of the last judgement were older, or when `catalogue_is_new`: the
/// draft then brings this build's catalogue.
pub(in crate::decide) fn judge(call: &Call<'_>, draft: &mut Draft, cluster: &mut Cluster, catalogue_is_new: bool) {
    let state = call.state;
    let is_builtin = |id: &str| match catalogue_is_new {
        true => builtin::catalogue().iter().any(|profile| profile.id == id),
        false => state.builtin_profile(id).is_some(),
    };
    let all = catalogue_is_new || cluster.profile_rules < verdict::RULES_NUMBER;
    let due = state.all_profiles().filter(|(_, entry)| all || is_unjudged(*entry, cluster));
    let mut changed: Vec<Judged<'_>> = due
        .map(|(key, entry)| Judged { key, stored: entry.value, reason: reason(key, entry.value, is_builtin) })
        .filter(|judged| judged.reason != judged.stored.invalid_reason)
        .collect();
    let (mut is_complete, mut bytes) = (true, 0);
    if catalogue_is_new {
        // What takes part again is checked against sandboxes as they compose with the new catalogue.
        is_complete = changed.iter().all(|judged| !judged.reason.is_empty());
        changed.retain(|judged| !judged.reason.is_empty());
    }
    is_complete &= stay_left_out(state, draft, &mut changed);
    for Judged { key, stored, reason } in changed {
        if bytes >= BYTES_MAX {
            is_complete = false;
            break;
        }
        bytes += stored.encoded_len();
        draft.rely_on(state, key.clone());
        let judged_by_rules = verdict::RULES_NUMBER;
        draft.put(key, &StoredProviderProfile { judged_by_rules, invalid_reason: reason, ..stored.clone() });
        draft.touch(Key::composition());
    }
    (cluster.profile_rules, cluster.profiles_judged_through) =
        if is_complete { (verdict::RULES_NUMBER, state.revision()) } else { (0, 0) };
}

/// Why a stored profile is not valid; empty when it is.
fn reason(key: &Key, stored: &StoredProviderProfile, is_builtin: impl Fn(&str) -> bool) -> String {
    if is_builtin(&key.name) {
        return COLLIDES.to_owned();
    }
    match &stored.profile {
        None => "its record holds no profile".to_owned(),
        Some(profile) if *profile.id != *key.name => {
            format!("id: it is stored as {:?} and calls itself {:?}", key.name, profile.id)
        }
        Some(profile) => verdict::invalid_reason(profile),
    }
}

/// A profile that is valid again takes part again, unless that would harm a sandbox: what was attached
/// while it was left out was not checked against it. One after the other, each beside those before it, and
/// as many as one entry has room for: whether these were all. Those that contradicted a sandbox before come
/// last, so that each entry brings others, and are left as they are when there is no room.
fn stay_left_out(state: &State, draft: &mut Draft, changed: &mut Vec<Judged<'_>>) -> bool {
    let mut view = View::of(state);
    let mut is_complete = true;
    changed.sort_by_key(|judged| judged.stored.invalid_reason == CONTRADICTS);
    for judged in changed.iter_mut().filter(|judged| judged.reason.is_empty()) {
        let Some(profile) = &judged.stored.profile else { continue };
        if draft.guards.len() >= GUARDS_MAX {
            is_complete &= judged.stored.invalid_reason == CONTRADICTS;
            judged.reason.clone_from(&judged.stored.invalid_reason);
            continue;
        }
        let candidate = Candidate::new("", &judged.key.workspace, Cow::Borrowed(profile));
        view.profiles.insert(candidate.place(), candidate.profile.clone());
        // Where nobody can say whether sandboxes compose, nothing is added to them.
        if diagnostics_in(&view, draft, "use", std::slice::from_ref(&candidate)).is_ok_and(|found| found.is_empty()) {
            continue;
        }
        view.profiles.remove(&candidate.place());
        CONTRADICTS.clone_into(&mut judged.reason);
    }
    changed.retain(|judged| judged.reason != judged.stored.invalid_reason);
    is_complete
}
