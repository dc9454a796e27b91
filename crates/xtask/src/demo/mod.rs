//! `cargo xtask demo`: the main job on three real nodes, as a person would type it. What is typed and what
//! must come of it is in `story`; the nodes are in `nodes`, the typing in `terminal`.

mod nodes;
mod story;
mod terminal;

use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::cargo::Cargo;
use crate::{output, setup};
use nodes::Nodes;
use terminal::Terminal;

/// Runs the demonstration; true when all was as it should be. Whatever was started is stopped and removed,
/// unless `keep` asks for the cluster at the end.
pub(crate) fn run(keep: bool) -> Result<bool> {
    setup::prepare()?;
    let cargo = Cargo::new()?;
    output::heading("building the gateway and the CLI");
    // All programs of the workspace, as in `cargo xtask test`: the same features, so one build for both.
    let status = cargo.command(&["build", "--release", "--workspace", "--bins"]).status().context("starting cargo")?;
    if !status.success() {
        bail!("the build failed with {status}");
    }
    let start = Instant::now();
    let folder = tempfile::Builder::new().prefix("openshell-demo-").tempdir().context("making a temporary folder")?;
    let programs = cargo.programs()?;
    let mut nodes = Nodes::start(&programs.join("openshell-gateway"), folder.path(), keep)?;
    let mut terminal = Terminal::new(&programs.join("openshell"), cargo.root(), folder.path());
    let told = nodes.wait_until_ready().and_then(|()| story::tell(&mut terminal, &mut nodes));
    if let Err(error) = told {
        output::error(&format!("\nThe demonstration failed.\n{error:#}\n\n{}", nodes.last_words()));
        return Ok(false);
    }
    output::heading(&format!("all of it was as it should be, in {:.1} s", start.elapsed().as_secs_f64()));
    if keep {
        nodes.leave();
        let folder = folder.keep();
        output::line(&format!(
            "The cluster goes on in {}. Use it:\n  export XDG_CONFIG_HOME={}\n  {} cluster status\nStop it and remove it:\n  \
             kill -INT {} && rm -r {}",
            folder.display(),
            terminal.configuration().display(),
            programs.join("openshell").display(),
            nodes.process(),
            folder.display(),
        ));
    }
    Ok(true)
}
