//! Types commands of `openshell`, shows what they print, and compares it with what is expected.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::output;

/// Where the commands are typed.
pub(super) struct Terminal {
    program: PathBuf,
    root: PathBuf,
    configuration: PathBuf,
    exported: Vec<(&'static str, &'static str)>,
}

/// What a command said on stdout, with the command itself for messages.
pub(super) struct Answer {
    typed: String,
    pub(super) text: String,
}

impl Terminal {
    /// In the root of the checkout, with a configuration of its own below `folder`.
    pub(super) fn new(program: &Path, root: &Path, folder: &Path) -> Self {
        let configuration = folder.join("config");
        Self { program: program.into(), root: root.into(), configuration, exported: Vec::new() }
    }

    /// `XDG_CONFIG_HOME` of the commands.
    pub(super) fn configuration(&self) -> &Path {
        &self.configuration
    }

    /// Sets a variable for the commands to come.
    pub(super) fn export(&mut self, name: &'static str, value: &'static str) {
        output::line(&format!("$ export {name}={value}"));
        self.exported.push((name, value));
    }

    /// Types a command, which must succeed. Words are separated by single spaces; there is no quoting.
    pub(super) fn type_in(&self, line: &str) -> Result<Answer> {
        output::line(&format!("$ {line}"));
        let answer = self.run(line)?;
        output::line(answer.text.trim_end());
        Ok(answer)
    }

    /// A command whose document is wanted and not shown.
    pub(super) fn ask(&self, line: &str) -> Result<Value> {
        let answer = self.run(line)?;
        serde_json::from_str(&answer.text).with_context(|| format!("`{line}` did not print JSON but:\n{}", answer.text))
    }

    fn run(&self, line: &str) -> Result<Answer> {
        let mut command = Command::new(&self.program);
        command.args(line.split(' ').skip(1)).current_dir(&self.root).stdin(Stdio::null());
        without_our_variables(&mut command);
        command.env("XDG_CONFIG_HOME", &self.configuration).envs(self.exported.iter().copied());
        let output = command.output().with_context(|| format!("starting {}", self.program.display()))?;
        let (text, words) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if !words.trim().is_empty() {
            output::line(words.trim_end());
        }
        if !output.status.success() {
            bail!("`{line}` failed with {}\nstdout: {text}\nstderr: {words}", output.status);
        }
        Ok(Answer { typed: line.to_owned(), text: text.into_owned() })
    }
}

impl Answer {
    /// Fails unless the text is in the answer.
    pub(super) fn says(&self, expected: &str) -> Result<()> {
        match self.text.contains(expected) {
            true => Ok(()),
            false => bail!("`{}`\nexpected: an answer with `{expected}`\nfound:\n{}", self.typed, self.text),
        }
    }

    /// Fails if the text is in the answer.
    pub(super) fn does_not_say(&self, unexpected: &str) -> Result<()> {
        match self.text.contains(unexpected) {
            false => Ok(()),
            true => bail!("`{}`\nexpected: an answer without `{unexpected}`\nfound:\n{}", self.typed, self.text),
        }
    }

    /// Fails unless both answers are the same.
    pub(super) fn is_the_same_as(&self, other: &Self) -> Result<()> {
        match self.text == other.text {
            true => Ok(()),
            false => bail!(
                "`{}` and `{}`\nexpected: the same answer\nfound:\n{}\nand:\n{}",
                other.typed,
                self.typed,
                other.text,
                self.text
            ),
        }
    }
}

/// Fails unless two values are equal; `what` names the first.
pub(super) fn must_equal(what: &str, found: &Value, expected: &Value) -> Result<()> {
    match found == expected {
        true => Ok(()),
        false => bail!("{what}\nexpected: {expected}\nfound: {found}"),
    }
}

/// Settings of whoever starts the demonstration must not change it.
pub(super) fn without_our_variables(command: &mut Command) {
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("OPENSHELL_")) {
        command.env_remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::{Answer, Terminal, must_equal};
    use serde_json::json;
    use std::path::Path;

    fn answer(text: &str) -> Answer {
        Answer { typed: "openshell x".to_owned(), text: text.to_owned() }
    }

    #[test]
    fn an_answer_is_held_to_what_is_expected() {
        answer("a b").says("b").unwrap();
        let error = answer("a b").says("c").unwrap_err().to_string();
        assert!(error.contains("expected: an answer with `c`") && error.contains("found:\na b"), "{error}");
        answer("a b").does_not_say("c").unwrap();
        answer("a b").does_not_say("b").unwrap_err();
        answer("a").is_the_same_as(&answer("a")).unwrap();
        answer("a").is_the_same_as(&answer("b")).unwrap_err();
        must_equal("x", &json!(1), &json!(1)).unwrap();
        must_equal("x", &json!(1), &json!(2)).unwrap_err();
    }

    #[test]
    fn a_command_that_fails_fails_the_demonstration() {
        let folder = tempfile::tempdir().unwrap();
        let terminal = |program: &str| Terminal::new(Path::new(program), folder.path(), folder.path());
        assert_eq!(terminal("echo").type_in("openshell status").unwrap().text, "status\n");
        assert!(terminal("false").type_in("openshell status").is_err());
        assert!(terminal("no-such-program-of-ours").type_in("openshell status").is_err());
        assert!(terminal("echo").ask("openshell {}").is_ok() && terminal("echo").ask("openshell {").is_err());
    }
}
