//! No secret that was given to the product is where none may be: in what nodes write, show, or say about a failure. It
//! is looked for as it is, backwards, in base64, in hexadecimal and as a list of bytes. Tables are searched as they lie on
//! the disk: LZ4 leaves random letters as they are where a block has them for the first time, and they are seen there; what
//! is compressed otherwise hides them. Answers are not looked at: some give a secret to whom it belongs.

use std::collections::BTreeMap;
use std::path::Path;

use openshell_tests::Leaks;

use super::findings::Finding;
use crate::history::{Line, News, Outcome};

/// The name of the checker.
pub(crate) const NAME: &str = "leak";

/// A search under way.
pub(crate) struct Search {
    leaks: Leaks,
    finding: Finding,
    files: u64,
    bytes: u64,
    texts: u64,
}

impl Search {
    /// For these secrets.
    pub(crate) fn of(leaks: Leaks) -> Self {
        Self { leaks, finding: Finding::of(NAME), files: 0, bytes: 0, texts: 0 }
    }

    /// Some text that somebody has from a node.
    pub(crate) fn text(&mut self, whose: &str, text: &str) {
        self.texts += 1;
        for leak in self.leaks.find(whose, text.as_bytes()) {
            self.finding.violated(format!("{}: {}", leak.place, leak.secret));
        }
    }

    /// A file, or every file below a folder. Where there is nothing to be read, nothing is decided.
    pub(crate) fn files(&mut self, whose: &str, path: &Path) {
        let searched = self.leaks.search(path);
        for (path, error) in searched.unread {
            self.undecided(format!("{whose}: {} cannot be searched: {error}", path.display()));
        }
        if searched.bytes == 0 {
            self.undecided(format!("{whose}: there is nothing in {}", path.display()));
        }
        self.files += searched.files;
        self.bytes += searched.bytes;
        for leak in searched.leaks {
            self.finding.violated(format!("{whose}: {}: {}", leak.place, leak.secret));
        }
    }

    /// What clients and watchers of a history heard of calls that failed. Of each form of a secret, the first call that
    /// it was said to stands for all.
    pub(crate) fn failures(&mut self, lines: &[Line]) {
        let mut found: BTreeMap<String, (String, usize)> = BTreeMap::new();
        for line in lines {
            let Some((text, who, number)) = failure(line) else { continue };
            self.texts += 1;
            for leak in self.leaks.find("", text.as_bytes()) {
                found.entry(leak.secret).or_insert_with(|| (format!("{who} {number}"), 0)).1 += 1;
            }
        }
        for (secret, (caller, times)) in found {
            self.finding.violated(format!("{caller} was told, the first of {times} times: {secret}"));
        }
    }

    /// Something that could not be looked at.
    pub(crate) fn undecided(&mut self, why: String) {
        self.finding.unknown(why);
    }

    /// What came of it, if so many secrets were made for the cluster.
    pub(crate) fn conclude(mut self, made: u64) -> Finding {
        if self.bytes == 0 {
            self.undecided("no file was looked at".to_owned());
        }
        let counts = [("secrets made", made), ("files", self.files), ("bytes", self.bytes), ("texts", self.texts)];
        for (name, number) in counts {
            self.finding.count(name, usize::try_from(number).unwrap_or(usize::MAX));
        }
        if made == 0 {
            self.undecided("no secret was made that could be found".to_owned());
        }
        self.finding
    }
}

/// The words of a failure, and who heard them.
fn failure(line: &Line) -> Option<(&str, &'static str, u64)> {
    match line {
        Line::Return { operation, outcome, .. } => Some((words(outcome)?, "operation", *operation)),
        Line::Watched { watcher, news: News::Failed { said, .. }, .. } => Some((said, "watcher", *watcher)),
        _ => None,
    }
}

/// What a node said about a call that it did not answer.
fn words(outcome: &Outcome) -> Option<&str> {
    match outcome {
        Outcome::Refused { said, .. } | Outcome::Wrong { said } | Outcome::Unknown { why: said } => Some(said),
        Outcome::Conflict { key, .. } => Some(key),
        Outcome::Found { .. }
        | Outcome::Done { .. }
        | Outcome::Exists { .. }
        | Outcome::Absent { .. }
        | Outcome::Made { .. }
        | Outcome::There { .. }
        | Outcome::Answered
        | Outcome::NotDone => None,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::findings::Verdict;
    use super::*;
    use crate::canary::Canary;
    use crate::history::Cells;

    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    fn base64(bytes: &[u8]) -> String {
        let four = |three: &[u8]| {
            let bits = three.iter().fold(0, |bits, byte| bits << 8 | usize::from(*byte)) << (8 * (3 - three.len()));
            (0..=three.len()).map(move |at| char::from(ALPHABET[bits >> (18 - 6 * at) & 63])).collect::<Vec<char>>()
        };
        bytes.chunks(3).flat_map(four).collect()
    }

    fn hexadecimal(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// A secret in every form, with the words for it.
    fn forms(secret: &str) -> Vec<(&'static str, String)> {
        let after = |before: &str| base64(format!("{before}{secret} and more").as_bytes());
        let hex = hexadecimal(secret.as_bytes());
        vec![
            ("as it is", secret.to_owned()),
            ("backwards", secret.chars().rev().collect()),
            ("in base64 after 0 bytes", after("")),
            ("in base64 after 1 bytes", after("x")),
            ("in base64 after 2 bytes", after("xy")),
            ("in hexadecimal", hex.clone()),
            ("in capital hexadecimal", hex.to_uppercase()),
            ("as a list of bytes", format!("{:?}", secret.as_bytes())),
        ]
    }

    /// What is found where a node has this log, and this in one of its tables.
    fn searched(canary: &Canary, log: &[u8], table: &[u8]) -> Finding {
        let folder = tempfile::tempdir().unwrap();
        let (file, data) = (folder.path().join("node-2.log"), folder.path().join("data-2"));
        fs::create_dir_all(data.join("db")).unwrap();
        fs::write(&file, log).unwrap();
        fs::write(data.join("db/000012.sst"), table).unwrap();
        let mut search = Search::of(canary.leaks());
        search.files("node 2", &file);
        search.files("node 2", &data);
        search.conclude(canary.made())
    }

    #[test]
    fn a_secret_is_found_in_every_form_in_a_log_and_in_a_table() {
        let canary = Canary::of(7);
        let secret = canary.secret("token");
        for (words, text) in forms(&secret) {
            let within = format!("a line\nwith token={text} in it\n");
            for (file, finding) in [
                ("node-2.log", searched(&canary, within.as_bytes(), b"clean")),
                ("db/000012.sst", searched(&canary, b"clean", within.as_bytes())),
            ] {
                assert_eq!(finding.verdict, Verdict::Violated, "{words}, {file}");
                let is_said = |said: &String| {
                    said.starts_with("node 2: ") && said.contains(&format!("{file}: ")) && said.ends_with(words)
                };
                assert!(finding.said.iter().any(is_said), "{words}, {file}: {finding:?}");
            }
        }
    }

    #[test]
    fn a_secret_deep_in_a_large_file_is_found_wherever_it_begins() {
        let canary = Canary::of(7);
        let secret = canary.secret("token");
        // Around the size of what is read in one go.
        for before in [(1 << 20) - 40, (1 << 20) - 20, (1 << 20) - 1, 1 << 20, (1 << 20) + 1] {
            let mut table = vec![b'.'; before];
            table.extend_from_slice(secret.as_bytes());
            table.resize(3 << 20, 0);
            let finding = searched(&canary, b"clean", &table);
            assert_eq!((finding.verdict, finding.said.len()), (Verdict::Violated, 1), "after {before} bytes");
        }
    }

    #[test]
    fn clean_files_pass_and_are_counted() {
        let canary = Canary::of(7);
        canary.secret("token");
        let others = Canary::of(8).secret("token");
        let finding = searched(&canary, b"a line\n", others.as_bytes());
        assert_eq!(finding.verdict, Verdict::Passed, "{finding:?}");
        let bytes = 7 + others.len() as u64;
        assert_eq!((finding.counts["files"], finding.counts["bytes"], finding.counts["secrets made"]), (2, bytes, 1));
    }

    #[test]
    fn nothing_is_decided_where_nothing_was_given_or_looked_at() {
        let canary = Canary::of(7);
        assert_eq!(searched(&canary, b"a line", b"x").verdict, Verdict::Unknown, "nothing was made");
        canary.secret("token");
        assert_eq!(searched(&canary, b"", b"x").verdict, Verdict::Unknown, "an empty log");
        let nothing = Search::of(canary.leaks()).conclude(canary.made());
        assert_eq!(nothing.verdict, Verdict::Unknown, "no file");
        let mut search = Search::of(canary.leaks());
        search.files("node 2", Path::new("/there/is/no/such/folder"));
        assert_eq!(search.conclude(1).verdict, Verdict::Unknown, "no such folder");
    }

    /// What is found in a history in which this came of one call after another.
    fn heard(canary: &Canary, outcomes: Vec<Outcome>) -> Finding {
        let returned =
            |(number, outcome)| Line::Return { operation: number, time_ns: 0, outcome, at: None, attempts: 1 };
        let mut search = Search::of(canary.leaks());
        search.failures(&(4..).zip(outcomes).map(returned).collect::<Vec<_>>());
        search.finding
    }

    #[test]
    fn the_words_of_a_failure_may_not_quote_a_secret() {
        let canary = Canary::of(7);
        let said = format!("{:?} is no name", canary.secret("token"));
        let refused = Outcome::Refused { code: "InvalidArgument".to_owned(), said: said.clone() };
        for outcome in [refused, Outcome::Wrong { said: said.clone() }, Outcome::broken(&said)] {
            let finding = heard(&canary, vec![Outcome::Answered, outcome.clone(), outcome]);
            assert_eq!(finding.verdict, Verdict::Violated);
            assert_eq!(finding.said.len(), 1, "{finding:?}");
            assert!(finding.said[0].starts_with("operation 5 was told, the first of 2 times"), "{finding:?}");
        }
        let (time_ns, at_node) = (0, 1);
        let news = News::Failed { code: String::new(), said };
        let mut search = Search::of(canary.leaks());
        search.failures(&[Line::Watched { watcher: 3, time_ns, node: at_node, news }]);
        assert!(search.finding.said[0].starts_with("watcher 3"), "{:?}", search.finding);
    }

    #[test]
    fn an_answer_may_hold_a_secret() {
        let canary = Canary::of(7);
        let value = canary.secret("token");
        let cells = Cells::from([("key".to_owned(), crate::history::Cell { version: 1, value })]);
        let refused = Outcome::Refused { code: "NotFound".to_owned(), said: "no such sandbox".to_owned() };
        let finding = heard(&canary, vec![Outcome::Found { cells }, refused]);
        assert_eq!(finding.verdict, Verdict::Passed, "{finding:?}");
    }

    #[test]
    fn a_page_that_shows_a_secret_is_named() {
        let canary = Canary::of(7);
        let page = format!("calls_total{{token=\"{}\"}} 3\n", canary.secret("token"));
        let mut search = Search::of(canary.leaks());
        search.text("the metrics of node 2", &page);
        assert!(search.finding.said[0].starts_with("the metrics of node 2: "), "{:?}", search.finding);
    }
}
