//! A look at `GET /healthz` over HTTP/1.1, for when gRPC does not work (`cli.md` 2.2). Not a HTTP
//! client: it reads the status line and hangs up.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::client::Client;
use crate::endpoint::EndpointUrl;
use crate::error::{EndpointFailure, causes};
use crate::line::Line;

const STATUS_LINE_BYTES_MAX: usize = 256;

impl Client {
    /// The HTTP status of `GET /healthz`, asked of all endpoints at once: the first that says that all is well,
    /// otherwise the first that came within `limit`.
    ///
    /// # Errors
    /// One failure for each endpoint, when none answered. A retry is safe.
    pub async fn probe_health(&self, limit: Duration) -> Result<u16, Vec<EndpointFailure>> {
        let mut probing = JoinSet::new();
        for (index, line) in self.inner.lines.iter().cloned().enumerate() {
            probing.spawn(async move {
                let causes = match timeout(limit, probe(&line)).await {
                    Ok(Ok(status)) => return Ok(status),
                    Ok(Err(error)) => causes(&error),
                    Err(_) => vec![format!("no answer within {} ms", limit.as_millis())],
                };
                Err((index, EndpointFailure { endpoint: line.endpoint().to_string(), causes }))
            });
        }
        let (mut unwell, mut failures) = (None, BTreeMap::new());
        while let Some(probed) = probing.join_next().await {
            match probed {
                Ok(Ok(status @ 200..300)) => return Ok(status),
                Ok(Ok(status)) => unwell = unwell.or(Some(status)),
                Ok(Err((index, failure))) => drop(failures.insert(index, failure)),
                Err(error) => tracing::debug!(%error, "a look at one endpoint broke off"),
            }
        }
        unwell.ok_or_else(|| failures.into_values().collect())
    }
}

async fn probe(line: &Line) -> io::Result<u16> {
    let mut stream = line.dialler().connect(line.endpoint(), false).await?;
    stream.write_all(request(line.endpoint()).as_bytes()).await?;
    stream.flush().await?;
    let mut text = Vec::new();
    while text.len() < STATUS_LINE_BYTES_MAX && !text.contains(&b'\n') {
        let mut part = [0; STATUS_LINE_BYTES_MAX];
        match stream.read(&mut part).await? {
            0 => break,
            count => text.extend_from_slice(&part[..count]),
        }
    }
    status_of(&text).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the answer is not HTTP/1.1"))
}

fn request(endpoint: &EndpointUrl) -> String {
    format!("GET /healthz HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", endpoint.authority())
}

fn status_of(answer: &[u8]) -> Option<u16> {
    let line = answer.split(|byte| *byte == b'\r' || *byte == b'\n').next()?;
    let mut words = std::str::from_utf8(line).ok()?.split(' ');
    words.next().filter(|version| version.starts_with("HTTP/1."))?;
    words.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::status_of;

    #[test]
    fn the_status_is_the_second_word_of_an_http_answer() {
        assert_eq!(status_of(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n"), Some(200));
        assert_eq!(status_of(b"HTTP/1.0 404\r\n"), Some(404));
        assert_eq!(status_of(b"PRI * HTTP/2.0\r\n"), None);
        assert_eq!(status_of(b""), None);
    }
}
