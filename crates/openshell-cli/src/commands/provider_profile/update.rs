//! `openshell provider profile update`: one file, or every file of a folder as one change. A file that
//! states a version is held to it; for one that states none, as files kept by hand do, the current version
//! is read first, so that a change made in between is still noticed.

use openshell_client::{CallError, methods};
use openshell_proto::v1::{
    GetProviderProfileRequest, ProviderProfile, ProviderProfileImportItem, ProviderProfileUpdate,
    ProviderProfileUpdateResult, UpdateProviderProfilesRequest,
};

use super::diagnostics::{built_in, not_found, rejected};
use super::files::Files;
use super::{FileArguments, Scope, invalid};
use crate::context::{Context, Session, required};
use crate::failure::Failure;
use crate::output::{Paint, table};

pub(super) async fn run(
    id: Option<String>,
    arguments: &FileArguments,
    scope: Scope,
    context: &mut Context<'_>,
) -> Result<(), Failure> {
    let items = Files::read(arguments)?.all_or_nothing("update", context.console)?;
    let session = context.session()?;
    let workspace = scope.workspace(&session.workspace);
    match arguments.from {
        Some(_) => batch(items, workspace, &session, context).await,
        None => {
            let item = required(items.into_iter().next(), "profile file")?;
            one(id, item, workspace, &session, context).await
        }
    }
}

async fn one(
    id: Option<String>,
    item: ProviderProfileImportItem,
    workspace: String,
    session: &Session,
    context: &mut Context<'_>,
) -> Result<(), Failure> {
    let stated = item.profile.as_ref().map_or(0, |profile| profile.resource_version);
    let id = id.unwrap_or_else(|| id_of(&item));
    let expected_resource_version = match stated {
        0 => match current(session, &id, &workspace).await? {
            None => return Err(Failure::new(not_found(&id))),
            Some(profile) if profile.source == "builtin" => return Err(Failure::new(built_in(&profile.id))),
            Some(profile) => profile.resource_version,
        },
        version => version,
    };
    let request = UpdateProviderProfilesRequest {
        profile: Some(item),
        expected_resource_version,
        id,
        workspace,
        ..UpdateProviderProfilesRequest::default()
    };
    let reply = session.write(&methods::UPDATE_PROVIDER_PROFILES, request).await?;
    if !reply.updated {
        return Err(rejected("update", &reply.diagnostics, context.console));
    }
    context.console.line("Updated provider profile.");
    warn(reply.profile.as_ref(), context);
    Ok(())
}

async fn batch(
    items: Vec<ProviderProfileImportItem>,
    workspace: String,
    session: &Session,
    context: &mut Context<'_>,
) -> Result<(), Failure> {
    let mut updates = Vec::with_capacity(items.len());
    for item in items {
        let id = id_of(&item);
        let expected_resource_version = match item.profile.as_ref().map_or(0, |profile| profile.resource_version) {
            // A missing or built-in profile is left to the gateway, which then tells all problems of the batch.
            0 => current(session, &id, &workspace).await?.map_or(0, |profile| profile.resource_version),
            version => version,
        };
        updates.push(ProviderProfileUpdate { item: Some(item), id, expected_resource_version });
    }
    let request = UpdateProviderProfilesRequest { workspace, updates, ..UpdateProviderProfilesRequest::default() };
    let reply = session.write(&methods::UPDATE_PROVIDER_PROFILES, request).await?;
    if !reply.updated {
        return Err(rejected("update", &reply.diagnostics, context.console));
    }
    let text = rows(&reply.results, context.console.paint);
    context.console.print(&text);
    for result in &reply.results {
        warn(result.profile.as_ref(), context);
    }
    Ok(())
}

/// An accepted profile may be left out still: while a built-in one has its id, or as its rule is unsafe.
fn warn(profile: Option<&ProviderProfile>, context: &mut Context<'_>) {
    if let Some(warning) = profile.and_then(invalid) {
        context.console.warn(&warning);
    }
}

fn id_of(item: &ProviderProfileImportItem) -> String {
    item.profile.as_ref().map(|profile| profile.id.clone()).unwrap_or_default()
}

/// The profile as it is stored now.
async fn current(session: &Session, id: &str, workspace: &str) -> Result<Option<ProviderProfile>, Failure> {
    let request = GetProviderProfileRequest { id: id.to_owned(), workspace: workspace.to_owned() };
    match session.read(&methods::GET_PROVIDER_PROFILE, request).await {
        Ok(reply) => required(reply.profile, "profile").map(Some),
        Err(CallError::Refused(status)) if status.code() == tonic::Code::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn rows(results: &[ProviderProfileUpdateResult], paint: Paint) -> String {
    let row = |result: &ProviderProfileUpdateResult| {
        let version = result.profile.as_ref().map_or(0, |profile| profile.resource_version);
        let outcome = if result.changed { "changed" } else { "unchanged" };
        vec![result.id.clone(), outcome.to_owned(), version.to_string()]
    };
    table(&["ID", "OUTCOME", "VERSION"], &results.iter().map(row).collect::<Vec<_>>(), "", paint)
}

#[cfg(test)]
mod tests {
    use super::rows;
    use crate::output::Paint;
    use openshell_proto::v1::{ProviderProfile, ProviderProfileUpdateResult};

    #[test]
    fn a_batch_is_one_table_of_what_changed() {
        let result = |id: &str, changed, resource_version| ProviderProfileUpdateResult {
            id: id.into(),
            changed,
            profile: Some(ProviderProfile { resource_version, ..ProviderProfile::default() }),
        };
        assert_eq!(
            rows(&[result("acme", true, 4), result("other-api", false, 1)], Paint::plain()),
            "ID         OUTCOME    VERSION\nacme       changed    4\nother-api  unchanged  1\n"
        );
    }
}
