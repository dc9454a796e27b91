//! The token that is stored for a gateway that people log in to (`cli.md` 1.4, 1.8). Logging in and renewing
//! are not here: a token is whatever lies in the file.

use std::path::PathBuf;

use serde::Deserialize;

use super::files;
use super::paths::{Paths, is_name};
use super::selection::Selected;
use crate::failure::Failure;

/// So long before its time a token counts as expired, in seconds.
const MARGIN_S: i64 = 30;
/// The file of an issuer's token.
const OIDC: &str = "oidc_token.json";
/// The file of an edge's token, and its old name.
const EDGE: [&str; 2] = ["edge_token", "cf_token"];
/// Every file that may hold a token.
pub(super) const FILES: [&str; 3] = [OIDC, EDGE[0], EDGE[1]];

/// Who gives tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Giver {
    /// An issuer of OpenID Connect.
    Oidc,
    /// A proxy in front of the gateway.
    Edge,
}

/// A token as it is stored.
pub(crate) struct Token {
    pub(crate) giver: Giver,
    /// Where it lies.
    pub(crate) path: PathBuf,
    value: String,
    /// In seconds since 1970; never when absent.
    expires_at: Option<i64>,
}

#[derive(Deserialize)]
struct Stored {
    access_token: String,
    expires_at: Option<i64>,
}

impl Token {
    /// The headers that calls carry it in.
    pub(crate) fn headers(&self) -> Vec<(&'static str, String)> {
        match self.giver {
            Giver::Oidc => vec![("authorization", format!("Bearer {}", self.value))],
            Giver::Edge => vec![
                ("cf-access-jwt-assertion", self.value.clone()),
                ("cookie", format!("CF_Authorization={}", self.value)),
            ],
        }
    }

    /// Whether it is of no use any more at a time in seconds since 1970.
    pub(crate) fn is_expired(&self, now_s: i64) -> bool {
        self.expires_at.is_some_and(|end| end.saturating_sub(MARGIN_S) <= now_s)
    }
}

/// The token stored for a gateway whose registration says that people log in to it.
///
/// Errors: the file cannot be read, or holds no token.
pub(crate) fn stored_token(paths: &Paths, selected: &Selected) -> Result<Option<Token>, Failure> {
    if !is_name(&selected.name) {
        return Ok(None);
    }
    match selected.registered.as_ref().and_then(|entry| entry.metadata.giver()) {
        Some(Giver::Oidc) => oidc(paths.gateway(&selected.name)?.join(OIDC)),
        Some(Giver::Edge) => {
            let folder = paths.gateway(&selected.name)?;
            let mut found = EDGE.iter().map(|file| edge(folder.join(file)));
            found.find(|token| !matches!(token, Ok(None))).unwrap_or(Ok(None))
        }
        None => Ok(None),
    }
}

fn oidc(path: PathBuf) -> Result<Option<Token>, Failure> {
    let Some(text) = files::read(&path)? else { return Ok(None) };
    let Stored { access_token, expires_at } = serde_json::from_str(&text)
        .map_err(|error| Failure::new(format!("{} holds no token", path.display())).because(&error))?;
    Ok(Some(Token { giver: Giver::Oidc, path, value: access_token, expires_at }))
}

/// Nothing but the token itself, whose own time is the edge's to judge.
fn edge(path: PathBuf) -> Result<Option<Token>, Failure> {
    let value = files::read(&path)?.map(|text| text.trim().to_owned()).filter(|value| !value.is_empty());
    Ok(value.map(|value| Token { giver: Giver::Edge, path, value, expires_at: None }))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::{Giver, Token, stored_token};
    use crate::config::{Metadata, Paths, Registered, Selected, Source};
    use crate::failure::Failure;

    /// What is stored for the gateway `g`, registered in this way, when these files lie in its folder.
    fn stored(auth_mode: &str, files: &[(&str, &str)]) -> Result<Option<Token>, Failure> {
        let root = TempDir::new().expect("a folder");
        let config = root.path().as_os_str().to_owned();
        let paths = Paths::from_variables(|name| (name == "XDG_CONFIG_HOME").then(|| config.clone()));
        let folder = root.path().join("openshell/gateways/g");
        fs::create_dir_all(&folder).expect("a folder");
        for (name, text) in files {
            fs::write(folder.join(name), text).expect("a file");
        }
        let metadata = Metadata { name: "g".into(), auth_mode: Some(auth_mode.into()), ..Metadata::default() };
        let registered = Some(Registered { metadata, source: Source::User });
        stored_token(&paths, &Selected { name: "g".into(), endpoints: "http://g:1".into(), registered })
    }

    fn token(auth_mode: &str, files: &[(&str, &str)]) -> Option<Token> {
        stored(auth_mode, files).expect("readable files")
    }

    #[test]
    fn the_registration_says_which_token_goes_into_which_headers() {
        let files =
            [("oidc_token.json", r#"{"access_token":"t","issuer":"x","client_id":"y"}"#), ("edge_token", "e\n")];
        let oidc = token("oidc", &files).expect("a token");
        assert_eq!(oidc.headers(), [("authorization", "Bearer t".to_owned())]);
        let edge = token("cloudflare_jwt", &files).expect("a token");
        assert_eq!(edge.giver, Giver::Edge);
        assert_eq!(
            edge.headers(),
            [("cf-access-jwt-assertion", "e".to_owned()), ("cookie", "CF_Authorization=e".to_owned())]
        );
        for auth_mode in ["plaintext", "mtls"] {
            assert!(token(auth_mode, &files).is_none(), "{auth_mode}");
        }
        for auth_mode in ["oidc", "cloudflare_jwt"] {
            assert!(token(auth_mode, &[]).is_none(), "{auth_mode}");
        }
    }

    #[test]
    fn the_old_name_of_an_edges_token_is_known_and_the_new_one_comes_first() {
        let value = |files: &[(&str, &str)]| token("cloudflare_jwt", files).map(|token| token.value);
        assert_eq!(value(&[("cf_token", "old")]).as_deref(), Some("old"));
        assert_eq!(value(&[("cf_token", "old"), ("edge_token", "new")]).as_deref(), Some("new"));
        assert_eq!(value(&[("edge_token", " \n")]), None);
    }

    #[test]
    fn a_token_expires_half_a_minute_early_and_without_a_time_never() {
        let expiring = token("oidc", &[("oidc_token.json", r#"{"access_token":"t","expires_at":1000}"#)]);
        let expiring = expiring.expect("a token");
        assert_eq!([969, 970, 2000].map(|now| expiring.is_expired(now)), [false, true, true]);
        let lasting = token("oidc", &[("oidc_token.json", r#"{"access_token":"t"}"#)]).expect("a token");
        assert!(!lasting.is_expired(i64::MAX));
    }

    #[test]
    fn a_file_without_a_token_is_named() {
        let failure = stored("oidc", &[("oidc_token.json", "{}")]).err().expect("no token");
        assert!(failure.message.ends_with("oidc_token.json holds no token"), "{}", failure.message);
    }
}
