//! Reads and writes of keys as calls about provider profiles: a key is a profile's id, its value the
//! display name, its version the resource version.

use std::collections::BTreeMap;

use openshell_client::{Answer, CallError, Consistency, Seen, methods};
use openshell_proto::v1::{
    DeleteProviderProfileRequest, GetProviderProfileRequest, ImportProviderProfilesRequest,
    ImportProviderProfilesResponse, ListProviderProfilesRequest, ProviderProfile, ProviderProfileImportItem,
    ProviderProfileUpdate, UpdateProviderProfilesRequest, UpdateProviderProfilesResponse,
};
use openshell_tests::Api;
use tonic::Code;

use super::heard::{Heard, conflict, diagnosed, refused};
use crate::history::{Action, Cell, Cells, Edit, Outcome, Position};

/// The most that one page of a list has.
const PAGE_MAX: u32 = 1_000;

/// Where profiles are, and what they look like.
#[derive(Clone)]
pub(super) struct Profiles {
    pub(super) workspace: String,
    /// The profile of a key with a value; the value becomes its display name.
    pub(super) make: fn(&str, &str) -> ProviderProfile,
    /// What linearizable reads ask for in truth.
    pub(super) reads: Consistency,
}

impl Profiles {
    /// Does one action through a node.
    pub(super) async fn perform(&self, api: &Api, action: &Action) -> Heard {
        match action {
            Action::Read { keys } => match self.reads {
                Consistency::Linearizable => self.read(&api.linearizable(), keys, false).await,
                Consistency::Local => self.read(&api.local(), keys, false).await,
            },
            Action::ReadLocal { keys, not_before } => {
                self.read(&carrying(api, *not_before).local(), keys, not_before.is_some()).await
            }
            Action::Write { edits } => match edits.as_slice() {
                [Edit::Remove { key }] => self.remove(api, key).await,
                [Edit::Create { .. }, ..] => self.create(api, edits).await,
                _ => self.replace(api, edits).await,
            },
            Action::Make { .. } | Action::Look { .. } | Action::Clear { .. } | Action::Call { .. } => {
                Heard::nowhere(Outcome::NotDone)
            }
        }
    }

    /// One profile by itself, several by a list; for who `carries` a position or does not.
    async fn read(&self, api: &Api, keys: &[String], carries: bool) -> Heard {
        let [key] = keys else { return self.list(api, keys).await };
        let request = GetProviderProfileRequest { id: key.clone(), workspace: self.workspace.clone() };
        match api.call(&methods::GET_PROVIDER_PROFILE, request).await {
            Ok(Answer { message, seen, .. }) => {
                Heard::of(Outcome::Found { cells: message.profile.as_ref().map(cell).into_iter().collect() }, &seen)
            }
            Err(error) => Heard::failed(error, |status| match status.code() {
                Code::NotFound => Some(Outcome::Found { cells: Cells::new() }),
                // That such a position is no one's is for the checker of those who carry one.
                Code::FailedPrecondition if carries => Some(refused(status)),
                _ => None,
            }),
        }
    }

    async fn list(&self, api: &Api, keys: &[String]) -> Heard {
        let request = ListProviderProfilesRequest { limit: PAGE_MAX, offset: 0, workspace: self.workspace.clone() };
        match api.call(&methods::LIST_PROVIDER_PROFILES, request).await {
            Ok(Answer { message, seen, .. }) => {
                let all = message.profiles.iter().map(cell);
                Heard::of(Outcome::Found { cells: all.filter(|(key, _)| keys.contains(key)).collect() }, &seen)
            }
            Err(error) => Heard::failed(error, |_| None),
        }
    }

    async fn create(&self, api: &Api, edits: &[Edit]) -> Heard {
        let profiles = edits.iter().map(|edit| self.item(edit)).collect();
        let request = ImportProviderProfilesRequest { profiles, workspace: self.workspace.clone() };
        match api.call(&methods::IMPORT_PROVIDER_PROFILES, request).await {
            Ok(Answer { message: ImportProviderProfilesResponse { imported: true, profiles, .. }, seen, .. }) => {
                done(profiles.iter(), &seen)
            }
            Ok(Answer { message, seen, .. }) => Heard::of(diagnosed(&message.diagnostics, self.may_clash()), &seen),
            Err(error) => Heard::failed(error, |_| None),
        }
    }

    async fn replace(&self, api: &Api, edits: &[Edit]) -> Heard {
        let request = match edits {
            [edit] => UpdateProviderProfilesRequest {
                profile: Some(self.item(edit)),
                expected_resource_version: expected(edit),
                id: edit.key().to_owned(),
                workspace: self.workspace.clone(),
                updates: Vec::new(),
            },
            _ => UpdateProviderProfilesRequest {
                workspace: self.workspace.clone(),
                updates: edits.iter().map(|edit| self.update(edit)).collect(),
                ..UpdateProviderProfilesRequest::default()
            },
        };
        self.updated(api.call(&methods::UPDATE_PROVIDER_PROFILES, request).await)
    }

    /// An update of one profile answers the profile, one of several a result for each.
    fn updated(&self, result: Result<Answer<UpdateProviderProfilesResponse>, CallError>) -> Heard {
        match result {
            Ok(Answer { message, seen, .. }) if message.updated => {
                if let Some(result) = message.results.iter().find(|result| !result.changed) {
                    return Heard::wrong(format!("the update of {} changed nothing", result.id), &seen);
                }
                let several = message.results.iter().filter_map(|result| result.profile.as_ref());
                done(message.profile.iter().chain(several), &seen)
            }
            Ok(Answer { message, seen, .. }) => Heard::of(diagnosed(&message.diagnostics, self.may_clash()), &seen),
            Err(error) => Heard::failed(error, conflict),
        }
    }

    /// Whether two of these profiles may not be used together: those that grant tokens.
    fn may_clash(&self) -> bool {
        let any = (self.make)("any", "any");
        any.credentials.iter().any(|credential| credential.token_grant.is_some())
    }

    async fn remove(&self, api: &Api, key: &str) -> Heard {
        let request = DeleteProviderProfileRequest { id: key.to_owned(), workspace: self.workspace.clone() };
        match api.call(&methods::DELETE_PROVIDER_PROFILE, request).await {
            Ok(Answer { message, seen, .. }) if message.deleted => done([].into_iter(), &seen),
            Ok(Answer { seen, .. }) => Heard::wrong(format!("the deletion of {key} did nothing"), &seen),
            Err(error) => Heard::failed(error, |status| {
                (status.code() == Code::NotFound).then(|| Outcome::Absent { keys: vec![key.to_owned()] })
            }),
        }
    }

    fn item(&self, edit: &Edit) -> ProviderProfileImportItem {
        let value = edit.value().unwrap_or_default();
        let profile = ProviderProfile { display_name: value.to_owned(), ..(self.make)(edit.key(), value) };
        ProviderProfileImportItem { source: String::new(), profile: Some(profile) }
    }

    fn update(&self, edit: &Edit) -> ProviderProfileUpdate {
        ProviderProfileUpdate {
            item: Some(self.item(edit)),
            id: edit.key().to_owned(),
            expected_resource_version: expected(edit),
        }
    }
}

/// The same caller, who has been at a position.
pub(super) fn carrying(api: &Api, position: Option<Position>) -> Api {
    match position {
        None => api.clone(),
        Some(Position { epoch, revision }) => {
            api.not_before(&Seen { epoch: Some(epoch), revision: Some(revision), ..Seen::default() })
        }
    }
}

fn expected(edit: &Edit) -> u64 {
    match edit {
        Edit::Replace { on, .. } => *on,
        Edit::Create { .. } | Edit::Remove { .. } => 0,
    }
}

/// What a profile is to the model.
pub(super) fn cell(profile: &ProviderProfile) -> (String, Cell) {
    let cell = Cell { version: profile.resource_version, value: profile.display_name.clone() };
    (profile.id.clone(), cell)
}

fn done<'a>(profiles: impl Iterator<Item = &'a ProviderProfile>, seen: &Seen) -> Heard {
    let versions: BTreeMap<String, u64> =
        profiles.map(|profile| (profile.id.clone(), profile.resource_version)).collect();
    Heard::of(Outcome::Done { versions }, seen)
}
