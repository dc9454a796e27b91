//! A token endpoint for the nodes of a run. A gateway asks without TLS only what is on its own loopback, and where nodes
//! stand in network namespaces each of them has another: so the issuer listens on each, at one port.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use openshell_client::parse_endpoints;
use openshell_tests::Access;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::canary::Canary;
use crate::env::inside;

/// Where the names of network namespaces are.
const NAMESPACES: &str = "/run/netns";
/// A port that is free on one loopback may be taken on another.
const ATTEMPTS: usize = 5;
/// Who has not asked after so long was paused, or is gone.
const ASKING_LIMIT: Duration = Duration::from_secs(5);
const REQUEST_BYTES_MAX: usize = 64 * 1024;
/// Before connections are taken again, when none could be taken.
const PAUSE: Duration = Duration::from_millis(10);

/// An endpoint that gives a token to whoever asks. It ends with the value.
pub(super) struct Issuer {
    url: String,
    _serving: JoinSet<()>,
}

impl Issuer {
    /// One that each of these nodes reaches. Its tokens are secrets of the run.
    pub(super) fn start(nodes: &[Access], canary: &Arc<Canary>) -> anyhow::Result<Self> {
        let addresses = nodes.iter().map(address).collect::<anyhow::Result<BTreeSet<IpAddr>>>()?;
        Self::beside(&addresses, canary)
    }

    /// One that is reached from where these addresses are.
    fn beside(addresses: &BTreeSet<IpAddr>, canary: &Arc<Canary>) -> anyhow::Result<Self> {
        let mut bound = at_one_port(addresses);
        for _ in 1..ATTEMPTS {
            bound = bound.or_else(|_| at_one_port(addresses));
        }
        let listeners = bound.context("making an issuer that every node reaches")?;
        let port = listeners.first().context("an issuer is for nodes")?.local_addr()?.port();
        let mut serving = JoinSet::new();
        for listener in listeners {
            listener.set_nonblocking(true)?;
            serving.spawn(serve(tokio::net::TcpListener::from_std(listener)?, Arc::clone(canary)));
        }
        Ok(Self { url: format!("http://{}:{port}/token", Ipv4Addr::LOCALHOST), _serving: serving })
    }

    /// Where a node asks it.
    pub(super) fn url(&self) -> &str {
        &self.url
    }
}

/// Where a node is.
fn address(node: &Access) -> anyhow::Result<IpAddr> {
    let endpoints = parse_endpoints(&node.urls).context("the URL of a node")?;
    let host = endpoints.first().context("a node has a URL")?.host().to_owned();
    host.parse::<IpAddr>().with_context(|| format!("{host} is the address of a node"))
}

/// A listener beside each of these, all at the same port of its loopback.
fn at_one_port(addresses: &BTreeSet<IpAddr>) -> anyhow::Result<Vec<TcpListener>> {
    let mut listeners: Vec<TcpListener> = Vec::new();
    for address in addresses {
        let port = match listeners.first() {
            Some(first) => first.local_addr()?.port(),
            // Any that is free.
            None => 0,
        };
        let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, port)).context("listening on loopback");
        listeners.push(if address.is_loopback() { listen()? } else { inside(&namespace(*address)?, listen)? });
    }
    Ok(listeners)
}

/// The network namespace of this process' making that has an address. Workloads are told how nodes are reached, and not
/// where they stand: it is the one in which somebody can listen there.
fn namespace(address: IpAddr) -> anyhow::Result<String> {
    let own = std::process::id().to_string();
    for entry in std::fs::read_dir(NAMESPACES).context("the names of network namespaces")? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        // After a prefix comes the process, since runs of others are left alone; and in the end the number of a node. In the
        // switch's, which has no address at all, the kernel lets everybody listen at any.
        let parts: Vec<&str> = name.split('-').collect();
        let is_own = parts.get(1).is_some_and(|process| *process == own);
        let is_node = parts.last().is_some_and(|place| place.parse::<u64>().is_ok());
        if is_own && is_node && inside(&name, || Ok(TcpListener::bind((address, 0))?)).is_ok() {
            return Ok(name);
        }
    }
    bail!("no network namespace of this process has the address {address}")
}

async fn serve(listener: tokio::net::TcpListener, canary: Arc<Canary>) {
    let mut answering = JoinSet::new();
    loop {
        tokio::select! {
            Ok((stream, _)) = listener.accept() => {
                answering.spawn(timeout(ASKING_LIMIT, answer(stream, Arc::clone(&canary))));
            }
            Some(_) = answering.join_next() => {}
            else => sleep(PAUSE).await,
        }
    }
}

/// Answers one request, whatever it says, with tokens that are valid for an hour. A node that goes away meanwhile is no
/// failure.
async fn answer(mut stream: TcpStream, canary: Arc<Canary>) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !is_whole(&request) {
        if stream.read_buf(&mut request).await? == 0 || request.len() > REQUEST_BYTES_MAX {
            return Ok(());
        }
    }
    let [access, refresh] = ["access", "refresh"].map(|word| canary.secret(&format!("{word}-{}", canary.made())));
    let body = format!(r#"{{"access_token":"{access}","refresh_token":"{refresh}","expires_in":3600}}"#);
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).await?;
    stream.shutdown().await
}

/// Whether a request has come to its end. Its head says how long the rest is.
fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, rest)) = text.split_once("\r\n\r\n") else { return false };
    let mut fields = head.lines().filter_map(|line| line.split_once(':'));
    let length = fields.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length: Option<usize> = length.and_then(|(_, value)| value.trim().parse().ok());
    rest.len() >= length.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_ends_where_its_head_says() {
        let head = "POST /token HTTP/1.1\r\nhost: 127.0.0.1\r\nContent-Length: 3\r\n";
        assert!(!is_whole(head.as_bytes()));
        assert!(!is_whole(format!("{head}\r\nab").as_bytes()));
        assert!(is_whole(format!("{head}\r\nabc").as_bytes()));
        assert!(is_whole(b"GET / HTTP/1.1\r\n\r\n"));
    }

    #[tokio::test]
    async fn each_request_gets_tokens_of_its_own_in_which_the_mark_is_found() {
        let canary = Arc::new(Canary::of(7));
        let loopback = BTreeSet::from([IpAddr::V4(Ipv4Addr::LOCALHOST)]);
        let issuer = Issuer::beside(&loopback, &canary).expect("an issuer");
        let place = issuer.url().trim_start_matches("http://").trim_end_matches("/token").to_owned();
        let mut answers = BTreeSet::new();
        for _ in 0..2 {
            let mut stream = TcpStream::connect(&place).await.expect("somebody listens");
            stream.write_all(b"POST /token HTTP/1.1\r\ncontent-length: 4\r\n\r\na=").await.expect("it is taken");
            stream.write_all(b"bc").await.expect("it is taken");
            let mut said = String::new();
            stream.read_to_string(&mut said).await.expect("an answer, and its end");
            assert!(said.starts_with("HTTP/1.1 200 OK\r\n"), "{said}");
            let (head, body) = said.split_once("\r\n\r\n").expect("a head and a body");
            assert!(head.contains(&format!("content-length: {}", body.len())), "{said}");
            let fields: serde_json::Value = serde_json::from_str(body).expect("JSON");
            for name in ["access_token", "refresh_token"] {
                let token = fields[name].as_str().expect("text");
                assert!(!canary.leaks().find(name, token.as_bytes()).is_empty(), "{said}");
            }
            answers.insert(body.to_owned());
        }
        assert_eq!(answers.len(), 2, "{answers:?}");
    }
}
