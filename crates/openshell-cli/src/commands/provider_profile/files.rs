//! From profile files to the items of a request (`cli.md` 3.1, 3.3). Every file that cannot be sent is a
//! diagnostic.

use std::fs;
use std::path::{Path, PathBuf};

use openshell_proto::v1::{ProviderProfileDiagnostic, ProviderProfileImportItem};
use openshell_providers::file;

use super::FileArguments;
use super::diagnostics::{local, rejected};
use super::places::Places;
use crate::failure::Failure;
use crate::output::Console;

const EXTENSIONS: [&str; 3] = ["yaml", "yml", "json"];

/// What was read: the items that can be sent, in the order of their files, what is wrong with the others,
/// and the texts of all.
#[derive(Debug, Default)]
pub(super) struct Files {
    pub(super) items: Vec<ProviderProfileImportItem>,
    pub(super) diagnostics: Vec<ProviderProfileDiagnostic>,
    pub(super) places: Places,
}

impl Files {
    /// Reads the one file, or those of the folder.
    ///
    /// Errors: the folder cannot be read, or holds no profile file.
    pub(super) fn read(arguments: &FileArguments) -> Result<Self, Failure> {
        let paths = match (&arguments.file, &arguments.from) {
            (Some(file), _) => vec![file.clone()],
            (None, Some(folder)) => paths_in(folder)?,
            (None, None) => Vec::new(),
        };
        let mut files = Self::default();
        for path in paths {
            match read(&path, &mut files.places) {
                Ok(item) => files.items.push(item),
                Err(diagnostic) => files.diagnostics.push(diagnostic),
            }
        }
        Ok(files)
    }

    /// The items and their texts, unless anything is wrong with any file, which is then said.
    pub(super) fn all_or_nothing(
        self,
        operation: &str,
        console: &mut Console,
    ) -> Result<(Vec<ProviderProfileImportItem>, Places), Failure> {
        match self.diagnostics.is_empty() {
            true => Ok((self.items, self.places)),
            false => Err(rejected(operation, &self.diagnostics, &self.places, console)),
        }
    }
}

/// Files with a known extension directly in the folder, in the byte order of their paths.
fn paths_in(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let unreadable =
        |error: &std::io::Error| Failure::new(format!("could not read folder {}", folder.display())).because(error);
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| unreadable(&error))? {
        let path = entry.map_err(|error| unreadable(&error))?.path();
        if extension(&path).is_some_and(|extension| EXTENSIONS.contains(&extension)) && path.is_file() {
            paths.push(path);
        }
    }
    if paths.is_empty() {
        return Err(Failure::new(format!(
            "no provider profile files found in {}: they end in .yaml, .yml or .json",
            folder.display()
        )));
    }
    paths.sort_by(|left, right| left.as_os_str().cmp(right.as_os_str()));
    Ok(paths)
}

fn extension(path: &Path) -> Option<&str> {
    path.extension()?.to_str()
}

fn read(path: &Path, places: &mut Places) -> Result<ProviderProfileImportItem, ProviderProfileDiagnostic> {
    let source = path.display().to_string();
    let wrong = |message: &str| local(&source, "", "file", message);
    // Read before the extension is judged, so that a missing file is reported as missing.
    let text = fs::read_to_string(path).map_err(|error| wrong(&format!("could not be read: {error}")))?;
    let parsed = file::parse(extension(path).unwrap_or_default(), &text);
    places.add(&source, text);
    let parsed = parsed.map_err(|error| {
        if let Some(line) = error.line {
            places.refuse(&source, (line, error.column.unwrap_or(1)));
        }
        wrong(&error.to_string())
    })?;
    let profile =
        file::lower(parsed).map_err(|problem| local(&source, &problem.profile_id, &problem.field, &problem.message))?;
    Ok(ProviderProfileImportItem { profile: Some(profile), source })
}

#[cfg(test)]
mod tests {
    use super::Files;
    use crate::commands::provider_profile::FileArguments;
    use std::fs;
    use std::path::Path;

    fn profile(id: &str) -> String {
        format!("id: {id}\ndisplay_name: {id}\n")
    }

    fn from(folder: &Path) -> Result<Files, crate::failure::Failure> {
        Files::read(&FileArguments { file: None, from: Some(folder.to_owned()) })
    }

    #[test]
    fn cli_scenario_40_a_folder_gives_its_known_files_in_order_and_no_others() {
        let root = tempfile::tempdir().expect("a folder");
        fs::create_dir(root.path().join("sub")).expect("a folder");
        for (name, text) in [
            ("b.yaml", profile("b")),
            ("a.yml", profile("a")),
            ("c.json", r#"{"id": "c", "display_name": "c"}"#.to_owned()),
            ("d.YAML", profile("d")),
            ("notes.txt", "x".to_owned()),
            ("sub/x.yaml", profile("x")),
        ] {
            fs::write(root.path().join(name), text).expect("a file");
        }
        let files = from(root.path()).expect("a good folder");
        let ids: Vec<_> = files.items.iter().map(|item| item.profile.clone().unwrap_or_default().id).collect();
        assert_eq!((ids, files.diagnostics.len()), (vec!["a".into(), "b".into(), "c".into()], 0));
        assert!(files.items[0].source.ends_with("/a.yml"), "{}", files.items[0].source);
    }

    #[test]
    fn cli_scenario_41_a_broken_file_is_one_diagnostic() {
        let root = tempfile::tempdir().expect("a folder");
        fs::write(root.path().join("a.yaml"), profile("a")).expect("a file");
        fs::write(root.path().join("b.yaml"), "id: [").expect("a file");
        let files = from(root.path()).expect("a good folder");
        assert_eq!((files.items.len(), files.diagnostics.len()), (1, 1));
        assert!(files.diagnostics[0].source.ends_with("b.yaml"));
    }

    #[test]
    fn cli_scenario_44_empty_and_missing_folders_fail_and_unknown_extensions_are_a_diagnostic() {
        let root = tempfile::tempdir().expect("a folder");
        assert!(from(root.path()).expect_err("an empty folder").message.contains("no provider profile files found"));
        from(&root.path().join("nosuch")).expect_err("no folder");
        let path = root.path().join("x.txt");
        let read =
            |path: &Path| Files::read(&FileArguments { file: Some(path.to_owned()), from: None }).expect("readable");
        assert!(read(&path).diagnostics[0].message.contains("could not be read"));
        fs::write(&path, profile("a")).expect("a file");
        assert_eq!(read(&path).diagnostics[0].field, "file");
        assert!(read(&path).diagnostics[0].message.contains("extension"));
    }
}
