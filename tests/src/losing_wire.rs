//! A wire to a gateway that loses answers: a call arrives and takes effect, and the connection breaks
//! when its answer begins. Bytes pass as they are, so that the breaking is real.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Length, type, flags and stream of an HTTP/2 frame (RFC 9113, section 4.1).
const FRAME_HEAD: usize = 9;
/// The type of the frame that an answer begins with.
const HEADERS: u8 = 1;

/// The wire. It is cut with the value.
#[derive(Debug)]
pub struct LosingWire {
    url: String,
    lost: Arc<AtomicUsize>,
    serving: JoinHandle<()>,
}

impl LosingWire {
    /// A wire to this plaintext URL that loses so many answers, one after the other, and passes the rest.
    ///
    /// # Panics
    /// When it is no URL, or nobody can listen.
    pub async fn to(endpoint: &str, losses: usize) -> Self {
        let target: SocketAddr = endpoint.trim_start_matches("http://").parse().expect("http://ADDRESS:PORT");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let lost = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&lost);
        let serving = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let lost = Arc::clone(&counted);
                tokio::spawn(async move {
                    // A caller that cannot be connected sees its connection end, as it would at the gateway.
                    if let Ok(server) = TcpStream::connect(target).await {
                        pass(client, server, || {
                            lost.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |lost| {
                                (lost < losses).then_some(lost + 1)
                            })
                            .is_ok()
                        })
                        .await;
                    }
                });
            }
        });
        Self { url, lost, serving }
    }

    /// Where it begins.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// How many answers it has lost.
    #[must_use]
    pub fn lost(&self) -> usize {
        self.lost.load(Ordering::Relaxed)
    }
}

impl Drop for LosingWire {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Passes bytes both ways until one side ends or an answer is lost.
async fn pass(client: TcpStream, server: TcpStream, loses: impl Fn() -> bool) {
    let (mut from_client, to_client) = client.into_split();
    let (from_server, mut to_server) = server.into_split();
    // How it ends is seen by both sides.
    tokio::select! {
        _ = tokio::io::copy(&mut from_client, &mut to_server) => {}
        _ = pass_frames(from_server, to_client, loses) => {}
    }
}

async fn pass_frames(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    loses: impl Fn() -> bool,
) -> io::Result<()> {
    loop {
        let mut frame = vec![0; FRAME_HEAD];
        from.read_exact(&mut frame).await?;
        if frame[3] == HEADERS && loses() {
            return Ok(());
        }
        let length = u32::from_be_bytes([0, frame[0], frame[1], frame[2]]) as usize;
        frame.resize(FRAME_HEAD + length, 0);
        from.read_exact(&mut frame[FRAME_HEAD..]).await?;
        to.write_all(&frame).await?;
    }
}
