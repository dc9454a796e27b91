//! The files of the checkout, as text. What git ignores and what was copied from elsewhere as data is left
//! out, as are files that are not text.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Folders that are not ours to judge: build output, git, the reference's answers, copied as data, and bad input.
const LEFT_OUT: [&str; 5] = ["target", ".git", "tests/vectors", "tests/fuzz/corpus", "__pycache__"];

/// One text file.
#[derive(Clone, Debug)]
pub(super) struct File {
    /// Relative to the root, with `/`.
    pub(super) path: String,
    pub(super) text: String,
}

impl File {
    /// Lines with their numbers, from 1.
    pub(super) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }

    pub(super) fn has_ending(&self, ending: &str) -> bool {
        Path::new(&self.path).extension().is_some_and(|found| found == ending)
    }

    /// The part of the path inside its crate: `src/tests.rs` of `crates/x/src/tests.rs`. The crates `tests`
    /// and `jepsen` stand beside `crates/`.
    pub(super) fn inside_crate(&self) -> &str {
        let skipped = if self.path.starts_with("crates/") { 2 } else { 1 };
        self.path.splitn(skipped + 1, '/').nth(skipped).unwrap_or(&self.path)
    }
}

/// All of them, ordered by path.
#[derive(Debug)]
pub(super) struct Tree {
    root: PathBuf,
    files: Vec<File>,
}

impl Tree {
    /// Reads the checkout.
    pub(super) fn read(root: &Path) -> Result<Self> {
        let mut files = Vec::new();
        walk(root, root, &mut files)?;
        files.sort_by(|one: &File, other: &File| one.path.cmp(&other.path));
        Ok(Self { root: root.to_path_buf(), files })
    }

    pub(super) fn files(&self) -> &[File] {
        &self.files
    }

    pub(super) fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    /// Whether there is a file or a folder of this path, also among those that are not read.
    pub(super) fn has(&self, path: &str) -> bool {
        self.root.join(path).exists()
    }

    pub(super) fn with_ending(&self, ending: &str) -> impl Iterator<Item = &File> {
        self.files.iter().filter(move |file| file.has_ending(ending))
    }
}

fn walk(root: &Path, folder: &Path, files: &mut Vec<File>) -> Result<()> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    for entry in entries {
        let path = entry.with_context(|| format!("reading {}", folder.display()))?.path();
        let relative = path.strip_prefix(root).context("a path outside of the root")?;
        let name = relative.to_string_lossy().replace('\\', "/");
        let is_left_out = |folder: &&str| name == **folder || name.ends_with(&format!("/{folder}"));
        if LEFT_OUT.iter().any(is_left_out) || name.ends_with(".log") || path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            walk(root, &path, files)?;
            continue;
        }
        let bytes = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        if let Ok(text) = String::from_utf8(bytes) {
            files.push(File { path: name, text });
        }
    }
    Ok(())
}

/// A small tree of a test: paths and texts in a folder that is removed with it.
#[cfg(test)]
pub(super) fn tree_of(files: &[(&str, &str)]) -> (tempfile::TempDir, Tree) {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let tree = Tree::read(folder.path()).unwrap();
    (folder, tree)
}

#[cfg(test)]
mod tests {
    use super::tree_of;

    #[test]
    fn data_and_build_output_are_not_read() {
        let (_folder, tree) = tree_of(&[
            ("README.md", "x"),
            ("target/release/x.rs", "x"),
            ("tests/vectors/x.json", "x"),
            ("tests/src/lib.rs", "x"),
            ("crates/a/src/tests.rs", "x"),
            ("node.log", "x"),
        ]);
        let paths: Vec<_> = tree.files().iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["README.md", "crates/a/src/tests.rs", "tests/src/lib.rs"]);
        let inside: Vec<_> = tree.files().iter().map(super::File::inside_crate).collect();
        assert_eq!(inside, ["README.md", "src/tests.rs", "src/lib.rs"]);
        assert!(tree.has("tests/vectors/x.json") && !tree.has("tests/vectors/y.json"));
    }
}
