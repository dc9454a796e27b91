//! The scenarios of the command line's contract (`cli.md` 7), typed as a person types them, against real nodes.
//! `docs/rules/cli.md` says which test holds which.

mod cluster;
mod gateways;
mod golden;
mod policies;
mod profiles;
mod providers;
mod refresh;
mod sandboxes;
mod settings;
mod surface;

use openshell_tests::{Cluster, ClusterOptions, CommandLine, Output, unique};
use serde_json::Value;

const PROFILE: &str = "\
id: custom-api
display_name: Custom API
category: data
credentials:
  - name: api_token
    env_vars: [CUSTOM_TOKEN]
    required: true
    auth_style: bearer
    header_name: authorization
endpoints:
  - {host: api.custom.example, port: 443, protocol: rest, access: full}
binaries: [/usr/bin/curl]
";

/// Where nobody listens.
const NOBODY: &str = "http://127.0.0.1:1";

/// Somebody with a workspace of their own, at one gateway.
struct Person {
    command_line: CommandLine,
    endpoint: String,
}

impl Person {
    /// At a follower.
    async fn at_a_follower(cluster: &Cluster) -> Self {
        let follower = cluster.followers().await[0];
        Self::at(&cluster.gateway(follower).endpoint()).await
    }

    /// At this URL.
    async fn at(endpoint: &str) -> Self {
        let workspace = unique("person");
        let command_line = CommandLine::new().with_variable("OPENSHELL_WORKSPACE", &workspace);
        let person = Self { command_line, endpoint: endpoint.to_owned() };
        person.types(&format!("workspace create --name {workspace}")).await.success();
        person
    }

    /// `openshell` with these words, which are separated by white space.
    async fn types(&self, words: &str) -> Output {
        self.types_with(&[], words).await
    }

    /// The same with variables beside.
    async fn types_with(&self, variables: &[(&str, &str)], words: &str) -> Output {
        let endpoint = [("OPENSHELL_GATEWAY_ENDPOINT", self.endpoint.as_str())];
        let words: Vec<&str> = words.split_whitespace().collect();
        self.command_line.run_with(&[&endpoint[..], variables].concat(), &words).await
    }

    /// The same at another gateway.
    async fn types_at(&self, endpoint: &str, words: &str) -> Output {
        let words: Vec<&str> = words.split_whitespace().collect();
        self.command_line.run(endpoint, &words).await
    }

    /// What a command that succeeds prints as JSON.
    async fn reads(&self, words: &str) -> Value {
        document(&self.types(words).await)
    }

    /// A file in the home, which is also the working directory.
    fn writes(&self, name: &str, text: &str) {
        self.command_line.write(name, text);
    }
}

/// What a command printed as JSON.
fn document(output: &Output) -> Value {
    serde_json::from_str(output.success()).expect("JSON")
}

/// The keys of an object, in order.
fn keys(value: &Value) -> Vec<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

/// A cluster of one node that nobody else has, for what concerns a whole gateway.
async fn cluster_of_one() -> Cluster {
    let options = ClusterOptions { nodes: 1, ..ClusterOptions::default() };
    Cluster::start_with(options).await.expect("a cluster of one node starts")
}
