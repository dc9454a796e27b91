//! Looking for secrets where none may be. A marked secret is random, so that it cannot be anywhere by
//! chance; it is looked for as it is, backwards, in base64, in hexadecimal and as a list of bytes. What may hold secrets is
//! for the tests to know. The tests of `openshell-store` read this file as well.

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// A form of a secret is looked for in pieces of so many bytes: compression that knows part of it from
/// before interrupts it, and leaves the other pieces whole.
const PIECE: usize = 16;
/// Pieces are found by their first bytes.
const HEAD: usize = 8;

/// Secrets that were planted, by what they were planted through.
#[derive(Default)]
pub struct Leaks {
    planted: usize,
    /// By the first bytes of a piece: the rest of it, whose it is and in which form.
    pieces: HashMap<[u8; HEAD], Vec<(Vec<u8>, String)>>,
}

/// A secret that was found where none may be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Leak {
    /// A file, or the words of whoever asked.
    pub place: String,
    /// What the secret was planted through, and the form it was found in.
    pub secret: String,
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
        for (form, bytes) in forms(secret.as_bytes()) {
            for piece in bytes.chunks_exact(PIECE) {
                let (head, rest) = piece.split_first_chunk::<HEAD>().expect("a piece is longer than its head");
                let found = (rest.to_vec(), format!("{through}, {form}"));
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
        let mut found = Vec::new();
        for (at, head) in bytes.windows(HEAD).enumerate() {
            for (rest, secret) in self.pieces.get(head).into_iter().flatten() {
                if bytes[at + HEAD..].starts_with(rest) {
                    found.push(Leak { place: place.to_owned(), secret: secret.clone() });
                }
            }
        }
        found.sort();
        found.dedup();
        found
    }

    /// The secrets in a file, or in every file below a folder.
    ///
    /// # Errors
    /// When something cannot be read. A file that is gone when it is its turn holds nothing.
    pub fn find_in(&self, path: &Path) -> io::Result<Vec<Leak>> {
        if !path.is_dir() {
            return match fs::read(path) {
                Ok(bytes) => Ok(self.find(&path.display().to_string(), &bytes)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
                Err(error) => Err(error),
            };
        }
        let mut found = Vec::new();
        for entry in fs::read_dir(path)? {
            found.extend(self.find_in(&entry?.path())?);
        }
        Ok(found)
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
}
