//! The sandbox used last with a gateway: two lines, workspace and name (`cli.md` 1.14). Convenience only,
//! so that a failure to store it is no failure of the command.

use super::files;
use super::paths::{Paths, is_name};

const FILE: &str = "last_sandbox";

/// The name stored for this gateway, if it was in this workspace.
pub(crate) fn last_sandbox(paths: &Paths, gateway: &str, workspace: &str) -> Option<String> {
    if !is_name(gateway) {
        return None;
    }
    let text = files::read(&paths.gateway(gateway).ok()?.join(FILE)).ok()??;
    let mut lines = text.lines();
    (lines.next()? == workspace).then(|| lines.next().map(str::to_owned))?.filter(|name| !name.is_empty())
}

/// Stores the name, unless the gateway is known by its URL only.
pub(crate) fn remember_sandbox(paths: &Paths, gateway: &str, workspace: &str, sandbox: &str) {
    if !is_name(gateway) {
        return;
    }
    let stored = paths
        .gateway(gateway)
        .and_then(|folder| files::write(&folder.join(FILE), format!("{workspace}\n{sandbox}\n").as_bytes(), 0o644));
    if let Err(failure) = stored {
        tracing::warn!(message = failure.message, "the sandbox used last is not remembered");
    }
}

/// Forgets the name if it is this one.
pub(crate) fn forget_sandbox(paths: &Paths, gateway: &str, workspace: &str, sandbox: &str) {
    if last_sandbox(paths, gateway, workspace).is_some_and(|last| last == sandbox) {
        drop(paths.gateway(gateway).and_then(|folder| files::remove(&folder.join(FILE))));
    }
}
