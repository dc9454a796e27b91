//! Frames of the handshake: four bytes length, big-endian, and an encoded message. After the
//! handshake the connection speaks HTTP/2 and frames are over.

use std::io;

use prost::Message;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// No word of the handshake is longer; a stranger cannot make a node allocate more.
pub(crate) const FRAME_BYTES_MAX: usize = 64 * 1024;

/// Sends one message.
pub(crate) async fn send<S: AsyncWrite + Unpin>(stream: &mut S, message: &impl Message) -> io::Result<()> {
    let length = message.encoded_len();
    assert!(length <= FRAME_BYTES_MAX, "a handshake message of {length} bytes");
    let mut frame = Vec::with_capacity(4 + length);
    frame.extend_from_slice(&u32::try_from(length).map_err(io::Error::other)?.to_be_bytes());
    message.encode(&mut frame).map_err(io::Error::other)?;
    stream.write_all(&frame).await?;
    stream.flush().await
}

/// Receives one message.
///
/// # Errors
/// `InvalidData` when the frame is too long or is not the message expected.
pub(crate) async fn receive<S: AsyncRead + Unpin, M: Message + Default>(stream: &mut S) -> io::Result<M> {
    let length = stream.read_u32().await? as usize;
    if length > FRAME_BYTES_MAX {
        let text = format!("a handshake frame of {length} bytes; at most {FRAME_BYTES_MAX} are taken");
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).await?;
    M::decode(bytes.as_slice()).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}
