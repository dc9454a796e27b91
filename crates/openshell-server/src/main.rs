//! `openshell-gateway`: the program. Reads options, starts one node, or several on this
//! machine with `dev`; exports a stopped node and restores it as one of a new cluster.

#[cfg(test)]
mod alone;
mod auth;
mod dev;
mod export;
mod grpc;
mod http;
mod identifiers;
mod inspect;
mod jwt;
mod listener;
mod logs;
mod metrics;
mod options;
mod refresh;
mod restore;
mod run;
mod sandbox;
#[cfg(test)]
mod sealing;
mod secrets;
mod signals;
mod storage;
mod sync;
mod upgrade;
mod watch;

use std::process::ExitCode;

use clap::Parser;

use crate::options::{Arguments, Command, Settings};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match start(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

fn start(arguments: Arguments) -> anyhow::Result<()> {
    match &arguments.command {
        Some(Command::Dev(dev)) => {
            confess()?;
            return runtime()?.block_on(dev::run(dev));
        }
        Some(Command::Export(export)) => return export::run(export),
        Some(Command::Restore(restore)) => return restore::run(restore),
        Some(Command::Inspect(inspect)) => return inspect::run(inspect),
        None => {}
    }
    let settings = Settings::read(&arguments)?;
    run::log_to_stderr(&settings.log_level)?;
    confess()?;
    runtime()?.block_on(run::run(settings))
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}

/// A build that can be told to fail says so, whatever the log level is.
#[expect(clippy::print_stderr, reason = "logging may leave it out")]
fn confess() -> anyhow::Result<()> {
    if let Some(sentence) = openshell_chaos::announcement().map_err(anyhow::Error::msg)? {
        eprintln!("{sentence}");
    }
    Ok(())
}

/// The error and its causes, for people.
#[allow(clippy::print_stderr)] // The program's last words; logging may not have started.
fn complain(error: &anyhow::Error) {
    eprintln!("Error: {error}");
    for cause in error.chain().skip(1) {
        eprintln!("  caused by: {cause}");
    }
}
