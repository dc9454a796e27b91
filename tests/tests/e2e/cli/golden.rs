//! What each command prints, in each of its forms: one story, told to a cluster that was made for it, and
//! compared with the files of `tests/golden/cli`. A file holds all that one command printed in one form, as a
//! terminal would show it.

mod story;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use openshell_client::methods;
use openshell_proto::v1::SubmitPolicyAnalysisRequest;
use openshell_tests::{
    Api, Cluster, CommandLine, Golden, Issuer, LogPusher, Output, Scene, log_line, proposal, settle,
};

use self::story::{AFTER, BEFORE, CHUNKS, FILES, edited};

/// What every run of a cluster has otherwise, by the name of a column or a key.
const UNSETTLED: [&str; 10] =
    ["role", "term", "applied", "applied_revision", "revision", "lag", "age", "age_ms", "leader", "node"];
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Of a script that the library for completions makes.
const SCRIPT_LINES: usize = 3;
/// When the sandbox logs.
const TIME_MS: i64 = 1_767_225_600_000;

/// Tells the story.
struct Teller {
    person: CommandLine,
    /// What is elsewhere in every run, and how the files name it.
    places: Vec<(String, String)>,
    golden: Golden,
}

impl Teller {
    fn new(cluster: &Cluster, issuer: &Issuer) -> Self {
        let person = CommandLine::new();
        for (name, text) in FILES {
            person.write(name, &text.replace("TOKEN_URL", issuer.url()));
        }
        person.write("edited.yaml", &edited());
        let mut places = vec![
            (issuer.url().to_owned(), "https://issuer.example/token".to_owned()),
            (person.home().display().to_string(), "/home/you".to_owned()),
        ];
        for gateway in cluster.gateways() {
            let ports = gateway.ports();
            places.push((format!("127.0.0.1:{}", ports.client), format!("127.0.0.1:1767{}", gateway.id())));
            places.push((format!("127.0.0.1:{}", ports.peer), format!("127.0.0.1:1768{}", gateway.id())));
        }
        Self { person, places, golden: Golden::new("cli") }
    }

    /// Runs `openshell COMMAND REST` and adds what it printed to the command's file.
    async fn tell(&mut self, command: &str, rest: &str) {
        let line = [command, rest].join(" ");
        let typed = self.replaced(&line, |(real, told)| (told, real));
        let words: Vec<&str> = typed.split_whitespace().collect();
        let output = self.person.run_with(&[], &words).await;
        let printed = self.replaced(&shown(&output), |(real, told)| (real, told));
        let mut printed = settle(&printed).replace(&format!(" {VERSION}"), " 0.0.0").replace(VERSION, "0.0.0");
        if command.starts_with("cluster") {
            printed = without_what_differs(&printed);
        }
        match command {
            "cluster transfer-leader" => printed = without_who_led(&printed),
            "completions" => printed = printed.lines().take(SCRIPT_LINES).map(|line| format!("{line}\n")).collect(),
            "man" => printed.push_str(&names_in(&self.person.home().join(rest))),
            command if command.starts_with("rule") => printed = without_review_tokens(&printed),
            _ => {}
        }
        let file = format!("{}.{}.txt", command.replace(' ', "-"), form(&words));
        self.golden.add(&file, &format!("$ openshell {}\n{printed}\n", line.trim_end()));
    }

    /// The sandbox `box` logs two lines and proposes two rules, with the token that the person has for it.
    async fn let_the_sandbox_speak(&mut self, cluster: &Cluster) {
        let token = std::fs::read_to_string(self.person.home().join("token")).expect("the person has a token");
        let token = token.trim();
        let node = cluster.gateway(1);
        let scene = Scene { workspace: "default".to_owned(), api: node.api() };
        let id = scene.sandbox("box").await.metadata.expect("metadata").id;
        let pusher = LogPusher::open(&node.endpoint(), Some(token)).await;
        let lines = ["connected", "denied: other.example.com"].map(|message| log_line(TIME_MS, message));
        pusher.push(&id, lines.to_vec()).await;
        pusher.end().await.expect("its lines are kept");
        let own = Api::bearer(&node.endpoint(), token);
        // One after the other, so that the inbox has them in this order.
        for (host, chunk) in ["one.example.com", "two.example.com"].into_iter().zip(CHUNKS) {
            let request = SubmitPolicyAnalysisRequest {
                name: "box".to_owned(),
                workspace: scene.workspace.clone(),
                analysis_mode: "agent_authored".to_owned(),
                proposed_chunks: vec![proposal(host)],
                ..SubmitPolicyAnalysisRequest::default()
            };
            let taken = own.call(&methods::SUBMIT_POLICY_ANALYSIS, request).await.expect("it is taken").message;
            self.places.extend(taken.accepted_chunk_ids.into_iter().map(|id| (id, chunk.to_owned())));
        }
    }

    fn replaced<'a>(&'a self, text: &str, order: impl Fn(&'a (String, String)) -> (&'a String, &'a String)) -> String {
        self.places.iter().map(order).fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
    }
}

/// The two streams and the exit code, where there is something to show.
fn shown(output: &Output) -> String {
    let mut text = output.stdout.clone();
    if !output.stderr.trim_end().is_empty() {
        let _ = writeln!(text, "[stderr]\n{}", output.stderr.trim_end());
    }
    match output.code {
        Some(0) => {}
        Some(code) => drop(writeln!(text, "[exit code {code}]")),
        None => text.push_str("[killed]\n"),
    }
    text
}

/// The form that a command is asked for.
fn form(words: &[&str]) -> String {
    let after = |flag: &str| words.iter().skip_while(|word| **word != flag).nth(1);
    match after("-o") {
        Some(form) => (*form).to_owned(),
        None if words.contains(&"--json") => "json".to_owned(),
        None => "text".to_owned(),
    }
}

/// Documents and tables with a `_` for each value that no two clusters have alike. Columns lose their padding,
/// which depends on these values.
fn without_what_differs(text: &str) -> String {
    let mut columns: Vec<String> = Vec::new();
    let mut settled = String::new();
    for line in text.lines() {
        let cells: Vec<&str> = line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
        let key = line.trim_start().trim_start_matches("- ").split(':').next().unwrap_or_default().trim_matches('"');
        if cells.len() > 2 && cells.iter().all(|cell| cell.chars().all(|letter| letter.is_uppercase() || letter == '_'))
        {
            columns = cells.iter().map(|cell| cell.to_lowercase()).collect();
            settled.push_str(&cells.join("  "));
        } else if cells.len() > 2 && cells.len() == columns.len() {
            let cells = cells.iter().zip(&columns);
            let cells = cells.map(|(cell, column)| if is_unsettled(column) { "_" } else { *cell });
            settled.push_str(&cells.collect::<Vec<_>>().join("  "));
        } else if is_unsettled(key) && line.contains(": ") {
            let (before, value) = line.split_once(": ").expect("a key and its value");
            let comma = if value.ends_with(',') { "," } else { "" };
            let _ = write!(settled, "{before}: _{comma}");
        } else {
            settled.push_str(line);
        }
        settled.push('\n');
    }
    settled
}

/// The sentence about a leader that hands over, whichever node that is.
fn without_who_led(text: &str) -> String {
    ["1", "2", "3"]
        .iter()
        .fold(text.to_owned(), |text, node| text.replace(&format!(", node {node} did before"), ", node _ did before"))
}

/// The files of a folder, a line each.
fn names_in(folder: &Path) -> String {
    let entries = std::fs::read_dir(folder).expect("the folder was made");
    let name = |entry: std::io::Result<std::fs::DirEntry>| entry.expect("an entry").file_name();
    let names: BTreeSet<_> = entries.map(name).collect();
    names.iter().map(|name| format!("{}\n", name.to_string_lossy())).collect()
}

/// What a reviewer echoes is a hash of the proposal, its id included.
fn without_review_tokens(text: &str) -> String {
    let is_token = |line: &str| line.to_lowercase().replace('_', " ").contains("review token");
    let zeros = |letter: char| if letter.is_ascii_hexdigit() { '0' } else { letter };
    let without = |line: &str| match line.split_once(": ").filter(|_| is_token(line)) {
        Some((before, token)) => format!("{before}: {}\n", token.chars().map(zeros).collect::<String>()),
        None => format!("{line}\n"),
    };
    text.lines().map(without).collect()
}

fn is_unsettled(name: &str) -> bool {
    UNSETTLED.contains(&name)
}

#[tokio::test]
async fn each_command_prints_what_its_golden_files_say() {
    let cluster = Cluster::start().await;
    let issuer = Issuer::start().await;
    let mut teller = Teller::new(&cluster, &issuer);
    for (command, rest) in BEFORE {
        teller.tell(command, rest).await;
    }
    teller.let_the_sandbox_speak(&cluster).await;
    for (command, rest) in AFTER {
        teller.tell(command, rest).await;
    }
    teller.golden.check();
}

#[test]
fn what_no_two_clusters_have_alike_is_left_out_of_tables_and_documents() {
    let table = "ID  ROLE      LAG\n1   leader    12\n2   follower  3\n! node 3: gone\n";
    assert_eq!(without_what_differs(table), "ID  ROLE  LAG\n1  _  _\n2  _  _\n! node 3: gone\n");
    let document = "{\n  \"leader\": 2,\n  \"zone\": \"a\"\n}\n- role: leader\n  id: 1\n";
    let expected = "{\n  \"leader\": _,\n  \"zone\": \"a\"\n}\n- role: _\n  id: 1\n";
    assert_eq!(without_what_differs(document), expected);
}
