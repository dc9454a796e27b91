//! Forgetting a stored token (`cli.md` 1.4, 2.1).

use super::files;
use super::paths::Paths;
use super::registry::Registered;
use super::token::{FILES, Giver};
use crate::failure::Failure;

/// Its presence has the next login ask who is there, whatever the browser remembers.
pub(super) const PROMPT_MARKER: &str = "oidc_login_prompt_required";

/// Deletes the token of a gateway that people log in to, and says whether there was one.
///
/// Errors: nobody logs in to this gateway; a file cannot be written or removed.
pub(crate) fn log_out(paths: &Paths, registered: &Registered) -> Result<bool, Failure> {
    let metadata = &registered.metadata;
    check_login(registered)?;
    let folder = paths.gateway(&metadata.name)?;
    let mut had_token = false;
    for file in FILES {
        had_token |= files::read(&folder.join(file))?.is_some();
        files::remove(&folder.join(file))?;
    }
    if metadata.giver() == Some(Giver::Oidc) {
        files::write(&folder.join(PROMPT_MARKER), b"1\n", 0o600)?;
    }
    Ok(had_token)
}

/// Passes when people log in to the gateway with a token.
pub(crate) fn check_login(registered: &Registered) -> Result<(), Failure> {
    let metadata = &registered.metadata;
    match metadata.giver() {
        Some(_) => Ok(()),
        None => Err(Failure::new(format!(
            "nobody logs in to gateway '{}': its authentication is {}, which knows no token",
            metadata.name,
            metadata.auth()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::{check_login, log_out};
    use crate::config::{Metadata, Paths, Registered, Source};
    use std::fs;

    fn registered(auth_mode: &str) -> Registered {
        let metadata = Metadata { name: "a".into(), auth_mode: Some(auth_mode.into()), ..Metadata::default() };
        Registered { metadata, source: Source::User }
    }

    #[test]
    fn a_token_is_forgotten_and_the_next_login_prompts() {
        let home = tempfile::tempdir().expect("a folder");
        let paths = Paths::from_variables(|name| (name == "XDG_CONFIG_HOME").then(|| home.path().into()));
        let folder = home.path().join("openshell/gateways/a");
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(folder.join("oidc_token.json"), "{}").expect("a file");
        assert_eq!(log_out(&paths, &registered("oidc")), Ok(true));
        assert!(!folder.join("oidc_token.json").exists());
        assert_eq!(fs::read_to_string(folder.join("oidc_login_prompt_required")).expect("a file"), "1\n");
        assert_eq!(log_out(&paths, &registered("oidc")), Ok(false));
    }

    #[test]
    fn where_nobody_logs_in_nobody_logs_out() {
        for mode in ["plaintext", "mtls"] {
            assert!(check_login(&registered(mode)).expect_err("no token").message.contains(mode));
        }
        assert_eq!(check_login(&registered("cloudflare_jwt")), Ok(()));
    }
}
