//! What the documents for users say is what happens: every block of them is run, in order, against a cluster,
//! and prints what stands there.

use std::path::Path;

use openshell_tests::{Cluster, CommandLine, Issuer, Reader};

const MANAGE: &str = "docs/sandboxes/manage-providers.mdx";
const PROFILES: &str = "docs/sandboxes/providers-v2.mdx";
const SYNC: &str = "docs/sandboxes/sync.mdx";

/// The token endpoint in the examples. It stands for one on loopback here.
const TOKEN_ENDPOINT: &str = "https://login.acme.example/token";
/// The nodes in the examples.
const NODES: &str = "http://gw-1.example:17670,http://gw-2.example:17670,http://gw-3.example:17670";

async fn follow(document: &str) {
    let cluster = Cluster::start().await;
    let issuer = Issuer::start().await;
    Reader::new(&cluster.endpoints()).with_place(TOKEN_ENDPOINT, issuer.url()).follow(document).await;
}

#[tokio::test]
async fn what_the_document_about_providers_says_is_what_happens() {
    follow(MANAGE).await;
}

#[tokio::test]
async fn what_the_document_about_profiles_says_is_what_happens() {
    follow(PROFILES).await;
}

#[tokio::test]
async fn what_the_document_about_sandboxes_that_are_kept_current_says_is_what_happens() {
    let cluster = Cluster::start().await;
    let endpoints = cluster.endpoints();
    Reader::new(&endpoints).with_place(NODES, &endpoints).follow(SYNC).await;
}

#[tokio::test]
async fn every_command_about_providers_has_an_example() {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let text: String =
        [MANAGE, PROFILES].map(|document| std::fs::read_to_string(root.join(document)).expect("it is there")).concat();
    for family in ["provider", "provider profile", "provider refresh", "sandbox provider"] {
        let words: Vec<&str> = family.split(' ').chain(["--help"]).collect();
        let help = CommandLine::new().run("http://127.0.0.1:1", &words).await;
        let listed = help.success().lines().skip_while(|line| *line != "Commands:").skip(1);
        // What a command does may go on on further lines, which are indented further.
        let commands: Vec<&str> = listed
            .take_while(|line| line.starts_with("  "))
            .filter_map(|line| line.strip_prefix("  ")?.split(' ').next().filter(|word| !word.is_empty()))
            .collect();
        assert!(commands.len() > 2, "{help:?}");
        for command in commands {
            let has_example = text.lines().any(|line| line.starts_with(&format!("openshell {family} {command}")));
            assert!(has_example, "no example of: openshell {family} {command}");
        }
    }
}
