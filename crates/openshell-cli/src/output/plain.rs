//! Text that others wrote, such as a sandbox, so that it cannot write to a terminal.

/// One line in which control characters, and those that turn the direction of writing or are not seen, are
/// spelled out.
pub(crate) fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_control() || is_unseen(letter) {
            out.extend(letter.escape_default());
        } else {
            out.push(letter);
        }
    }
    out
}

fn is_unseen(letter: char) -> bool {
    matches!(
        letter,
        '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}'
    )
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn what_a_sandbox_wrote_cannot_write_to_a_terminal() {
        assert_eq!(plain("a\u{202e}b\r\u{7}\u{200b}ü"), "a\\u{202e}b\\r\\u{7}\\u{200b}ü");
        assert_eq!(plain("no such\n\u{1b}[31mbinary"), "no such\\n\\u{1b}[31mbinary");
    }
}
