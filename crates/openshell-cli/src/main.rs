//! The program `openshell`: its arguments, and the way from them to an exit code. What commands do is
//! in `commands`, and which one is meant is decided in `run`.

mod commands;
mod completions;
mod config;
mod context;
mod excerpt;
mod failure;
mod global;
mod help;
mod locate;
mod output;
mod pages;
mod run;
mod talk;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::global::Global;
use crate::output::Console;

/// Talks to OpenShell gateways.
#[derive(Debug, Parser)]
#[command(name = "openshell", version, propagate_version = true, disable_help_subcommand = true)]
struct Arguments {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Option<Command>,
}

/// The families of commands.
#[derive(Debug, Subcommand)]
enum Command {
    /// Shows whether the gateway can be reached and who you are to it.
    Status(commands::status::StatusArguments),
    /// Shows who you are to the gateway.
    Whoami(commands::whoami::WhoamiArguments),
    /// Local registrations of gateways.
    #[command(visible_alias = "gw", disable_help_subcommand = true)]
    Gateway(commands::gateway::GatewayArguments),
    /// Providers and their profiles.
    #[command(disable_help_subcommand = true)]
    Provider(commands::provider::ProviderArguments),
    /// Sandbox records and the providers attached to them.
    #[command(visible_alias = "sb", disable_help_subcommand = true)]
    Sandbox(commands::sandbox::SandboxArguments),
    /// What sandboxes have logged.
    #[command(visible_alias = "lg")]
    Logs(commands::logs::LogsArguments),
    /// The policy of a sandbox, or of all of them.
    #[command(visible_alias = "pol", disable_help_subcommand = true)]
    Policy(commands::policy::PolicyArguments),
    /// The network rules that a sandbox proposes.
    #[command(alias = "rl", hide = true, disable_help_subcommand = true)]
    Rule(commands::rule::RuleArguments),
    /// Settings of a sandbox, or of all of them.
    #[command(disable_help_subcommand = true)]
    Settings(commands::settings::SettingsArguments),
    /// How far changes have come among sandboxes.
    #[command(disable_help_subcommand = true)]
    Rollout(commands::rollout::RolloutArguments),
    /// The nodes behind the gateway.
    #[command(disable_help_subcommand = true)]
    Cluster(commands::cluster::ClusterArguments),
    /// Workspaces.
    #[command(visible_alias = "ws", disable_help_subcommand = true)]
    Workspace(commands::workspace::WorkspaceArguments),
    /// Exposed ports of running sandboxes; not available here.
    #[command(visible_alias = "svc", disable_help_subcommand = true)]
    Service(commands::absent::ServiceArguments),
    /// Local ports forwarded into running sandboxes; not available here.
    #[command(visible_alias = "fwd", disable_help_subcommand = true)]
    Forward(commands::absent::ForwardArguments),
    /// The route of inference; not available here.
    #[command(disable_help_subcommand = true)]
    Inference(commands::absent::InferenceArguments),
    /// Checks of a local container runtime; not available here.
    #[command(alias = "dr", disable_help_subcommand = true)]
    Doctor(commands::absent::DoctorArguments),
    /// A screen that shows sandboxes; not available here.
    Term(commands::absent::Anything),
    /// Helper of ssh for running sandboxes; not available here.
    #[command(hide = true)]
    SshProxy(commands::absent::Anything),
    /// Prints a script with which a shell completes commands and names.
    Completions(commands::completions::CompletionsArguments),
    /// Writes man pages into a folder.
    #[command(hide = true)]
    Man(commands::completions::ManArguments),
}

fn main() -> ExitCode {
    completions::answer_a_shell();
    let mut console = Console::of_this_process();
    let arguments = match help::parse(&mut console) {
        Ok(arguments) => arguments,
        Err(exit_code) => return exit_code,
    };
    start_logging(arguments.global.verbose);
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return console.fail(&failure::Failure::new("the program could not start").because(&error)),
    };
    let outcome = runtime.block_on(run::run(arguments, &mut console));
    // A look-up of a name that gets no answer is not waited for.
    runtime.shutdown_background();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => console.fail(&failure),
    }
}

/// Log lines go to stderr, so that what a script reads from stdout stays clean (`cli.md` 1.15).
fn start_logging(verbose: u8) {
    let level = match verbose {
        0 => "warn",
        1 => "info",
        2 => "debug",
        3.. => "trace",
    };
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();
}
