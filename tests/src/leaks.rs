//! Looking for secrets where none may be. A marked secret is random, so that it cannot be anywhere by
//! chance; it is looked for as it is, backwards, in base64, in hexadecimal and as a list of bytes. What may hold secrets is
//! for the tests to know. The tests of `openshell-store` read this file as well.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// A form of a secret is looked for in pieces of so many bytes: compression that knows part of it from
/// before interrupts it, and leaves the other pieces whole.
const PIECE: usize = 16;
/// Pieces are found by their first bytes.
const HEAD: usize = 8;
/// So much of a file is looked at in one go, whatever it holds.
const CHUNK: usize = 1 << 20;

/// Secrets that were planted, by what they were planted through.
#[derive(Default)]
pub struct Leaks {
    planted: usize,
    /// By the first bytes of a piece: the rest of it, whose it is and in which form.
    pieces: HashMap<[u8; HEAD], Vec<(Vec<u8>, String)>>,
    /// For each pair of bytes, whether a piece begins with it: most places are passed over without a look at the map.
    begins: Vec<bool>,
}

/// A secret that was found where none may be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Leak {
    /// A file, or the words of whoever asked.
    pub place: String,
    /// What the secret was planted through, and the form it was found in.
    pub secret: String,
}

/// What a search has looked at, and what it found.
#[derive(Debug, Default)]
pub struct Searched {
    /// How many files.
    pub files: u64,
    /// How many bytes all of them have.
    pub bytes: u64,
    /// Each form of a secret once for each file that it is in.
    pub leaks: Vec<Leak>,
    /// What could not be read, and why.
    pub unread: Vec<(PathBuf, io::Error)>,
}

impl fmt::Debug for Leaks {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} planted secrets", self.planted)
    }
}

impl Leaks {
    /// Looks for this secret from now on. `through` names the field that it was planted through.
    ///
    /// # Panics
    /// When it is shorter than two pieces, and could be anywhere by chance.
    pub fn plant(&mut self, through: &str, secret: &str) {
        assert!(secret.len() >= 2 * PIECE, "the secret planted through {through} is too short to be looked for");
        self.planted += 1;
        self.begins.resize(1 << u16::BITS, false);
        for (form, bytes) in forms(secret.as_bytes()) {
            for piece in bytes.chunks_exact(PIECE) {
                let (head, rest) = piece.split_first_chunk::<HEAD>().expect("a piece is longer than its head");
                let found = (rest.to_vec(), format!("{through}, {form}"));
                self.begins[pair(head)] = true;
                self.pieces.entry(*head).or_default().push(found);
            }
        }
    }

    /// How many secrets are looked for.
    #[must_use]
    pub fn planted(&self) -> usize {
        self.planted
    }

    /// The secrets in some bytes. `place` says what they are.
    #[must_use]
    pub fn find(&self, place: &str, bytes: &[u8]) -> Vec<Leak> {
        self.secrets_in(bytes)
            .into_iter()
            .map(|secret| Leak { place: place.to_owned(), secret: secret.clone() })
            .collect()
    }

    /// What was found, in order and each once.
    fn secrets_in(&self, bytes: &[u8]) -> BTreeSet<&String> {
        let mut found = BTreeSet::new();
        for (at, head) in bytes.windows(HEAD).enumerate() {
            if !self.begins.get(pair(head)).is_some_and(|begins| *begins) {
                continue;
            }
            for (rest, secret) in self.pieces.get(head).into_iter().flatten() {
                if bytes[at + HEAD..].starts_with(rest) {
                    found.insert(secret);
                }
            }
        }
        found
    }

    /// The secrets in a file, or in every file below a folder.
    ///
    /// # Errors
    /// When something cannot be read. A file that is gone when it is its turn holds nothing.
    pub fn find_in(&self, path: &Path) -> io::Result<Vec<Leak>> {
        let mut searched = self.search(path);
        searched.unread.pop().map_or(Ok(searched.leaks), |(_, error)| Err(error))
    }

    /// As [`Leaks::find_in`], with how much was looked at and what could not be. However large files are, little of them is
    /// in memory at a time.
    #[must_use]
    pub fn search(&self, path: &Path) -> Searched {
        let mut searched = Searched::default();
        self.search_into(&mut searched, path);
        searched
    }

    fn search_into(&self, searched: &mut Searched, path: &Path) {
        if let Err(error) = self.try_search_into(searched, path) {
            searched.unread.push((path.to_path_buf(), error));
        }
    }

    fn try_search_into(&self, searched: &mut Searched, path: &Path) -> io::Result<()> {
        // What is neither a file nor a folder, such as a socket, keeps nothing.
        let Some(metadata) = unless_gone(fs::metadata(path))? else { return Ok(()) };
        if metadata.is_dir() {
            for entry in unless_gone(fs::read_dir(path))?.into_iter().flatten() {
                self.search_into(searched, &entry?.path());
            }
        } else if metadata.is_file()
            && let Some(file) = unless_gone(File::open(path))?
        {
            let (bytes, secrets) = self.read_through(file)?;
            searched.files += 1;
            searched.bytes += bytes;
            let place = path.display().to_string();
            searched
                .leaks
                .extend(secrets.into_iter().map(|secret| Leak { place: place.clone(), secret: secret.clone() }));
        }
        Ok(())
    }

    /// How many bytes there are, and the secrets in them.
    fn read_through(&self, mut from: impl Read) -> io::Result<(u64, BTreeSet<&String>)> {
        let (mut bytes, mut found) = (0, BTreeSet::new());
        let mut chunk = vec![0; CHUNK];
        let mut kept = 0;
        loop {
            let read = match from.read(&mut chunk[kept..]) {
                Ok(0) => return Ok((bytes, found)),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            bytes += read as u64;
            let filled = kept + read;
            found.extend(self.secrets_in(&chunk[..filled]));
            // A piece that begins here may end in what is read next.
            kept = filled.min(PIECE - 1);
            chunk.copy_within(filled - kept..filled, 0);
        }
    }
}

/// The first two of some bytes, as a number.
fn pair(bytes: &[u8]) -> usize {
    usize::from(u16::from_le_bytes([bytes[0], bytes[1]]))
}

/// What is there; none when it was removed meanwhile.
fn unless_gone<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        result => result.map(Some),
    }
}

/// Every form that a secret is looked for in.
fn forms(secret: &[u8]) -> Vec<(String, Vec<u8>)> {
    let backwards: Vec<u8> = secret.iter().rev().copied().collect();
    let mut forms = vec![
        ("as it is".to_owned(), secret.to_vec()),
        ("backwards".to_owned(), backwards),
        ("in hexadecimal".to_owned(), hex::encode(secret).into_bytes()),
        ("in capital hexadecimal".to_owned(), hex::encode_upper(secret).into_bytes()),
        ("as a list of bytes".to_owned(), format!("{secret:?}").trim_matches(['[', ']']).as_bytes().to_vec()),
    ];
    for before in 0..3 {
        forms.push((format!("in base64 after {before} bytes"), encoded(&STANDARD_NO_PAD, before, secret)));
        forms.push((format!("in URL-safe base64 after {before} bytes"), encoded(&URL_SAFE_NO_PAD, before, secret)));
    }
    forms
}

/// The characters of a base64 text that only the secret decides, when `before` bytes precede it.
fn encoded(base64: &impl Engine, before: usize, secret: &[u8]) -> Vec<u8> {
    let text = base64.encode([&vec![0; before], secret].concat()).into_bytes();
    let whole = (before + secret.len()) * 8 / 6;
    text[(before * 8).div_ceil(6)..whole].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "kP3vX9qL2mZ8rT5wB7nJ4hY6cF1dG0sA+/ouQeWiRtKz";

    fn leaks() -> Leaks {
        let mut leaks = Leaks::default();
        leaks.plant("a test", SECRET);
        leaks
    }

    #[test]
    fn every_form_is_found_wherever_it_begins() {
        for before in ["", "a", "ab", "abc"] {
            let plain = format!("{before}{SECRET}after").into_bytes();
            let texts = [
                plain.clone(),
                plain.iter().rev().copied().collect(),
                hex::encode(&plain).into_bytes(),
                hex::encode_upper(&plain).into_bytes(),
                STANDARD_NO_PAD.encode(&plain).into_bytes(),
                URL_SAFE_NO_PAD.encode(&plain).into_bytes(),
                format!("{plain:?}").into_bytes(),
            ];
            for text in texts {
                assert!(!leaks().find("here", &text).is_empty(), "{}", String::from_utf8_lossy(&text));
            }
        }
        assert_eq!(leaks().find("here", b"nothing to see, and quite a lot of it, whoever looks"), []);
    }

    #[test]
    fn a_part_of_a_secret_is_found_too() {
        let (_, part) = SECRET.split_at(PIECE);
        assert_eq!(leaks().find("here", &part.as_bytes()[..PIECE]).len(), 1);
    }

    #[test]
    fn a_folder_is_searched_to_its_depths() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("a/b");
        fs::create_dir_all(&deep).unwrap();
        fs::write(deep.join("file"), format!("x{SECRET}")).unwrap();
        let found = leaks().find_in(folder.path()).unwrap();
        assert_eq!(found.len(), 1);
        assert!(found[0].place.ends_with("a/b/file"), "{found:?}");
    }

    /// Gives at most so many bytes at a time.
    struct Slow<'a>(&'a [u8], usize);

    impl Read for Slow<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let read = self.1.min(into.len());
            self.0.read(&mut into[..read])
        }
    }

    #[test]
    fn what_lies_across_the_end_of_a_chunk_is_found_wherever_that_is() {
        // One piece alone: of a whole secret another piece would be found.
        let (leaks, part) = (leaks(), &SECRET.as_bytes()[..PIECE]);
        for before in CHUNK - PIECE..=CHUNK {
            let mut content = vec![b'.'; CHUNK + 2 * PIECE];
            content[before..before + PIECE].copy_from_slice(part);
            let (bytes, found) = leaks.read_through(content.as_slice()).unwrap();
            assert_eq!((bytes, found.len()), (content.len() as u64, 1), "after {before} bytes");
        }
    }

    #[test]
    fn what_comes_in_small_parts_is_found_and_counted_once() {
        let (dots, part) = (".".repeat(40), &SECRET[..PIECE]);
        let content = format!("{dots}{part}{dots}{part}");
        for part in 1..=PIECE + 1 {
            let leaks = leaks();
            let (bytes, found) = leaks.read_through(Slow(content.as_bytes(), part)).unwrap();
            assert_eq!((bytes, found.len()), (content.len() as u64, 1), "{part} bytes at a time");
        }
    }

    #[test]
    fn a_search_says_how_much_it_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("a")).unwrap();
        fs::write(folder.path().join("a/one"), "12345").unwrap();
        fs::write(folder.path().join("two"), "123").unwrap();
        let searched = leaks().search(folder.path());
        assert_eq!((searched.files, searched.bytes, searched.leaks, searched.unread.len()), (2, 8, Vec::new(), 0));
        let gone = leaks().search(&folder.path().join("three"));
        assert_eq!((gone.files, gone.bytes, gone.unread.len()), (0, 0, 0));
    }

    #[test]
    fn what_cannot_be_read_hides_nothing_of_what_can() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a", "z"] {
            fs::write(folder.path().join(name), SECRET).unwrap();
        }
        // It leads to itself.
        let circle = folder.path().join("m");
        std::os::unix::fs::symlink(&circle, &circle).unwrap();
        let searched = leaks().search(folder.path());
        assert_eq!((searched.files, searched.leaks.len()), (2, 2));
        assert!(searched.unread.iter().map(|(path, _)| path).eq([&circle]), "{searched:?}");
        assert!(leaks().find_in(folder.path()).is_err());
    }
}
