//! Certificates that belong to a gateway (`cli.md` 1.5, 1.7).

use std::fs;
use std::path::PathBuf;

use openshell_client::Tls;

use super::files;
use super::paths::Paths;
use crate::failure::Failure;

const BUNDLE: [&str; 3] = ["ca.crt", "tls.crt", "tls.key"];

/// How `https` endpoints are trusted: nobody is verified when the user says so, else the gateway's own
/// bundle. With a token the client certificate may be missing, and with the authority's too those that this
/// machine trusts are.
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
    let has_no_authority = matches!(folder.join(BUNDLE[0]).try_exists(), Ok(false));
    if has_token && has_no_authority {
        return Ok(Tls::System);
    }
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
