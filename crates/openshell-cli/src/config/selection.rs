//! Which gateway a command means: flags, then the registration they name, then the active one
//! (`cli.md` 1.6).

use std::collections::BTreeSet;

use super::paths::Paths;
use super::registry::{Registered, active, find, list, unknown};
use crate::failure::Failure;

/// The gateway that a command goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Selected {
    /// Names the token, the bundle and the sandbox used last; the endpoint itself when nothing better
    /// is known, and then nothing is stored under it.
    pub(crate) name: String,
    /// Comma-separated URLs.
    pub(crate) endpoints: String,
    /// As registered, if it is.
    pub(crate) registered: Option<Registered>,
}

impl Selected {
    /// The name that how far it was seen is kept under. Empty when the endpoints are not those of the
    /// registration of this name: they may be another cluster's, and nothing is kept.
    pub(crate) fn place(&self) -> &str {
        let is_it = |entry: &Registered| bare(&self.endpoints).is_subset(&bare(&entry.metadata.endpoints()));
        match self.registered.as_ref().is_none_or(is_it) {
            true => &self.name,
            false => "",
        }
    }
}

/// Resolves the two flags (or their variables) against the registrations.
///
/// Errors: the name is not registered; there is neither flag nor active gateway.
pub(crate) fn resolve(paths: &Paths, name: Option<&str>, endpoints: Option<&str>) -> Result<Selected, Failure> {
    if let Some(endpoints) = endpoints {
        return Ok(with_endpoints(paths, name, endpoints));
    }
    let name = match name {
        Some(name) => name.to_owned(),
        None => active(paths).ok_or_else(|| {
            Failure::new("no active gateway: add one with 'openshell gateway add URL', or choose one with 'openshell gateway select NAME'")
        })?,
    };
    let registered = find(paths, &name).ok_or_else(|| unknown(&name))?;
    Ok(Selected { name, endpoints: registered.metadata.endpoints(), registered: Some(registered) })
}

/// The URLs of a list, as they are compared.
fn bare(list: &str) -> BTreeSet<&str> {
    list.split(',').map(|url| url.trim().trim_end_matches('/')).collect()
}

/// Takes its name from a registration that has all of the endpoints: they may be some of a cluster's nodes.
fn with_endpoints(paths: &Paths, name: Option<&str>, endpoints: &str) -> Selected {
    let known = match name {
        Some(name) => Some(name.to_owned()),
        None => {
            let given = bare(endpoints);
            let all = list(paths);
            let matches = |name: &String| {
                let registered = all.get(name).map(|entry| entry.metadata.endpoints());
                registered.is_some_and(|registered| given.is_subset(&bare(&registered)))
            };
            active(paths).into_iter().chain(all.keys().cloned()).find(matches)
        }
    };
    let registered = known.as_deref().and_then(|name| find(paths, name));
    Selected { name: known.unwrap_or_else(|| endpoints.to_owned()), endpoints: endpoints.to_owned(), registered }
}
