//! Scenarios 48 to 50: credentials that the cluster mints.

use openshell_tests::{Cluster, Issuer, MINTED_PROFILE_FILE};

use super::Person;

/// The words that configure, but for the strategy.
const CONFIGURE: &str = "provider refresh configure g --credential-key MINTED_TOKEN --material client_id=me \
                         --material client_secret=hush --secret-material-key client_secret \
                         --credential-expires-at 2090-01-01T00:00:00Z --strategy";

#[tokio::test]
async fn cli_scenario_48_49_and_50_a_refresh_is_configured_shown_without_material_and_deleted() {
    let cluster = Cluster::shared().await;
    let issuer = Issuer::start().await;
    let person = Person::at_a_follower(&cluster).await;
    person.writes("minted.yaml", &MINTED_PROFILE_FILE.replace("TOKEN_URL", issuer.url()));
    person.types("provider profile import -f minted.yaml").await.success();
    person.types("provider create --name g --type minted --runtime-credentials").await.success();
    let none = person.types("provider refresh status g").await;
    assert_eq!(none.success().lines().count(), 1, "{none:?}");
    let none = person.types("provider refresh delete g --credential-key MINTED_TOKEN").await;
    assert_eq!(none.success().lines().count(), 1, "{none:?}");

    let unknown = person.types(&format!("{CONFIGURE} static")).await;
    assert_eq!((unknown.code, unknown.stdout.as_str()), (Some(2), ""), "{unknown:?}");
    let configured = person.types(&format!("{CONFIGURE} oauth2-client-credentials")).await;
    assert_eq!(configured.success(), "✓ Configured refresh for g MINTED_TOKEN\n");
    let status = person.types("provider refresh status g").await;
    let rows: Vec<Vec<&str>> = status.success().lines().map(|line| line.split_whitespace().collect()).collect();
    let heads = [
        "PROVIDER",
        "CREDENTIAL_KEY",
        "STRATEGY",
        "STATUS",
        "EXPIRES_AT",
        "NEXT_REFRESH",
        "LAST_REFRESH",
        "LAST_ERROR",
    ];
    assert_eq!((rows.len(), &rows[0][..]), (2, &heads[..]), "{status:?}");
    assert_eq!(rows[1][..2], ["g", "MINTED_TOKEN"]);
    assert!(rows[1].contains(&"2090-01-01"), "{status:?}");
    for output in [&configured, &status] {
        assert!(!output.stdout.contains("hush") && !output.stderr.contains("hush"), "{output:?}");
    }
    let deleted = person.types("provider refresh delete g --credential-key MINTED_TOKEN").await;
    assert!(deleted.success().contains("Deleted refresh config for g MINTED_TOKEN"), "{deleted:?}");
    assert!(issuer.asked().is_empty(), "nothing was due");
}
