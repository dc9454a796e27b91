//! The profile that a provider of a type would use: read when it is asked for first, and not again.

use openshell_proto::v1::{ListProviderProfilesRequest, ProviderProfile};
use openshell_providers::provider_type;
use tokio::sync::OnceCell;

use crate::commands::provider_profile::stored;
use crate::context::Session;
use crate::failure::Failure;
use crate::pages::Window;

/// A canonical type, and its profile as one workspace sees it.
pub(super) struct TypeProfile<'a> {
    session: &'a Session,
    r#type: String,
    workspace: &'a str,
    /// As it was read; nothing inside when there is none.
    read: OnceCell<Option<ProviderProfile>>,
}

impl<'a> TypeProfile<'a> {
    pub(super) fn new(session: &'a Session, r#type: &str, workspace: &'a str) -> Self {
        Self { session, r#type: r#type.to_owned(), workspace, read: OnceCell::new() }
    }

    /// Of a word that somebody typed: the alias of a known one, else the id of the profile that the gateway finds.
    pub(super) async fn of_word(session: &'a Session, word: &str, workspace: &'a str) -> Result<Self, Failure> {
        if let Some(canonical) = provider_type::alias(word) {
            return Ok(Self::new(session, canonical, workspace));
        }
        let id = word.trim();
        let found = used(session, id, workspace).await?.ok_or_else(|| {
            Failure::new(format!(
                "unsupported type or profile '{id}': 'openshell provider list-profiles' shows the profiles"
            ))
        })?;
        let r#type = if found.id.trim().is_empty() { id.to_owned() } else { found.id.clone() };
        Ok(Self { session, r#type, workspace, read: OnceCell::new_with(Some(Some(found))) })
    }

    /// The canonical type.
    pub(super) fn r#type(&self) -> &str {
        &self.r#type
    }

    /// Its profile, if there is one.
    pub(super) async fn get(&self) -> Result<Option<&ProviderProfile>, Failure> {
        let read = || used(self.session, &self.r#type, self.workspace);
        Ok(self.read.get_or_try_init(read).await?.as_ref())
    }
}

async fn used(session: &Session, id: &str, workspace: &str) -> Result<Option<ProviderProfile>, Failure> {
    let Some(found) = stored(session, id, workspace).await? else { return Ok(None) };
    if found.invalid_reason.is_empty() {
        return Ok(Some(found));
    }
    // A built-in profile of the same id is used in its place.
    let request = ListProviderProfilesRequest { workspace: workspace.to_owned(), ..Default::default() };
    let listed = session.list(&request, Window::all()).await?.items;
    let used = listed.into_iter().find(|other| other.id == found.id && other.source == "builtin");
    used.map(Some).ok_or_else(|| {
        Failure::new(format!(
            "profile '{}' is not valid, so no provider can use it: {}",
            found.id, found.invalid_reason
        ))
    })
}
