//! `openshell completions` and `openshell man`: the definitions of the command line, for shells and as pages.
//! No network.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::completions::{Shell, script};
use crate::failure::Failure;
use crate::help;
use crate::output::Console;

/// `openshell completions ...`.
#[derive(Debug, Args)]
pub(crate) struct CompletionsArguments {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

/// `openshell man ...`.
#[derive(Debug, Args)]
pub(crate) struct ManArguments {
    /// The folder; it is made if it is not there.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

pub(crate) fn run(arguments: &CompletionsArguments, console: &mut Console) -> Result<(), Failure> {
    let script =
        script(arguments.shell).map_err(|error| Failure::new("the script could not be made").because(&error))?;
    console.print(&String::from_utf8_lossy(&script));
    Ok(())
}

/// Writes one page for the program and one for each command that is shown in help.
pub(crate) fn write_pages(arguments: &ManArguments, console: &mut Console) -> Result<(), Failure> {
    let folder = &arguments.folder;
    let unwritable = |error: &std::io::Error| {
        Failure::new(format!("could not write man pages into {}", folder.display())).because(error)
    };
    std::fs::create_dir_all(folder).map_err(|error| unwritable(&error))?;
    pages(folder).map_err(|error| unwritable(&error))?;
    console.note_done(&format!(
        "Man pages are in {}: 'man -l {}'",
        folder.display(),
        folder.join("openshell.1").display()
    ));
    Ok(())
}

fn pages(folder: &Path) -> std::io::Result<()> {
    clap_mangen::generate_to(help::command(), folder)
}

#[cfg(test)]
mod tests {
    use super::pages;

    #[test]
    fn there_is_a_page_for_every_command_with_its_examples() {
        let folder = tempfile::tempdir().expect("a folder");
        pages(folder.path()).expect("pages");
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).expect(name);
        assert!(read("openshell.1").contains("openshell gateway add"));
        let page = read("openshell-provider-profile-import.1");
        assert!(page.contains(".TH") && page.contains("acme.yaml"), "{page}");
    }
}
