//! What becomes of a mint between its two entries: overtaken, given up, of no use; and what a rotation
//! hears of it.

use super::*;

#[test]
fn providers_scenario_75_a_mint_that_was_overtaken_writes_nothing() {
    let mut world = world();
    world.ok(&usual());
    world.ok(&claim("a"));
    world.ok(&usual());
    says(&world.refused(Code::Aborted, &minted("a", "late")), &["nothing was written"]);
    world.ok(&claim("b"));
    world.ok(&delete());
    world.refused(Code::Aborted, &minted("b", "later"));
    world.ok(&usual());
    world.ok(&claim("c"));
    world.ok(&DeleteProviderRequest { name: "p".to_owned(), ..DeleteProviderRequest::default() });
    world.ok(&provider("p", "acme", &[]));
    world.refused(Code::Aborted, &minted("c", "for another provider of that name"));
    assert!(world.stored_provider("p").credential_handles.is_empty() && status(&world, "p").is_empty());
}

#[test]
fn one_claim_holds_until_its_time_is_over_and_the_next_one_says_so() {
    let mut world = world();
    world.ok(&usual());
    assert_eq!(world.ok(&claim("a")).id, "a");
    assert_eq!(world.ok(&claim("b")).id, "a", "whoever comes second waits for the first");
    world.time_ms += 60_000;
    let taken_over = world.ok(&claim("c"));
    assert_eq!((taken_over.id.as_str(), taken_over.after_unknown), ("c", true));
    world.refused(Code::Aborted, &minted("a", "late"));
    let refusal = world.call(&not_minted("c")).expect_err("it failed");
    says(&refusal.message, &["outcome of the attempt before is not known", "configured again"]);
}

#[test]
fn a_replaced_refresh_token_is_kept_sealed_for_the_next_time() {
    let mut world = world();
    world.ok(&usual());
    let before = stored(&world).secret_material_handles.clone();
    world.ok(&claim("a"));
    let result = Minted { value: "t".to_owned(), lifetime_seconds: 600, refresh_token: SECRET.to_owned() };
    world.ok(&settlement("a", settle_refresh_request::Result::Minted(result)));
    let after = &stored(&world).secret_material_handles;
    assert!(after.contains_key("refresh_token") && !before.contains_key("refresh_token"));
    assert_eq!(after.len(), before.len() + 1);
}

#[test]
fn what_was_minted_and_cannot_be_used_is_an_error_and_changes_no_provider() {
    let mut world = world();
    world.ok(&usual());
    world.ok(&claim("a"));
    let before = world.stored_provider("p").clone();
    let refusal = world.call(&minted("a", &"x".repeat(8193))).expect_err("too long");
    assert_eq!(refusal.code, Code::FailedPrecondition);
    says(&refusal.message, &["minted and cannot be used", "8193"]);
    assert_eq!(world.stored_provider("p"), &before);
    assert_eq!(status(&world, "p")[0].failure_code, "credential_unusable");
}

#[test]
fn rt_5_a_rotation_hears_that_its_refresh_was_configured_again_or_deleted() {
    let mut world = world();
    world.ok(&usual());
    let overtaken = |world: &mut World, claim: &StoredRefreshClaim, case: &str| {
        let refusal = world.call(&awaited(claim)).expect_err(case);
        assert_eq!(refusal.code, Code::Aborted, "{case}: {refusal:?}");
        says(&refusal.message, &["changed or deleted", "nothing was written"]);
    };
    let first = world.ok(&claim("a"));
    assert_eq!(first.authorization_epoch, stored(&world).authorization_epoch);
    // Identifiers of neighbouring revisions overlap in this world.
    world.workspace("between");
    world.ok(&usual());
    assert_ne!(first.authorization_epoch, stored(&world).authorization_epoch);
    overtaken(&mut world, &first, "configured");
    // A claim of a build that did not note its epoch.
    let bare = StoredRefreshClaim { authorization_epoch: String::new(), ..first.clone() };
    overtaken(&mut world, &bare, "configured, as an earlier build claimed");
    world.ok(&claim("b"));
    overtaken(&mut world, &first, "configured, and claimed again");
    world.ok(&minted("b", "of the second configuration"));
    overtaken(&mut world, &first, "configured, and minted by another rotation");
    let third = world.ok(&claim("c"));
    world.ok(&delete());
    overtaken(&mut world, &third, "deleted");
    world.ok(&usual());
    overtaken(&mut world, &third, "deleted, and configured");
    let fourth = world.ok(&claim("d"));
    world.ok(&DeleteProviderRequest { name: "p".to_owned(), ..DeleteProviderRequest::default() });
    overtaken(&mut world, &fourth, "with its provider");
    world.ok(&provider("p", "acme", &[]));
    overtaken(&mut world, &fourth, "with its provider, and that was made again");
}

#[test]
fn a_rotation_hears_of_its_own_mint_also_when_the_next_one_is_under_way() {
    let mut world = world();
    world.ok(&usual());
    let first = world.ok(&claim("a"));
    let answer = world.ok(&minted("a", "token"));
    let second = world.ok(&claim("b"));
    assert_eq!(world.ok(&awaited(&first)), answer);
    world.call(&not_minted("b")).expect_err("it failed");
    world.ok(&claim("c"));
    says(&world.refused(Code::FailedPrecondition, &awaited(&second)), &["does not answer"]);
}

#[test]
fn a_rotation_whose_claim_was_given_up_for_another_was_overtaken() {
    let mut world = world();
    world.ok(&usual());
    let first = world.ok(&claim("a"));
    world.time_ms += 60_000;
    world.ok(&claim("b"));
    world.refused(Code::Aborted, &awaited(&first));
}

#[test]
fn rt_4_a_replaced_refresh_token_is_kept_when_the_credential_beside_it_cannot_be_used() {
    let mut world = world();
    world.ok(&ConfigureProviderRefreshRequest {
        strategy: Strategy::Oauth2RefreshToken as i32,
        ..configure("p", &[("client_id", "me"), ("client_secret", "s"), ("refresh_token", "used up")])
    });
    world.ok(&claim("a"));
    let (provider, before) = (world.stored_provider("p").clone(), stored(&world).secret_material_handles.clone());
    let result = Minted { value: "x".repeat(8193), lifetime_seconds: 600, refresh_token: SECRET.to_owned() };
    let settling = settlement("a", settle_refresh_request::Result::Minted(result));
    let refusal = world.call(&settling).expect_err("too long");
    says(&refusal.message, &["minted and cannot be used"]);
    assert_eq!(world.stored_provider("p"), &provider);
    let after = &stored(&world).secret_material_handles;
    assert!(after.keys().eq(before.keys()), "{after:?}");
    let changed: Vec<_> = after.iter().filter(|(name, handle)| before[*name] != **handle).collect();
    assert!(matches!(changed.as_slice(), [(name, _)] if *name == "refresh_token"), "{changed:?}");
    let (_, command) = world.log.last().expect("an entry");
    assert!(!command.encode_to_vec().windows(SECRET.len()).any(|window| window == SECRET.as_bytes()), "it is sealed");
}
