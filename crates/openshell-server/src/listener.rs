//! The connections that others make, of which a place where they do takes only so many at a time: each has a descriptor, and a
//! node that has none left for its own files ends. Those beyond wait, as the system keeps them, until others go.

use std::io::{self, ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::{Stream, stream};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tonic::transport::server::{Connected, TcpConnectInfo};

/// Of clients, however many descriptors there are: each has buffers.
const CLIENTS_MAX: u64 = 65_536;
/// Descriptors that clients leave for files, pages and other nodes; half of all where there are few.
const RESERVED: u64 = 1_024;
/// Of a port with pages, for those who look after the node; clients who crowd theirs take none of these.
const VISITORS_MAX: u32 = 32;
/// Between two attempts to take a connection while none can be taken.
const PAUSE: Duration = Duration::from_millis(100);
/// Somebody is told when there has been no place for so long.
const PATIENCE: Duration = Duration::from_secs(1);

/// How many connections there may be at a time.
#[derive(Debug)]
pub(crate) struct Room {
    free: Arc<Semaphore>,
    all: u32,
}

impl Room {
    /// For clients: lets this process have as many descriptors as it may take, and gives them most of those.
    ///
    /// # Errors
    /// When the system does not say how many there are.
    pub(crate) fn for_clients() -> io::Result<Self> {
        let (usual, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
        // Where it may not, it does with those that it has.
        let descriptors = if setrlimit(Resource::RLIMIT_NOFILE, most, most).is_ok() { most } else { usual };
        Ok(Self::of(clients(descriptors)))
    }

    /// For pages about the node.
    pub(crate) fn for_visitors() -> Self {
        Self::of(VISITORS_MAX)
    }

    fn of(all: u32) -> Self {
        Self { free: Arc::new(Semaphore::new(all as usize)), all }
    }

    /// A place for one connection, as soon as there is one. That there is none is said once for as long as that lasts.
    async fn place(&self) -> OwnedSemaphorePermit {
        let free = || async { Arc::clone(&self.free).acquire_owned().await.expect("the semaphore is never closed") };
        if let Ok(place) = timeout(PATIENCE, free()).await {
            return place;
        }
        tracing::warn!(
            connections = self.all,
            "as many connections as there may be: others wait until one of these ends"
        );
        free().await
    }
}

/// How many clients there may be beside what else takes descriptors.
fn clients(descriptors: u64) -> u32 {
    let all = (descriptors - RESERVED.min(descriptors / 2)).clamp(1, CLIENTS_MAX);
    u32::try_from(all).unwrap_or(u32::MAX)
}

/// A place where others connect.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: TcpListener,
    room: Room,
}

impl Listener {
    /// Takes connections as long as there is room.
    pub(crate) fn new(socket: TcpListener, room: Room) -> Self {
        Self { socket, room }
    }

    /// One connection after the other, without an end.
    pub(crate) fn connections(self) -> impl Stream<Item = io::Result<Connection>> {
        stream::unfold(self, async |listener| Some((Ok(listener.next().await.0), listener)))
    }

    async fn next(&self) -> (Connection, SocketAddr) {
        let place = self.room.place().await;
        let socket = &self.socket;
        let (stream, client) = taken(|| async {
            let (stream, client) = socket.accept().await?;
            // Without it an answer of more than one segment waits for the client's delayed acknowledgement.
            stream.set_nodelay(true)?;
            Ok((stream, client))
        })
        .await;
        (Connection { stream, _place: place }, client)
    }
}

impl axum::serve::Listener for Listener {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        self.next().await
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}

/// The next connection that can be taken. The system offers one that cannot be taken again and again, and asking without a
/// pause would keep a core busy. That none can is said once for as long as it lasts.
async fn taken<T, F: Future<Output = io::Result<T>>>(mut accept: impl FnMut() -> F) -> T {
    let mut is_said = false;
    loop {
        match accept().await {
            Ok(connection) => return connection,
            // That one went before it was taken, and the next may be there.
            Err(error) if is_of_one(&error) => {}
            Err(error) => {
                if !is_said {
                    tracing::warn!(%error, "cannot accept connections of clients, and goes on trying");
                    is_said = true;
                }
                sleep(PAUSE).await;
            }
        }
    }
}

/// Whether a connection failed, and not the listener.
fn is_of_one(error: &io::Error) -> bool {
    let kinds = [ErrorKind::ConnectionAborted, ErrorKind::ConnectionReset, ErrorKind::InvalidInput];
    kinds.contains(&error.kind())
}

/// One connection. It makes room when it goes.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    _place: OwnedSemaphorePermit,
}

impl Connected for Connection {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.stream.connect_info()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::future;

    use tokio::time::Instant;

    use super::*;

    #[tokio::test]
    async fn while_no_connection_can_be_taken_nobody_asks_without_a_pause() {
        let mut asked = 0;
        let begin = Instant::now();
        let number = taken(|| {
            asked += 1;
            future::ready(match asked {
                // No descriptors are left.
                1..=3 => Err(io::Error::from_raw_os_error(24)),
                4 => Err(ErrorKind::ConnectionAborted.into()),
                number => Ok(number),
            })
        });
        assert_eq!(number.await, 5);
        assert!(begin.elapsed() >= 3 * PAUSE, "{:?}", begin.elapsed());
    }

    #[tokio::test]
    async fn the_next_one_is_taken_when_one_goes() {
        let socket = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = socket.local_addr().unwrap();
        let listener = Listener::new(socket, Room::of(1));
        let (_first, _second) =
            (TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap());
        let (only, _) = listener.next().await;
        assert!(timeout(PAUSE, listener.next()).await.is_err(), "there is room for one");
        drop(only);
        listener.next().await;
    }

    #[test]
    fn connections_leave_descriptors_for_files() {
        let all = [1_000_000, 65_536, 20_000, 1_024, 3, 0].map(clients);
        assert_eq!(all, [65_536, 64_512, 18_976, 512, 2, 1]);
    }
}
