//! Lists that the gateway gives in pages, read to their end or to the limit that was asked for. How pages
//! are put together while others write is in `reading`; what a list is of is the commands' business.

mod reading;

use clap::Args;
use openshell_client::{CallError, CallOptions, Method, methods};
use openshell_proto::datamodel::{ObjectMeta, Provider, Workspace};
use openshell_proto::v1;

use self::reading::Reading;
use crate::context::{Answer, Request, Session};
use crate::output::Console;

/// The page that the original asks for, and the first one here unless a limit says otherwise.
const PAGE_FIRST: u32 = 100;
/// The largest page that a gateway gives.
const PAGE_MAX: u32 = 1000;

/// Which part of a list is shown.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct WindowArguments {
    /// At most so many; all when absent or 0.
    #[arg(long)]
    limit: Option<u32>,
    /// Skips so many.
    #[arg(long, default_value_t = 0)]
    offset: u32,
}

/// A part of a list, and the size of the first page that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    offset: u32,
    limit: Option<u32>,
    page_first: u32,
}

/// What was read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Listed<T> {
    pub(crate) items: Vec<T>,
    /// There are more behind the limit.
    pub(crate) has_more: bool,
}

/// A request for one page of a list whose order does not change.
pub(crate) trait Paged: Request {
    type Answer: Answer;
    type Item;
    const METHOD: Method<Self, Self::Answer>;

    /// The same request for another page.
    fn page(&self, offset: u32, limit: u32) -> Self;
    fn items(answer: Self::Answer) -> Vec<Self::Item>;
    fn identity(item: &Self::Item) -> Identity;
}

/// What tells one item of a list from the others.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Identity {
    /// What people call it by. An item that was deleted and made again has it twice.
    pub(crate) name: String,
    /// What no other item ever had.
    pub(crate) id: String,
}

impl WindowArguments {
    pub(crate) fn window(self) -> Window {
        let limit = self.limit.filter(|limit| *limit > 0);
        Window { offset: self.offset, limit, page_first: limit.unwrap_or(PAGE_FIRST).min(PAGE_MAX) }
    }

    /// Says what the limit left out.
    pub(crate) fn note<T>(self, listed: &Listed<T>, console: &mut Console) {
        if listed.has_more {
            let (shown, next) = (listed.items.len(), self.offset as usize + listed.items.len());
            console.warn(&format!(
                "there are more than the {shown} shown: go on with --offset {next}, or leave --limit out for all"
            ));
        }
    }
}

impl Window {
    pub(crate) fn all() -> Self {
        Self { offset: 0, limit: None, page_first: PAGE_FIRST }
    }

    /// The same in as few pages as possible.
    pub(crate) fn in_large_pages(self) -> Self {
        Self { page_first: PAGE_MAX, ..self }
    }
}

impl Session {
    /// Reads a part of a list, from as many pages as it takes.
    pub(crate) async fn list<L: Paged>(&self, list: &L, window: Window) -> Result<Listed<L::Item>, CallError> {
        self.list_until(list, window, |_| false).await
    }

    /// The same, ending after the page with which `is_enough` of all that was read.
    pub(crate) async fn list_until<L: Paged>(
        &self,
        list: &L,
        window: Window,
        is_enough: impl Fn(&[L::Item]) -> bool,
    ) -> Result<Listed<L::Item>, CallError> {
        let mut reading = Reading::new(window, L::identity);
        loop {
            let asked = reading.ask();
            let request = list.page(asked.offset, asked.limit);
            match self.client.call(&L::METHOD, request, &CallOptions::linearizable()).await {
                Ok(answer) => {
                    let is_over = reading.take(asked, L::items(answer.message), &answer.seen);
                    if is_over || is_enough(reading.items()) {
                        return Ok(reading.finish());
                    }
                }
                // An answer too large for one message: this side refuses it, so a smaller page is asked for.
                Err(CallError::Refused(status))
                    if status.code() == tonic::Code::OutOfRange && reading.asks_for_less(asked) => {}
                Err(error) => return Err(error.of_a_read()),
            }
        }
    }
}

impl Paged for v1::ListProvidersRequest {
    type Answer = v1::ListProvidersResponse;
    type Item = Provider;
    const METHOD: Method<Self, Self::Answer> = methods::LIST_PROVIDERS;

    fn page(&self, offset: u32, limit: u32) -> Self {
        Self { limit, offset, ..self.clone() }
    }

    fn items(answer: Self::Answer) -> Vec<Provider> {
        answer.providers
    }

    fn identity(provider: &Provider) -> Identity {
        of_record(provider.metadata.as_ref())
    }
}

impl Paged for v1::ListSandboxesRequest {
    type Answer = v1::ListSandboxesResponse;
    type Item = v1::Sandbox;
    const METHOD: Method<Self, Self::Answer> = methods::LIST_SANDBOXES;

    fn page(&self, offset: u32, limit: u32) -> Self {
        Self { limit, offset, ..self.clone() }
    }

    fn items(answer: Self::Answer) -> Vec<v1::Sandbox> {
        answer.sandboxes
    }

    fn identity(sandbox: &v1::Sandbox) -> Identity {
        of_record(sandbox.metadata.as_ref())
    }
}

impl Paged for v1::ListWorkspacesRequest {
    type Answer = v1::ListWorkspacesResponse;
    type Item = Workspace;
    const METHOD: Method<Self, Self::Answer> = methods::LIST_WORKSPACES;

    fn page(&self, offset: u32, limit: u32) -> Self {
        Self { limit, offset, ..self.clone() }
    }

    fn items(answer: Self::Answer) -> Vec<Workspace> {
        answer.workspaces
    }

    fn identity(workspace: &Workspace) -> Identity {
        of_record(workspace.metadata.as_ref())
    }
}

impl Paged for v1::ListProviderProfilesRequest {
    type Answer = v1::ListProviderProfilesResponse;
    type Item = v1::ProviderProfile;
    const METHOD: Method<Self, Self::Answer> = methods::LIST_PROVIDER_PROFILES;

    fn page(&self, offset: u32, limit: u32) -> Self {
        Self { limit, offset, ..self.clone() }
    }

    fn items(answer: Self::Answer) -> Vec<v1::ProviderProfile> {
        answer.profiles
    }

    /// Profiles are listed by id, so that one that is made again stands where it stood.
    fn identity(profile: &v1::ProviderProfile) -> Identity {
        let name = format!("{}/{}/{}", profile.source, profile.scope, profile.id);
        Identity { id: name.clone(), name }
    }
}

impl Paged for v1::ListWorkspaceMembersRequest {
    type Answer = v1::ListWorkspaceMembersResponse;
    type Item = v1::WorkspaceMember;
    const METHOD: Method<Self, Self::Answer> = methods::LIST_WORKSPACE_MEMBERS;

    fn page(&self, offset: u32, limit: u32) -> Self {
        Self { limit, offset, ..self.clone() }
    }

    fn items(answer: Self::Answer) -> Vec<v1::WorkspaceMember> {
        answer.members
    }

    fn identity(member: &v1::WorkspaceMember) -> Identity {
        of_record(member.metadata.as_ref())
    }
}

impl Paged for v1::ListSandboxPoliciesRequest {
    type Answer = v1::ListSandboxPoliciesResponse;
    type Item = v1::SandboxPolicyRevision;
    const METHOD: Method<Self, Self::Answer> = methods::LIST_SANDBOX_POLICIES;

    fn page(&self, offset: u32, limit: u32) -> Self {
        Self { limit, offset, ..self.clone() }
    }

    fn items(answer: Self::Answer) -> Vec<v1::SandboxPolicyRevision> {
        answer.revisions
    }

    /// Revisions go only with their sandbox.
    fn identity(revision: &v1::SandboxPolicyRevision) -> Identity {
        let name = revision.version.to_string();
        Identity { id: name.clone(), name }
    }
}

fn of_record(metadata: Option<&ObjectMeta>) -> Identity {
    let metadata = metadata.cloned().unwrap_or_default();
    Identity { name: format!("{}/{}", metadata.workspace, metadata.name), id: metadata.id }
}
