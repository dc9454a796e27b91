//! Commands of the original without a server side here, and those about the gateway itself.

use openshell_tests::{Cluster, CommandLine};

/// Nobody listens there, and nobody is asked.
const NOWHERE: &str = "http://127.0.0.1:1";

#[tokio::test]
async fn what_has_no_server_side_says_so_in_one_sentence_and_ends_with_exit_code_1() {
    let command_line = CommandLine::new();
    for words in [
        &["service", "expose", "s1", "8080", "--name", "web"][..],
        &["svc", "list", "-o", "json"],
        &["service", "get", "web"],
        &["service", "delete", "web"],
        &["forward", "start", "8080", "s1", "-d"],
        &["fwd", "stop", "8080"],
        &["forward", "list"],
        &["forward", "service", "web"],
        &["inference", "set", "--provider", "p", "--model", "m"],
        &["inference", "update", "--model", "m"],
        &["inference", "get", "--system"],
        &["inference", "delete"],
        &["doctor", "check"],
        &["term", "--theme", "dark"],
        &["ssh-proxy", "--gateway", "a"],
        &["sandbox", "exec", "s1", "--", "ls", "-l"],
        &["sandbox", "connect"],
        &["sandbox", "upload", "s1", "a", "b"],
        &["sandbox", "download", "s1", "a", "b"],
        &["sandbox", "ssh-config", "s1"],
        &["sandbox", "create", "--upload", "a:b"],
    ] {
        let output = command_line.run(NOWHERE, words).await;
        let said = output.failure();
        assert!(said.contains("openshell ") && !said.contains("could be reached"), "{words:?}: {output:?}");
        assert_eq!(output.stdout, "", "{words:?}");
    }
    for family in ["service", "forward", "inference", "doctor"] {
        let help = command_line.run(NOWHERE, &[family]).await;
        assert!(help.success().contains("Commands:"), "{help:?}");
    }
}

#[tokio::test]
async fn cli_scenario_18_information_about_the_gateway() {
    let cluster = Cluster::shared().await;
    let command_line = CommandLine::new();
    let shown = command_line.run(&cluster.endpoints(), &["gateway", "info", "-o", "json"]).await;
    let document: serde_json::Value = serde_json::from_str(shown.success()).expect("a document");
    let keys: Vec<_> = document.as_object().expect("an object").keys().map(String::as_str).collect();
    assert_eq!(keys, ["auth", "compute_drivers", "gateway", "server", "status", "version"]);
    assert_eq!(document["status"], "healthy", "{shown:?}");
    let shown = command_line.run(&cluster.endpoints(), &["gateway", "info"]).await;
    assert!(shown.success().starts_with("Gateway Info\n\n  Gateway: "), "{shown:?}");
    let lost = command_line.run(NOWHERE, &["gateway", "info"]).await;
    assert!(lost.failure().contains("refused"), "{lost:?}");
}

#[tokio::test]
async fn nobody_logs_in_to_a_gateway_without_tokens_and_a_token_is_forgotten() {
    let command_line = CommandLine::new();
    command_line.run(NOWHERE, &["gateway", "add", "http://127.0.0.1:1", "--name", "plain"]).await.success();
    for command in ["login", "logout"] {
        let refused = command_line.run(NOWHERE, &["gateway", command]).await;
        assert!(refused.failure().contains("plaintext"), "{refused:?}");
        let unknown = command_line.run(NOWHERE, &["gateway", command, "nosuch"]).await;
        assert!(unknown.failure().contains("'nosuch'"), "{unknown:?}");
    }
    let folder = "config/openshell/gateways/oidc";
    let metadata = r#"{"name":"oidc","gateway_endpoint":"http://127.0.0.1:1","is_remote":true,"gateway_port":0,"auth_mode":"oidc"}"#;
    command_line.write(&format!("{folder}/metadata.json"), metadata);
    let token = command_line.write(&format!("{folder}/oidc_token.json"), r#"{"access_token":"x"}"#);
    let refused = command_line.run(NOWHERE, &["gateway", "login", "oidc"]).await;
    assert!(refused.failure().contains("not built yet"), "{refused:?}");
    let out = command_line.run(NOWHERE, &["gateway", "logout", "oidc"]).await;
    assert_eq!((out.success(), out.stderr.as_str()), ("", "✓ Logged out of gateway 'oidc'\n"));
    assert!(!token.exists() && token.with_file_name("oidc_login_prompt_required").exists());
    let again = command_line.run(NOWHERE, &["gateway", "logout", "oidc"]).await;
    assert!(again.success().is_empty() && again.stderr.contains("no token"), "{again:?}");
}

#[tokio::test]
async fn an_endpoint_of_ssh_is_resolved_by_ssh() {
    let command_line = CommandLine::new();
    let ssh = command_line.write("bin/ssh", "#!/bin/sh\n[ \"$*\" = '-G -- box' ] && echo 'hostname 127.0.0.1'\n");
    std::fs::set_permissions(&ssh, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("it is there");
    let folder = ssh.parent().expect("a folder").display().to_string();
    let command_line = command_line.with_variable("PATH", &folder);
    for file in ["ca.crt", "tls.crt", "tls.key"] {
        command_line.write(&format!("config/openshell/gateways/far/mtls/{file}"), "");
    }
    let added = command_line.run(NOWHERE, &["gateway", "add", "ssh://me@box:1", "--name", "far"]).await;
    assert!(added.stderr.contains("  Endpoint: https://127.0.0.1:1\n"), "{added:?}");
    let listed = command_line.run(NOWHERE, &["gateway", "list"]).await;
    assert!(listed.success().contains("me@box -> 127.0.0.1"), "{listed:?}");
    let refused = command_line.run(NOWHERE, &["gateway", "add", "ssh://me@box", "--name", "x"]).await;
    assert!(refused.failure().contains("the port is missing"), "{refused:?}");
}
