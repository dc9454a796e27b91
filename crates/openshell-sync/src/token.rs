//! The token of the sandbox: where it comes from, when it is exchanged for a new one, and how the new one
//! is kept. A file may also be replaced by others at any time; then theirs counts.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use crate::disk;

/// A token is exchanged once this share of its life is over, so that several attempts are left.
const SHARE: i64 = 2;
const OF: i64 = 3;
/// Larger files are no tokens.
const BYTES_MAX: usize = 64 * 1024;

/// Where the sandbox's token is.
#[derive(Clone)]
pub enum TokenSource {
    /// In a file, which is replaced when a new token is issued, if the system allows it.
    File(PathBuf),
    /// Here. A new one is kept in memory only.
    Text(String),
}

/// Why there is no token. A retry is safe.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file cannot be read.
    #[error("reading the token in {}", .path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is nothing in it, or more than a token.
    #[error("{place} holds no token: {problem}")]
    NoToken {
        /// The file, or the text that was given.
        place: String,
        /// What is wrong.
        problem: &'static str,
    },
}

/// A token in use.
pub(crate) struct Token {
    source: TokenSource,
    text: String,
    /// What the file held when it was last looked at.
    seen: String,
}

#[derive(Deserialize)]
struct Claims {
    #[serde(default)]
    iat: i64,
    #[serde(default)]
    exp: i64,
}

impl std::fmt::Debug for TokenSource {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => formatter.debug_tuple("File").field(path).finish(),
            Self::Text(_) => formatter.write_str("Text"),
        }
    }
}

impl TokenSource {
    fn read(&self) -> Result<String, TokenError> {
        let (place, text) = match self {
            Self::Text(text) => ("the text".to_owned(), text.clone()),
            Self::File(path) => {
                let unreadable = |source| TokenError::Unreadable { path: path.clone(), source };
                (path.display().to_string(), beginning(path).map_err(unreadable)?)
            }
        };
        let token = text.trim();
        let problem = match token {
            "" => "it is empty",
            _ if text.len() > BYTES_MAX => "it is too long",
            _ if !token.bytes().all(|byte| byte.is_ascii_graphic()) => "there is a space or a line break in it",
            _ => return Ok(token.to_owned()),
        };
        Err(TokenError::NoToken { place, problem })
    }
}

/// As much of a file as tells whether it is longer than any token.
fn beginning(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(BYTES_MAX as u64 + 1).read_to_string(&mut text)?;
    Ok(text)
}

impl Token {
    pub(crate) fn read(source: TokenSource) -> Result<Self, TokenError> {
        let text = source.read()?;
        Ok(Self { source, seen: text.clone(), text })
    }

    /// As it is shown to gateways.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Looks whether somebody has put another one into the file. One that cannot be read changes nothing.
    pub(crate) fn was_replaced(&mut self) -> bool {
        match self.source.read() {
            Ok(text) if text != self.seen => {
                self.text.clone_from(&text);
                self.seen = text;
                true
            }
            Ok(_) | Err(_) => false,
        }
    }

    /// The one in use was refused: takes what the file holds, if that is another. A new one that could not be kept
    /// there is given up then.
    pub(crate) fn take_another(&mut self) -> bool {
        match self.source.read() {
            Ok(text) if text != self.text => {
                self.seen.clone_from(&text);
                self.text = text;
                true
            }
            Ok(_) | Err(_) => false,
        }
    }

    /// Takes a new one, and keeps it in the place of the old one. Where somebody else has put another one there
    /// meanwhile, that one counts and stays.
    ///
    /// # Errors
    /// When the file cannot be replaced; the new one is in use nevertheless.
    pub(crate) async fn renew(&mut self, text: String) -> io::Result<()> {
        if self.was_replaced() {
            return Ok(());
        }
        self.text = text;
        let TokenSource::File(path) = &self.source else { return Ok(()) };
        let (path, line) = (path.clone(), format!("{}\n", self.text));
        let writing = tokio::task::spawn_blocking(move || disk::replace_file(&path, line.as_bytes()));
        writing.await.map_err(io::Error::other)??;
        self.seen.clone_from(&self.text);
        Ok(())
    }

    /// After what time it is to be exchanged; never, when it does not expire or does not say.
    pub(crate) fn renew_in(&self, now_ms: i64) -> Option<Duration> {
        let payload = self.text.split('.').nth(1)?;
        let payload = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
        // What it says is believed by nobody here: it decides when to ask.
        let Claims { iat, exp } = serde_json::from_slice(&payload).ok()?;
        let due_s = (exp > iat).then(|| iat.saturating_add((exp - iat) / OF * SHARE))?;
        let left_ms = due_s.saturating_mul(1000).saturating_sub(now_ms);
        Some(Duration::from_millis(u64::try_from(left_ms).unwrap_or(0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jwt(payload: &str) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(payload))
    }

    fn token(text: &str) -> Token {
        Token::read(TokenSource::Text(text.to_owned())).expect("a token")
    }

    #[test]
    fn a_token_is_exchanged_when_two_thirds_of_its_life_are_over() {
        let of = |payload: &str| token(&jwt(payload)).renew_in(1_000_000);
        assert_eq!(of(r#"{"iat":1000,"exp":4000}"#), Some(Duration::from_secs(2000)));
        assert_eq!(of(r#"{"iat":10,"exp":40}"#), Some(Duration::ZERO), "late is at once");
        assert_eq!(of(r#"{"iat":1000,"exp":0}"#), None, "it is valid for ever");
        for text in ["no-jwt", "a.b.c", "a.!.c"] {
            assert_eq!(token(text).renew_in(0), None, "{text}");
        }
    }

    #[tokio::test]
    async fn the_file_is_replaced_by_a_new_token_and_by_others() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("token");
        std::fs::write(&path, " first\n").expect("written");
        let mut token = Token::read(TokenSource::File(path.clone())).expect("a token");
        assert_eq!(token.text(), "first");
        token.renew("second".to_owned()).await.expect("kept");
        assert_eq!(std::fs::read_to_string(&path).expect("it is there"), "second\n");
        assert!(!token.was_replaced());
        std::fs::write(&path, "third").expect("written");
        assert!(token.was_replaced() && !token.was_replaced());
        assert_eq!(token.text(), "third");
        std::fs::write(&path, "fourth").expect("written");
        token.renew("asked for before".to_owned()).await.expect("nothing to keep");
        assert_eq!(std::fs::read_to_string(&path).expect("it is there"), "fourth", "what others put there stays");
        assert_eq!(token.text(), "fourth");
        std::fs::remove_file(&path).expect("removed");
        assert!(!token.was_replaced());
        assert_eq!(token.text(), "fourth");
    }

    #[tokio::test]
    async fn of_a_token_that_was_refused_only_another_one_is_taken() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("token");
        std::fs::write(&path, "first").expect("written");
        let mut token = Token::read(TokenSource::File(path.clone())).expect("a token");
        assert!(!token.take_another(), "it is the one that was refused");
        std::fs::write(&path, "second\n").expect("written");
        assert!(token.take_another() && !token.take_another());
        assert_eq!(token.text(), "second");
        assert!(!token.was_replaced(), "it was seen");
        std::fs::write(&path, "").expect("written");
        assert!(!token.take_another(), "somebody is about to write one");
        let mut kept_nowhere = Token::read(TokenSource::Text("given".to_owned())).expect("a token");
        kept_nowhere.renew("renewed".to_owned()).await.expect("nothing to keep");
        assert!(kept_nowhere.take_another() && !kept_nowhere.take_another());
        assert_eq!(kept_nowhere.text(), "given");
    }

    #[test]
    fn what_is_no_token_is_said() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("token");
        let read = || Token::read(TokenSource::File(path.clone())).map(|_| ()).expect_err("no token").to_string();
        assert!(read().contains("reading the token in"), "{}", read());
        let long = "x".repeat(BYTES_MAX + 1);
        for (text, problem) in [("\n", "empty"), ("two words", "a space"), (&long, "too long")] {
            std::fs::write(&path, text).expect("written");
            assert!(read().contains(problem), "{}", read());
        }
    }
}
