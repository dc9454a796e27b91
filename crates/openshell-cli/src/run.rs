//! Which command is meant. A family without a subcommand prints its help and succeeds (`cli.md` 1.1).

use crate::commands::{cluster, gateway, logs, policy, provider, rule, sandbox, settings, status, whoami, workspace};
use crate::context::Context;
use crate::failure::Failure;
use crate::output::Console;
use crate::{Arguments, Command, help};

pub(crate) async fn run(arguments: Arguments, console: &mut Console) -> Result<(), Failure> {
    let Some(command) = arguments.command else {
        console.print(&help(None));
        return Ok(());
    };
    if let Some(family) = command.without_subcommand() {
        console.print(&help(Some(family)));
        return Ok(());
    }
    let mut context = Context::new(arguments.global, console);
    match command {
        Command::Status(arguments) => status::run(arguments, &mut context).await,
        Command::Whoami(arguments) => whoami::run(arguments, &mut context).await,
        Command::Gateway(arguments) => gateway::run(arguments, &mut context).await,
        Command::Provider(arguments) => provider::run(arguments, &mut context).await,
        Command::Sandbox(arguments) => sandbox::run(arguments, &mut context).await,
        Command::Logs(arguments) => logs::run(arguments, &mut context).await,
        Command::Policy(arguments) => policy::run(arguments, &mut context).await,
        Command::Rule(arguments) => rule::run(arguments, &mut context).await,
        Command::Settings(arguments) => settings::run(arguments, &mut context).await,
        Command::Cluster(arguments) => cluster::run(arguments, &mut context).await,
        Command::Workspace(arguments) => workspace::run(arguments, &mut context).await,
    }
}

impl Command {
    /// The family's name, when nothing was asked of it.
    fn without_subcommand(&self) -> Option<&'static str> {
        match self {
            Self::Status(_) | Self::Whoami(_) | Self::Logs(_) => None,
            Self::Gateway(family) => family.command.is_none().then_some("gateway"),
            Self::Provider(family) => family.command.is_none().then_some("provider"),
            Self::Sandbox(family) => family.command.is_none().then_some("sandbox"),
            Self::Policy(family) => family.command.is_none().then_some("policy"),
            Self::Rule(family) => family.command.is_none().then_some("rule"),
            Self::Settings(family) => family.command.is_none().then_some("settings"),
            Self::Cluster(family) => family.command.is_none().then_some("cluster"),
            Self::Workspace(family) => family.command.is_none().then_some("workspace"),
        }
    }
}
