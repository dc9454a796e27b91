//! What programs print, compared with files that people have read. With `OPENSHELL_WRITE_GOLDEN` set the files
//! are written instead. What differs between two runs is settled first, by something of the same width, so that
//! tables stay tables.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use crate::document::has_form;

/// Letter by letter: `x` is a digit of base 16, `0` one of base 10; and what stands for it.
const FORMS: [(&str, &str); 2] = [
    ("0000-00-00 00:00:00", "2026-01-01 00:00:00"),
    // Milliseconds since 1970, in this century.
    ("1000000000000", "1767225600000"),
];
const ID: &str = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";

/// Texts for the files of one folder.
#[derive(Debug)]
pub struct Golden {
    folder: PathBuf,
    files: BTreeMap<String, String>,
}

impl Golden {
    /// Nothing yet, for a folder of `tests/golden`.
    #[must_use]
    pub fn new(folder: &str) -> Self {
        let golden = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/golden"));
        Self { folder: golden.join(folder), files: BTreeMap::new() }
    }

    /// Adds a text to the end of a file.
    pub fn add(&mut self, file: &str, text: &str) {
        self.files.entry(file.to_owned()).or_default().push_str(text);
    }

    /// Compares: every file has its text, and there is none without.
    ///
    /// # Panics
    /// When that is not so, with all differences.
    pub fn check(self) {
        if std::env::var_os("OPENSHELL_WRITE_GOLDEN").is_some() {
            self.write().expect("golden files can be written");
        }
        let mut differences = String::new();
        let mut kept = self.kept();
        for (file, text) in &self.files {
            match kept.remove(file) {
                Some(kept) if kept == *text => {}
                Some(kept) => differ(&mut differences, file, &kept, text),
                None => differ(&mut differences, file, "", text),
            }
        }
        for file in kept.keys() {
            let _ = writeln!(differences, "{file}: nothing prints this any more");
        }
        let advice = "read the differences; if they are meant, run the test with OPENSHELL_WRITE_GOLDEN=1";
        assert!(differences.is_empty(), "{}: {advice}\n{differences}", self.folder.display());
    }

    fn kept(&self) -> BTreeMap<String, String> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let text = |path: PathBuf| fs::read_to_string(path).expect("a golden file is text");
        entries.map(|entry| (entry.file_name().to_string_lossy().into_owned(), text(entry.path()))).collect()
    }

    fn write(&self) -> std::io::Result<()> {
        if self.folder.exists() {
            fs::remove_dir_all(&self.folder)?;
        }
        fs::create_dir_all(&self.folder)?;
        self.files.iter().try_for_each(|(file, text)| fs::write(self.folder.join(file), text))
    }
}

/// The lines that only one of the two has, from the first to the last that differs.
fn differ(differences: &mut String, file: &str, kept: &str, text: &str) {
    let (kept, text): (Vec<&str>, Vec<&str>) = (kept.lines().collect(), text.lines().collect());
    let same = |mut pairs: Box<dyn Iterator<Item = (&&str, &&str)> + '_>| {
        let mut count = 0;
        while pairs.next().is_some_and(|(one, other)| one == other) {
            count += 1;
        }
        count
    };
    let first = same(Box::new(kept.iter().zip(&text)));
    let last = same(Box::new(kept[first..].iter().rev().zip(text[first..].iter().rev())));
    let _ = writeln!(differences, "{file}, line {}:", first + 1);
    for (mark, lines) in [('-', &kept), ('+', &text)] {
        for line in &lines[first..lines.len() - last] {
            let _ = writeln!(differences, "  {mark} {line}");
        }
    }
}

/// The text with ids and times that are the same in every run. Equal ids stay equal, within the text.
#[must_use]
pub fn settle(text: &str) -> String {
    let mut ids: Vec<&str> = Vec::new();
    let mut settled = String::new();
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let is_within_a_word = settled.ends_with(|before: char| before.is_ascii_alphanumeric());
        let form = FORMS.iter().find(|(form, _)| !is_within_a_word && has_form(rest, form));
        let length = if let Some((form, stands)) = form {
            settled.push_str(stands);
            form.len()
        } else if !is_within_a_word && has_form(rest, ID) {
            let id = &rest[..ID.len()];
            let number = ids.iter().position(|known| *known == id).unwrap_or_else(|| {
                ids.push(id);
                ids.len() - 1
            });
            let _ = write!(settled, "00000000-0000-0000-0000-{:012}", number + 1);
            ID.len()
        } else {
            settled.push(letter);
            letter.len_utf8()
        };
        rest = &rest[length..];
    }
    settled
}

#[cfg(test)]
mod tests {
    use super::{differ, settle};

    #[test]
    fn ids_and_times_become_the_same_and_as_wide() {
        let (one, two) = ("0199f2a4-2f6e-7c11-9d0c-0d3f1f0a6b7e", "8c1f2a4a-2f6e-4c11-9d0c-0d3f1f0a6b7e");
        let text = format!("{one}  {two} {one}\n2031-11-24 14:17:53 1793456000000 v1");
        let settled = settle(&text);
        assert_eq!(settled.len(), text.len());
        let id = |number: u32| format!("00000000-0000-0000-0000-{number:012}");
        assert_eq!(settled, format!("{}  {} {}\n2026-01-01 00:00:00 1767225600000 v1", id(1), id(2), id(1)));
        for text in ["17934560000000", "a1793456000000", "2793456000000", "x\u{e9}1"] {
            assert_eq!(settle(text), text);
        }
    }

    #[test]
    fn only_what_differs_is_shown() {
        let mut differences = String::new();
        differ(&mut differences, "f", "a\nb\nc\nd\n", "a\nx\ny\nd\n");
        assert_eq!(differences, "f, line 2:\n  - b\n  - c\n  + x\n  + y\n");
    }
}
