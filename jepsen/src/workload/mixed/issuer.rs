//! The token endpoint that the nodes of a run reach. A gateway asks without TLS only what is on its own loopback, and where
//! nodes stand in network namespaces each of them has another: so it listens on each, at one port.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, TcpListener};

use anyhow::{Context, bail};
use openshell_client::parse_endpoints;
use openshell_tests::{Access, Issuer};

use crate::canary::Canary;
use crate::env::inside;

/// Where the names of network namespaces are.
const NAMESPACES: &str = "/run/netns";
/// A port that is free on one loopback may be taken on another.
const ATTEMPTS: usize = 5;

/// An issuer that each of these nodes reaches. Its tokens are secrets of the run.
pub(super) fn beside(nodes: &[Access], canary: &Canary) -> anyhow::Result<Issuer> {
    let addresses = nodes.iter().map(address).collect::<anyhow::Result<BTreeSet<IpAddr>>>()?;
    let mut bound = at_one_port(&addresses);
    for _ in 1..ATTEMPTS {
        bound = bound.or_else(|_| at_one_port(&addresses));
    }
    let listeners = bound.context("making an issuer that every node reaches")?;
    let issuer = Issuer::on(listeners.into_iter().map(served).collect::<std::io::Result<_>>()?);
    let [access, refresh] = ["access-{n}", "refresh-{n}"].map(|word| canary.secret(word));
    let answer = serde_json::json!({"access_token": access, "refresh_token": refresh, "expires_in": 3600});
    issuer.answer(200, &answer.to_string());
    Ok(issuer)
}

fn served(listener: TcpListener) -> std::io::Result<tokio::net::TcpListener> {
    listener.set_nonblocking(true)?;
    tokio::net::TcpListener::from_std(listener)
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
