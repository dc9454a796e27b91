//! Where a new provider's credentials come from, as a person types it: the application default credentials
//! of gcloud, this environment, the gateway itself. The calls of each are those of the contract,
//! in its order, but for a profile that is read once (`docs/compatibility.md`).

use std::time::Duration;

use openshell_client::{CallError, methods};
use openshell_proto::v1::{DeleteProviderRefreshRequest, GetProviderRequest};
use openshell_tests::{Cluster, CommandLine, Issuer, Output, Relay, Scene, policy_allowing};
use tonic::Code;

const LIMIT: Duration = Duration::from_secs(60);
const ADC: &str = r#"{"type": "authorized_user", "client_id": "me.apps.example", "client_secret": "hush-hush",
    "refresh_token": "1//refresh", "quota_project_id": "p"}"#;
/// Where gcloud keeps them in a home.
const ADC_PLACE: &str = ".config/gcloud/application_default_credentials.json";
const PROFILE: &str = "\
id: acme-cloud
display_name: Acme Cloud
category: other
credentials:
  - name: token
    env_vars: [ACME_CLOUD_TOKEN, ACME_OLD_TOKEN]
    auth_style: bearer
    header_name: authorization
    refresh:
      strategy: oauth2_refresh_token
      token_url: TOKEN_URL
      material:
        - {name: client_id, required: true}
        - {name: client_secret, required: true, secret: true}
        - {name: refresh_token, required: true, secret: true}
endpoints:
  - {host: cloud.acme.example, port: 443, protocol: rest, access: full}
discovery:
  credentials: [token]
";
const ADC_CREATE: [&str; 7] = ["provider", "create", "--name", "cloud", "--type", "acme-cloud", "--from-gcloud-adc"];

/// A person who has logged in with gcloud.
fn logged_in() -> CommandLine {
    let person = CommandLine::new();
    person.write(ADC_PLACE, ADC);
    person
}

/// A person in a workspace of their own that has the profile `acme-cloud` of an issuer, and a wire to the
/// gateways on which is noted what the person's commands call.
struct Desk {
    issuer: Issuer,
    scene: Scene,
    relay: Relay,
}

impl Desk {
    async fn new(cluster: &Cluster) -> Self {
        let issuer = Issuer::start().await;
        let scene = Scene::open(cluster.api_of_all()).await;
        let relay = Relay::to(&cluster.gateway(2).endpoint()).await;
        let desk = Self { issuer, scene, relay };
        let person = CommandLine::new();
        person.write("acme-cloud.yaml", &PROFILE.replace("TOKEN_URL", desk.issuer.url()));
        desk.run(&person, &["provider", "profile", "import", "-f", "acme-cloud.yaml"]).await.0.success();
        desk
    }

    /// What a command of this person came to, and the calls it made.
    async fn run(&self, person: &CommandLine, words: &[&str]) -> (Output, Vec<String>) {
        let words: Vec<&str> =
            ["--workspace", &self.scene.workspace].into_iter().chain(words.iter().copied()).collect();
        let output = person.run(self.relay.url(), &words).await;
        for secret in ["hush-hush", "1//refresh", "token-1"] {
            assert!(!output.stdout.contains(secret) && !output.stderr.contains(secret), "{output:?}");
        }
        (output, self.relay.take_calls())
    }

    /// What [`ADC_CREATE`] came to when this happens while its first token is asked for, and the calls it made.
    async fn run_create_while(&self, happens: impl Future<Output = ()>) -> (Output, Vec<String>) {
        self.issuer.hold();
        let person = logged_in();
        let happening = async {
            self.issuer.asked_times(1, LIMIT).await;
            happens.await;
            self.issuer.release();
        };
        let (came_to, ()) = tokio::join!(self.run(&person, &ADC_CREATE), happening);
        came_to
    }

    async fn assert_no_provider(&self, name: &str) {
        let request = GetProviderRequest { name: name.to_owned(), workspace: self.scene.workspace.clone() };
        let answer = self.scene.api.call(&methods::GET_PROVIDER, request).await;
        let Err(CallError::Refused(status)) = answer else { panic!("there is a provider: {answer:?}") };
        assert_eq!(status.code(), Code::NotFound);
    }
}

#[tokio::test]
async fn cli_7_a_provider_from_gclouds_credentials_is_minted_at_once() {
    let cluster = Cluster::shared().await;
    let desk = Desk::new(&cluster).await;
    let person = logged_in();
    let (created, calls) = desk.run(&person, &ADC_CREATE).await;
    assert!(created.success().starts_with("✓ Created provider cloud\nACME_CLOUD_TOKEN is minted"), "{created:?}");
    let expected = ["GetProviderProfile", "CreateProvider", "ConfigureProviderRefresh", "RotateProviderCredential"];
    assert_eq!(calls, expected, "the profile is read once");
    let asked = desk.issuer.asked();
    for part in ["grant_type=refresh_token", "client_id=me.apps.example", "client_secret=hush-hush", "refresh"] {
        assert!(asked[0].contains(part), "{asked:?}");
    }
    let (status, _) = desk.run(&person, &["provider", "refresh", "status", "cloud"]).await;
    assert!(status.success().contains("oauth2_refresh_token") && status.stdout.contains("refreshed"), "{status:?}");
    assert!(status.stdout.contains("ACME_CLOUD_TOKEN"), "the first variable is the key: {status:?}");
    let (shown, _) = desk.run(&person, &["provider", "get", "cloud"]).await;
    assert!(shown.success().contains("Credential keys: ACME_CLOUD_TOKEN"), "{shown:?}");
    let (taken, calls) = desk.run(&person, &ADC_CREATE).await;
    assert!(taken.failure().contains("already exists"), "{taken:?}");
    assert_eq!(calls.last().map(String::as_str), Some("CreateProvider"), "what was there before is not deleted");
    assert_eq!(desk.run(&person, &["provider", "get", "cloud"]).await.0, shown);
}

#[tokio::test]
async fn gclouds_credentials_are_taken_from_where_the_environment_says() {
    let cluster = Cluster::shared().await;
    let desk = Desk::new(&cluster).await;
    let person = CommandLine::new().with_variable("CLOUDSDK_CONFIG", "sdk");
    person.write("sdk/application_default_credentials.json", ADC);
    desk.run(&person, &ADC_CREATE).await.0.success();
    desk.run(&person, &["provider", "delete", "cloud"]).await.0.success();
    let person = CommandLine::new().with_variable("GOOGLE_APPLICATION_CREDENTIALS", "mine.json");
    person.write("mine.json", ADC);
    person.write(ADC_PLACE, "not this one");
    desk.run(&person, &ADC_CREATE).await.0.success();
}

#[tokio::test]
async fn without_usable_credentials_of_gcloud_nothing_is_created_and_the_reason_is_said() {
    let cluster = Cluster::shared().await;
    let desk = Desk::new(&cluster).await;
    let person = CommandLine::new();
    let (missing, calls) = desk.run(&person, &ADC_CREATE).await;
    let words = ["application_default_credentials.json", "gcloud auth application-default login", "No such file"];
    for word in words {
        assert!(missing.failure().contains(word), "{missing:?}");
    }
    assert_eq!(calls, ["GetProviderProfile"], "the file is read before anything is created");
    for (text, words) in [
        ("{", "no JSON"),
        (r#"{"type": "service_account", "private_key": "hush-hush"}"#, "google-service-account-jwt"),
        (
            r#"{"type": "authorized_user", "client_id": "me", "client_secret": "hush-hush"}"#,
            "'refresh_token' is missing",
        ),
    ] {
        person.write(ADC_PLACE, text);
        let (refused, calls) = desk.run(&person, &ADC_CREATE).await;
        assert!(refused.failure().contains(words), "{refused:?}");
        assert_eq!(calls, ["GetProviderProfile"]);
    }
    person.write(ADC_PLACE, ADC);
    let words = ["provider", "create", "--name", "cloud", "--type", "github", "--from-gcloud-adc"];
    let (refused, calls) = desk.run(&person, &words).await;
    assert!(refused.failure().contains("--from-gcloud-adc cannot serve profile 'github'"), "{refused:?}");
    assert_eq!(calls, ["GetProviderProfile"]);
    desk.assert_no_provider("cloud").await;
}

#[tokio::test]
async fn cli_7_a_provider_whose_credential_cannot_be_minted_is_deleted_again() {
    let cluster = Cluster::shared().await;
    let desk = Desk::new(&cluster).await;
    let person = logged_in();
    desk.issuer.answer(400, r#"{"error":"invalid_grant"}"#);
    let (refused, calls) = desk.run(&person, &ADC_CREATE).await;
    assert!(refused.failure().contains("invalid_grant") && refused.stderr.contains("deleted again"), "{refused:?}");
    assert_eq!(calls.last().map(String::as_str), Some("DeleteProvider"));
    assert_eq!(refused.stdout, "");
    desk.assert_no_provider("cloud").await;
    desk.issuer.answer(200, r#"{"access_token":"token-{n}","expires_in":3600}"#);
    desk.run(&person, &ADC_CREATE).await.0.success();
}

#[tokio::test]
async fn cli_7_a_provider_whose_first_mint_was_overtaken_is_deleted_again() {
    let cluster = Cluster::shared().await;
    let desk = Desk::new(&cluster).await;
    let deleting = async {
        let request = DeleteProviderRefreshRequest {
            provider: "cloud".to_owned(),
            credential_key: "ACME_CLOUD_TOKEN".to_owned(),
            workspace: desk.scene.workspace.clone(),
        };
        desk.scene.api.call(&methods::DELETE_PROVIDER_REFRESH, request).await.expect("it is deleted");
    };
    let (refused, calls) = desk.run_create_while(deleting).await;
    assert!(
        refused.failure().contains("changed or deleted") && refused.stderr.contains("deleted again"),
        "{refused:?}"
    );
    assert_eq!(calls.last().map(String::as_str), Some("DeleteProvider"));
    desk.assert_no_provider("cloud").await;
}

#[tokio::test]
async fn a_provider_that_cannot_be_deleted_again_is_named_in_a_warning() {
    let cluster = Cluster::shared().await;
    let desk = Desk::new(&cluster).await;
    // Somebody takes the provider into use before its first token is there.
    let attaching = async {
        desk.scene.create_sandbox("box", &["cloud"], policy_allowing("docs.example.com")).await;
        desk.issuer.answer(400, r#"{"error":"invalid_grant"}"#);
    };
    let (refused, _) = desk.run_create_while(attaching).await;
    let words =
        ["invalid_grant", "provider cloud could not be deleted again", "openshell provider delete cloud", "box"];
    for word in words {
        assert!(refused.failure().contains(word), "{word}: {refused:?}");
    }
}

#[tokio::test]
async fn cli_scenario_27_28_29_30_31_what_a_provider_is_created_from_decides_the_calls() {
    let cluster = Cluster::shared().await;
    let desk = Desk::new(&cluster).await;
    let person = CommandLine::new().with_variable("GITHUB_TOKEN", "t");
    let create = |name: &'static str, r#type: &'static str, source: &[&'static str]| {
        [&["provider", "create", "--name", name, "--type", r#type], source].concat()
    };
    for sources in [&[] as &[&str], &["--from-existing", "--from-gcloud-adc"]] {
        let (refused, calls) = desk.run(&person, &create("x", "gh", sources)).await;
        assert_eq!((refused.code, calls), (Some(2), Vec::new()), "{}", refused.stderr);
    }
    let (refused, calls) = desk.run(&person, &create("x", "nosuch", &["--credential", "A=b"])).await;
    assert!(refused.failure().contains("unsupported type or profile 'nosuch'"), "{refused:?}");
    assert_eq!(calls, ["GetProviderProfile"]);
    let (refused, calls) = desk.run(&person, &create("x", "gh", &["--credential", "NOT_SET"])).await;
    assert!(refused.failure().contains("NOT_SET"), "{refused:?}");
    assert!(!calls.contains(&"CreateProvider".to_owned()), "{calls:?}");
    let (created, calls) = desk.run(&person, &create("c", "gh", &["--credential", "GITHUB_TOKEN"])).await;
    assert_eq!((created.success(), calls), ("✓ Created provider c\n", vec!["CreateProvider".to_owned()]));
    let (created, calls) = desk.run(&person, &create("p", "acme-cloud", &["--credential", "ACME_CLOUD_TOKEN=a"])).await;
    created.success();
    assert_eq!(calls, ["GetProviderProfile", "CreateProvider"]);

    let (created, calls) = desk.run(&person, &create("f", "github", &["--from-existing"])).await;
    created.success();
    assert_eq!(calls, ["GetGatewayConfig", "GetProviderProfile", "CreateProvider"]);
    let (refused, calls) = desk.run(&CommandLine::new(), &create("g", "github", &["--from-existing"])).await;
    assert!(refused.failure().contains("github"), "{refused:?}");
    assert_eq!(calls, ["GetGatewayConfig", "GetProviderProfile"]);
    let own = CommandLine::new().with_variable("ACME_OLD_TOKEN", "t");
    let (created, calls) = desk.run(&own, &create("o", "acme-cloud", &["--from-existing"])).await;
    created.success();
    assert_eq!(calls, ["GetProviderProfile", "GetGatewayConfig", "CreateProvider"]);
    let (updated, calls) = desk.run(&person, &["provider", "update", "f", "--from-existing"]).await;
    updated.success();
    assert_eq!(calls, ["GetProvider", "GetGatewayConfig", "GetProviderProfile", "UpdateProvider"]);

    let (refused, calls) = desk.run(&person, &create("r", "github", &["--runtime-credentials"])).await;
    assert!(refused.failure().contains("needs credentials"), "{refused:?}");
    assert_eq!(calls, ["GetProviderProfile"]);
    let (created, calls) = desk.run(&person, &create("v", "vertex", &["--runtime-credentials"])).await;
    created.success();
    assert_eq!(calls, ["GetProviderProfile", "CreateProvider"]);
    let (created, calls) = desk.run(&person, &create("a", "acme-cloud", &["--runtime-credentials"])).await;
    created.success();
    assert_eq!(calls, ["GetProviderProfile", "CreateProvider"]);
    assert!(desk.issuer.asked().is_empty(), "nothing is minted before it is configured");
}

#[tokio::test]
async fn without_providers_v2_credentials_lie_where_a_table_says_and_opencodes_in_its_file_too() {
    let cluster = Cluster::start().await;
    let person = CommandLine::new().with_variable("OPENROUTER_API_KEY", "t");
    person.write("config/opencode/opencode.json", r#"{"provider": {"acme": {"options": {"apiKey": "hush"}}}}"#);
    let relay = Relay::to(&cluster.gateway(1).endpoint()).await;
    let words = ["provider", "create", "--name", "o", "--type", "opencode", "--from-existing"];
    person.run(relay.url(), &words).await.success();
    assert_eq!(relay.take_calls(), ["GetGatewayConfig", "CreateProvider"]);
    let shown = person.run(relay.url(), &["provider", "get", "o"]).await;
    assert!(shown.success().contains("Credential keys: ACME_API_KEY, OPENROUTER_API_KEY"), "{shown:?}");
    assert!(!shown.stdout.contains("hush"));
}
