//! The rules about profiles that need more than the profiles: whether an id is taken
//! (`providers.md` 3.2), whether a request has any, and that every call asks the same ones.

use openshell_proto::v1::{
    ImportProviderProfilesRequest, LintProviderProfilesRequest, LintProviderProfilesResponse, ProviderProfile,
    ProviderProfileDiagnostic, ProviderProfileImportItem,
};
use openshell_state::query;

use crate::support::{World, endpoint, import, item, minimal, says, static_profile, update};

fn lint(world: &World, scope: &str, profiles: &[ProviderProfile]) -> LintProviderProfilesResponse {
    let profiles = profiles.iter().cloned().map(item).collect();
    let request = LintProviderProfilesRequest { profiles, workspace: scope.to_owned() };
    query::profile::lint(&world.state, &world.principal, &request).expect("an answer")
}

/// The one diagnostic of lint about an id, after looking whether import says the same.
fn only(world: &World, scope: &str, id: &str) -> ProviderProfileDiagnostic {
    let linted = lint(world, scope, &[minimal(id)]);
    let [found] = linted.diagnostics.as_slice() else { panic!("{:?}", linted.diagnostics) };
    let imported = world.clone().ok(&import(scope, &[minimal(id)]));
    assert_eq!(imported.diagnostics, linted.diagnostics);
    assert_eq!(imported.imported, linted.valid);
    assert_eq!((found.field.as_str(), found.source.as_str()), ("id", format!("{id}.yaml").as_str()));
    assert_eq!(linted.valid, found.severity == "warning");
    found.clone()
}

fn free(world: &World, scope: &str, id: &str) {
    assert_eq!(lint(world, scope, &[minimal(id)]).diagnostics, []);
    assert!(world.clone().ok(&import(scope, &[minimal(id)])).imported);
}

/// `taken` in every scope that the name says.
fn with_profiles() -> World {
    let mut world = World::new();
    world.workspace("other");
    for (scope, id) in [("default", "ours"), ("other", "theirs"), ("", "everybodys"), ("default", "both"), ("", "both")]
    {
        assert!(world.ok(&import(scope, &[minimal(id)])).imported);
    }
    world
}

#[test]
fn v_conf_1_an_id_that_is_built_in_is_taken_in_every_scope() {
    let world = with_profiles();
    for scope in ["", "default", "other"] {
        let found = only(&world, scope, "github");
        says(&found.message, &["managed by source 'builtin'"]);
        free(&world, scope, "gitlab");
    }
    // Compared after normalisation; that it is not canonical is said besides.
    let found = lint(&world, "default", &[minimal(" GitHub ")]).diagnostics;
    assert_eq!(found.iter().map(|one| one.profile_id.as_str()).collect::<Vec<_>>(), ["github", "GitHub"]);
    assert_eq!(lint(&world, "default", &[minimal("git_hub")]).diagnostics.len(), 1, "one that has no normal form");
}

#[test]
fn v_conf_2_an_id_is_taken_in_the_scope_that_holds_it() {
    let world = with_profiles();
    for (scope, id) in [("default", "ours"), ("other", "theirs"), ("", "everybodys"), ("default", "both"), ("", "both")]
    {
        let found = only(&world, scope, id);
        assert_eq!((found.severity.as_str(), found.profile_id.as_str()), ("error", id));
        says(&found.message, &["already exists"]);
    }
    for (scope, id) in [("other", "ours"), ("default", "theirs"), ("", "ours")] {
        free(&world, scope, id);
    }
}

#[test]
fn v_conf_3_hiding_the_platforms_profile_is_a_warning() {
    let world = with_profiles();
    for (scope, id) in [("default", "everybodys"), ("other", "everybodys"), ("other", "both")] {
        let found = only(&world, scope, id);
        assert_eq!((found.severity.as_str(), found.profile_id.as_str()), ("warning", id));
        says(&found.message, &["shadows", "platform-scoped"]);
    }
    // The platform does not look into workspaces.
    free(&world, "", "theirs");
}

#[test]
fn v_item_3_a_request_has_a_profile() {
    let mut world = World::new();
    let linted = lint(&world, "default", &[]);
    let imported = world.ok(&import("default", &[]));
    assert!(!linted.valid && !imported.imported);
    let mut nothing = update("default", 1, minimal("acme"));
    nothing.profile = None;
    let updated = world.ok(&nothing).diagnostics;
    for found in [linted.diagnostics, imported.diagnostics, updated] {
        let about: Vec<_> = found.iter().filter(|one| one.field == "profiles").collect();
        let [only] = about.as_slice() else { panic!("{found:?}") };
        assert_eq!((only.source.as_str(), only.profile_id.as_str(), only.severity.as_str()), ("", "", "error"));
    }
    // An item that is there is what the request is about, even when it holds nothing.
    let empty = ProviderProfileImportItem { source: "a".to_owned(), profile: None };
    let request = ImportProviderProfilesRequest { profiles: vec![empty], workspace: "default".to_owned() };
    let found = world.ok(&request).diagnostics;
    assert_eq!(found.iter().map(|one| one.field.as_str()).collect::<Vec<_>>(), ["profile"]);
}

#[test]
fn v_gen_5_import_update_and_lint_say_the_same() {
    let mut world = World::new();
    world.workspace("elsewhere");
    assert!(world.ok(&import("default", &[minimal("acme")])).imported);
    let mut wrong = static_profile("acme", "");
    wrong.endpoints.push(endpoint("a.example.com", 70_000));
    wrong.binaries.push(Default::default());
    let linted = lint(&world, "elsewhere", std::slice::from_ref(&wrong));
    assert_eq!((linted.valid, linted.diagnostics.len()), (false, 3), "{:?}", linted.diagnostics);
    assert_eq!(world.ok(&import("elsewhere", &[wrong.clone()])).diagnostics, linted.diagnostics);
    assert_eq!(world.ok(&update("default", 1, wrong)).diagnostics, linted.diagnostics);
    // What is built in has passed it as well.
    for (_, entry) in world.state.builtin_profiles() {
        let profile = entry.value.profile.clone().expect("a profile");
        let id = profile.id.clone();
        let found = lint(&world, "elsewhere", &[profile]).diagnostics;
        assert_eq!(found.len(), 1, "only that the id is taken: {id} {found:?}");
    }
}
