//! The gateway's program, where there is none yet: whoever says `cargo run -p openshell-jepsen` has built the harness
//! alone. Looking for it is `openshell_tests`' work.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Context;
use openshell_tests::binary;

use crate::report::say;

/// What every node runs.
const GATEWAY: &str = "openshell-gateway";
/// The whole workspace's: cargo unites features, and a gateway that is built by itself cannot be told to fail.
const MANIFEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");

/// Builds the gateway when it is missing and cargo started this program, which then begins anew: it is of the workspace
/// too, so that its own file is another one now. To be called before the program enters a namespace, where there is no
/// network for cargo. A program that was started otherwise builds nothing, and finds out when it starts nodes.
///
/// # Errors
/// When it is missing after the build too.
pub(crate) fn build_missing() -> anyhow::Result<()> {
    let Err(missing) = binary(GATEWAY) else { return Ok(()) };
    let own = std::env::current_exe().context("the path of this program is unknown")?;
    let cargo = std::env::var_os("CARGO").filter(|cargo| !cargo.is_empty());
    let Some(mut build) = cargo.and_then(|cargo| command(cargo, &own)) else { return Ok(()) };
    say(&format!("{GATEWAY} is not beside this program yet: the whole workspace is built, which takes minutes"));
    match build.status() {
        Ok(status) if status.success() => begin_anew(&own),
        Ok(status) => Err(missing.context(format!("cargo ended with {status}"))),
        Err(error) => Err(missing.context(format!("cargo could not be started: {error}"))),
    }
}

/// What builds the workspace beside a program, as that was built; none where cargo does not put programs.
fn command(cargo: OsString, own: &Path) -> Option<Command> {
    let folder = own.parent()?;
    let profile: &[&str] = match folder.file_name()?.to_str()? {
        "release" => &["--release"],
        "debug" => &[],
        _ => return None,
    };
    let mut command = Command::new(cargo);
    command.args(["build", "--workspace", "--manifest-path", MANIFEST]).args(profile);
    command.arg("--target-dir").arg(folder.parent()?).stdin(Stdio::null());
    Some(command)
}

/// Becomes the program that lies there now, with the same words. It returns when it fails only.
fn begin_anew(own: &Path) -> anyhow::Result<()> {
    // Once more without it would be for ever.
    binary(GATEWAY).context("cargo built it elsewhere")?;
    let error = Command::new(own).args(std::env::args_os().skip(1)).exec();
    Err(error).with_context(|| format!("starting {}", own.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_built_beside_this_program_and_as_it_was() {
        let words = |own: &str| {
            let command = command("cargo".into(), Path::new(own))?;
            let words: Vec<String> = command.get_args().map(|word| word.to_string_lossy().into_owned()).collect();
            Some(words.join(" "))
        };
        let all = format!("build --workspace --manifest-path {MANIFEST}");
        assert_eq!(words("/t/release/openshell-jepsen"), Some(format!("{all} --release --target-dir /t")));
        assert_eq!(words("/t/debug/openshell-jepsen"), Some(format!("{all} --target-dir /t")));
        assert_eq!(words("/usr/bin/openshell-jepsen"), None);
    }

    #[test]
    fn the_manifest_is_that_of_the_workspace() {
        let text = std::fs::read_to_string(MANIFEST).unwrap();
        assert!(text.starts_with("[workspace]\n") && text.contains("\"jepsen\""), "{text}");
    }
}
