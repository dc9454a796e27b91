//! Where the files lie, from the environment. Nothing is read or written here.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// The folders that configuration is looked for in.
#[derive(Clone, Debug)]
pub(crate) struct Paths {
    user: Option<PathBuf>,
    system: PathBuf,
    bundles: Vec<PathBuf>,
}

impl Paths {
    /// From variables: `XDG_CONFIG_HOME` or `HOME`, `OPENSHELL_SYSTEM_GATEWAY_DIR`,
    /// `OPENSHELL_LOCAL_TLS_DIR`, `XDG_STATE_HOME`.
    pub(crate) fn from_variables(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let path = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let home = path("HOME");
        let config = path("XDG_CONFIG_HOME").or_else(|| home.as_ref().map(|home| home.join(".config")));
        let system = match variable("OPENSHELL_SYSTEM_GATEWAY_DIR").map(PathBuf::from) {
            Some(path) if path.is_absolute() => path,
            Some(path) => {
                tracing::warn!(path = %path.display(), "OPENSHELL_SYSTEM_GATEWAY_DIR is not an absolute path and is ignored");
                PathBuf::from("/etc/openshell")
            }
            None => PathBuf::from("/etc/openshell"),
        };
        let bundles = match path("OPENSHELL_LOCAL_TLS_DIR") {
            Some(only) => vec![only],
            None => {
                let state = path("XDG_STATE_HOME").or_else(|| home.map(|home| home.join(".local/state")));
                let of_state = state.map(|state| state.join("openshell/tls"));
                let of_macos = ["/opt/homebrew/var/openshell/tls", "/usr/local/var/openshell/tls"].map(PathBuf::from);
                of_macos.into_iter().filter(|_| cfg!(target_os = "macos")).chain(of_state).collect()
            }
        };
        Self { user: config.map(|config| config.join("openshell")), system, bundles }
    }

    /// The user's own folder.
    pub(crate) fn user(&self) -> Result<&Path, Failure> {
        self.user.as_deref().ok_or_else(|| {
            Failure::new("there is no configuration directory: set XDG_CONFIG_HOME or HOME to an absolute path")
        })
    }

    /// The read-only folder of the machine.
    pub(crate) fn system(&self) -> &Path {
        &self.system
    }

    /// Folders that may hold a TLS bundle for a local gateway, best first.
    pub(crate) fn bundles(&self) -> &[PathBuf] {
        &self.bundles
    }

    /// `gateways/NAME` of the user.
    pub(crate) fn gateway(&self, name: &str) -> Result<PathBuf, Failure> {
        check_name(name)?;
        Ok(self.user()?.join("gateways").join(name))
    }

    /// The bundle's folder. A name that is no file name, such as a URL, is mangled into one.
    pub(crate) fn mtls(&self, name: &str) -> Result<PathBuf, Failure> {
        let allowed = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-' | '_');
        let mangled: String = name.chars().map(|letter| if allowed(letter) { letter } else { '_' }).collect();
        Ok(self.user()?.join("gateways").join(mangled).join("mtls"))
    }
}

/// Whether a name can be that of a folder: one path component.
pub(crate) fn is_name(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\\', '\0'])
}

/// Refuses a name that is not one path component.
pub(crate) fn check_name(name: &str) -> Result<(), Failure> {
    if is_name(name) {
        return Ok(());
    }
    Err(Failure::new(format!("'{name}' cannot be the name of a gateway: it must be a single path component")))
}
