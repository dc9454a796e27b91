//! Questions to a person at a terminal: yes or no, and a choice from a list.

use std::io::{BufRead, IsTerminal, Write};

use crate::failure::Failure;

/// Whether somebody is there to be asked.
fn is_interactive() -> bool {
    std::io::stdin().is_terminal() && std::io::stdout().is_terminal()
}

/// Passes when `yes` was given or the person agrees. Default is no (`cli.md` 2.11).
pub(crate) fn confirm(question: &str, yes: bool) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !is_interactive() {
        return Err(Failure::new(format!("{question} Confirm with --yes, as nobody can be asked here.")));
    }
    match ask(&format!("{question} [y/N] ")).to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Failure::new("not confirmed; nothing was changed")),
    }
}

/// The index that a person chose; nothing when there is nobody to ask, `Some(None)` when they declined.
pub(crate) fn choose(title: &str, items: &[String]) -> Option<Option<usize>> {
    if !is_interactive() {
        return None;
    }
    let mut text = format!("{title}\n");
    for (index, item) in items.iter().enumerate() {
        text.push_str(&format!("  {}. {item}\n", index + 1));
    }
    let answer = ask(&format!("{text}Number, or Enter to leave things as they are: "));
    Some(answer.parse::<usize>().ok().and_then(|number| number.checked_sub(1)).filter(|index| *index < items.len()))
}

fn ask(question: &str) -> String {
    let mut err = std::io::stderr();
    drop(write!(err, "{question}").and_then(|()| err.flush()));
    let mut answer = String::new();
    drop(std::io::stdin().lock().read_line(&mut answer));
    answer.trim().to_owned()
}
