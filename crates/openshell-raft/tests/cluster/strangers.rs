//! What somebody can do to the peer port who does not hold the key.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout_at;

use crate::harness::{Nodes, soon};
use crate::rules::{bump, call, insist, version};

/// More than may be in their handshake at a time, twice.
const STRANGERS: usize = 150;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_that_say_nothing_or_nonsense_are_cut_off_and_the_cluster_goes_on() {
    let mut nodes = Nodes::formed(3).await;
    let port = nodes.places[&1].address.clone();
    let mut strangers = Vec::new();
    for number in 0..STRANGERS {
        let mut stranger = TcpStream::connect(&port).await.expect("connected");
        match number % 3 {
            0 => {}
            1 => stranger.write_all(&[0, 0]).await.expect("the beginning of a length"),
            _ => stranger.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.expect("no handshake"),
        }
        strangers.push(stranger);
    }
    // Connections that are there are not touched, and a new one comes through in the end.
    insist(&nodes, call(None), bump("a")).await.reply.expect("done");
    nodes.stop(3).await;
    nodes.start(3).await.expect("started");
    nodes.all_ready().await;
    let answered = insist(&nodes, call(None), bump("a")).await;
    assert_eq!(version(&answered.state, "a"), 2);
    for mut stranger in strangers {
        let mut bytes = Vec::new();
        // Closed or reset; nothing was ever said to it.
        let ended = timeout_at(soon(), stranger.read_to_end(&mut bytes)).await;
        assert!(ended.is_ok(), "a stranger is kept");
        assert!(bytes.is_empty(), "a stranger was told {bytes:?}");
    }
    nodes.agree().await;
}
