//! The command line and the nodes that it can reach: several endpoints, failing over without doing anything
//! twice, nobody there, and what is said about it.

use std::time::{Duration, Instant};

use openshell_tests::{Cluster, CommandLine, LosingWire, POLICY_FILE, eventually, free_ports, unique};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

const LIMIT: Duration = Duration::from_secs(60);

/// URLs at which nobody listens.
fn dead(count: usize) -> Vec<String> {
    let ports = free_ports(count).expect("free ports");
    ports.into_iter().map(|port| format!("http://127.0.0.1:{port}")).collect()
}

/// A URL at which somebody takes every connection and says nothing.
async fn silent() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("it is bound"));
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            kept.push(stream);
        }
    });
    url
}

#[tokio::test]
async fn when_nobody_can_be_reached_each_endpoint_is_listed_with_its_error_within_five_seconds() {
    let dead = dead(3);
    let person = CommandLine::new();
    let begun = Instant::now();
    let failed = person.run(&dead.join(","), &["provider", "list"]).await;
    let took = begun.elapsed();
    let said = failed.failure().to_lowercase();
    for url in &dead {
        assert!(said.matches(url.as_str()).count() >= 1, "{failed:?}");
    }
    assert!(said.matches("connection refused").count() >= 3, "{failed:?}");
    assert_eq!(failed.stdout, "");
    assert!(took < Duration::from_secs(5), "the bound of the issue: {took:?}");
}

/// A URL at which nobody answers, not even with a refusal: more connections wait there than the system lets
/// wait. They end with the value.
struct BlackHole {
    url: String,
    _listener: TcpListener,
    waiting: Vec<tokio::task::JoinHandle<std::io::Result<TcpStream>>>,
}

impl BlackHole {
    fn open() -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
        let address = socket.local_addr().expect("it is bound");
        let listener = socket.listen(1).expect("it listens");
        let waiting = (0..8).map(|_| tokio::spawn(TcpStream::connect(address))).collect();
        Self { url: format!("http://{address}"), _listener: listener, waiting }
    }

    /// Once nobody else is let in.
    async fn full(&self) -> &str {
        let address = self.url.trim_start_matches("http://");
        let full = eventually("the place to be full", LIMIT, async || {
            let connecting = tokio::time::timeout(Duration::from_millis(300), TcpStream::connect(address));
            connecting.await.is_err().then_some(())
        });
        full.await.expect("nobody takes them away");
        &self.url
    }
}

impl Drop for BlackHole {
    fn drop(&mut self) {
        self.waiting.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

#[tokio::test]
async fn endpoints_that_drop_every_packet_are_given_up_within_five_seconds() {
    let holes = [BlackHole::open(), BlackHole::open(), BlackHole::open()];
    let mut urls = Vec::new();
    for hole in &holes {
        urls.push(hole.full().await.to_owned());
    }
    let person = CommandLine::new();
    let all = urls.join(",");
    for (endpoints, words) in [(&all, &["provider", "list"][..]), (&all, &["status"]), (&urls[0], &["status"])] {
        let begun = Instant::now();
        let failed = person.run(endpoints, words).await;
        let took = begun.elapsed();
        assert!(failed.failure().contains("no gateway could be reached"), "{failed:?}");
        assert!(took < Duration::from_secs(5), "the bound of the issue: {took:?} for {words:?}");
    }
}

#[tokio::test]
async fn cli_scenario_14_an_endpoint_that_stays_silent_is_left_at_the_deadline() {
    let silent = silent().await;
    let person = CommandLine::new();
    for words in [&["provider", "list"][..], &["workspace", "create", "--name", "w"], &["status"]] {
        let words: Vec<&str> = ["--deadline", "1s"].into_iter().chain(words.iter().copied()).collect();
        let failed = person.run(&silent, &words).await;
        assert_eq!((failed.code, failed.stdout.as_str()), (Some(1), ""), "{failed:?}");
        // Nobody watches, so nothing spins.
        assert!(!failed.stderr.contains(['\r', '\u{1b}']), "{failed:?}");
    }
    let added = person.run(&silent, &["--deadline", "1s", "gateway", "add", &silent, "--name", "mute"]).await;
    assert_eq!(added.code, Some(0), "{added:?}");
    assert!(added.stderr.contains("could not be reached"), "{added:?}");
}

#[tokio::test]
async fn a_silent_endpoint_is_said_and_the_next_one_asked() {
    let cluster = Cluster::shared().await;
    let (silent, node) = (silent().await, cluster.gateway(2).endpoint());
    let person = CommandLine::new();
    let listed = person.run(&format!("{silent},{node}"), &["workspace", "list", "-o", "json"]).await;
    assert!(listed.success().starts_with('['), "{listed:?}");
    // It took the connection first, or else it was not asked at all.
    let said = listed.stderr.lines().filter(|line| line.contains(&format!("no answer from {silent}"))).count();
    assert_eq!(said, listed.stderr.lines().count(), "{listed:?}");
}

#[tokio::test]
async fn a_call_whose_answer_is_lost_is_repeated_elsewhere_and_takes_effect_once() {
    let cluster = Cluster::shared().await;
    let (name, person) = (unique("once"), CommandLine::new());
    // Whichever is asked first: each loses one answer.
    let wires = [1, 3].map(|id| cluster.gateway(id).endpoint());
    let wires = [LosingWire::to(&wires[0], 1).await, LosingWire::to(&wires[1], 1).await];
    let endpoints = format!("{},{}", wires[0].url(), wires[1].url());
    let created = person.run(&endpoints, &["-v", "workspace", "create", "--name", &name]).await;
    created.success();
    assert_eq!(wires.each_ref().map(LosingWire::lost), [1, 1]);
    for wire in &wires {
        assert!(created.stderr.contains(&format!("no answer from {}", wire.url())), "{created:?}");
    }
    assert!(created.stderr.contains("CreateWorkspace: node ") && created.stderr.contains("3 attempts"), "{created:?}");
    // The third attempt heard the answer of the first; done anew it would have been refused.
    let again = person.run(&endpoints, &["workspace", "create", "--name", &name]).await;
    assert!(again.failure().contains("already exists"), "{again:?}");
}

#[tokio::test]
async fn a_refusal_is_not_repeated() {
    let cluster = Cluster::shared().await;
    let person = CommandLine::new();
    let refused = person.run(&cluster.endpoints(), &["-v", "workspace", "get", &unique("nobody")]).await;
    let said = refused.failure();
    assert!(said.contains("GetWorkspace: refused (NotFound), node ") && said.contains("1 attempt,"), "{refused:?}");
    assert!(!said.contains("no answer"), "{refused:?}");
}

#[tokio::test]
async fn a_command_under_way_goes_on_when_its_node_is_killed() {
    let mut cluster = Cluster::start().await;
    let (endpoints, person) = (cluster.endpoints(), CommandLine::new());
    person.write("policy.yaml", POLICY_FILE);
    person.run(&endpoints, &["sandbox", "create", "--name", "box"]).await.success();
    let two = cluster.gateway(2).endpoint();
    let words = ["policy", "set", "box", "--policy", "policy.yaml", "--wait", "--timeout", "5"];
    let setting = person.run(&endpoints, &words);
    let killing = async {
        let waiting = eventually("the command to have written and to wait", LIMIT, async || {
            let listed = person.run(&two, &["policy", "list", "box"]).await;
            listed.stdout.contains("Pending").then_some(())
        });
        waiting.await.expect("it writes");
        cluster.kill(1);
    };
    let (set, ()) = tokio::join!(setting, killing);
    assert_eq!(set.code, Some(124), "nobody loads it, and the command waited all its time: {set:?}");
    assert!(set.stderr.contains("submitted"), "{set:?}");
}

#[tokio::test]
async fn a_gateway_of_several_endpoints_is_registered_so_that_a_released_command_line_reads_the_first() {
    let mut cluster = Cluster::start().await;
    let [one, two, three] = [1, 2, 3].map(|id| cluster.gateway(id).endpoint());
    let person = CommandLine::new();
    // Without an endpoint: at the active gateway of this person.
    let added = person.run_with(&[], &["gateway", "add", &format!("{one},{two}"), &three, "--name", "c"]).await;
    assert_eq!((added.success(), added.stderr.lines().count()), ("", 4), "{added:?}");
    let file = person.home().join("config/openshell/gateways/c/metadata.json");
    let file: serde_json::Value = serde_json::from_slice(&std::fs::read(file).expect("the file")).expect("JSON");
    assert_eq!(file["gateway_endpoint"], one);
    assert_eq!(file["more_gateway_endpoints"], serde_json::json!([two, three]));
    person.run_with(&[], &["workspace", "create", "--name", "w"]).await.success();
    cluster.kill(1);
    let read = person.run_with(&[], &["-v", "workspace", "get", "w"]).await;
    read.success();
    // Who does not take the connection is not asked.
    assert!(!read.stderr.contains("no answer") && read.stderr.contains("1 attempt,"), "{read:?}");
    // One of its nodes is that gateway.
    let read = person.run(&two, &["--consistency", "local", "workspace", "get", "w"]).await;
    read.success();
    person.run_with(&[], &["gateway", "remove", "c"]).await;
    let left = std::fs::read_dir(person.home().join("config/openshell/gateways/c")).expect("the folder");
    assert_eq!(left.count(), 0, "with how far it was seen");
}

#[tokio::test]
async fn without_a_leader_only_local_reads_are_answered() {
    let mut cluster = Cluster::start().await;
    let (three, person) = (cluster.gateway(3).endpoint(), CommandLine::new());
    person.run(&three, &["workspace", "create", "--name", "w"]).await.success();
    cluster.kill(1);
    cluster.kill(2);
    let local = person.run(&three, &["--consistency", "local", "workspace", "get", "w"]).await;
    assert!(local.success().contains('w'), "{local:?}");
    let asked = person.run(&three, &["--consistency", "linearizable", "--deadline", "1s", "workspace", "get", "w"]);
    assert_eq!(asked.await.code, Some(1));
}
