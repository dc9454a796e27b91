//! Who a caller is and which calls they reach: the rules of `config.md` 7 over the wire, and scenarios
//! 94 and 95.

use openshell_client::{CallError, CallOptions, Client, ClientBuilder, methods, parse_endpoints};
use openshell_proto::cluster::IssueSandboxTokenRequest;
use openshell_proto::sandbox::GetSandboxConfigRequest;
use openshell_proto::v1::{
    CreateWorkspaceRequest, GetCurrentUserRequest, GetCurrentUserResponse, HealthRequest, ListWorkspacesRequest,
    RefreshSandboxTokenRequest,
};
use openshell_proto::{AuthMode, method_rules};
use openshell_tests::{Api, Cluster, Scene, policy_allowing, unique};
use tonic::{Code, Status};

use super::people::{People, everywhere, sandbox};

/// Calls by whoever is a user, whether or not a member of anything.
const FOR_EVERY_USER: [&str; 4] = [
    "openshell.cluster.v1.Cluster/GetMembers",
    "openshell.v1.OpenShell/GetCurrentUser",
    "openshell.v1.OpenShell/GetGatewayConfig",
    "openshell.v1.OpenShell/ListWorkspaces",
];

async fn current(api: &Api) -> GetCurrentUserResponse {
    api.call(&methods::GET_CURRENT_USER, GetCurrentUserRequest {}).await.expect("a user").message
}

/// The answer to an empty request.
async fn empty(client: &Client, rpc: &str) -> Result<(), Status> {
    match client.unary::<(), ()>(rpc, (), &CallOptions::default().once()).await {
        Ok(_) => Ok(()),
        Err(CallError::Refused(status)) => Err(status),
        Err(error) => panic!("{rpc}: {error}"),
    }
}

fn code<T: std::fmt::Debug>(answer: Result<T, CallError>) -> Code {
    match answer {
        Ok(_) => Code::Ok,
        Err(CallError::Refused(status)) => status.code(),
        Err(error) => panic!("{error}"),
    }
}

/// A sandbox of a new workspace: its id and its token.
async fn supervised(scene: &Scene, name: &str) -> (String, String) {
    let id = scene.create_sandbox(name, &[], policy_allowing("docs.example.com")).await;
    let request = IssueSandboxTokenRequest { name: name.to_owned(), workspace: scene.workspace.clone() };
    let answer = scene.api.call(&methods::ISSUE_SANDBOX_TOKEN, request).await.expect("an admin gets a token");
    (id, answer.message.token)
}

#[tokio::test]
async fn au_3_and_5_without_a_certificate_only_health_answers() {
    everywhere(async |people: People| {
        let nobody = people.cluster.api_as(people.node, "", &[]);
        nobody.call(&methods::HEALTH, HealthRequest {}).await.expect("no principal is needed");
        let client = nobody.client();
        for (name, rule) in method_rules() {
            let answer = empty(&client, name).await;
            match rule.auth {
                AuthMode::Unauthenticated => answer.expect("no principal is needed"),
                AuthMode::Bearer | AuthMode::Sandbox | AuthMode::Dual => {
                    let status = answer.expect_err("a principal is needed");
                    assert_eq!(status.code(), Code::Unauthenticated, "{name}: {status}");
                    assert!(status.message().contains("missing authorization header"), "{name}: {status}");
                }
            }
        }
        // What this gateway does not have is not hidden behind a principal either.
        for path in ["grpc.health.v1.Health/Check", "grpc.reflection.v1.ServerReflection/ServerReflectionInfo"] {
            assert_eq!(empty(&client, path).await.expect_err("there is none").code(), Code::Unimplemented);
        }
    })
    .await;
}

#[tokio::test]
async fn au_4_and_5_a_sandboxes_token_needs_no_certificate_and_goes_before_one() {
    everywhere(async |people: People| {
        let scene = Scene::open(people.admin().api).await;
        let (id, token) = supervised(&scene, "box").await;
        let endpoint = people.cluster.gateway(people.node).endpoint();
        for user in ["", "harness"] {
            let own = Api::bearer_with_tls(&endpoint, people.cluster.certificate(user, &[]), &token);
            let request = GetSandboxConfigRequest { sandbox_id: id.clone() };
            own.call(&methods::GET_SANDBOX_CONFIG, request).await.expect("its own");
            let answer = own.call(&methods::LIST_WORKSPACES, ListWorkspacesRequest::default()).await;
            assert_eq!(code(answer), Code::PermissionDenied, "it is a sandbox, whatever certificate it shows");
            let forged = format!("{}AAAA", &token[..token.len() - 4]);
            let forged = Api::bearer_with_tls(&endpoint, people.cluster.certificate(user, &[]), &forged);
            let answer = forged.call(&methods::LIST_WORKSPACES, ListWorkspacesRequest::default()).await;
            assert_eq!(code(answer), Code::Unauthenticated, "the end of the chain");
        }
        // A token that nobody here issued is passed over.
        let certificate = people.cluster.certificate("mia", &[]);
        let user = current(&Api::bearer_with_tls(&endpoint, certificate, "opaque")).await;
        assert_eq!(user.subject, "mia");
    })
    .await;
}

#[tokio::test]
async fn au_8_and_19_a_certificate_says_who_one_is_and_which_roles_one_has() {
    everywhere(async |people: People| {
        let (cluster, node) = (&people.cluster, people.node);
        let user = current(&cluster.api_as(node, "mia", &["dev", "platform-team"])).await;
        assert_eq!((user.subject.as_str(), user.identity_provider.as_str()), ("mia", "mtls"));
        assert_eq!((user.roles, user.scopes), (vec!["dev".to_owned(), "platform-team".to_owned()], Vec::new()));
        let created = async |roles: &[&str]| {
            let request = CreateWorkspaceRequest { name: unique("w"), ..CreateWorkspaceRequest::default() };
            code(cluster.api_as(node, "mia", roles).call(&methods::CREATE_WORKSPACE, request).await)
        };
        assert_eq!(created(&["dev", "platform-team"]).await, Code::Ok);
        for roles in [&[][..], &["dev"], &["openshell-admin"], &["Platform-Team"]] {
            assert_eq!(created(roles).await, Code::PermissionDenied, "{roles:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn au_20_a_stranger_is_let_into_no_call() {
    everywhere(async |people: People| {
        let client = people.user("eve").api.client();
        let mut denied = 0;
        for (name, rule) in method_rules() {
            match (empty(&client, name).await, rule.auth) {
                (Ok(()), _) => {
                    assert!(rule.auth == AuthMode::Unauthenticated || FOR_EVERY_USER.contains(&&**name), "{name}");
                }
                (Err(status), AuthMode::Sandbox) => assert_eq!(status.code(), Code::PermissionDenied, "{name}"),
                (Err(status), _) if !rule.global_role.is_empty() => {
                    assert_eq!(status.code(), Code::PermissionDenied, "{name}: {status}");
                    denied += 1;
                }
                // An empty request may be wrong in itself, and what an id names is not found.
                (Err(status), _) => {
                    let codes = [Code::PermissionDenied, Code::InvalidArgument, Code::NotFound, Code::Unimplemented];
                    assert!(codes.contains(&status.code()), "{name}: {status}");
                    denied += i32::from(status.code() == Code::PermissionDenied);
                }
            }
        }
        assert!(denied > 20, "{denied}");
    })
    .await;
}

#[tokio::test]
async fn au_13_a_sandbox_renews_its_token_and_the_old_one_stays_valid() {
    everywhere(async |people: People| {
        let scene = Scene::open(people.admin().api).await;
        let (id, token) = supervised(&scene, "box").await;
        let access = people.cluster.gateway(people.node).access();
        let own = access.bearer(&token);
        let renewed = own.call(&methods::REFRESH_SANDBOX_TOKEN, RefreshSandboxTokenRequest::default()).await;
        let renewed = renewed.expect("renewed").message;
        assert_eq!(renewed.expires_at_ms, 0, "it does not expire");
        for token in [&token, &renewed.token] {
            let request = GetSandboxConfigRequest { sandbox_id: id.clone() };
            access.bearer(token).call(&methods::GET_SANDBOX_CONFIG, request).await.expect("valid");
        }
        let by_user = people.admin().api.call(&methods::REFRESH_SANDBOX_TOKEN, Default::default()).await;
        assert_eq!(code(by_user), Code::PermissionDenied);
        // The other call is for Kubernetes service accounts, which this gateway does not know.
        let kubernetes = "openshell.v1.OpenShell/IssueSandboxToken";
        let status = empty(&own.client(), kubernetes).await.expect_err("there is none");
        assert_eq!(status.code(), Code::Unimplemented, "{status}");
        let status = empty(&people.admin().api.client(), kubernetes).await.expect_err("not for users");
        assert_eq!(status.code(), Code::PermissionDenied, "{status}");
    })
    .await;
}

#[tokio::test]
async fn config_scenario_94_tokens_and_whom_they_let_in() {
    let other = Cluster::shared().await;
    let elsewhere = Scene::open(other.api(1)).await;
    let (_, foreign) = supervised(&elsewhere, "box").await;
    everywhere(async |people: People| {
        let scene = Scene::open(people.admin().api).await;
        let (id, token) = supervised(&scene, "box").await;
        let access = people.cluster.gateway(people.node).access();
        let ask = async |token: &str| {
            let request = GetSandboxConfigRequest { sandbox_id: id.clone() };
            code(access.bearer(token).call(&methods::GET_SANDBOX_CONFIG, request).await)
        };
        assert_eq!(ask(&token).await, Code::Ok, "it has no end");
        // Another cluster's key, and this cluster's claims over another's signature.
        assert_eq!(ask(&foreign).await, Code::Unauthenticated);
        let (claims, _) = token.rsplit_once('.').expect("three parts");
        let (_, signature) = foreign.rsplit_once('.').expect("three parts");
        assert_eq!(ask(&format!("{claims}.{signature}")).await, Code::Unauthenticated);
        // The end of a token is a matter of clocks: `sandbox/tokens/tests.rs` moves them.
        let own = access.bearer(&token);
        let made = own.call(&methods::CREATE_SANDBOX, sandbox(&scene.workspace, "other")).await;
        assert_eq!(code(made), Code::PermissionDenied);
        let report = "openshell.v1.OpenShell/ReportPolicyStatus";
        let status = empty(&people.admin().api.client(), report).await.expect_err("not for users");
        assert_eq!(status.code(), Code::PermissionDenied, "{status}");
        assert!(status.message().contains("requires a sandbox principal"), "{status}");
    })
    .await;
}

#[tokio::test]
async fn config_scenario_95_a_bare_client_is_the_developer_where_nobody_shows_certificates() {
    for cluster in [Cluster::shared().await, Cluster::shared_single().await] {
        let node = cluster.followers().await.first().copied().unwrap_or(1);
        let endpoints = parse_endpoints(&cluster.gateway(node).endpoint()).expect("a URL");
        let client = ClientBuilder::new(endpoints).build().expect("nothing to set up");
        let user = client.call(&methods::GET_CURRENT_USER, GetCurrentUserRequest {}, &CallOptions::default()).await;
        let user = user.expect("a user").message;
        let identity = (user.subject.as_str(), user.identity_provider.as_str());
        assert_eq!(identity, ("unauthenticated-local-dev", "local_dev"));
        assert_eq!(user.roles, ["openshell-user", "openshell-admin"]);
        assert_eq!(user.scopes, ["openshell:all"]);
        let request = CreateWorkspaceRequest { name: unique("w"), ..CreateWorkspaceRequest::default() };
        client.call(&methods::CREATE_WORKSPACE, request, &CallOptions::default()).await.expect("a platform admin");
    }
    everywhere(async |people: People| {
        let nobody = people.cluster.api_as(people.node, "", &[]);
        let answer = nobody.call(&methods::GET_CURRENT_USER, GetCurrentUserRequest {}).await;
        assert_eq!(code(answer), Code::Unauthenticated);
    })
    .await;
}
