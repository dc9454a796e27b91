//! Secrets are where they must be and nowhere else: marked ones are planted through every RPC that takes
//! one, well and badly, and then looked for in whatever a node writes or says.

mod refresh;

use std::time::Duration;

use openshell_client::{CallError, CallOptions, Client, ClientBuilder, Uuid, methods, parse_endpoints};
use openshell_proto::cluster::IssueSandboxTokenRequest;
use openshell_proto::datamodel::{ObjectMeta, Provider};
use openshell_proto::sync::{FollowRequest, follow_response};
use openshell_proto::v1::{
    CreateProviderRequest, CreateSandboxRequest, GetProviderRequest, GetSandboxProviderEnvironmentRequest,
    ImportProviderProfilesRequest, ListProvidersRequest, RefreshSandboxTokenRequest, SandboxSpec,
    UpdateProviderRequest,
};
use openshell_proto::{method_rules, pool};
use openshell_tests::{
    Api, Cluster, ClusterOptions, Leaks, Scene, eventually, gateway_command, http_get, policy_allowing, profile,
    scrape, unique,
};
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value};
use tonic::{Code, Status};

const LIMIT: Duration = Duration::from_secs(120);

/// Everything that was said by the cluster, beside what was planted.
#[derive(Default)]
struct Plot {
    leaks: Leaks,
    said: Vec<(String, String)>,
}

impl Plot {
    /// A new secret, looked for from now on.
    fn secret(&mut self, through: &str) -> String {
        let secret = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        // Letters that hexadecimal digits and their texts do not have.
        let secret: String =
            secret.chars().map(|digit| char::from(digit as u8 + if digit < 'a' { 0 } else { 13 })).collect();
        self.leaks.plant(through, &secret);
        secret
    }

    /// Remembers what was answered, as a program would print it.
    fn hear<T: std::fmt::Debug>(&mut self, what: &str, answer: &Result<T, CallError>) {
        self.said.push((what.to_owned(), format!("{answer:?}")));
        if let Err(CallError::Refused(status)) = answer {
            self.said.push((format!("details of {what}"), format!("{:?} {:?}", status.details(), status.metadata())));
        }
    }

    fn refused<T: std::fmt::Debug>(&mut self, what: &str, answer: Result<T, CallError>) -> Status {
        self.hear(what, &answer);
        match answer {
            Err(CallError::Refused(status)) => status,
            other => panic!("{what}: a refusal is expected, not {other:?}"),
        }
    }
}

fn create(workspace: &str, name: &str, credentials: &[(&str, &str)]) -> CreateProviderRequest {
    let provider = Provider {
        metadata: Some(ObjectMeta { name: name.to_owned(), ..ObjectMeta::default() }),
        r#type: "acme".to_owned(),
        credentials: credentials.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        profile_workspace: workspace.to_owned(),
        ..Provider::default()
    };
    CreateProviderRequest { provider: Some(provider), workspace: workspace.to_owned() }
}

fn update(workspace: &str, name: &str, credentials: &[(&str, &str)]) -> UpdateProviderRequest {
    let provider = create(workspace, name, credentials).provider.map(|provider| Provider {
        r#type: String::new(),
        profile_workspace: String::new(),
        ..provider
    });
    UpdateProviderRequest { provider, workspace: workspace.to_owned(), ..UpdateProviderRequest::default() }
}

/// The paths to the fields of a message that are marked as secret. Messages that hold themselves are
/// followed once.
fn secret_fields(message: &MessageDescriptor, above: &[FieldDescriptor]) -> Vec<Vec<FieldDescriptor>> {
    let secret = pool().get_extension_by_name("openshell.options.v1.secret").expect("the option exists");
    let mut found = Vec::new();
    for field in message.fields() {
        let path = [above, std::slice::from_ref(&field)].concat();
        if field.options().has_extension(&secret) {
            found.push(path);
        } else if let Kind::Message(inner) = field.kind()
            && !field.is_map()
            && !above.iter().any(|above| above.kind() == field.kind())
        {
            found.extend(secret_fields(&inner, &path));
        }
    }
    found
}

/// A message with nothing in it but a secret at the end of this path.
fn holding(message: &MessageDescriptor, path: &[FieldDescriptor], secret: &str) -> DynamicMessage {
    let mut made = DynamicMessage::new(message.clone());
    let (field, rest) = path.split_first().expect("a path has a field");
    let text = Value::String(secret.to_owned());
    let value = match field.kind() {
        _ if field.is_map() => Value::Map([(MapKey::String("MARKED_KEY".to_owned()), text)].into()),
        Kind::Message(inner) => {
            let inner = Value::Message(holding(&inner, rest, secret));
            if field.is_list() { Value::List(vec![inner]) } else { inner }
        }
        _ if field.is_list() => Value::List(vec![text]),
        _ => text,
    };
    made.set_field(field, value);
    made
}

/// Every field of every RPC that is marked as secret, in a request that has nothing else.
async fn through_every_marked_field(plot: &mut Plot, endpoint: &str) {
    let client = Client::new(endpoint).expect("a URL");
    let mut named = Vec::new();
    for name in method_rules().keys() {
        let (service, method) = name.split_once('/').expect("a path has a slash");
        let service = pool().get_service_by_name(service).expect("it is in the descriptor");
        let method = service.methods().find(|candidate| candidate.name() == method).expect("it is in the descriptor");
        for path in secret_fields(&method.input(), &[]) {
            let field = path.iter().map(FieldDescriptor::name).collect::<Vec<_>>().join(".");
            let through = format!("{name} {field}");
            let request = holding(&method.input(), &path, &plot.secret(&through));
            let answer = client.unary::<_, ()>(name, request, &CallOptions::default().once()).await;
            plot.refused(&through, answer);
            named.push(format!("{} {field}", method.name()));
        }
    }
    named.sort();
    assert_eq!(
        named,
        [
            "ConfigureProviderRefresh material",
            "CreateProvider provider.credentials",
            "ExchangeProviderSubjectToken supervisor_jwt_svid",
            "ForwardTcp init.authorization_token",
            "RevokeSshSession token",
            "UpdateProvider provider.credentials",
        ],
        "a field that takes a secret is planted here, and below where its call is built"
    );
}

/// Calls that hold a secret and are refused for another reason, each in its own way.
async fn through_what_is_refused(plot: &mut Plot, scene: &Scene, endpoint: &str) {
    let workspace = scene.workspace.as_str();
    let client = Client::new(endpoint).expect("a URL");
    let options = CallOptions::default().once();
    for (what, name, key, padding, code) in [
        ("a key that is no variable", "new", "not a variable", 0, Code::InvalidArgument),
        ("a value that is too long", "new", "ACME_TOKEN", 9000, Code::InvalidArgument),
        ("a name that is too long", &*"n".repeat(300), "ACME_TOKEN", 0, Code::InvalidArgument),
        ("a name that is taken", "main", "ACME_TOKEN", 0, Code::AlreadyExists),
    ] {
        let secret = plot.secret(what) + &"x".repeat(padding);
        let answer = scene.api.call(&methods::CREATE_PROVIDER, create(workspace, name, &[(key, &secret)])).await;
        assert_eq!(plot.refused(what, answer).code(), code, "{what}");
    }
    let secret = plot.secret("an update of what does not exist");
    let answer =
        scene.api.call(&methods::UPDATE_PROVIDER, update(workspace, "nobody", &[("ACME_TOKEN", &secret)])).await;
    assert_eq!(plot.refused("an update of what does not exist", answer).code(), Code::NotFound);
    let mut stale = update(workspace, "main", &[("ACME_TOKEN", &plot.secret("a stale update"))]);
    stale.provider.as_mut().and_then(|provider| provider.metadata.as_mut()).expect("metadata").resource_version = 99;
    let answer = scene.api.call(&methods::UPDATE_PROVIDER, stale).await;
    assert_eq!(plot.refused("a stale update", answer).code(), Code::Aborted);
    // The bytes of a text where a message belongs: what does not decode must not be quoted.
    let wrong = GetProviderRequest { name: plot.secret("a wrong type"), ..GetProviderRequest::default() };
    let path = "openshell.v1.OpenShell/CreateProvider";
    let answer = client.unary::<_, ()>(path, wrong, &options).await;
    assert_eq!(plot.refused("a wrong type", answer).code(), Code::InvalidArgument);
    let large =
        create(workspace, "large", &[("ACME_TOKEN", &plot.secret("a request that is too large").repeat(40_000))]);
    let answer = client.unary::<_, ()>(path, large, &options).await;
    plot.hear("a request that is too large", &answer);
    assert!(answer.is_err());
    // One id, two requests.
    let api = scene.api.request(Uuid::now_v7(), 1);
    for (what, name) in [("the first of an id", "first"), ("the second of an id", "second")] {
        let request = create(workspace, name, &[("ACME_TOKEN", &plot.secret(what))]);
        let answer = api.call(&methods::CREATE_PROVIDER, request).await;
        plot.hear(what, &answer);
        assert_eq!(answer.is_ok(), name == "first", "{answer:?}");
    }
}

/// Tokens that are none, in the header where one belongs.
async fn through_the_authorization_header(plot: &mut Plot, endpoint: &str) {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
    let claims = format!("{{\"iss\":\"openshell-gateway:x\",\"sandbox_id\":\"{}\"}}", plot.secret("a forged claim"));
    let forged =
        format!("{}.{}.{}", BASE64.encode("{\"alg\":\"none\"}"), BASE64.encode(claims), plot.secret("a signature"));
    for (what, token) in [("an opaque token", plot.secret("an opaque token")), ("a forged token", forged)] {
        let builder = ClientBuilder::new(parse_endpoints(endpoint).expect("a URL"));
        let client = builder.header("authorization", &format!("Bearer {token}")).build().expect("a header");
        let path = "openshell.v1.OpenShell/RefreshSandboxToken";
        let options = CallOptions::default().once();
        let answer = client.unary::<_, ()>(path, RefreshSandboxTokenRequest::default(), &options).await;
        assert_eq!(
            plot.refused(what, answer).code(),
            if what == "an opaque token" { Code::PermissionDenied } else { Code::Unauthenticated }
        );
    }
}

/// Tokens of a sandbox in every way that they are handed out, and its environment, which does hold
/// the credentials in plain text.
async fn through_a_sandbox(plot: &mut Plot, cluster: &Cluster, scene: &Scene, expected: &str) {
    let workspace = scene.workspace.clone();
    let request = CreateSandboxRequest {
        spec: Some(SandboxSpec {
            policy: Some(policy_allowing("docs.example.com")),
            providers: vec!["main".to_owned()],
            ..SandboxSpec::default()
        }),
        name: unique("box"),
        workspace: workspace.clone(),
        issue_token: true,
        ..CreateSandboxRequest::default()
    };
    let created = scene.api.call(&methods::CREATE_SANDBOX, request.clone()).await.expect("created").message;
    let id = created.sandbox.and_then(|sandbox| sandbox.metadata).expect("metadata").id;
    let request = IssueSandboxTokenRequest { name: request.name, workspace };
    let issued = scene.api.call(&methods::ISSUE_SANDBOX_TOKEN, request).await.expect("issued").message.token;
    let own = Api::bearer(&cluster.endpoints(), &issued).linearizable();
    let renewed = own.call(&methods::REFRESH_SANDBOX_TOKEN, RefreshSandboxTokenRequest::default()).await;
    for node in cluster.ids() {
        let following = cluster.gateway(node).access().bearer(&issued).client();
        assert_eq!(followed(&following, &id).await, expected, "node {node}");
    }
    for (what, token) in [
        ("CreateSandbox", created.token),
        ("IssueSandboxToken", issued),
        ("RefreshSandboxToken", renewed.expect("renewed").message.token),
    ] {
        // Header and claims say nothing that is secret; the signature is what makes it a token.
        plot.leaks.plant(&format!("the token of {what}"), token.rsplit('.').next().expect("a signature"));
    }
    for node in cluster.ids() {
        for supports_static_credential_bindings in [true, false] {
            let request =
                GetSandboxProviderEnvironmentRequest { sandbox_id: id.clone(), supports_static_credential_bindings };
            let answer = own.call(&methods::GET_SANDBOX_PROVIDER_ENVIRONMENT, request).await.expect("answered").message;
            let value = answer.environment.get("ACME_TOKEN").map(String::as_str);
            assert_eq!(value, supports_static_credential_bindings.then_some(expected), "node {node}");
        }
    }
}

/// The credential that a stream of the sandbox brings.
async fn followed(client: &Client, sandbox_id: &str) -> String {
    let request = FollowRequest { sandbox_id: sandbox_id.to_owned(), ..FollowRequest::default() };
    let mut stream = client.stream(&methods::FOLLOW, request, &CallOptions::default()).await.expect("a stream");
    loop {
        let message = stream.message().await.expect("no error").expect("a message");
        if let Some(follow_response::Event::Configuration(configuration)) = message.event {
            return configuration.environment.expect("an environment").environment["ACME_TOKEN"].clone();
        }
    }
}

/// What the metrics and health pages of every node say.
async fn pages(cluster: &Cluster) -> Vec<(String, String)> {
    let mut pages = Vec::new();
    for gateway in cluster.gateways() {
        scrape(gateway.ports().metrics).await.expect("a metrics page");
        for (port, path) in [
            (gateway.ports().metrics, "/metrics"),
            (gateway.ports().health, "/readyz"),
            (gateway.ports().health, "/healthz"),
        ] {
            let (_, text) = http_get(port, path).await.expect("a page");
            pages.push((format!("{path} of node {}", gateway.id()), text));
        }
    }
    pages
}

/// Secrets that reach a node in a snapshot, since its log ends too early.
async fn while_a_node_is_away(plot: &mut Plot, cluster: &mut Cluster, scene: &Scene) {
    let away = cluster.followers().await[0];
    cluster.kill(away);
    for number in 0..60 {
        let secret = plot.secret("a provider of many");
        let request = create(&scene.workspace, &format!("many-{number}"), &[("ACME_TOKEN", &secret)]);
        scene.api.call(&methods::CREATE_PROVIDER, request).await.expect("created");
    }
    cluster.restart(away).await;
    let last = GetProviderRequest { name: "many-59".to_owned(), workspace: scene.workspace.clone() };
    let there = eventually("the snapshot to be installed", LIMIT, async || {
        cluster.api(away).local().call(&methods::GET_PROVIDER, last.clone()).await.ok()
    });
    there.await.expect("the node that was away knows the last provider");
}

/// Exports of all nodes, which must be stopped, and what is printed of them. The exports stay in the
/// cluster's folder.
fn export_and_inspect(cluster: &Cluster) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for gateway in cluster.gateways() {
        let file = cluster.file(&format!("export-{}", gateway.id()));
        let data_dir = gateway.argument("--data-dir");
        let export = gateway_command(&["export", "--data-dir", data_dir, "--to", file.to_str().expect("text")]);
        let inspect = gateway_command(&["inspect", "--data-dir", data_dir]);
        assert!(export.status.success() && inspect.status.success(), "{export:?} {inspect:?}");
        let said = [export.stdout, export.stderr, std::fs::read(&file).expect("an export")].concat();
        found.push((format!("the export of node {}", gateway.id()), said));
        found.push((format!("inspect of node {}", gateway.id()), [inspect.stdout, inspect.stderr].concat()));
    }
    found
}

fn logs_all_there_is(log: &str) {
    for library in ["TRACE h2::", "DEBUG openraft::", "INFO openshell"] {
        assert!(log.contains(library), "{library} is missing in {} bytes", log.len());
    }
}

#[tokio::test]
async fn no_planted_secret_is_in_files_logs_pages_or_answers() {
    let options = ClusterOptions {
        snapshot_after_entries: 20,
        log_entries_kept: 5,
        // A filter, since a plain level leaves the libraries out.
        log_level: "trace,openshell=trace",
        ..Default::default()
    };
    let mut cluster = Cluster::start_with(options).await.expect("a cluster starts");
    let mut plot = Plot::default();
    let scene = Scene::open(cluster.api_of_all()).await;
    let workspace = scene.workspace.clone();
    scene.import(profile("acme", &["a.example.com"])).await;
    // What is no secret must be found by the same search, or it proves nothing.
    let (mut control, plain) = (Leaks::default(), format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple()));
    control.plant("the configuration of a provider", &plain);
    let replaced = plot.secret("CreateProvider");
    let mut request = create(&workspace, "main", &[("ACME_TOKEN", &replaced)]);
    request.provider.as_mut().expect("a provider").config.insert("plain".to_owned(), plain);
    let answer = scene.api.call(&methods::CREATE_PROVIDER, request).await;
    plot.hear("CreateProvider", &answer);
    let current = plot.secret("UpdateProvider");
    let answer =
        scene.api.call(&methods::UPDATE_PROVIDER, update(&workspace, "main", &[("ACME_TOKEN", &current)])).await;
    plot.hear("UpdateProvider", &answer);
    assert!(answer.is_ok());
    for node in cluster.followers().await {
        through_every_marked_field(&mut plot, &cluster.gateway(node).endpoint()).await;
    }
    let endpoint = cluster.gateway(cluster.leader().await).endpoint();
    through_every_marked_field(&mut plot, &endpoint).await;
    through_what_is_refused(&mut plot, &scene, &endpoint).await;
    through_the_authorization_header(&mut plot, &endpoint).await;
    through_a_sandbox(&mut plot, &cluster, &scene, &current).await;
    refresh::through_a_refresh(&mut plot, &scene).await;
    let list = ListProvidersRequest { workspace: workspace.clone(), ..ListProvidersRequest::default() };
    let answer = scene.api.call(&methods::LIST_PROVIDERS, list).await;
    plot.hear("ListProviders", &answer);
    let request = GetProviderRequest { name: "main".to_owned(), workspace: workspace.clone() };
    let answer = scene.api.call(&methods::GET_PROVIDER, request).await;
    plot.hear("GetProvider", &answer);
    assert!(answer.is_ok());

    while_a_node_is_away(&mut plot, &mut cluster, &scene).await;
    let mut said = pages(&cluster).await;
    for node in cluster.ids() {
        cluster.kill(node);
    }
    let exported = export_and_inspect(&cluster);
    cluster.restart_all().await;
    through_a_sandbox(&mut plot, &cluster, &scene, &current).await;
    let answer = scene.try_import(vec![]).await;
    plot.hear(std::any::type_name::<ImportProviderProfilesRequest>(), &answer);
    said.extend(pages(&cluster).await);
    said.append(&mut plot.said);

    let folder = cluster.folder().expect("the cluster has its files").to_owned();
    for node in cluster.ids() {
        logs_all_there_is(&cluster.gateway(node).log_text());
        let data = control.find_in(&folder.join(format!("node-{node}"))).expect("the folder can be read");
        assert!(!data.is_empty(), "the search finds what is stored in the open on node {node}");
    }
    for (what, bytes) in exported {
        assert!(!control.find(&what, &bytes).is_empty(), "{what} holds what is stored in the open");
        said.push((what, String::from_utf8_lossy(&bytes).into_owned()));
    }
    assert!(plot.leaks.planted() > 80, "{:?}", plot.leaks);
    let mut leaks = plot.leaks.find_in(&folder).expect("the files can be read");
    leaks.extend(said.iter().flat_map(|(what, text)| plot.leaks.find(what, text.as_bytes())));
    assert_eq!(leaks, []);
}
