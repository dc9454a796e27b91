//! Namespaces without root: the program becomes itself once more inside of a user namespace, where it is root over
//! networks of its own. Loop mounts are not to be had there.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use anyhow::{bail, ensure};

use super::trial::missing;

/// Set inside.
const INSIDE: &str = "OPENSHELL_JEPSEN_INSIDE";
/// A place for the names of network namespaces, and a loopback that is up; then the program.
const PREPARE: &str = "mount -t tmpfs tmpfs /run && ip link set lo up && exec \"$0\" \"$@\"";
/// Where the programs that are asked for are, which is not on everybody's path.
const ADMINISTRATORS: &str = "/usr/local/sbin:/usr/sbin:/sbin";
/// Somebody who is not root.
const NOBODY: &str = "65534";

/// Where the program stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entered {
    /// It is root on this machine.
    Root,
    /// It is root in a user namespace.
    Inside,
    /// It is nobody in particular.
    Outside,
}

/// Makes the program enter a user namespace if it is not root, and the machine lets it. Returns where it stands: it
/// begins anew when it enters.
pub(crate) fn enter() -> Entered {
    if std::env::var_os(INSIDE).is_some() {
        return Entered::Inside;
    }
    if nix::unistd::geteuid().is_root() {
        return Entered::Root;
    }
    if attempt().is_err() {
        return Entered::Outside;
    }
    if let Ok(own) = std::env::current_exe() {
        let mut command = unshared("unshare", &[]);
        command.arg(own).args(std::env::args_os().skip(1)).env(INSIDE, "1");
        // It returns when it fails only; then the program goes on outside.
        let _ = command.exec();
    }
    Entered::Outside
}

/// `first` with these words, the user namespace, what is prepared in it; the program and its words are to follow.
fn unshared(first: &str, words: &[&str]) -> Command {
    let mut command = Command::new(first);
    command.args(words).args(["-Urnm", "sh", "-c", PREPARE]).env("PATH", path());
    command
}

fn path() -> String {
    let path = std::env::var("PATH").unwrap_or_default();
    format!("{path}:{ADMINISTRATORS}")
}

/// Whether it works: two namespaces are made in such a place, by somebody who is not root.
///
/// # Errors
/// Why it does not.
pub(super) fn attempt() -> anyhow::Result<&'static str> {
    if std::env::var_os(INSIDE).is_some() {
        return Ok("this program stands in one");
    }
    let is_root = nix::unistd::geteuid().is_root();
    if let Some(missing) = missing(&["unshare", "ip", "nft", "nsenter"]).filter(|_| is_root) {
        bail!("{missing}");
    }
    let mut command = if is_root {
        let user = ["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "unshare"];
        unshared("setpriv", &user)
    } else {
        unshared("unshare", &[])
    };
    let script = "ip netns add one && ip netns add two && \
        ip link add name one netns one type veth peer name two netns two && \
        nsenter --net=/run/netns/one -- nft add table bridge trial && echo made";
    let output = command.args(["sh", "-c", script]).current_dir("/").stdin(Stdio::null()).output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(said.trim() == "made", "{}", String::from_utf8_lossy(&output.stderr).trim());
    Ok("two namespaces were made without root")
}
