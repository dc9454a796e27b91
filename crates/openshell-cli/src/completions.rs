//! What a shell completes: commands and flags from the definitions, and names of what there is, which
//! `names` asks for. The script that `openshell completions` prints calls the program back with COMPLETE set,
//! so that nothing in it ages (`cli.md` 1.13).

mod names;

use clap::{Command, ValueEnum};
use clap_complete::engine::ArgValueCompleter;
use clap_complete::env::{CompleteEnv, Shells};

use self::names::{Kind, candidates};
use crate::help;

const VARIABLE: &str = "COMPLETE";
const PROGRAM: &str = "openshell";

/// The shells that scripts are made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Elvish,
    Fish,
    Powershell,
    Zsh,
}

/// Arguments whose values are names, by the path of their command and their own id. Global flags are the root's.
const NAMES: &[(&str, &str, Kind)] = &[
    ("", "gateway", Kind::Gateway),
    ("", "workspace", Kind::Workspace),
    ("gateway select", "name", Kind::Gateway),
    ("gateway remove", "name", Kind::Gateway),
    ("gateway login", "name", Kind::Gateway),
    ("gateway logout", "name", Kind::Gateway),
    ("provider create", "provider_type", Kind::Profile),
    ("provider get", "name", Kind::Provider),
    ("provider update", "name", Kind::Provider),
    ("provider delete", "names", Kind::Provider),
    ("provider profile export", "id", Kind::Profile),
    ("provider profile update", "id", Kind::Profile),
    ("provider profile delete", "id", Kind::Profile),
    ("provider refresh status", "name", Kind::Provider),
    ("provider refresh configure", "name", Kind::Provider),
    ("provider refresh rotate", "name", Kind::Provider),
    ("provider refresh delete", "name", Kind::Provider),
    ("sandbox create", "providers", Kind::Provider),
    ("sandbox get", "name", Kind::Sandbox),
    ("sandbox delete", "names", Kind::Sandbox),
    ("sandbox stop", "name", Kind::Sandbox),
    ("sandbox start", "name", Kind::Sandbox),
    ("sandbox logs", "name", Kind::Sandbox),
    ("sandbox token", "name", Kind::Sandbox),
    ("sandbox provider list", "name", Kind::Sandbox),
    ("sandbox provider attach", "name", Kind::Sandbox),
    ("sandbox provider attach", "provider", Kind::Provider),
    ("sandbox provider detach", "name", Kind::Sandbox),
    ("sandbox provider detach", "provider", Kind::Provider),
    ("logs", "name", Kind::Sandbox),
    ("policy set", "name", Kind::Sandbox),
    ("policy update", "name", Kind::Sandbox),
    ("policy get", "name", Kind::Sandbox),
    ("policy list", "name", Kind::Sandbox),
    ("rule get", "name", Kind::Sandbox),
    ("rule approve", "name", Kind::Sandbox),
    ("rule reject", "name", Kind::Sandbox),
    ("rule approve-all", "name", Kind::Sandbox),
    ("rule undo", "name", Kind::Sandbox),
    ("rule clear", "name", Kind::Sandbox),
    ("rule history", "name", Kind::Sandbox),
    ("settings get", "name", Kind::Sandbox),
    ("settings set", "name", Kind::Sandbox),
    ("settings delete", "name", Kind::Sandbox),
    ("workspace get", "name", Kind::Workspace),
    ("workspace delete", "names", Kind::Workspace),
    ("workspace member add", "workspace", Kind::Workspace),
    ("workspace member remove", "workspace", Kind::Workspace),
    ("workspace member list", "workspace", Kind::Workspace),
];

/// The script that makes a shell ask this program, which it calls `openshell` wherever it lies.
///
/// Errors: none that this program can cause; that of writing into memory.
pub(crate) fn script(shell: Shell) -> std::io::Result<Vec<u8>> {
    let name = match shell {
        Shell::Bash => "bash",
        Shell::Elvish => "elvish",
        Shell::Fish => "fish",
        Shell::Powershell => "powershell",
        Shell::Zsh => "zsh",
    };
    let mut script = Vec::new();
    if let Some(completer) = Shells::builtins().completer(name) {
        completer.write_registration(VARIABLE, PROGRAM, PROGRAM, PROGRAM, &mut script)?;
    }
    Ok(script)
}

/// When a shell asks what can come next, answers and ends the process. Otherwise returns at once.
pub(crate) fn answer_a_shell() {
    CompleteEnv::with_factory(help::command).bin(PROGRAM).completer(PROGRAM).complete();
}

/// The definitions, with what completes names in them.
pub(crate) fn with_names(command: Command) -> Command {
    NAMES.iter().fold(command, |command, (path, id, kind)| {
        let names: Vec<_> = path.split_whitespace().collect();
        add(command, &names, id, *kind)
    })
}

fn add(command: Command, path: &[&str], id: &str, kind: Kind) -> Command {
    match path {
        [] => command.mut_arg(id, |argument| {
            argument.add(ArgValueCompleter::new(move |current: &std::ffi::OsStr| candidates(kind, current)))
        }),
        [name, below @ ..] => command.mut_subcommand(name, |command| add(command, below, id, kind)),
    }
}

#[cfg(test)]
mod tests {
    use clap::{Arg, Command, CommandFactory, ValueEnum};
    use clap_complete::engine::ArgValueCompleter;

    use super::{NAMES, Shell, script};
    use crate::{Arguments, help};

    #[test]
    fn cli_scenario_79_a_script_names_the_program_openshell() {
        for shell in Shell::value_variants() {
            let text = String::from_utf8(script(*shell).expect("memory")).expect("text");
            assert!(text.contains("openshell") && text.contains("COMPLETE"), "{shell:?}: {text}");
        }
    }

    fn of<'a>(command: &'a Command, path: &str) -> &'a Command {
        path.split_whitespace().fold(command, |command, name| command.find_subcommand(name).expect(name))
    }

    #[test]
    fn every_argument_whose_values_are_names_is_there() {
        let command = Arguments::command();
        for (path, id, _) in NAMES {
            let has_it = of(&command, path).get_arguments().any(|argument| argument.get_id() == id);
            assert!(has_it, "{path} has no {id}");
        }
    }

    #[test]
    fn every_name_that_is_asked_for_is_completed() {
        fn check(command: &Command, path: &str) {
            let is_new = path.ends_with("create") || path.ends_with("add") && !path.contains("member");
            // Nobody is offered what help does not show.
            let is_asked_for = |argument: &&Arg| !is_new && !argument.is_hide_set();
            for argument in command.get_arguments().filter(is_asked_for) {
                let is_name = ["name", "names", "gateway", "workspace"].contains(&argument.get_id().as_str());
                let is_name = is_name && argument.get_action().takes_values();
                assert!(!is_name || argument.get::<ArgValueCompleter>().is_some(), "{path} {}", argument.get_id());
            }
            for below in command.get_subcommands() {
                check(below, format!("{path} {}", below.get_name()).trim());
            }
        }
        check(&help::command(), "");
    }
}
