//! Scenarios 1 to 16, 18 and 19: which gateway is meant, and whether it is there.

use std::path::Path;

use openshell_client::Tls;
use openshell_tests::{Cluster, CommandLine, Output};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{NOBODY, Person, document, keys};

/// `openshell` with these words, and no endpoint in the environment.
async fn run(person: &CommandLine, words: &str) -> Output {
    run_with(person, &[], words).await
}

async fn run_with(person: &CommandLine, variables: &[(&str, &str)], words: &str) -> Output {
    let words: Vec<&str> = words.split_whitespace().collect();
    person.run_with(variables, &words).await
}

/// A file of the configuration.
fn read(person: &CommandLine, path: &str) -> String {
    std::fs::read_to_string(person.home().join("config/openshell").join(path)).expect("the file is there")
}

#[tokio::test]
async fn cli_scenario_1_and_2_without_a_gateway_status_says_so_and_how_to_add_one() {
    let person = CommandLine::new();
    let status = run(&person, "status").await;
    assert!(status.success().contains("No gateway configured"), "{status:?}");
    assert!(status.stdout.contains("openshell gateway add"), "{status:?}");
    let status = run(&person, "status -o json").await;
    assert_eq!(document(&status), json!({"status": "not_configured"}));
}

#[tokio::test]
async fn cli_scenario_3_and_4_without_a_gateway_or_with_an_unknown_one_other_commands_fail() {
    let person = CommandLine::new();
    let refused = run(&person, "provider list").await;
    assert!(refused.failure().to_lowercase().contains("no active gateway"), "{refused:?}");
    let refused = run(&person, "-g nosuch provider list").await;
    assert!(refused.failure().contains("nosuch"), "{refused:?}");
    assert_eq!(refused.stdout, "");
    // That is no reason for `status` to fail.
    run(&person, "-g nosuch status").await.success();
}

#[tokio::test]
async fn cli_scenario_5_and_6_a_gateway_is_added_once_and_is_active() {
    let cluster = Cluster::shared().await;
    let endpoint = cluster.gateway(1).endpoint();
    let person = CommandLine::new();
    let added = run(&person, &format!("gateway add {endpoint} --name a")).await;
    assert_eq!(added.success(), "");
    let endpoint_line = format!("  Endpoint: {endpoint}");
    let lines = ["✓ Gateway 'a' added and set as active", &endpoint_line, "  Type: local", "  Auth: plaintext"];
    for line in lines {
        assert!(added.stderr.lines().any(|said| said == line), "{line}: {added:?}");
    }
    let metadata = read(&person, "gateways/a/metadata.json");
    let value: Value = serde_json::from_str(&metadata).expect("JSON");
    let expected =
        [("auth_mode", json!("plaintext")), ("is_remote", json!(false)), ("gateway_endpoint", json!(endpoint))];
    for (key, expected) in expected {
        assert_eq!(value[key], expected, "{metadata}");
    }
    assert_eq!(read(&person, "active_gateway").trim(), "a");
    let again = run(&person, "gateway add http://127.0.0.1:2 --name a").await;
    assert!(again.failure().contains("already"), "{again:?}");
    assert_eq!(read(&person, "gateways/a/metadata.json"), metadata);
    run(&person, "provider list").await.success();
}

#[tokio::test]
async fn cli_scenario_7_8_9_and_10_an_unreachable_gateway_is_registered_listed_selected_and_removed() {
    let cluster = Cluster::shared().await;
    let person = CommandLine::new();
    run(&person, &format!("gateway add {} --name a", cluster.gateway(1).endpoint())).await.success();
    let added = run(&person, &format!("gateway add {NOBODY} --name dead")).await;
    assert_eq!(added.success(), "");
    assert!(added.stderr.contains("refused"), "{added:?}");
    assert_eq!(read(&person, "active_gateway").trim(), "dead");
    let listed = document(&run(&person, "gateway list -o json").await);
    let items = listed.as_array().expect("a list");
    for item in items {
        let expected =
            ["active", "auth", "endpoint", "is_remote", "name", "remote_host", "resolved_host", "source", "type"];
        assert_eq!(keys(item), expected);
    }
    let active: Vec<&Value> = items.iter().filter(|item| item["active"] == true).map(|item| &item["name"]).collect();
    assert_eq!((items.len(), active), (2, vec![&json!("dead")]));

    run(&person, "gateway select a").await.success();
    assert_eq!(read(&person, "active_gateway").trim(), "a");
    let selected = run_with(&person, &[("OPENSHELL_GATEWAY", "dead")], "gateway select a").await;
    assert_eq!(selected.success(), "");
    assert!(selected.stderr.contains("OPENSHELL_GATEWAY") && selected.stderr.contains("dead"), "{selected:?}");
    assert_eq!(run(&person, "gateway select nosuch").await.code, Some(1));

    let removed = run(&person, "gateway remove dead").await;
    assert_eq!(removed.success(), "");
    assert!(removed.stderr.contains("Gateway registration 'dead' removed."), "{removed:?}");
    run(&person, "gateway remove dead").await.failure();
}

#[tokio::test]
async fn cli_scenario_11_a_gateway_in_plaintext_is_connected_and_asks_for_nobody() {
    let cluster = Cluster::shared().await;
    let person = CommandLine::new();
    let words = format!("--gateway-endpoint {} status -o json", cluster.gateway(2).endpoint());
    let status = document(&run(&person, &words).await);
    assert_eq!(status["status"], json!("connected"));
    assert_eq!(status["authentication"], json!({"mode": "gateway", "status": "not_required"}));
    assert!(status["version"].as_str().is_some_and(|version| !version.is_empty()), "{status}");
}

#[tokio::test]
async fn cli_scenario_12_and_13_where_nobody_listens_the_connection_is_refused() {
    let person = CommandLine::new();
    let status = run(&person, &format!("--gateway-endpoint {NOBODY} status -o json")).await;
    assert!(status.failure().to_lowercase().contains("refused"), "{status:?}");
    if !status.stdout.is_empty() {
        let report: Value = serde_json::from_str(&status.stdout).expect("a report, if there is one");
        assert_eq!(report["status"], json!("disconnected"));
    }
    let listed = run(&person, &format!("--gateway-endpoint {NOBODY} provider list")).await;
    assert!(listed.failure().to_lowercase().contains("refused"), "{listed:?}");
    assert_eq!(listed.stdout, "");
}

#[tokio::test]
async fn cli_scenario_14_an_endpoint_that_stays_silent_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let silent = format!("http://{}", listener.local_addr().expect("it is bound"));
    let accepting = tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            kept.push(stream);
        }
    });
    // Each of them ends, which the harness sees to.
    let (listing, asking, adding) = (CommandLine::new(), CommandLine::new(), CommandLine::new());
    let list = format!("--gateway-endpoint {silent} provider list");
    let status = format!("--gateway-endpoint {silent} status");
    let add = format!("gateway add {silent} --name silent");
    let (listed, status, added) = tokio::join!(run(&listing, &list), run(&asking, &status), run(&adding, &add));
    assert_eq!(listed.stdout, "", "{listed:?}");
    listed.failure();
    status.failure();
    assert_eq!(added.success(), "");
    assert_eq!(read(&adding, "active_gateway").trim(), "silent");
    accepting.abort();
}

/// Writes a bundle as `openshell` looks for it.
fn install(person: &CommandLine, folder: &str, tls: &Tls) {
    let Tls::Bundle { ca_pem, identity_pem: Some((certificate, key)) } = tls else { panic!("a bundle is expected") };
    for (name, pem) in [("ca.crt", ca_pem), ("tls.crt", certificate), ("tls.key", key)] {
        let path = Path::new("config/openshell/gateways").join(folder).join("mtls").join(name);
        person.write(path.to_str().expect("text"), &String::from_utf8_lossy(pem));
    }
}

#[tokio::test]
async fn cli_scenario_15_and_16_a_gateway_with_certificates_needs_the_bundle() {
    let cluster = Cluster::shared_single_with_roles().await;
    let endpoint = cluster.gateway(1).endpoint();
    let person = CommandLine::new();
    install(&person, "t", &cluster.certificate("mia", &[]));
    let added = run(&person, &format!("gateway add {endpoint} --local --name t")).await;
    assert_eq!(added.success(), "");
    assert!(!added.stderr.contains("reached"), "{added:?}");
    let status = run(&person, "status").await;
    assert!(status.success().contains("Status: Connected"), "{status:?}");
    assert!(status.stdout.contains("Authenticated (mTLS transport"), "{status:?}");
    run(&person, "whoami").await.success();

    let without = run(&person, &format!("gateway add {endpoint} --local --name u")).await;
    assert!(without.failure().contains("ca.crt"), "{without:?}");
    assert!(!run(&person, "gateway list").await.success().contains(" u "));
    let variables = [("OPENSHELL_GATEWAY", "u"), ("OPENSHELL_GATEWAY_ENDPOINT", endpoint.as_str())];
    let without = run_with(&person, &variables, "provider list").await;
    assert!(without.failure().contains("ca.crt"), "{without:?}");
}

#[tokio::test]
async fn cli_scenario_18_gateway_info_has_its_keys() {
    let cluster = Cluster::shared().await;
    let person = Person::at_a_follower(&cluster).await;
    let information = person.reads("gateway info -o json").await;
    assert_eq!(keys(&information), ["auth", "compute_drivers", "gateway", "server", "status", "version"]);
    assert_eq!((&information["auth"], &information["status"]), (&Value::Null, &json!("healthy")));
    let nowhere = person.types_at(NOBODY, "gateway info").await;
    assert_eq!(nowhere.stdout, "");
    nowhere.failure();
}

#[tokio::test]
async fn with_a_token_the_machines_authorities_do_and_an_expired_one_is_said_to_be() {
    let cluster = Cluster::shared_single_with_roles().await;
    let endpoint = cluster.gateway(1).endpoint();
    let Tls::Bundle { ca_pem, .. } = cluster.certificate("mia", &[]) else { panic!("a bundle is expected") };
    let person = CommandLine::new();
    let authority = person.write("authority.pem", &String::from_utf8_lossy(&ca_pem)).display().to_string();
    let folder = "config/openshell/gateways/o";
    let facts = r#""is_remote":true,"gateway_port":0,"auth_mode":"oidc""#;
    let metadata = format!(r#"{{"name":"o","gateway_endpoint":"{endpoint}",{facts}}}"#);
    person.write(&format!("{folder}/metadata.json"), &metadata);
    let variables = [("OPENSHELL_GATEWAY", "o"), ("SSL_CERT_FILE", authority.as_str())];

    let without = run_with(&person, &variables, "status").await;
    assert!(without.failure().contains("ca.crt"), "no token, so the bundle is asked for: {without:?}");
    person.write(&format!("{folder}/oidc_token.json"), r#"{"access_token":"x"}"#);
    let lasting = run_with(&person, &variables, "status").await;
    assert!(lasting.success().contains("Status: Connected\n"), "{lasting:?}");
    assert!(!lasting.stderr.contains("expired"), "{lasting:?}");
    person.write(&format!("{folder}/oidc_token.json"), r#"{"access_token":"x","expires_at":1}"#);
    let expired = run_with(&person, &variables, "status").await;
    assert!(expired.success().contains("Failed (the stored token of gateway 'o' has expired)"), "{expired:?}");
    assert!(expired.stderr.contains("oidc_token.json has expired"), "{expired:?}");
}
