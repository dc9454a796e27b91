//! Certificates and tokens that belong to a gateway (`cli.md` 1.5, 1.7, 1.8). Logging in is not here:
//! a token is whatever lies in the file.

use std::fs;
use std::path::PathBuf;

use openshell_client::Tls;
use serde::Deserialize;

use super::files;
use super::paths::{Paths, is_name};
use super::selection::Selected;
use crate::failure::Failure;

const BUNDLE: [&str; 3] = ["ca.crt", "tls.crt", "tls.key"];

#[derive(Deserialize)]
struct StoredToken {
    access_token: String,
}

/// The OIDC access token stored for a gateway that is registered with it.
pub(crate) fn bearer_token(paths: &Paths, selected: &Selected) -> Result<Option<String>, Failure> {
    let is_oidc = selected.registered.as_ref().is_some_and(|entry| entry.metadata.auth() == "oidc");
    if !is_oidc || !is_name(&selected.name) {
        return Ok(None);
    }
    let path = paths.gateway(&selected.name)?.join("oidc_token.json");
    let Some(text) = files::read(&path)? else { return Ok(None) };
    let token: StoredToken = serde_json::from_str(&text)
        .map_err(|error| Failure::new(format!("{} holds no token", path.display())).because(&error))?;
    Ok(Some(token.access_token))
}

/// How `https` endpoints are trusted: nobody is verified when the user says so, else the gateway's own
/// bundle. With a token the client certificate may be missing, never the authority.
pub(crate) fn tls_for(paths: &Paths, name: &str, is_insecure: bool, has_token: bool) -> Result<Tls, Failure> {
    if is_insecure {
        tracing::warn!("the gateway's certificate is not verified");
        return Ok(Tls::Insecure);
    }
    let folder = paths.mtls(name)?;
    let read = |file: &str| {
        let path = folder.join(file);
        fs::read(&path).map_err(|error| {
            Failure::new(format!("the TLS bundle of gateway '{name}' has no readable {}", path.display()))
                .because(&error)
        })
    };
    let ca_pem = read(BUNDLE[0])?;
    let identity_pem = match (read(BUNDLE[1]), read(BUNDLE[2])) {
        (Ok(certificate), Ok(key)) => Some((certificate, key)),
        (Err(_), _) | (_, Err(_)) if has_token => None,
        (Err(failure), _) | (_, Err(failure)) => return Err(failure),
    };
    Ok(Tls::Bundle { ca_pem, identity_pem })
}

/// The first file that the bundle of a gateway lacks.
pub(crate) fn missing_bundle_file(paths: &Paths, name: &str) -> Result<Option<PathBuf>, Failure> {
    let folder = paths.mtls(name)?;
    Ok(BUNDLE.into_iter().map(|file| folder.join(file)).find(|path| !path.is_file()))
}

/// Copies a bundle that a local gateway left on this machine, unless the gateway has one or there is
/// none.
pub(crate) fn import_bundle(paths: &Paths, name: &str) -> Result<(), Failure> {
    let sources = ["ca.crt", "client/tls.crt", "client/tls.key"];
    let Some(found) = paths.bundles().iter().find(|folder| sources.iter().all(|file| folder.join(file).is_file()))
    else {
        return Ok(());
    };
    let folder = paths.mtls(name)?;
    for (source, file) in sources.into_iter().zip(BUNDLE) {
        let path = found.join(source);
        let bytes = fs::read(&path)
            .map_err(|error| Failure::new(format!("could not read {}", path.display())).because(&error))?;
        files::write(&folder.join(file), &bytes, if file == "tls.key" { 0o600 } else { 0o644 })?;
    }
    Ok(())
}
