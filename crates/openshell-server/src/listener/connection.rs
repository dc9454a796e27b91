//! One connection, which ends when nothing passes on it: whoever vanished, or never spoke, keeps no place.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep, sleep};
use tonic::transport::server::{Connected, TcpConnectInfo};

/// A connection on which nothing passes for so long ends. Where calls are under way there is a sign of life every twenty
/// seconds at least (`run.rs`); and those who fetch a page once a minute may do so on one connection.
const SILENCE_MAX: Duration = Duration::from_secs(90);
/// A timer that goes off later than this shows that the process stood still, and so has not heard what was said meanwhile.
const LATE: Duration = Duration::from_secs(1);
/// For that it takes so long then.
const HEARING: Duration = Duration::from_secs(5);

/// One connection. It makes room when it goes.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    silence: Silence,
    _place: OwnedSemaphorePermit,
}

impl Connection {
    /// One that was taken, and its place.
    pub(super) fn new(stream: TcpStream, place: OwnedSemaphorePermit) -> Self {
        Self { stream, silence: Silence::begins(), _place: place }
    }
}

/// For how long nothing has passed.
#[derive(Debug)]
struct Silence {
    since: Instant,
    /// Goes off at some time since, and is set anew if something has passed meanwhile: that is far rarer.
    timer: Pin<Box<Sleep>>,
}

impl Silence {
    fn begins() -> Self {
        Self { since: Instant::now(), timer: Box::pin(sleep(SILENCE_MAX)) }
    }

    fn is_broken(&mut self) {
        self.since = Instant::now();
    }

    /// Ready with an error when it has lasted for too long.
    fn poll<T>(&mut self, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        loop {
            ready!(self.timer.as_mut().poll(context));
            let (end, now) = (self.since + SILENCE_MAX, Instant::now());
            if now > end + LATE {
                self.since = now + HEARING - SILENCE_MAX;
            } else if now >= end {
                return Poll::Ready(Err(ErrorKind::TimedOut.into()));
            }
            self.timer.as_mut().reset(self.since + SILENCE_MAX);
        }
    }
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
        let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(context, buffer) else {
            return self.silence.poll(context);
        };
        self.silence.is_broken();
        Poll::Ready(read)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        // Who reads nothing is not listened to either: what is to be written comes first.
        let Poll::Ready(written) = Pin::new(&mut self.stream).poll_write(context, bytes) else {
            return self.silence.poll(context);
        };
        self.silence.is_broken();
        Poll::Ready(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Poll::Ready(written) = Pin::new(&mut self.stream).poll_write_vectored(context, parts) else {
            return self.silence.poll(context);
        };
        self.silence.is_broken();
        Poll::Ready(written)
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
    use std::sync::Arc;

    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;
    use tokio::sync::Semaphore;
    use tokio::time::{sleep_until, timeout};

    use super::*;

    const PAUSE: Duration = Duration::from_millis(100);

    /// One whose timer has gone off, and that is older by so much than it may be.
    fn gone_off(by: Duration) -> Silence {
        let since = Instant::now().checked_sub(SILENCE_MAX + by).unwrap();
        Silence { since, timer: Box::pin(sleep_until(since)) }
    }

    async fn lasts(silence: &mut Silence) -> bool {
        timeout(PAUSE, future::poll_fn(|context| silence.poll::<()>(context))).await.is_err()
    }

    #[tokio::test]
    async fn a_connection_ends_on_which_nothing_passes_and_no_other() {
        let mut whole = gone_off(Duration::ZERO);
        let ended = future::poll_fn(|context| whole.poll::<()>(context)).await.unwrap_err();
        assert_eq!(ended.kind(), ErrorKind::TimedOut);
        let mut broken = gone_off(Duration::ZERO);
        broken.is_broken();
        assert!(lasts(&mut broken).await, "something has passed since");
    }

    #[tokio::test]
    async fn who_stood_still_listens_first() {
        assert!(lasts(&mut gone_off(2 * LATE)).await);
    }

    #[tokio::test]
    async fn a_client_that_reads_nothing_keeps_no_place() {
        let socket = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let _client = TcpStream::connect(socket.local_addr().unwrap()).await.unwrap();
        let place = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let mut connection = Connection::new(socket.accept().await.unwrap().0, place);
        let bytes = [0; 65_536];
        let ended = loop {
            connection.silence = gone_off(Duration::ZERO);
            if let Err(error) = connection.write(&bytes).await {
                break error;
            }
        };
        assert_eq!(ended.kind(), ErrorKind::TimedOut);
        let ended = loop {
            connection.silence = gone_off(Duration::ZERO);
            if let Err(error) = connection.write_vectored(&[IoSlice::new(&bytes)]).await {
                break error;
            }
        };
        assert_eq!(ended.kind(), ErrorKind::TimedOut);
    }
}
