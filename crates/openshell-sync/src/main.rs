//! `openshell-sync`: keeps the state directory of one sandbox current, and tells an operator's command.

mod arguments;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::Parser;
use openshell_sync::{Answer, Change, CommandHook, Hook, NoHook, Status, SyncClient};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::arguments::Arguments;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

/// A command, or nothing.
enum Told {
    Command(CommandHook),
    Nobody(NoHook),
}

impl Hook for Told {
    fn apply<'a>(&'a self, change: &'a Change) -> Answer<'a> {
        match self {
            Self::Command(command) => command.apply(change),
            Self::Nobody(nobody) => nobody.apply(change),
        }
    }
}

async fn run(arguments: Arguments) -> anyhow::Result<()> {
    log_to_stderr(&arguments.log_level)?;
    // Before anything is made: whoever asks it to stop early is heard.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let hook = match &arguments.on_change {
        Some(command) => Told::Command(CommandHook::new(command, &arguments.sandbox_id, arguments.on_change_timeout)),
        None => Told::Nobody(NoHook),
    };
    let sync = SyncClient::start(arguments.options()?, hook).await?;
    let mut status = sync.status();
    tokio::select! {
        _ = terminate.recv() => tracing::info!("asked to stop by SIGTERM"),
        _ = interrupt.recv() => tracing::info!("asked to stop by SIGINT"),
        () = tell(&mut status) => {}
    }
    sync.stop().await;
    Ok(())
}

/// Says how it stands whenever that changes.
async fn tell(status: &mut watch::Receiver<Arc<Status>>) {
    while status.changed().await.is_ok() {
        let status = Arc::clone(&status.borrow_and_update());
        let (standing, node, problem) = (status.standing.as_str(), status.node, &status.problem);
        let position = status.position.map(|position| position.to_string());
        tracing::info!(standing, node, position, age_s = status.age().as_secs(), problem, "how it stands");
    }
}

fn log_to_stderr(level: &str) -> anyhow::Result<()> {
    let plain = ["error", "warn", "info", "debug", "trace"].contains(&level);
    let directives = if plain { format!("warn,openshell={level}") } else { level.to_owned() };
    let filter =
        tracing_subscriber::EnvFilter::try_new(directives).with_context(|| format!("--log-level {level:?}"))?;
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();
    Ok(())
}

/// The error and its causes, for people.
#[expect(clippy::print_stderr, reason = "the program's last words; logging may not have started")]
fn complain(error: &anyhow::Error) {
    eprintln!("Error: {error}");
    for cause in error.chain().skip(1) {
        eprintln!("  caused by: {cause}");
    }
}
