//! The connections that others make, of which a place where they do takes only so many at a time: each has a descriptor, and a
//! node that has none left for its own files ends. Those beyond wait, as the system keeps them, until others go; and who says
//! nothing does not stay (`connection`).

mod connection;

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::{Stream, stream};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep};

use connection::Connection;

/// Of clients, however many descriptors there are: each has buffers.
const CLIENTS_MAX: u64 = 65_536;
/// Descriptors that clients leave for files, pages and other nodes; half of all where there are few.
const RESERVED: u64 = 1_024;
/// Of a port with pages, for those who look after the node: clients who crowd theirs take none of these. One of sixteen
/// descriptors where there are few.
const VISITORS_MAX: u64 = 32;
/// Between two attempts to take a connection while none can be taken.
const PAUSE: Duration = Duration::from_millis(100);
/// That there is no place is said no more often than this, however often there is one meanwhile.
const SAID_FOR: Duration = Duration::from_secs(60);

/// Lets this process have as many descriptors as it can make use of, and says how many it has.
///
/// # Errors
/// When the system does not say.
pub(crate) fn descriptors() -> io::Result<u64> {
    let (usual, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let wanted = most.min(CLIENTS_MAX + RESERVED).max(usual);
    // Where it may not, it does with those that it has.
    Ok(if setrlimit(Resource::RLIMIT_NOFILE, wanted, most).is_ok() { wanted } else { usual })
}

/// How many connections there may be at a time.
#[derive(Debug)]
pub(crate) struct Room {
    free: Arc<Semaphore>,
    all: u32,
    /// When it was said last that there is no place.
    said: Mutex<Option<Instant>>,
}

impl Room {
    /// For clients of a process with so many descriptors.
    pub(crate) fn for_clients(descriptors: u64) -> Self {
        Self::of(descriptors - RESERVED.min(descriptors / 2))
    }

    /// For pages about the node, on one port.
    pub(crate) fn for_visitors(descriptors: u64) -> Self {
        Self::of(VISITORS_MAX.min(descriptors / 16))
    }

    fn of(all: u64) -> Self {
        let all = u32::try_from(all.clamp(1, CLIENTS_MAX)).unwrap_or(u32::MAX);
        Self { free: Arc::new(Semaphore::new(all as usize)), all, said: Mutex::default() }
    }

    /// A place for one connection, as soon as there is one.
    async fn place(&self) -> OwnedSemaphorePermit {
        if let Ok(place) = Arc::clone(&self.free).try_acquire_owned() {
            return place;
        }
        self.say_that_it_is_full();
        Arc::clone(&self.free).acquire_owned().await.expect("the semaphore is never closed")
    }

    fn say_that_it_is_full(&self) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.is_some_and(|when| when.elapsed() < SAID_FOR) {
            return;
        }
        *said = Some(Instant::now());
        let connections = self.all;
        tracing::warn!(
            connections,
            "as many connections as there may be: whoever comes now waits until one of these ends"
        );
    }
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
        (Connection::new(stream, place), client)
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
                    tracing::warn!(%error, "cannot accept connections, and goes on trying");
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

#[cfg(test)]
mod tests {
    use std::future;

    use tokio::net::TcpStream;
    use tokio::time::timeout;

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
        let all = [1_000_000, 65_536, 20_000, 1_024, 3, 0].map(|descriptors| Room::for_clients(descriptors).all);
        assert_eq!(all, [65_536, 64_512, 18_976, 512, 2, 1]);
        let visitors = [65_536, 512, 256, 3].map(|descriptors| Room::for_visitors(descriptors).all);
        assert_eq!(visitors, [32, 32, 16, 1]);
    }
}
