//! Profiles that are created and updated several at a time, all or none, and read by a list: each group of
//! four is one object, and a list is one read of all groups.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use openshell_tests::Api;
use rand::Rng;
use rand::seq::IndexedRandom;

use super::client::Client;
use super::part::{self, Part, Tasks};
use super::profiles::Profiles;
use super::register::plain;
use super::{Shared, Workload};
use crate::history::{Action, Cells, Edit, KEYS_MAX, Outcome};

const PACE: Duration = Duration::from_millis(25);
/// Groups that are contended for at one time.
const GROUPS: usize = 3;

pub(super) struct Batch {
    shared: Arc<Shared>,
    shifts: Vec<Shift>,
}

/// What is contended for at one time. It has a workspace of its own, so that its list stays short.
#[derive(Clone)]
struct Shift {
    profiles: Profiles,
    groups: Vec<Vec<String>>,
}

impl Shift {
    fn everything(&self) -> Action {
        Action::Read { keys: self.groups.concat() }
    }
}

impl Batch {
    /// Makes a workspace for each shift and declares its groups.
    pub(super) async fn prepare(shared: &Arc<Shared>) -> anyhow::Result<Self> {
        let mut shifts = Vec::new();
        for number in 0..shared.shifts() {
            let workspace = part::workspace(shared, "batch").await?;
            let group = |group| (0..KEYS_MAX).map(move |member| format!("batch-{number}-{group}-{member}")).collect();
            let groups: Vec<Vec<String>> = (0..GROUPS).map(group).collect();
            for (group, keys) in groups.iter().enumerate() {
                shared.recorder.object(Workload::Batch, &format!("batch-{number}-{group}"), keys);
            }
            let profiles = Profiles { workspace, make: plain, reads: shared.wishes.reads };
            shifts.push(Shift { profiles, groups });
        }
        Ok(Self { shared: Arc::clone(shared), shifts })
    }
}

impl Part for Batch {
    fn start(&self, clients: &mut Tasks, _: &mut Tasks) {
        for number in 0..self.shared.wishes.clients.div_ceil(2) {
            let mut client = Client::new(&self.shared, Workload::Batch, number).every(PACE);
            let (shifts, mut known) = (self.shifts.clone(), None);
            clients.spawn(async move {
                while client.turn().await {
                    let shift = &shifts[client.shared.shift()];
                    step(&mut client, &mut known, shift).await;
                }
                Ok(())
            });
        }
    }

    fn finish(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            for shift in &self.shifts {
                let perform = |api: Api, action: Action| async move { shift.profiles.perform(&api, &action).await };
                part::ask_everywhere(&self.shared, Workload::Batch, &[shift.everything()], perform).await;
            }
        })
    }
}

/// A list, or a write on what the last list found.
async fn step(client: &mut Client, known: &mut Option<Cells>, shift: &Shift) {
    let group = shift.groups.choose(&mut client.random).cloned().unwrap_or_default();
    let action = match known.take() {
        Some(cells) if client.random.random_bool(0.6) => choose(client, &group, &cells),
        _ => shift.everything(),
    };
    let perform = |api: Api| {
        let action = &action;
        async move { shift.profiles.perform(&api, action).await }
    };
    if let Action::Write { .. } = &action {
        client.write(action.clone(), perform).await;
        return;
    }
    if let Outcome::Found { cells } = client.read(action.clone(), perform).await {
        *known = Some(cells);
    }
}

/// Updates several of those that are there, or creates several of the others; or removes one.
fn choose(client: &mut Client, group: &[String], cells: &Cells) -> Action {
    let versions: BTreeMap<&str, u64> =
        group.iter().filter_map(|key| Some((key.as_str(), cells.get(key)?.version))).collect();
    let there: Vec<String> = versions.keys().map(|key| (*key).to_owned()).collect();
    let gone: Vec<String> = group.iter().filter(|key| !cells.contains_key(*key)).cloned().collect();
    let roll = client.random.random_range(0..100);
    let edits = if there.is_empty() || (!gone.is_empty() && roll < 40) {
        let chosen = several(client, &gone);
        chosen.into_iter().map(|key| Edit::Create { key, value: client.value() }).collect()
    } else if roll < 85 {
        let version = |key: &str| versions.get(key).copied().unwrap_or_default();
        let chosen = several(client, &there);
        chosen.into_iter().map(|key| Edit::Replace { on: version(&key), value: client.value(), key }).collect()
    } else {
        there.choose(&mut client.random).into_iter().map(|key| Edit::Remove { key: key.clone() }).collect()
    };
    Action::Write { edits }
}

/// Two or more of them, where there are.
fn several(client: &mut Client, keys: &[String]) -> Vec<String> {
    let count = client.random.random_range(keys.len().min(2)..=keys.len());
    keys.choose_multiple(&mut client.random, count).cloned().collect()
}
