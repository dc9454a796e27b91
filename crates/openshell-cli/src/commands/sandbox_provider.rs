//! `openshell sandbox provider`: which providers a sandbox has.

use clap::Subcommand;
use openshell_client::{CallError, methods};
use openshell_proto::datamodel::Provider;
use openshell_proto::v1;

use super::rollout::wait::WaitArguments;
use super::sandbox::get_sandbox;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Paint, table};

#[derive(Debug, Subcommand)]
pub(crate) enum SandboxProviderCommand {
    /// Lists the providers of a sandbox.
    List {
        /// The sandbox; the one used last when absent.
        name: Option<String>,
    },
    /// Gives a sandbox a provider.
    Attach {
        /// The sandbox.
        name: String,
        /// The provider.
        provider: String,
        #[command(flatten)]
        wait: WaitArguments,
    },
    /// Takes a provider from a sandbox.
    Detach {
        /// The sandbox.
        name: String,
        /// The provider.
        provider: String,
        #[command(flatten)]
        wait: WaitArguments,
    },
}

pub(crate) async fn run(command: SandboxProviderCommand, context: &mut Context<'_>) -> Result<(), Failure> {
    match command {
        SandboxProviderCommand::List { name } => list(name, context).await,
        SandboxProviderCommand::Attach { name, provider, wait } => attach(name, provider, wait, context).await,
        SandboxProviderCommand::Detach { name, provider, wait } => detach(name, provider, wait, context).await,
    }
}

async fn list(name: Option<String>, context: &mut Context<'_>) -> Result<(), Failure> {
    let session = context.session()?;
    let name = context.sandbox_name(&session, name)?;
    let request = v1::ListSandboxProvidersRequest { sandbox_name: name.clone(), workspace: session.workspace.clone() };
    let providers = session.read(&methods::LIST_SANDBOX_PROVIDERS, request).await?.providers;
    match providers.is_empty() {
        true => context.console.line(&format!("No providers attached to sandbox {name}.")),
        false => context.console.print(&rows(&providers, context.console.paint)),
    }
    Ok(())
}

fn rows(providers: &[Provider], paint: Paint) -> String {
    let row = |provider: &Provider| {
        vec![
            provider.metadata.clone().unwrap_or_default().name,
            provider.r#type.clone(),
            provider.credentials.len().to_string(),
            provider.config.len().to_string(),
        ]
    };
    let rows: Vec<_> = providers.iter().map(row).collect();
    table(&["NAME", "TYPE", "CREDENTIAL_KEYS", "CONFIG_KEYS"], &rows, "", paint)
}

async fn attach(name: String, provider: String, wait: WaitArguments, context: &mut Context<'_>) -> Result<(), Failure> {
    let session = context.session()?;
    let request = v1::AttachSandboxProviderRequest {
        expected_resource_version: resource_version(&get_sandbox(&session, &name).await?),
        sandbox_name: name.clone(),
        provider_name: provider.clone(),
        workspace: session.workspace.clone(),
    };
    let (reply, seen) = session.change(&methods::ATTACH_SANDBOX_PROVIDER, request).await.map_err(raced)?;
    if !reply.attached {
        context.console.line(&format!("Provider {provider} is already attached to sandbox {name}."));
        wait.unchanged(context);
        return Ok(());
    }
    context.console.done(&format!("Attached provider {provider} to sandbox {name}"));
    wait.wait(&session, seen, false, context).await
}

async fn detach(name: String, provider: String, wait: WaitArguments, context: &mut Context<'_>) -> Result<(), Failure> {
    let session = context.session()?;
    let request = v1::DetachSandboxProviderRequest {
        expected_resource_version: resource_version(&get_sandbox(&session, &name).await?),
        sandbox_name: name.clone(),
        provider_name: provider.clone(),
        workspace: session.workspace.clone(),
    };
    let (reply, seen) = session.change(&methods::DETACH_SANDBOX_PROVIDER, request).await.map_err(raced)?;
    if !reply.detached {
        context.console.line(&format!("Provider {provider} was not attached to sandbox {name}."));
        wait.unchanged(context);
        return Ok(());
    }
    context.console.done(&format!("Detached provider {provider} from sandbox {name}"));
    wait.wait(&session, seen, false, context).await
}

fn resource_version(sandbox: &v1::Sandbox) -> u64 {
    sandbox.metadata.as_ref().map_or(0, |metadata| metadata.resource_version)
}

/// The original hides the gateway's words here; they are kept as the cause.
fn raced(error: CallError) -> Failure {
    match error {
        CallError::Refused(status) if status.code() == tonic::Code::Aborted => {
            let message = "the sandbox was modified by another operation in the meantime: retry the command";
            Failure { causes: vec![status.message().to_owned()], ..Failure::new(message) }
        }
        other => other.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::raced;
    use openshell_client::CallError;

    #[test]
    fn cli_scenario_59_a_lost_race_advises_to_retry() {
        let failure = raced(CallError::Refused(tonic::Status::aborted("resource_version is 4")));
        assert!(failure.message.contains("retry"), "{}", failure.message);
        assert_eq!(failure.causes, ["resource_version is 4"]);
    }
}
