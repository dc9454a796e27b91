//! Reads and writes of keys as attachments: a key names a sandbox and a provider, and is there when the
//! provider is attached. It has no value and no version of its own.

use std::collections::BTreeMap;

use openshell_client::{Answer, Consistency, methods};
use openshell_proto::v1::{AttachSandboxProviderRequest, DetachSandboxProviderRequest, GetSandboxRequest};
use openshell_tests::Api;

use super::heard::{Heard, ambiguous};
use crate::history::{Action, Cell, Cells, Edit, Outcome};

/// Where sandboxes are.
pub(super) struct Attachments {
    pub(super) workspace: String,
    /// What linearizable reads ask for in truth.
    pub(super) reads: Consistency,
}

impl Attachments {
    /// What is under a key that is there.
    pub(super) const VALUE: &str = "attached";

    /// The key of a provider at a sandbox.
    pub(super) fn key(sandbox: &str, provider: &str) -> String {
        format!("{sandbox}/{provider}")
    }

    /// Does one action through a node.
    pub(super) async fn perform(&self, api: &Api, action: &Action) -> Heard {
        match action {
            Action::Read { keys } => self.read(api, keys).await,
            Action::Write { edits } => match edits.as_slice() {
                [Edit::Create { key, .. }] => self.attach(api, key).await,
                [Edit::Remove { key }] => self.detach(api, key).await,
                _ => Heard::nowhere(Outcome::NotDone),
            },
            _ => Heard::nowhere(Outcome::NotDone),
        }
    }

    async fn read(&self, api: &Api, keys: &[String]) -> Heard {
        let name = keys.first().map(|key| parts(key).0).unwrap_or_default();
        let request = GetSandboxRequest { name, workspace: self.workspace.clone() };
        let api = match self.reads {
            Consistency::Linearizable => api.linearizable(),
            Consistency::Local => api.local(),
        };
        match api.call(&methods::GET_SANDBOX, request).await {
            Ok(Answer { message, seen, .. }) => {
                let listed = message.sandbox.and_then(|sandbox| sandbox.spec).unwrap_or_default().providers;
                let there = keys.iter().filter(|key| listed.contains(&parts(key).1));
                let cell = || Cell { version: 1, value: Self::VALUE.to_owned() };
                let cells: Cells = there.map(|key| (key.clone(), cell())).collect();
                Heard::of(Outcome::Found { cells }, &seen)
            }
            Err(error) => Heard::failed(error, |_| None),
        }
    }

    async fn attach(&self, api: &Api, key: &str) -> Heard {
        let (sandbox_name, provider_name) = parts(key);
        let request = AttachSandboxProviderRequest {
            sandbox_name,
            provider_name,
            workspace: self.workspace.clone(),
            ..AttachSandboxProviderRequest::default()
        };
        match api.call(&methods::ATTACH_SANDBOX_PROVIDER, request).await {
            Ok(Answer { message, seen, .. }) if message.attached => {
                Heard::of(Outcome::Done { versions: BTreeMap::from([(key.to_owned(), 1)]) }, &seen)
            }
            Ok(Answer { seen, .. }) => Heard::of(Outcome::Exists { keys: vec![key.to_owned()] }, &seen),
            Err(error) => Heard::failed(error, ambiguous),
        }
    }

    async fn detach(&self, api: &Api, key: &str) -> Heard {
        let (sandbox_name, provider_name) = parts(key);
        let request = DetachSandboxProviderRequest {
            sandbox_name,
            provider_name,
            workspace: self.workspace.clone(),
            ..DetachSandboxProviderRequest::default()
        };
        match api.call(&methods::DETACH_SANDBOX_PROVIDER, request).await {
            Ok(Answer { message, seen, .. }) if message.detached => {
                Heard::of(Outcome::Done { versions: BTreeMap::new() }, &seen)
            }
            Ok(Answer { seen, .. }) => Heard::of(Outcome::Absent { keys: vec![key.to_owned()] }, &seen),
            Err(error) => Heard::failed(error, |_| None),
        }
    }
}

/// The sandbox and the provider of a key.
fn parts(key: &str) -> (String, String) {
    let (sandbox, provider) = key.split_once('/').unwrap_or((key, ""));
    (sandbox.to_owned(), provider.to_owned())
}
