//! `openshell sandbox token`: a token into a file that its owner alone may read, never onto the screen,
//! whose history and logs keep what they were shown.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use clap::Args;
use openshell_client::methods;
use openshell_proto::cluster::IssueSandboxTokenRequest;

use crate::context::Context;
use crate::failure::Failure;
use crate::output::time_text;

#[derive(Debug, Args)]
pub(crate) struct TokenArguments {
    /// The sandbox; the one used last when absent.
    name: Option<String>,
    /// The file to write, readable by its owner only.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Replaces the file if it is there.
    #[arg(long)]
    force: bool,
}

pub(super) async fn run(arguments: TokenArguments, context: &mut Context<'_>) -> Result<(), Failure> {
    let session = context.session()?;
    let name = context.sandbox_name(&session, arguments.name)?;
    // Asked for first, a token would be on its way for nothing.
    if !arguments.force && fs::symlink_metadata(&arguments.output).is_ok() {
        return Err(exists(&arguments.output));
    }
    let request = IssueSandboxTokenRequest { name: name.clone(), workspace: session.workspace.clone() };
    let answer = session.read(&methods::ISSUE_SANDBOX_TOKEN, request).await?;
    write(&arguments.output, &answer.token, arguments.force)?;
    let until = match answer.expires_at_ms {
        0 => "does not expire".to_owned(),
        expires_at_ms => format!("valid until {} UTC", time_text(expires_at_ms)),
    };
    context.console.done(&format!("Wrote a token of sandbox {name} to {} ({until})", arguments.output.display()));
    Ok(())
}

fn exists(path: &Path) -> Failure {
    Failure::new(format!("{} is there already; name another file, or replace it with --force", path.display()))
}

/// Writes a new file, or one that takes the place of the old: never into a file that was there, whose
/// mode and readers are not ours.
fn write(path: &Path, token: &str, replace: bool) -> Result<(), Failure> {
    let target = if replace { beside(path) } else { path.to_owned() };
    let written = || -> io::Result<()> {
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&target)?;
        // The mode asked for is less what the process masks; the owner must be able to read it.
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
        writeln!(file, "{token}")?;
        file.sync_all()?;
        if replace { fs::rename(&target, path) } else { Ok(()) }
    };
    written().map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists if !replace => exists(path),
        _ => Failure::new(format!("could not write {}", path.display())).because(&error),
    })
}

/// A name in the same folder that nobody uses.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::write;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_token_is_its_owners_alone_and_replaces_nothing_unasked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        write(&path, "one", false).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\n");
        let refused = write(&path, "two", false).unwrap_err();
        assert!(refused.message.contains("--force"), "{}", refused.message);
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\n");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        write(&path, "two", true).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "two\n");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
