//! `openshell cluster`: the nodes behind the gateway, as the one that answered sees them.

mod members;
mod replace;
mod status;
mod transfer;
mod view;
mod watch;

use clap::{Args, Subcommand};

use self::view::View;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::Format;

/// `openshell cluster ...`.
#[derive(Debug, Args)]
pub(crate) struct ClusterArguments {
    #[command(subcommand)]
    pub(crate) command: Option<ClusterCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ClusterCommand {
    /// One row for each node: role, term, what it has applied and how far behind it is.
    Status(ViewArguments),
    /// One row for each node: where it is, whether it votes, whether it can be reached.
    Members(ViewArguments),
    /// Puts a new node in the place of a member that is lost or is to go. Repeat it when it was interrupted.
    #[command(after_help = "Start the new node first, in an empty directory, under an id that was never used:\n  \
                            openshell-gateway --node-id NEW --join ADDRESS --secrets-key-file FILE")]
    Replace {
        /// Id of the member that goes, dead or alive.
        old: u64,
        /// Id of the new node.
        #[arg(long = "with", value_name = "NEW")]
        new: u64,
        /// Form of the output.
        #[arg(short, long, value_enum, default_value_t = Format::Table)]
        output: Format,
    },
    /// Makes another node the leader, and returns once it leads.
    TransferLeader {
        /// Id of the node that is to lead; whichever has most of the log when absent.
        #[arg(long, value_name = "NODE", value_parser = clap::value_parser!(u64).range(1..))]
        to: Option<u64>,
        /// Form of the output.
        #[arg(short, long, value_enum, default_value_t = Format::Table)]
        output: Format,
    },
    /// What changes, a line each, until it is interrupted. Goes on at another node when one goes away.
    Watch(watch::WatchArguments),
}

/// How the members are shown.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct ViewArguments {
    /// Form of the output.
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,
    /// Shows it again whenever it changes, until Ctrl-C.
    #[arg(short, long)]
    watch: bool,
}

pub(crate) async fn run(arguments: ClusterArguments, context: &mut Context<'_>) -> Result<(), Failure> {
    match arguments.command {
        Some(ClusterCommand::Status(arguments)) => show(status::VIEW, arguments, context).await,
        Some(ClusterCommand::Members(arguments)) => show(members::VIEW, arguments, context).await,
        Some(ClusterCommand::Replace { old, new, output }) => replace::run(old, new, output, context).await,
        Some(ClusterCommand::TransferLeader { to, output }) => transfer::run(to, output, context).await,
        Some(ClusterCommand::Watch(arguments)) => watch::run(arguments, context).await,
        None => Ok(()),
    }
}

async fn show(view: View, arguments: ViewArguments, context: &mut Context<'_>) -> Result<(), Failure> {
    match arguments.watch {
        false => view::show(view, arguments.output, context).await,
        true => view::follow(view, arguments.output, context).await,
    }
}
