//! What the command line says of itself and of files with mistakes: help, completions, man pages, places in
//! files, colour.

use std::time::{Duration, Instant};

use openshell_tests::{Cluster, CommandLine, Output, unique};
use tokio::net::TcpListener;

/// Nobody listens there.
const NOWHERE: &str = "http://127.0.0.1:1";

const POLICY: &str = "\
version: 1
network_policies:
  web:
    endpoints:
    - host: docs.example.com
      prot: 443
";

const PROFILE: &str = "\
id: acme-api
display_name: Acme API
endpoints:
- host: api.acme.example
  port: 443
  protocol: tcp
  access: full
";

/// What a shell would be told, whose user typed these words and asks for the last.
async fn completed(command_line: CommandLine, words: &[&str]) -> Output {
    let index = words.len().to_string();
    let command_line = command_line.with_variable("COMPLETE", "bash").with_variable("_CLAP_COMPLETE_INDEX", &index);
    command_line.run(NOWHERE, &[&["--", "openshell"], words].concat()).await
}

fn lines(output: &Output) -> Vec<&str> {
    output.success().lines().collect()
}

#[tokio::test]
async fn help_goes_where_the_contract_says() {
    let command_line = CommandLine::new();
    let bare = command_line.run(NOWHERE, &[]).await;
    assert!(bare.success().contains("Usage: openshell") && bare.stderr.is_empty(), "{bare:?}");
    for family in ["provider", "sandbox", "policy", "settings", "workspace", "gateway", "rule", "cluster"] {
        let help = command_line.run(NOWHERE, &[family]).await;
        assert!(help.success().contains("Commands:") && help.stderr.is_empty(), "{help:?}");
        let flag = command_line.run(NOWHERE, &[family, "--help"]).await;
        assert!(flag.success().contains("Example"), "{flag:?}");
        let version = command_line.run(NOWHERE, &[family, "-V"]).await;
        assert!(version.success().starts_with(&format!("openshell-{family} ")), "{version:?}");
        let none = command_line.run(NOWHERE, &[family, "help"]).await;
        assert_eq!((none.code, none.stdout.as_str()), (Some(2), ""), "{none:?}");
    }
    for family in [["provider", "profile"], ["provider", "refresh"], ["sandbox", "provider"], ["workspace", "member"]] {
        let help = command_line.run(NOWHERE, &family).await;
        assert_eq!((help.code, help.stdout.as_str()), (Some(2), ""), "{help:?}");
        assert!(help.stderr.contains("Commands:"), "{help:?}");
    }
}

#[tokio::test]
async fn cli_scenario_79_a_completion_script_needs_no_network() {
    let command_line = CommandLine::new();
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let script = command_line.run(NOWHERE, &["completions", shell]).await;
        assert!(script.success().contains("openshell") && script.stderr.is_empty(), "{script:?}");
    }
    assert_eq!(command_line.run(NOWHERE, &["completions", "tcl"]).await.code, Some(2));
}

#[tokio::test]
async fn commands_complete_without_a_gateway_and_names_are_silently_absent() {
    let families = completed(CommandLine::new(), &["prov"]).await;
    assert_eq!(lines(&families), ["provider"]);
    let none = completed(CommandLine::new(), &["sandbox", "get", "s"]).await;
    assert_eq!((none.success(), none.stderr.as_str()), ("", ""), "no gateway is registered: {none:?}");
    let command_line = CommandLine::new();
    command_line.run(NOWHERE, &["gateway", "add", NOWHERE, "--name", "dead"]).await.success();
    let begun = Instant::now();
    let none = completed(command_line, &["sandbox", "get", "s"]).await;
    assert_eq!((none.success(), none.stderr.as_str()), ("", ""), "nobody answers: {none:?}");
    assert!(begun.elapsed() < Duration::from_secs(30), "a person waits: {:?}", begun.elapsed());
}

#[tokio::test]
async fn names_complete_from_the_cluster() {
    let cluster = Cluster::shared().await;
    let endpoints = cluster.endpoints();
    let workspace = unique("names");
    let person = || async {
        let command_line = CommandLine::new();
        command_line.run(NOWHERE, &["gateway", "add", &endpoints, "--name", "cluster"]).await.success();
        command_line
    };
    let first = person().await;
    first.run(&endpoints, &["workspace", "create", "--name", &workspace]).await.success();
    for name in ["box-one", "box-two", "other"] {
        let words = ["--workspace", &workspace, "sandbox", "create", "--name", name];
        first.run(&endpoints, &words).await.success();
    }
    let words = ["provider", "create", "--name", "gh", "--type", "github", "--credential", "GITHUB_TOKEN=x"];
    first.run(&endpoints, &[&["--workspace", &workspace], &words[..]].concat()).await.success();

    let sandboxes = completed(first, &["--workspace", &workspace, "sandbox", "get", "box"]).await;
    assert_eq!(lines(&sandboxes), ["box-one", "box-two"]);
    let words = ["sandbox", "provider", "attach", "box-one", "g"];
    let providers = completed(person().await, &[&["--workspace", &workspace], &words[..]].concat()).await;
    assert_eq!(lines(&providers), ["gh"]);
    let workspaces = completed(person().await, &["workspace", "get", &workspace]).await;
    assert_eq!(lines(&workspaces), [workspace.as_str()]);
    let profiles = completed(person().await, &["provider", "profile", "export", "githu"]).await;
    assert_eq!(lines(&profiles), ["github"]);
    let gateways = completed(person().await, &["gateway", "select", "c"]).await;
    assert_eq!(lines(&gateways), ["cluster"]);
}

#[tokio::test]
async fn who_types_reads_names_and_nothing_else_and_leaves_nothing_behind() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let hangs_up = format!("http://{}", listener.local_addr().expect("an address"));
    let hanging_up = tokio::spawn(async move { while listener.accept().await.is_ok() {} });
    let cluster = Cluster::shared().await;
    let endpoints = format!("{hangs_up},{}", cluster.endpoints());
    let command_line = CommandLine::new();
    command_line.run(NOWHERE, &["gateway", "add", &endpoints, "--name", "cluster"]).await.success();
    let position = command_line.home().join("config/openshell/gateways/cluster/position.json");
    // Registering may have kept one.
    let _ = std::fs::remove_file(&position);
    let words = ["--", "openshell", "provider", "profile", "export", "githu"];
    let profiles = command_line.run_with(&[("COMPLETE", "bash"), ("_CLAP_COMPLETE_INDEX", "4")], &words).await;
    assert_eq!((lines(&profiles), profiles.stderr.as_str()), (vec!["github"], ""), "{profiles:?}");
    assert!(!position.exists(), "a position is kept: {:?}", std::fs::read_to_string(&position));
    hanging_up.abort();
}

#[tokio::test]
async fn man_pages_are_written_for_every_command_that_is_shown() {
    let command_line = CommandLine::new();
    let written = command_line.run(NOWHERE, &["man", "pages/man1"]).await;
    assert_eq!(written.success(), "", "{written:?}");
    let page = |name: &str| std::fs::read_to_string(command_line.home().join("pages/man1").join(name)).expect(name);
    for name in ["openshell.1", "openshell-provider-profile-import.1", "openshell-policy-update.1"] {
        assert!(page(name).contains("Example"), "{}", page(name));
        let page = page(name);
        // What begins alike is an example.
        let mut words = page.split(|letter: char| !letter.is_ascii_alphanumeric() && !":/.".contains(letter));
        assert!(!words.any(|word| word == NOWHERE), "no variable of whoever writes it");
    }
}

#[tokio::test]
async fn a_mistake_in_a_policy_file_is_shown_where_it_stands() {
    let command_line = CommandLine::new().with_variable("NO_GRAPHICS", "0");
    command_line.write("policy.yaml", POLICY);
    let refused = command_line.run(NOWHERE, &["policy", "set", "s1", "--policy", "policy.yaml"]).await;
    for part in ["policy.yaml:6:7", "prot: 443", "- host: docs.example.com", "correct the file"] {
        assert!(refused.failure().contains(part), "{refused:?}");
    }
    assert!(!refused.stderr.contains('\u{1b}'), "no colour off a terminal: {refused:?}");
    let plain = CommandLine::new();
    plain.write("policy.yaml", POLICY);
    let refused = plain.run(NOWHERE, &["policy", "set", "s1", "--policy", "policy.yaml"]).await;
    assert!(refused.failure().starts_with("Error: policy file policy.yaml is not valid\n"), "{refused:?}");
    assert!(refused.stderr.contains("snippet line 6:       prot: 443"), "{refused:?}");
}

#[tokio::test]
async fn a_mistake_in_a_profile_file_is_shown_whichever_side_finds_it() {
    let command_line = CommandLine::new().with_variable("NO_GRAPHICS", "0");
    command_line.write("broken.yaml", "id: acme\ndisplay_name: [Acme\n");
    let refused = command_line.run(NOWHERE, &["provider", "profile", "import", "-f", "broken.yaml"]).await;
    assert!(refused.failure().contains("error broken.yaml profile=- field=file "), "{refused:?}");
    assert!(refused.stderr.contains("display_name: [Acme"), "{refused:?}");

    command_line.write("acme.yaml", PROFILE);
    let cluster = Cluster::shared().await;
    let endpoints = cluster.endpoints();
    let refused = command_line.run(&endpoints, &["provider", "profile", "lint", "-f", "acme.yaml"]).await;
    assert!(refused.failure().contains("Provider profile diagnostics:\n  error acme.yaml profile=acme-api field="));
    assert!(refused.stderr.contains("acme.yaml:"), "{refused:?}");
    assert!(refused.stderr.contains("- host: api.acme.example"), "{refused:?}");
}

#[tokio::test]
async fn a_policy_that_the_gateway_refuses_is_shown_where_it_is_unsafe() {
    let cluster = Cluster::shared().await;
    let endpoints = cluster.endpoints();
    let command_line = CommandLine::new().with_variable("NO_GRAPHICS", "0");
    let workspace = unique("unsafe");
    command_line.run(&endpoints, &["workspace", "create", "--name", &workspace]).await.success();
    let create = ["--workspace", &workspace, "sandbox", "create", "--name", "s1"];
    command_line.run(&endpoints, &create).await.success();
    command_line.write("policy.yaml", &POLICY.replace("prot:", "port:").replace("docs.example.com", "'*'"));
    let set = ["--workspace", &workspace, "policy", "set", "s1", "--policy", "policy.yaml"];
    let refused = command_line.run(&endpoints, &set).await;
    for part in ["network_policies.web.endpoints[0]", "policy.yaml:5:", "- host: '*'"] {
        assert!(refused.failure().contains(part), "{refused:?}");
    }
}

#[tokio::test]
async fn colour_is_asked_for_by_variable_and_refused_by_another() {
    let run = |variables: &[(&str, &str)]| {
        let start = CommandLine::new().with_variable("NO_COLOR", "").with_variable("NO_GRAPHICS", "0");
        let command_line = variables.iter().fold(start, |line, (name, value)| line.with_variable(name, value));
        async move {
            command_line.run(NOWHERE, &["gateway", "add", NOWHERE, "--name", "dead"]).await.success();
            command_line.run(NOWHERE, &["gateway", "list"]).await.success().contains('\u{1b}')
        }
    };
    assert!(!run(&[]).await, "not in a pipe");
    assert!(run(&[("FORCE_COLOR", "1")]).await);
    assert!(run(&[("CLICOLOR_FORCE", "1")]).await);
    assert!(!run(&[("FORCE_COLOR", "1"), ("NO_COLOR", "1")]).await);
}
