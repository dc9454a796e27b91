//! The definitions of the command line as help, completions and man pages are made from them: what the
//! commands declare, with an example for each and the names that the shell can complete. Examples are in
//! `examples`, names in `completions`.

mod examples;

use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, CommandFactory, FromArgMatches};

use self::examples::EXAMPLES;
use crate::Arguments;
use crate::completions::with_names;
use crate::output::{Console, Paint};

/// Exit code of everything that is wrong with arguments (`cli.md` 1.12).
const USAGE: u8 = 2;

/// The whole command line.
pub(crate) fn command() -> Command {
    with_names(with_examples(Arguments::command(), ""))
}

/// Reads the arguments of this process. Help, the version and complaints are printed here, and the exit code
/// is given back instead.
pub(crate) fn parse(console: &mut Console) -> Result<Arguments, ExitCode> {
    let read = command().try_get_matches().and_then(|mut matches| Arguments::from_arg_matches_mut(&mut matches));
    read.map_err(|error| {
        match missing_subcommand(&error, console.paint_err) {
            Some(help) => console.note(&help),
            // Nobody can be told that telling failed.
            None => drop(error.print()),
        }
        ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(USAGE))
    })
}

/// The help that a second-level family without a subcommand prints on stderr (`cli.md` 1.1). The parser does
/// so by itself unless a flag or a variable was given too.
fn missing_subcommand(error: &clap::Error, paint: Paint) -> Option<String> {
    if error.kind() != ErrorKind::MissingSubcommand {
        return None;
    }
    let ContextValue::String(path) = error.get(ContextKind::InvalidSubcommand)? else { return None };
    let mut command = built();
    let mut family = &mut command;
    for name in path.split(' ').skip(1) {
        family = family.find_subcommand_mut(name)?;
    }
    Some(rendered(family, paint))
}

/// The help of the program or of one of its families, as `--help` prints it.
pub(crate) fn text(family: Option<&str>, paint: Paint) -> String {
    let mut command = built();
    match family.and_then(|name| command.find_subcommand_mut(name)) {
        Some(family) => rendered(family, paint),
        None => rendered(&mut command, paint),
    }
}

fn rendered(command: &mut Command, paint: Paint) -> String {
    let help = command.render_help();
    if paint.is_colourful() { help.ansi().to_string() } else { help.to_string() }
}

fn built() -> Command {
    let mut command = command();
    command.build();
    command
}

/// Adds its examples to a command, below what it says itself, and to all commands under it.
fn with_examples(command: Command, path: &str) -> Command {
    let names: Vec<_> = command.get_subcommands().map(|command| command.get_name().to_owned()).collect();
    let command = names.iter().fold(command, |command, name| {
        let below = if path.is_empty() { name.clone() } else { format!("{path} {name}") };
        command.mut_subcommand(name, |command| with_examples(command, &below))
    });
    let Some((_, examples)) = EXAMPLES.iter().find(|(of, _)| *of == path) else { return command };
    let mut text = command.get_after_help().map(|own| format!("{own}\n\n")).unwrap_or_default();
    text.push_str(if examples.len() == 1 { "Example:" } else { "Examples:" });
    for example in *examples {
        text.push_str(&format!("\n  {example}"));
    }
    command.after_help(text)
}

#[cfg(test)]
mod tests {
    use clap::{ArgMatches, Command};

    use super::examples::EXAMPLES;
    use super::{command, missing_subcommand, text};
    use crate::output::Paint;

    /// So wide is help where there is no terminal; wider examples would be wrapped.
    const WIDTH_MAX: usize = 96;

    /// The path of every command, the root's being empty.
    fn paths(command: &Command, path: &str, found: &mut Vec<String>) {
        found.push(path.to_owned());
        for command in command.get_subcommands() {
            paths(command, format!("{path} {}", command.get_name()).trim(), found);
        }
    }

    /// Whether a command only exists to say why it does nothing: it takes anything.
    fn takes_anything(path: &str) -> bool {
        let mut command = &command();
        for name in path.split_whitespace() {
            command = command.find_subcommand(name).expect("a path of the tree");
        }
        let mut all = command.get_arguments().filter(|argument| !argument.is_global_set());
        let below: Vec<_> = command.get_subcommands().map(Command::get_name).collect();
        match below.as_slice() {
            [] => all.next().is_some_and(|argument| argument.is_trailing_var_arg_set() && argument.is_hide_set()),
            names => names.iter().all(|name| takes_anything(&format!("{path} {name}"))),
        }
    }

    fn path_of(matches: &ArgMatches) -> String {
        match matches.subcommand() {
            Some((name, below)) => format!("{name} {}", path_of(below)).trim().to_owned(),
            None => String::new(),
        }
    }

    #[test]
    fn every_command_has_an_example() {
        let mut all = Vec::new();
        paths(&command(), "", &mut all);
        assert!(all.len() > 60, "the whole tree: {}", all.len());
        let has_example = |path: &&String| EXAMPLES.iter().any(|(of, examples)| of == path && !examples.is_empty());
        let without: Vec<_> = all.iter().filter(|path| !has_example(path) && !takes_anything(path)).collect();
        assert!(without.is_empty(), "add these to help/examples.rs: {without:?}");
        let gone: Vec<_> = EXAMPLES.iter().filter(|(of, _)| !all.iter().any(|path| path == of)).collect();
        assert!(gone.is_empty(), "no such commands: {gone:?}");
    }

    #[test]
    fn every_example_can_be_typed() {
        for (path, examples) in EXAMPLES {
            for example in *examples {
                assert!(example.len() <= WIDTH_MAX && !example.contains(['\'', '"', '\\']), "{example}");
                let matches = command()
                    .try_get_matches_from(example.split(' '))
                    .unwrap_or_else(|error| panic!("{example}: {error}"));
                assert!(path_of(&matches).starts_with(path), "{example} is no example of {path}");
            }
        }
    }

    #[test]
    fn help_of_a_family_names_its_commands_and_its_examples() {
        let help = text(Some("provider"), Paint::plain());
        for part in ["Usage: openshell provider", "list-profiles", "Examples:\n  openshell provider "] {
            assert!(help.contains(part), "{help}");
        }
        assert!(!help.contains('\u{1b}'));
        assert!(text(None, Paint::plain()).contains("Usage: openshell [OPTIONS] [COMMAND]"));
        assert!(text(None, Paint::colourful()).contains('\u{1b}'));
    }

    #[test]
    fn a_second_level_family_without_subcommand_is_help_on_stderr_and_exit_code_2() {
        for family in
            [&["provider", "profile"][..], &["provider", "refresh"], &["sandbox", "provider"], &["ws", "member"]]
        {
            for flags in [&[][..], &["-v"], &["--gateway", "x"]] {
                let words = [&["openshell"], family, flags].concat();
                let error = command().try_get_matches_from(&words).expect_err("no subcommand");
                let help = missing_subcommand(&error, Paint::plain()).unwrap_or_else(|| error.to_string());
                assert_eq!((error.exit_code(), error.use_stderr()), (2, true), "{words:?}");
                assert!(help.contains("Commands:"), "{words:?}: {help}");
            }
        }
    }

    #[test]
    fn help_is_a_flag_and_no_command() {
        for family in [&[][..], &["provider"], &["provider", "profile"], &["cluster"], &["sandbox", "provider"]] {
            let words = [&["openshell"], family, &["help"]].concat();
            assert_eq!(
                command().try_get_matches_from(&words).expect_err("no such command").exit_code(),
                2,
                "{words:?}"
            );
            let words = [&["openshell"], family, &["--help"]].concat();
            let error = command().try_get_matches_from(&words).expect_err("help");
            assert_eq!((error.exit_code(), error.use_stderr()), (0, false), "{words:?}");
        }
    }

    #[test]
    fn every_command_tells_its_version() {
        let version = env!("CARGO_PKG_VERSION");
        for (words, name) in
            [(&[][..], "openshell"), (&["provider"], "openshell-provider"), (&["status"], "openshell-status")]
        {
            let words = [&["openshell"], words, &["-V"]].concat();
            let error = command().try_get_matches_from(&words).expect_err("the version");
            assert_eq!((error.to_string(), error.exit_code()), (format!("{name} {version}\n"), 0));
        }
    }

    #[test]
    fn the_definitions_are_sound() {
        command().debug_assert();
    }
}
