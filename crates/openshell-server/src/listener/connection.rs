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
/// seconds at least (`run.rs`).
const SILENCE_MAX: Duration = Duration::from_secs(60);

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
            let end = self.since + SILENCE_MAX;
            if Instant::now() >= end {
                return Poll::Ready(Err(ErrorKind::TimedOut.into()));
            }
            self.timer.as_mut().reset(end);
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
        let written = ready!(Pin::new(&mut self.stream).poll_write(context, bytes));
        self.silence.is_broken();
        Poll::Ready(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(context, parts));
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

    use tokio::time::{sleep_until, timeout};

    use super::*;

    const PAUSE: Duration = Duration::from_millis(100);

    #[tokio::test]
    async fn a_connection_ends_on_which_nothing_passes_and_no_other() {
        let long_ago = Instant::now().checked_sub(SILENCE_MAX).unwrap();
        let gone_off = || Silence { since: long_ago, timer: Box::pin(sleep_until(long_ago)) };
        let mut whole = gone_off();
        let ended = future::poll_fn(|context| whole.poll::<()>(context)).await.unwrap_err();
        assert_eq!(ended.kind(), ErrorKind::TimedOut);
        let mut broken = gone_off();
        broken.is_broken();
        let goes_on = timeout(PAUSE, future::poll_fn(|context| broken.poll::<()>(context))).await;
        assert!(goes_on.is_err(), "something has passed since");
    }
}
