//! Endpoints that take the connection late or never, and a look at them over HTTP.

use std::collections::BTreeSet;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::timeout;

use super::{Node, dead, health, listen};
use crate::client::{Client, ClientBuilder};
use crate::dial::{BoxedStream, Dial, TcpDial};
use crate::endpoint::{EndpointUrl, parse_endpoints};
use crate::error::CallError;
use crate::options::CallOptions;

/// Far more than anything takes.
const LIMIT: Duration = Duration::from_secs(60);

/// A network in which some ports never take a connection, and one only once one of these was tried.
struct Network {
    never: BTreeSet<u16>,
    late: Option<u16>,
    tried: watch::Sender<bool>,
}

impl Dial for Network {
    fn dial(&self, host: String, port: u16) -> Pin<Box<dyn Future<Output = io::Result<BoxedStream>> + Send>> {
        let is_never = self.never.contains(&port);
        if is_never {
            self.tried.send_replace(true);
        }
        let waits = (self.late == Some(port)).then(|| self.tried.subscribe());
        Box::pin(async move {
            if is_never {
                std::future::pending::<()>().await;
            }
            if let Some(mut tried) = waits {
                tried.wait_for(|tried| *tried).await.map_err(io::Error::other)?;
            }
            TcpDial.dial(host, port).await
        })
    }
}

fn port(url: &str) -> u16 {
    EndpointUrl::parse(url).expect("a URL").port()
}

/// A client that has a second for all of them.
fn client(urls: &[&str], never: &[&str], late: Option<&str>) -> Client {
    let endpoints = parse_endpoints(&urls.join(",")).expect("good endpoints");
    let never = never.iter().map(|url| port(url)).collect();
    let dial = Network { never, late: late.map(port), tried: watch::Sender::new(false) };
    let builder = ClientBuilder::new(endpoints).connect_limit(Duration::from_secs(1)).dial(Arc::new(dial));
    builder.build().expect("a good configuration")
}

/// Answers one request with this status line.
async fn http(status: &'static str) -> String {
    let (address, listener) = listen().await;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 256];
            if stream.read(&mut request).await.is_ok() {
                let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        }
    });
    format!("http://{address}")
}

#[tokio::test]
async fn an_endpoint_that_takes_the_connection_after_its_share_of_the_time_is_asked_in_the_end() {
    let node = Node::default();
    let (late, never) = (node.start().await, [dead().await, dead().await, dead().await]);
    let [one, two, three] = never.each_ref().map(String::as_str);
    let client = client(&[&late, one, two, three], &[one, two, three], Some(&late));
    let answer = health(&client, CallOptions::default()).await.expect("it is there after all");
    assert_eq!((answer.attempts, node.heard("x-openshell-attempt")), (1, vec!["1".to_owned()]));
}

#[tokio::test]
async fn endpoints_that_never_take_the_connection_are_given_up_all_of_them() {
    let never = [dead().await, dead().await, dead().await, dead().await];
    let urls = never.each_ref().map(String::as_str);
    let client = client(&urls, &urls, None);
    let failed = timeout(LIMIT, health(&client, CallOptions::default().deadline(LIMIT * 2)));
    let error = failed.await.expect("long before the deadline").expect_err("nobody is there");
    let CallError::Unreachable(failures) = error else { panic!("not unreachable: {error}") };
    assert_eq!(failures.iter().map(|failure| failure.endpoint.as_str()).collect::<Vec<_>>(), urls);
}

#[tokio::test]
async fn all_endpoints_are_looked_at_over_http_at_once() {
    let (never, unwell, well) = (dead().await, http("503 Service Unavailable").await, http("200 OK").await);
    for (urls, status) in [(vec![&*never, &*unwell, &*well], 200), (vec![&*well, &*never], 200), (vec![&*unwell], 503)]
    {
        let client = client(&urls, &[&never], None);
        let looked = timeout(LIMIT, client.probe_health(LIMIT * 2)).await.expect("nobody waits for the silent one");
        assert_eq!(looked, Ok(status), "{urls:?}");
    }
    let refused = client(&[&never], &[], None).probe_health(LIMIT).await.expect_err("nobody listens");
    assert_eq!(refused.len(), 1);
}
