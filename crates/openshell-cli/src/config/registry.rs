//! The registered gateways and which one is active. A user's entry hides the machine's of the same
//! name; an entry that does not parse is as good as absent.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::files;
use super::logout::PROMPT_MARKER;
use super::metadata::Metadata;
use super::paths::{Paths, check_name, is_name};
use super::position;
use super::token;
use crate::failure::Failure;

/// Whose registration it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The user's own.
    User,
    /// The machine's, read-only.
    System,
}

impl Source {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::System => "system",
        }
    }
}

/// A registration and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Registered {
    pub(crate) metadata: Metadata,
    pub(crate) source: Source,
}

/// Every registration by name.
pub(crate) fn list(paths: &Paths) -> BTreeMap<String, Registered> {
    let mut all = BTreeMap::new();
    let layers = [(Some(paths.system()), Source::System), (paths.user().ok(), Source::User)];
    for (root, source) in layers.into_iter().filter_map(|(root, source)| Some((root?, source))) {
        for entry in fs::read_dir(root.join("gateways")).into_iter().flatten().flatten() {
            let Ok(name) = entry.file_name().into_string() else { continue };
            if let Some(metadata) = read(root, &name) {
                all.insert(name, Registered { metadata, source });
            }
        }
    }
    all
}

/// One registration.
pub(crate) fn find(paths: &Paths, name: &str) -> Option<Registered> {
    if !is_name(name) {
        return None;
    }
    let of_user = paths.user().ok().and_then(|root| read(root, name));
    match of_user {
        Some(metadata) => Some(Registered { metadata, source: Source::User }),
        None => read(paths.system(), name).map(|metadata| Registered { metadata, source: Source::System }),
    }
}

fn read(root: &Path, name: &str) -> Option<Metadata> {
    let text = files::read(&root.join("gateways").join(name).join("metadata.json")).ok()??;
    serde_json::from_str(&text).map_err(|error| tracing::debug!(name, %error, "registration is ignored")).ok()
}

/// The name in `active_gateway`: the user's, else the machine's.
pub(crate) fn active(paths: &Paths) -> Option<String> {
    let roots = paths.user().ok().into_iter().chain([paths.system()]);
    let mut names = roots.filter_map(|root| files::read(&root.join("active_gateway")).ok()?);
    let name = names.next()?.trim().to_owned();
    if is_name(&name) {
        return Some(name);
    }
    tracing::warn!(name, "active_gateway holds no valid name and is ignored");
    None
}

/// Writes a registration of the user's and makes it the active one.
///
/// Errors: the user has one of that name already; the files cannot be written.
pub(crate) fn add(paths: &Paths, metadata: &Metadata) -> Result<(), Failure> {
    let name = metadata.name.as_str();
    check_name(name)?;
    if paths.user().ok().and_then(|root| read(root, name)).is_some() {
        return Err(Failure::new(format!(
            "gateway '{name}' already exists: choose another --name, or remove it first with 'openshell gateway remove {name}'"
        )));
    }
    files::write(&paths.gateway(name)?.join("metadata.json"), metadata.to_text().as_bytes(), 0o644)?;
    files::write(&paths.user()?.join("active_gateway"), name.as_bytes(), 0o644)
}

/// Makes a registered gateway the active one.
pub(crate) fn select(paths: &Paths, name: &str) -> Result<(), Failure> {
    check_name(name)?;
    if find(paths, name).is_none() {
        return Err(unknown(name));
    }
    files::write(&paths.user()?.join("active_gateway"), name.as_bytes(), 0o644)
}

/// Removes a registration of the user's with its tokens and how far it was seen; the TLS bundle stays.
pub(crate) fn remove(paths: &Paths, name: &str) -> Result<(), Failure> {
    let folder = paths.gateway(name)?;
    let registered = find(paths, name).ok_or_else(|| unknown(name))?;
    if registered.source == Source::System {
        return Err(Failure::new(format!(
            "gateway '{name}' is registered for the whole machine in {}; only an administrator can remove it there",
            paths.system().display()
        )));
    }
    // The next gateway of this name may be another cluster.
    let of_position = [position::FILE, position::LOCK];
    let others = ["metadata.json", PROMPT_MARKER];
    for file in others.into_iter().chain(token::FILES).chain(of_position) {
        files::remove(&folder.join(file))?;
    }
    let active = paths.user()?.join("active_gateway");
    match files::read(&active)? {
        Some(text) if text.trim() == name => files::remove(&active),
        Some(_) | None => Ok(()),
    }
}

/// For a name that nobody registered.
pub(super) fn unknown(name: &str) -> Failure {
    Failure::new(format!("unknown gateway '{name}': 'openshell gateway list' shows the registered ones"))
}
