//! `GET` over HTTP/1.1, for health and metrics pages. Not a HTTP client: no redirects,
//! no chunked bodies, no TLS.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_secs(2);

/// Status and body of one page of a process on this machine, within two seconds.
///
/// # Errors
/// When nobody answers in time, or not in HTTP/1.1. A retry is safe.
pub async fn http_get(port: u16, path: &str) -> anyhow::Result<(u16, String)> {
    http_get_at(Ipv4Addr::LOCALHOST.into(), port, path).await
}

/// As [`http_get`], of a process at another address.
///
/// # Errors
/// As [`http_get`].
pub async fn http_get_at(address: IpAddr, port: u16, path: &str) -> anyhow::Result<(u16, String)> {
    let place = SocketAddr::new(address, port);
    timeout(LIMIT, get(place, path)).await.with_context(|| format!("no answer from {place} within {LIMIT:?}"))?
}

async fn get(place: SocketAddr, path: &str) -> anyhow::Result<(u16, String)> {
    let mut stream = TcpStream::connect(place).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {place}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").context("the answer has no end of headers")?;
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).context("the answer has no status")?;
    Ok((status, body.to_owned()))
}
