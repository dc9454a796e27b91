//! Which command is meant. A family without a subcommand prints its help and succeeds (`cli.md` 1.1).

use crate::commands::{
    absent, cluster, completions, gateway, logs, policy, provider, rollout, rule, sandbox, settings, status, whoami,
    workspace,
};
use crate::context::Context;
use crate::failure::Failure;
use crate::output::Console;
use crate::{Arguments, Command, help};

pub(crate) async fn run(arguments: Arguments, console: &mut Console) -> Result<(), Failure> {
    let Some(command) = arguments.command else {
        console.print(&help::text(None, console.paint));
        return Ok(());
    };
    if let Some(family) = command.without_subcommand() {
        console.print(&help::text(Some(family), console.paint));
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
        Command::Rollout(arguments) => rollout::run(arguments, &mut context).await,
        Command::Cluster(arguments) => cluster::run(arguments, &mut context).await,
        Command::Workspace(arguments) => workspace::run(arguments, &mut context).await,
        Command::Service(_) => Err(absent::needs_compute("service")),
        Command::Forward(_) => Err(absent::needs_compute("forward")),
        Command::SshProxy(_) => Err(absent::needs_compute("ssh-proxy")),
        Command::Inference(_) => Err(absent::inference()),
        Command::Doctor(_) => Err(absent::doctor()),
        Command::Term(_) => Err(absent::term()),
        Command::Completions(arguments) => completions::run(&arguments, context.console),
        Command::Man(arguments) => completions::write_pages(&arguments, context.console),
    }
}

impl Command {
    /// The family's name, when nothing was asked of it.
    fn without_subcommand(&self) -> Option<&'static str> {
        match self {
            Self::Status(_) | Self::Whoami(_) | Self::Logs(_) | Self::Term(_) | Self::SshProxy(_) => None,
            Self::Completions(_) | Self::Man(_) => None,
            Self::Gateway(family) => family.command.is_none().then_some("gateway"),
            Self::Provider(family) => family.command.is_none().then_some("provider"),
            Self::Sandbox(family) => family.command.is_none().then_some("sandbox"),
            Self::Policy(family) => family.command.is_none().then_some("policy"),
            Self::Rule(family) => family.command.is_none().then_some("rule"),
            Self::Settings(family) => family.command.is_none().then_some("settings"),
            Self::Rollout(family) => family.command.is_none().then_some("rollout"),
            Self::Cluster(family) => family.command.is_none().then_some("cluster"),
            Self::Workspace(family) => family.command.is_none().then_some("workspace"),
            Self::Service(family) => family.command.is_none().then_some("service"),
            Self::Forward(family) => family.command.is_none().then_some("forward"),
            Self::Inference(family) => family.command.is_none().then_some("inference"),
            Self::Doctor(family) => family.command.is_none().then_some("doctor"),
        }
    }
}
