//! A client that asks the nearest endpoint first.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use super::{Node, dead, health};
use crate::client::{Client, ClientBuilder};
use crate::dial::{BoxedStream, Dial, TcpDial};
use crate::endpoint::{EndpointUrl, parse_endpoints};
use crate::options::CallOptions;

/// A network in which one port is too far away to be reached; it notes who dialled what.
struct Far {
    port: u16,
    dialled: Arc<Mutex<Vec<u16>>>,
}

impl Dial for Far {
    fn dial(&self, host: String, port: u16) -> Pin<Box<dyn Future<Output = io::Result<BoxedStream>> + Send>> {
        self.dialled.lock().expect("an unpoisoned lock").push(port);
        let is_far = port == self.port;
        Box::pin(async move {
            if is_far {
                std::future::pending::<()>().await;
            }
            TcpDial.dial(host, port).await
        })
    }
}

fn port(url: &str) -> u16 {
    EndpointUrl::parse(url).expect("a URL").port()
}

fn client(urls: &[&str], far: &str) -> (Client, Arc<Mutex<Vec<u16>>>) {
    let dialled = Arc::new(Mutex::new(Vec::new()));
    let endpoints = parse_endpoints(&urls.join(",")).expect("good endpoints");
    let dial = Far { port: port(far), dialled: Arc::clone(&dialled) };
    let client = ClientBuilder::new(endpoints).nearest_first().dial(Arc::new(dial)).build();
    (client.expect("a good configuration"), dialled)
}

#[tokio::test]
async fn the_nearest_endpoint_is_asked_whatever_the_order_over_the_connection_that_found_it() {
    let (far, near) = (Node::default(), Node::default());
    let (far_url, near_url) = (far.start().await, near.start().await);
    let (client, dialled) = client(&[&far_url, &near_url], &far_url);
    for _ in 0..2 {
        health(&client, CallOptions::default()).await.expect("an answer");
    }
    assert_eq!((far.heard("x-openshell-attempt").len(), near.heard("x-openshell-attempt").len()), (0, 2));
    let mut dialled = dialled.lock().expect("an unpoisoned lock").clone();
    dialled.sort_unstable();
    let mut once = vec![port(&far_url), port(&near_url)];
    once.sort_unstable();
    assert_eq!(dialled, once, "each was dialled once");
}

#[tokio::test]
async fn an_endpoint_at_which_nobody_listens_is_asked_last() {
    let node = Node::default();
    let (dead, url) = (dead().await, node.start().await);
    let (client, _) = client(&[&dead, &url], "http://127.0.0.1:1");
    let answer = health(&client, CallOptions::default()).await.expect("an answer");
    assert_eq!(answer.attempts, 1);
    assert_eq!(client.inner.nearness.preferred(), Some(1));
}

#[tokio::test]
async fn when_nobody_listens_every_endpoint_says_why() {
    let (first, second) = (dead().await, dead().await);
    let (client, _) = client(&[&first, &second], "http://127.0.0.1:1");
    let error = health(&client, CallOptions::default()).await.expect_err("nobody is there").to_string();
    assert!(error.contains(&first) && error.contains(&second), "{error}");
}
