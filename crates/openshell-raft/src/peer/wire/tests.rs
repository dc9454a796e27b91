//! What comes before the handshake: off loopback TLS, and nothing else.

use std::sync::OnceLock;

use arc_swap::ArcSwap;
use futures::future::BoxFuture;
use openshell_proto::peer::Hello;
use tokio::io::{AsyncReadExt, DuplexStream};

use super::*;
use crate::peer::frame;
use crate::peer::handshake::ClusterKey;

/// No network: connections are handed in.
struct Nowhere;

impl Transport for Nowhere {
    fn connect<'a>(&'a self, _: &'a str) -> BoxFuture<'a, io::Result<Connection>> {
        Box::pin(async { Err(io::ErrorKind::NotConnected.into()) })
    }

    fn accept(&self) -> BoxFuture<'_, io::Result<Connection>> {
        Box::pin(std::future::pending())
    }
}

fn wire(node: u64) -> Wire {
    let cluster_id = ArcSwap::from_pointee("c".to_owned());
    let (is_removed, expelled) = (Box::new(|_| false), OnceLock::new());
    let myself = Myself { node, cluster_id, key: ClusterKey::new([7; 32]), is_removed, expelled };
    Wire::new(Nowhere, Arc::new(myself), mpsc::channel(1).0).expect("cryptography works")
}

fn connection(stream: DuplexStream, loopback: bool) -> Connection {
    Connection { stream: Box::new(stream), loopback, remote: "a test".to_owned() }
}

#[tokio::test]
async fn plaintext_off_loopback_is_refused() {
    for loopback in [true, false] {
        let (mut near, far) = tokio::io::duplex(16 * 1024);
        let listener = wire(2);
        let talk = async {
            let answered = dial(&mut near, &wire(1).myself, 2, &NO_TLS).await;
            drop(near);
            answered.is_ok()
        };
        let (admitted, accepted) = tokio::join!(listener.admit(connection(far, loopback)), talk);
        // The same words are enough on loopback, where the bytes never leave the machine.
        assert_eq!((admitted.is_ok(), accepted), (loopback, loopback));
    }
}

#[tokio::test]
async fn plaintext_off_loopback_hears_nothing_of_the_cluster() {
    let (mut near, far) = tokio::io::duplex(16 * 1024);
    let listener = wire(2);
    let talk = async {
        let hello = Hello { protocol_version: 1, from: 1, to: 2, nonce: vec![0; 32], ..Hello::default() };
        frame::send(&mut near, &hello).await.expect("sent");
        let mut heard = Vec::new();
        near.read_to_end(&mut heard).await.expect("closed");
        heard
    };
    let (admitted, heard) = tokio::join!(listener.admit(connection(far, false)), talk);
    assert!(matches!(admitted, Err(HandshakeError::Broken { .. })));
    // At most an alert of TLS: its content type, and nothing of a challenge.
    assert!(heard.first().is_none_or(|kind| *kind == 21), "{heard:?}");
    assert!(heard.len() < 32, "{heard:?}");
}
