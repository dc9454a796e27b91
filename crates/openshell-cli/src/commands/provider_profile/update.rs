//! `openshell provider profile update`: one file, or every file of a folder as one change. A file that
//! states a version is held to it; for one that states none, as files kept by hand do, the current version
//! is read first, so that a change made in between is still noticed. What is read is also what the new state is
//! compared with.

use std::collections::BTreeMap;

use openshell_client::{Seen, methods};
use openshell_proto::v1::{
    ProviderProfile, ProviderProfileImportItem, ProviderProfileUpdate, ProviderProfileUpdateResult,
    UpdateProviderProfilesRequest,
};
use serde_json::{Value, json};

use super::changes::{self, Change};
use super::diagnostics::{built_in, not_found, rejected};
use super::files::Files;
use super::places::Places;
use super::{FileArguments, Scope, invalid, stored};
use crate::commands::rollout::wait::WaitArguments;
use crate::context::{Context, Session, required};
use crate::failure::Failure;
use crate::output::{self, Format, Paint, table};

/// What became of one profile.
struct Outcome {
    id: String,
    is_changed: bool,
    /// As it was before; none when somebody else changed it in between.
    before: Option<u64>,
    after: u64,
    changes: Vec<Change>,
}

pub(super) async fn run(
    id: Option<String>,
    arguments: &FileArguments,
    scope: Scope,
    format: Format,
    wait: WaitArguments,
    context: &mut Context<'_>,
) -> Result<(), Failure> {
    let (items, places) = Files::read(arguments)?.all_or_nothing("update", context.console)?;
    let session = context.session()?;
    let workspace = scope.workspace(&session.workspace);
    let changed = match arguments.from {
        Some(_) => batch(items, &places, workspace, format, &session, context).await?,
        None => {
            let item = required(items.into_iter().next(), "profile file")?;
            Some(one(id, item, &places, workspace, format, &session, context).await?)
        }
    };
    match changed {
        Some(seen) => wait.wait(&session, seen, scope.global, context).await,
        None => {
            wait.unchanged(context);
            Ok(())
        }
    }
}

async fn one(
    id: Option<String>,
    item: ProviderProfileImportItem,
    places: &Places,
    workspace: String,
    format: Format,
    session: &Session,
    context: &mut Context<'_>,
) -> Result<Seen, Failure> {
    let stated = item.profile.as_ref().map_or(0, |profile| profile.resource_version);
    let id = id.unwrap_or_else(|| id_of(&item));
    let before = match (stated, format) {
        // The sentence says nothing about what was there before.
        (1.., Format::Table) => None,
        _ => stored(session, &id, &workspace).await?,
    };
    let expected_resource_version = match (stated, &before) {
        (0, None) => return Err(Failure::new(not_found(&id))),
        (0, Some(profile)) if profile.source == "builtin" => return Err(Failure::new(built_in(&profile.id))),
        (0, Some(profile)) => profile.resource_version,
        (version, _) => version,
    };
    let request = UpdateProviderProfilesRequest {
        profile: Some(item),
        expected_resource_version,
        id: id.clone(),
        workspace,
        ..UpdateProviderProfilesRequest::default()
    };
    let (reply, seen) = session.change(&methods::UPDATE_PROVIDER_PROFILES, request).await?;
    if !reply.updated {
        return Err(rejected("update", &reply.diagnostics, places, context.console));
    }
    match format {
        Format::Table => context.console.line("Updated provider profile."),
        Format::Json | Format::Yaml => {
            let result = ProviderProfileUpdateResult { id, changed: true, profile: reply.profile.clone() };
            print(&[outcome(&result, before.as_ref())], format, context);
        }
    }
    warn(reply.profile.as_ref(), context);
    Ok(seen)
}

/// Nothing when everything is as the files say already.
async fn batch(
    items: Vec<ProviderProfileImportItem>,
    places: &Places,
    workspace: String,
    format: Format,
    session: &Session,
    context: &mut Context<'_>,
) -> Result<Option<Seen>, Failure> {
    let mut updates = Vec::with_capacity(items.len());
    let mut before = BTreeMap::new();
    for item in items {
        let id = id_of(&item);
        let found = stored(session, &id, &workspace).await?;
        let expected_resource_version = match item.profile.as_ref().map_or(0, |profile| profile.resource_version) {
            // A missing or built-in profile is left to the gateway, which then tells all problems of the batch.
            0 => found.as_ref().map_or(0, |profile| profile.resource_version),
            version => version,
        };
        if let Some(profile) = found {
            before.insert(profile.id.clone(), profile);
        }
        updates.push(ProviderProfileUpdate { item: Some(item), id, expected_resource_version });
    }
    let request = UpdateProviderProfilesRequest { workspace, updates, ..UpdateProviderProfilesRequest::default() };
    let (reply, seen) = session.change(&methods::UPDATE_PROVIDER_PROFILES, request).await?;
    if !reply.updated {
        return Err(rejected("update", &reply.diagnostics, places, context.console));
    }
    let outcomes: Vec<_> = reply.results.iter().map(|result| outcome(result, before.get(&result.id))).collect();
    print(&outcomes, format, context);
    for result in &reply.results {
        warn(result.profile.as_ref(), context);
    }
    Ok(reply.results.iter().any(|result| result.changed).then_some(seen))
}

/// Compares what was written with what was read before. An update takes effect on the version that it expects
/// only, and moves it by one: if another was read, the one between was never seen.
fn outcome(result: &ProviderProfileUpdateResult, before: Option<&ProviderProfile>) -> Outcome {
    let after = result.profile.clone().unwrap_or_default();
    let expected = after.resource_version.saturating_sub(u64::from(result.changed));
    let before = before.filter(|before| before.resource_version == expected);
    let changes = match before {
        Some(before) if result.changed => changes::between(before, &after),
        Some(_) | None => Vec::new(),
    };
    Outcome {
        id: result.id.clone(),
        is_changed: result.changed,
        before: before.map(|before| before.resource_version),
        after: after.resource_version,
        changes,
    }
}

fn print(outcomes: &[Outcome], format: Format, context: &mut Context<'_>) {
    let documents = || outcomes.iter().map(document).collect();
    let text = match format {
        Format::Table => rows(outcomes, context.console.paint),
        Format::Json => output::json(documents()),
        Format::Yaml => output::yaml(documents()),
    };
    context.console.print(&text);
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

fn rows(outcomes: &[Outcome], paint: Paint) -> String {
    let row = |outcome: &Outcome| {
        let (result, version) = match (outcome.is_changed, outcome.before) {
            (false, _) => ("unchanged", outcome.after.to_string()),
            (true, Some(before)) => ("changed", format!("{before} -> {}", outcome.after)),
            (true, None) => ("changed", outcome.after.to_string()),
        };
        vec![outcome.id.clone(), result.to_owned(), version, changes_cell(outcome)]
    };
    table(&["ID", "OUTCOME", "VERSION", "CHANGES"], &outcomes.iter().map(row).collect::<Vec<_>>(), "", paint)
}

fn changes_cell(outcome: &Outcome) -> String {
    match (outcome.is_changed, outcome.before) {
        (false, _) => "-".to_owned(),
        (true, None) => "not known: somebody else changed it at the same time".to_owned(),
        // One that was left out is written again as it is, and accepted by that.
        (true, Some(_)) if outcome.changes.is_empty() => "its version only".to_owned(),
        (true, Some(_)) => changes::line(&outcome.changes),
    }
}

fn document(outcome: &Outcome) -> Value {
    json!({
        "changed": outcome.is_changed,
        "changes": outcome.changes.iter().map(changes::document).collect::<Vec<_>>(),
        "id": outcome.id,
        "previous_version": outcome.before,
        "resource_version": outcome.after,
    })
}

#[cfg(test)]
mod tests {
    use super::{document, outcome, rows};
    use crate::output::{self, Paint};
    use openshell_proto::v1::{ProviderProfile, ProviderProfileUpdateResult};

    fn profile(id: &str, display_name: &str, resource_version: u64) -> ProviderProfile {
        ProviderProfile {
            id: id.into(),
            display_name: display_name.into(),
            resource_version,
            ..ProviderProfile::default()
        }
    }

    fn result(changed: bool, profile: ProviderProfile) -> ProviderProfileUpdateResult {
        ProviderProfileUpdateResult { id: profile.id.clone(), changed, profile: Some(profile) }
    }

    #[test]
    fn a_batch_is_one_table_of_what_changed() {
        let outcomes = [
            outcome(&result(true, profile("acme", "New", 4)), Some(&profile("acme", "Old", 3))),
            outcome(&result(false, profile("other-api", "Other", 1)), Some(&profile("other-api", "Other", 1))),
            outcome(&result(true, profile("raced", "New", 9)), Some(&profile("raced", "Old", 7))),
            outcome(&result(true, profile("same", "Same", 2)), Some(&profile("same", "Same", 1))),
        ];
        assert_eq!(
            rows(&outcomes, Paint::plain()),
            "ID         OUTCOME    VERSION  CHANGES\n\
             acme       changed    3 -> 4   display_name changed from \"Old\" to \"New\"\n\
             other-api  unchanged  1        -\n\
             raced      changed    9        not known: somebody else changed it at the same time\n\
             same       changed    1 -> 2   its version only\n"
        );
    }

    #[test]
    fn a_document_has_every_change() {
        let outcome = outcome(&result(true, profile("acme", "New", 4)), Some(&profile("acme", "Old", 3)));
        assert_eq!(
            output::yaml(document(&outcome)),
            "changed: true\nchanges:\n- act: changed\n  field: display_name\n  from: Old\n  to: New\nid: acme\n\
             previous_version: 3\nresource_version: 4\n"
        );
    }
}
