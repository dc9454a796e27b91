//! A document for people, read as a program: its files, its commands and what they print. Every fenced block
//! must be one of these, so that a document holds nothing that nobody tried. Running it is in `reader`.
//!
//! * `yaml title="NAME"`, `json title="NAME"`, `rust title="NAME"`: a file of that name.
//! * `shell`: commands, run in order.
//! * `text`, the next block after commands: all that they print. With a line that begins with `Error:`, the
//!   last of them fails.

use anyhow::bail;

/// What one fenced block is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A file, to be written into the folder or to be found as it is.
    File {
        /// The line that the block begins at.
        line: usize,
        /// Its path.
        path: String,
        /// Its content.
        text: String,
    },
    /// Commands.
    Run {
        /// The line that the block begins at.
        line: usize,
        /// The commands.
        script: String,
        /// What they print.
        output: String,
    },
}

/// Reads the blocks of a document, in order.
///
/// # Errors
/// When a block is neither a file nor commands nor their output, or does not end.
pub(crate) fn steps(document: &str) -> anyhow::Result<Vec<Step>> {
    let mut steps: Vec<Step> = Vec::new();
    let mut lines = (1..).zip(document.lines());
    // Whether the last block was commands, whose output may follow.
    let mut may_print = false;
    while let Some((line, opening)) = lines.next() {
        let Some(info) = opening.strip_prefix("```") else {
            if opening.trim_start().starts_with("```") {
                bail!("line {line}: a block that is indented is not read; begin it with the line");
            }
            continue;
        };
        let mut text = String::new();
        loop {
            match lines.next() {
                Some((_, "```")) => break,
                Some((_, content)) => {
                    text.push_str(content);
                    text.push('\n');
                }
                None => bail!("line {line}: the block does not end"),
            }
        }
        match (info, file_name(info), steps.last_mut()) {
            ("shell", ..) => steps.push(Step::Run { line, script: text, output: String::new() }),
            ("text", _, Some(Step::Run { output, .. })) if may_print => *output = text,
            (_, Some(path), _) => steps.push(Step::File { line, path, text }),
            _ => {
                bail!("line {line}: a block '{info}' is neither a file nor commands nor, after commands, their output")
            }
        }
        may_print = info == "shell";
    }
    Ok(steps)
}

/// The name in `yaml title="NAME"`, or of another language.
fn file_name(info: &str) -> Option<String> {
    let (language, title) = info.split_once(' ')?;
    let name = title.strip_prefix("title=\"")?.strip_suffix('"')?;
    (matches!(language, "yaml" | "json" | "rust") && !name.is_empty()).then(|| name.to_owned())
}

/// The text with what differs between two runs replaced: each id by its number in the text, so that equal
/// ones stay equal, and each time by a word. White space at the ends of lines does not count.
#[must_use]
pub(crate) fn settled(text: &str) -> String {
    let mut ids: Vec<&str> = Vec::new();
    let mut settled = String::new();
    for line in text.lines() {
        let mut rest = line.trim_end();
        while let Some(letter) = rest.chars().next() {
            let is_within_a_word = settled.ends_with(|before: char| before.is_ascii_alphanumeric());
            let length = if !is_within_a_word && has_form(rest, ID) {
                let id = &rest[..ID.len()];
                let number = ids.iter().position(|known| *known == id).unwrap_or_else(|| {
                    ids.push(id);
                    ids.len() - 1
                });
                settled.push_str(&format!("<id {number}>"));
                ID.len()
            } else if !is_within_a_word && has_form(rest, TIME) {
                settled.push_str("<time>");
                TIME.len()
            } else {
                settled.push(letter);
                letter.len_utf8()
            };
            rest = &rest[length..];
        }
        settled.push('\n');
    }
    settled.trim_end().to_owned()
}

/// Letter by letter: `x` is a digit of base 16, `0` one of base 10.
const ID: &str = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
const TIME: &str = "0000-00-00 00:00:00";

/// Whether the text begins with something of a form, and no longer word: letter by letter, `x` is a digit of base
/// 16, `0` one of base 10.
pub(crate) fn has_form(text: &str, form: &str) -> bool {
    let bytes = text.as_bytes();
    let fits = |(byte, form): (&u8, u8)| match form {
        b'x' => byte.is_ascii_digit() || (b'a'..=b'f').contains(byte),
        b'0' => byte.is_ascii_digit(),
        letter => *byte == letter,
    };
    let ends_here = bytes.get(form.len()).is_none_or(|byte| !byte.is_ascii_alphanumeric());
    bytes.len() >= form.len() && bytes.iter().zip(form.bytes()).all(fits) && ends_here
}

#[cfg(test)]
mod tests {
    use super::{Step, settled, steps};

    #[test]
    fn a_document_is_files_and_commands_and_what_these_print() {
        let document = "# A\n\n```yaml title=\"a.yaml\"\nid: a\n```\ntext\n```shell\nb\n```\nprints\n```text\nc\n```\n```shell\nd\n```\n";
        let expected = [
            Step::File { line: 3, path: "a.yaml".into(), text: "id: a\n".into() },
            Step::Run { line: 7, script: "b\n".into(), output: "c\n".into() },
            Step::Run { line: 14, script: "d\n".into(), output: String::new() },
        ];
        assert_eq!(steps(document).expect("every block is known"), expected);
    }

    #[test]
    fn a_block_that_cannot_be_run_is_an_error() {
        for block in [
            "```bash\na\n```",
            "```\na\n```",
            "```yaml\na\n```",
            "```text\na\n```",
            "```shell\na\n```\n```text\nb\n```\n```text\nc\n```",
            "  ```shell\na\n  ```",
            "```shell\na",
        ] {
            steps(block).expect_err(block);
        }
    }

    #[test]
    fn ids_and_times_are_the_same_in_every_run_and_nothing_else_is() {
        let (one, two) = ("0199f2a4-2f6e-7c11-9d0c-0d3f1f0a6b7e", "8c1f2a4a-2f6e-4c11-9d0c-0d3f1f0a6b7e");
        let text = format!("Id: {one}  \n{two}, {one} at 2026-11-24 14:17:53, v1\nVersion: 2\n\n");
        assert_eq!(settled(&text), "Id: <id 0>\n<id 1>, <id 0> at <time>, v1\nVersion: 2");
        for text in ["x2026-11-24 14:17:53", "2026-11-24 14:17:533", "0199f2a4-2f6e-7c11-9d0c-0d3f1f0a6b7g", "größer"]
        {
            assert_eq!(settled(text), text);
        }
    }
}
