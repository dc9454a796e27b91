//! Clients with a profile each, which they write through one node and read through another, content with
//! what that node has, but not with less than they have seen.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use openshell_tests::Api;
use rand::Rng;

use super::client::Client;
use super::part::{self, Part, Tasks};
use super::profiles::Profiles;
use super::register::plain;
use super::{Shared, Workload};
use crate::history::{Action, Edit, Outcome};

const PACE: Duration = Duration::from_millis(20);
const CLIENTS: u64 = 3;
/// After so many writes a client takes another profile; short histories are checked faster.
const WRITES_ON_ONE: usize = 150;
/// So many profiles of a client are declared.
const KEYS: usize = 100;

pub(super) struct Session {
    shared: Arc<Shared>,
    profiles: Profiles,
}

fn key(client: u64, number: usize) -> String {
    format!("session-{client}-{number}")
}

impl Session {
    /// Declares the profiles of each client. None is there yet.
    pub(super) async fn prepare(shared: &Arc<Shared>) -> anyhow::Result<Self> {
        let workspace = part::workspace(shared, "session").await?;
        for key in keys() {
            shared.recorder.object(Workload::Session, &key, std::slice::from_ref(&key));
        }
        Ok(Self {
            shared: Arc::clone(shared),
            profiles: Profiles { workspace, make: plain, reads: shared.wishes.reads },
        })
    }
}

fn keys() -> impl Iterator<Item = String> {
    (0..CLIENTS).flat_map(|client| (0..KEYS).map(move |number| key(client, number)))
}

impl Part for Session {
    fn start(&self, clients: &mut Tasks, _: &mut Tasks) {
        for number in 0..CLIENTS {
            let mut client = Client::new(&self.shared, Workload::Session, number).every(PACE);
            let (profiles, mut own) = (self.profiles.clone(), Own { client: number, ..Own::default() });
            clients.spawn(async move {
                while client.turn().await {
                    step(&mut client, &mut own, &profiles).await;
                }
                Ok(())
            });
        }
    }

    fn finish(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let everything = Action::Read { keys: keys().collect() };
            let perform = |api: Api, action: Action| async move { self.profiles.perform(&api, &action).await };
            part::ask_everywhere(&self.shared, Workload::Session, &[everything], perform).await;
        })
    }
}

/// What a client knows of its profile.
#[derive(Default)]
struct Own {
    client: u64,
    /// Which of its profiles it is at, and how often it has written it.
    number: usize,
    writes: usize,
    version: Option<u64>,
}

/// Alternately a write, and a read through another node.
async fn step(client: &mut Client, own: &mut Own, profiles: &Profiles) {
    if own.writes == WRITES_ON_ONE {
        *own = Own { client: own.client, number: (own.number + 1) % KEYS, ..Own::default() };
    }
    let key = key(own.client, own.number);
    let value = client.value();
    let edit = match own.version {
        Some(on) => Edit::Replace { key: key.clone(), on, value },
        None => Edit::Create { key: key.clone(), value },
    };
    let action = Action::Write { edits: vec![edit] };
    let perform = |api: Api| {
        let action = &action;
        async move { profiles.perform(&api, action).await }
    };
    let outcome = client.write(action.clone(), perform).await;
    if let Outcome::Done { versions } = &outcome {
        own.version = versions.get(&key).copied();
        own.writes += 1;
    }
    for _ in 0..client.random.random_range(1..=3) {
        let node = client.any_node();
        let action = Action::ReadLocal { keys: vec![key.clone()], not_before: client.position };
        let api = client.api(node);
        let asked = profiles.perform(&api, &action);
        if let Outcome::Found { cells } = client.ask(node, action.clone(), asked).await {
            own.version = cells.get(&key).map(|cell| cell.version);
        }
    }
}
