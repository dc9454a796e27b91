//! When the process is asked to stop: SIGTERM or Ctrl-C.

use tokio::signal::unix::{SignalKind, signal};

/// Ends when the process is asked to stop.
pub(crate) async fn asked_to_stop() -> std::io::Result<&'static str> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    })
}
