//! Reading and writing single files: absent is not an error, written files replace the old ones whole,
//! folders that directly hold a written file are the user's alone.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use crate::failure::Failure;

/// The file's text, or nothing when there is no such file.
pub(crate) fn read(path: &Path) -> Result<Option<String>, Failure> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(Failure::new(format!("could not read {}", path.display())).because(&error)),
    }
}

/// Writes a file through a temporary neighbour, so that a reader sees the old text or the new one, and so does
/// who comes back after a loss of power.
pub(crate) fn write(path: &Path, text: &[u8], mode: u32) -> Result<(), Failure> {
    replace(path, text, mode, File::sync_all)
}

/// The same without waiting for the disk, for what may be lost without harm: after a loss of power the file may
/// be empty.
pub(crate) fn write_soon(path: &Path, text: &[u8], mode: u32) -> Result<(), Failure> {
    replace(path, text, mode, |_| Ok(()))
}

fn replace(path: &Path, text: &[u8], mode: u32, sync: impl Fn(&File) -> io::Result<()>) -> Result<(), Failure> {
    make_folder(path.parent().unwrap_or(Path::new(".")))?;
    let write = || -> io::Result<()> {
        let temporary = path.with_extension("new");
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&temporary)?;
        file.write_all(text)?;
        sync(&file)?;
        fs::rename(&temporary, path)
    };
    write().map_err(|error| Failure::new(format!("could not write {}", path.display())).because(&error))
}

/// Makes a folder that only its user may look into.
pub(crate) fn make_folder(folder: &Path) -> Result<(), Failure> {
    let made = fs::create_dir_all(folder).and_then(|()| fs::set_permissions(folder, fs::Permissions::from_mode(0o700)));
    made.map_err(|error| Failure::new(format!("could not make {}", folder.display())).because(&error))
}

/// Removes a file, if there is one.
pub(crate) fn remove(path: &Path) -> Result<(), Failure> {
    match fs::remove_file(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Failure::new(format!("could not remove {}", path.display())).because(&error)),
    }
}
