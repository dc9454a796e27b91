//! Profiles as registers: created, read, updated on a version, deleted and created again, a few at a time
//! by all clients at once, some of which leave repetitions to the library that is shipped.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::BoxFuture;
use openshell_proto::v1::ProviderProfile;
use openshell_tests::{Api, profile};
use rand::Rng;

use super::client::Client;
use super::part::{self, Part, Tasks};
use super::profiles::Profiles;
use super::{Shared, Workload};
use crate::history::{Action, Edit, Outcome};

/// Of so many clients one calls as programs do: the library's own repetitions are under test there, and nothing but
/// what it says in the end is believed. The others show what each single attempt comes to.
const SHIPPED_ONE_IN: u64 = 3;

pub(super) struct Register {
    shared: Arc<Shared>,
    profiles: Profiles,
    /// As many as are contended for at one time, shift after shift.
    keys: Vec<String>,
}

/// A profile as small as the rules allow.
pub(super) fn plain(key: &str, _: &str) -> ProviderProfile {
    profile(key, &["api.example.com"])
}

impl Register {
    /// Declares the profiles of all shifts. None is there yet.
    pub(super) async fn prepare(shared: &Arc<Shared>) -> anyhow::Result<Self> {
        let workspace = part::workspace(shared, "register").await?;
        let keys: Vec<String> =
            (0..shared.shifts() * shared.wishes.hot).map(|number| format!("profile-{number}")).collect();
        for key in &keys {
            shared.recorder.object(Workload::Register, key, std::slice::from_ref(key));
        }
        let profiles = Profiles { workspace, make: plain, reads: shared.wishes.reads };
        Ok(Self { shared: Arc::clone(shared), profiles, keys })
    }
}

impl Part for Register {
    fn start(&self, clients: &mut Tasks, _: &mut Tasks) {
        for number in 0..self.shared.wishes.clients {
            let client = Client::new(&self.shared, Workload::Register, number);
            let mut client = if number % SHIPPED_ONE_IN == 1 { client.through_the_library() } else { client };
            let (profiles, keys, mut known) = (self.profiles.clone(), self.keys.clone(), Known::default());
            clients.spawn(async move {
                while client.turn().await {
                    step(&mut client, &mut known, &profiles, &keys).await;
                }
                Ok(())
            });
        }
    }

    fn finish(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let actions: Vec<Action> = self.keys.iter().map(|key| Action::Read { keys: vec![key.clone()] }).collect();
            let perform = |api: Api, action: Action| async move { self.profiles.perform(&api, &action).await };
            part::ask_everywhere(&self.shared, Workload::Register, &actions, perform).await;
        })
    }
}

/// The newest version that a client knows of each key; none of one that is not there.
type Known = BTreeMap<String, Option<u64>>;

async fn step(client: &mut Client, known: &mut Known, profiles: &Profiles, keys: &[String]) {
    let hot = client.shared.hot(keys);
    let key = hot[client.random.random_range(0..hot.len())].clone();
    let action = choose(client, &key, known.get(&key).copied());
    let perform = |api: Api| {
        let action = &action;
        async move { profiles.perform(&api, action).await }
    };
    let outcome = match &action {
        Action::Write { .. } => client.write(action.clone(), perform).await,
        _ => client.read(action.clone(), perform).await,
    };
    learn(known, &key, &outcome);
}

/// Mostly what may succeed, and now and then what may not.
fn choose(client: &mut Client, key: &str, known: Option<Option<u64>>) -> Action {
    let create = |client: &mut Client| Edit::Create { key: key.to_owned(), value: client.value() };
    let replace = |client: &mut Client, on| Edit::Replace { key: key.to_owned(), on, value: client.value() };
    let remove = Edit::Remove { key: key.to_owned() };
    let roll = client.random.random_range(0..100);
    let edit = match (known, roll) {
        (None, _) | (Some(_), 0..45) => return Action::Read { keys: vec![key.to_owned()] },
        (Some(Some(version)), 45..92) => replace(client, version),
        (Some(Some(_)), 92..96) => create(client),
        (Some(Some(_)), _) | (Some(None), 45..50) => remove,
        (Some(None), 50..55) => replace(client, 1),
        (Some(None), _) => create(client),
    };
    Action::Write { edits: vec![edit] }
}

/// What an outcome says about a key to who asks next.
fn learn(known: &mut Known, key: &str, outcome: &Outcome) {
    let now = match outcome {
        Outcome::Found { cells } => cells.get(key).map(|cell| cell.version),
        Outcome::Done { versions } => versions.get(key).copied(),
        Outcome::Conflict { current: Some(current), .. } => Some(*current),
        Outcome::Absent { .. } => None,
        _ => {
            known.remove(key);
            return;
        }
    };
    known.insert(key.to_owned(), now);
}
