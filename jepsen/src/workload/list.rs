//! Pages of a list that changes all the time, through all nodes: what stands at an index at one revision is
//! the same on every page and every node.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use openshell_client::methods;
use openshell_proto::v1::ListProviderProfilesRequest;
use openshell_tests::Api;
use rand::Rng;

use super::client::Client;
use super::heard::position;
use super::part::{self, Part, Tasks};
use super::profiles::{Profiles, cell};
use super::register::plain;
use super::{Shared, Workload};
use crate::history::{Action, Edit, Line, Outcome, Topic};

/// The list changes so seldom that pages of one revision meet.
const WRITER_PACE: Duration = Duration::from_millis(60);
const READER_PACE: Duration = Duration::from_millis(25);
const READERS: u64 = 2;
const PAGE: u32 = 7;
const LIST: &str = "openshell.v1.OpenShell/ListProviderProfiles";
/// Profiles that come and go.
const KEYS: usize = 24;

pub(super) struct List {
    shared: Arc<Shared>,
    profiles: Profiles,
    /// Each shift has its own.
    keys: Vec<Vec<String>>,
}

impl List {
    /// Declares the profiles that come and go. None is there yet.
    pub(super) async fn prepare(shared: &Arc<Shared>) -> anyhow::Result<Self> {
        let workspace = part::workspace(shared, "list").await?;
        let shift = |shift| (0..KEYS).map(|number| format!("list-{shift}-{number}")).collect();
        let keys: Vec<Vec<String>> = (0..shared.shifts()).map(shift).collect();
        for key in keys.iter().flatten() {
            shared.recorder.object(Workload::List, key, std::slice::from_ref(key));
        }
        let profiles = Profiles { workspace, make: plain, reads: shared.wishes.reads };
        Ok(Self { shared: Arc::clone(shared), profiles, keys })
    }
}

impl Part for List {
    fn start(&self, clients: &mut Tasks, _: &mut Tasks) {
        let mut writer = Client::new(&self.shared, Workload::List, 0).every(WRITER_PACE);
        let (profiles, keys, mut there) = (self.profiles.clone(), self.keys.clone(), Vec::new());
        clients.spawn(async move {
            while writer.turn().await {
                let keys = &keys[writer.shared.shift()];
                write(&mut writer, &mut there, keys, &profiles).await;
            }
            Ok(())
        });
        for number in 1..=READERS {
            let mut reader = Client::new(&self.shared, Workload::List, number).every(READER_PACE);
            let (workspace, mut offset) = (self.profiles.workspace.clone(), 0);
            clients.spawn(async move {
                while reader.turn().await {
                    read(&mut reader, &mut offset, &workspace).await;
                }
                Ok(())
            });
        }
    }

    fn finish(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let actions: Vec<Action> = self.keys.iter().map(|keys| Action::Read { keys: keys.clone() }).collect();
            let perform = |api: Api, action: Action| async move { self.profiles.perform(&api, &action).await };
            part::ask_everywhere(&self.shared, Workload::List, &actions, perform).await;
        })
    }
}

/// Creates one that is not there, or removes one that is; those of an earlier shift first.
async fn write(client: &mut Client, there: &mut Vec<String>, keys: &[String], profiles: &Profiles) {
    let key = keys[client.random.random_range(0..keys.len())].clone();
    let old = there.iter().find(|key| !keys.contains(key)).cloned();
    let edit = match old {
        Some(key) => Edit::Remove { key },
        None if there.contains(&key) => Edit::Remove { key },
        None => Edit::Create { key, value: client.value() },
    };
    let key = edit.key().to_owned();
    let action = Action::Write { edits: vec![edit.clone()] };
    let perform = |api: Api| {
        let action = &action;
        async move { profiles.perform(&api, action).await }
    };
    let outcome = client.write(action.clone(), perform).await;
    let is_there = match (&edit, outcome) {
        (_, Outcome::Exists { .. }) | (Edit::Create { .. }, Outcome::Done { .. }) => true,
        (_, Outcome::Absent { .. }) | (Edit::Remove { .. }, Outcome::Done { .. }) => false,
        // What is in doubt, a later attempt finds out.
        _ => return,
    };
    there.retain(|other| *other != key);
    if is_there {
        there.push(key);
    }
}

/// The next page, from what any node has.
async fn read(client: &mut Client, offset: &mut u32, workspace: &str) {
    let node = client.any_node();
    let request = ListProviderProfilesRequest { limit: PAGE, offset: *offset, workspace: workspace.to_owned() };
    let answer = match client.api(node).local().call(&methods::LIST_PROVIDER_PROFILES, request).await {
        Ok(answer) => answer,
        Err(error) => return client.note(node, LIST, error),
    };
    let Some(at) = position(&answer.seen) else { return };
    let mut values: BTreeMap<String, String> = BTreeMap::new();
    for (index, profile) in (*offset..).zip(&answer.message.profiles) {
        let (key, cell) = cell(profile);
        values.insert(index.to_string(), format!("{key} {}", cell.version));
    }
    let is_last = answer.message.profiles.len() < PAGE as usize;
    if is_last {
        let end = *offset as usize + answer.message.profiles.len();
        values.insert(end.to_string(), String::new());
    }
    let recorder = &client.shared.recorder;
    recorder.add(Line::Fact {
        time_ns: recorder.now_ns(),
        node: node as u64 + 1,
        topic: Topic::List,
        subject: "profiles".to_owned(),
        at,
        values,
    });
    *offset = if is_last { 0 } else { *offset + PAGE };
}
