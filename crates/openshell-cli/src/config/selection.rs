//! Which gateway a command means: flags, then the registration they name, then the active one
//! (`cli.md` 1.6).

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
    Ok(Selected { name, endpoints: registered.metadata.gateway_endpoint.clone(), registered: Some(registered) })
}

fn with_endpoints(paths: &Paths, name: Option<&str>, endpoints: &str) -> Selected {
    let known = match name {
        Some(name) => Some(name.to_owned()),
        None => {
            let bare = |text: &str| text.trim_end_matches('/').to_owned();
            let all = list(paths);
            let matches = |name: &String| {
                all.get(name).is_some_and(|entry| bare(&entry.metadata.gateway_endpoint) == bare(endpoints))
            };
            active(paths).into_iter().chain(all.keys().cloned()).find(matches)
        }
    };
    let registered = known.as_deref().and_then(|name| find(paths, name));
    Selected { name: known.unwrap_or_else(|| endpoints.to_owned()), endpoints: endpoints.to_owned(), registered }
}
