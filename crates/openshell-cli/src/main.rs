//! The program `openshell`: its arguments, and the way from them to an exit code. What commands do is
//! in `commands`, and which one is meant is decided in `run`.

mod commands;
mod config;
mod context;
mod failure;
mod output;
mod pages;
mod run;

use std::process::ExitCode;

use clap::{ArgAction, Args, CommandFactory, Parser, Subcommand};

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

/// Flags that every command takes, before or after its name (`cli.md` 1.2).
#[derive(Clone, Debug, Args)]
struct Global {
    /// Name of a registered gateway.
    #[arg(short, long, env = "OPENSHELL_GATEWAY", global = true, value_name = "NAME")]
    gateway: Option<String>,
    /// Connects to these URLs directly: one, or several of one cluster separated by commas.
    #[arg(long, env = "OPENSHELL_GATEWAY_ENDPOINT", global = true, value_name = "URL[,URL...]")]
    gateway_endpoint: Option<String>,
    /// Uses TLS without verifying the server.
    #[arg(long, env = "OPENSHELL_GATEWAY_INSECURE", global = true)]
    gateway_insecure: bool,
    /// The workspace that names are looked up in.
    #[arg(long, env = "OPENSHELL_WORKSPACE", global = true, default_value = "default", value_name = "NAME")]
    workspace: String,
    /// Logs more to stderr; repeat for more.
    #[arg(short, long, action = ArgAction::Count, global = true)]
    verbose: u8,
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
    /// The nodes behind the gateway.
    #[command(disable_help_subcommand = true)]
    Cluster(commands::cluster::ClusterArguments),
    /// Workspaces.
    #[command(visible_alias = "ws", disable_help_subcommand = true)]
    Workspace(commands::workspace::WorkspaceArguments),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    start_logging(arguments.global.verbose);
    let mut console = Console::of_this_process();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return console.fail(&failure::Failure::new("the program could not start").because(&error)),
    };
    match runtime.block_on(run::run(arguments, &mut console)) {
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

/// The help of the program or of one of its families, as `--help` prints it.
fn help(family: Option<&str>) -> String {
    let mut command = Arguments::command();
    command.build();
    match family.and_then(|name| command.find_subcommand_mut(name)) {
        Some(family) => family.render_help().to_string(),
        None => command.render_help().to_string(),
    }
}
