//! `openshell provider update`: sends what is to change; the gateway merges. No version is stated, so two
//! updates of different keys do not disturb each other.

use std::collections::BTreeMap;

use clap::Args;
use openshell_client::methods;
use openshell_proto::datamodel::{ObjectMeta, Provider};
use openshell_proto::v1::{GetProviderRequest, UpdateProviderRequest};

use super::create::with_explicit;
use super::discover::discover;
use super::profile::TypeProfile;
use crate::commands::pairs::{credentials, pairs};
use crate::commands::rollout::wait::WaitArguments;
use crate::context::{Context, required};
use crate::failure::Failure;
use crate::output::parse_time_ms;

/// `openshell provider update`.
#[derive(Debug, Args)]
pub(crate) struct UpdateArguments {
    /// Its name.
    name: String,
    /// A credential, repeatable; a bare KEY is read from the variable of that name.
    #[arg(long = "credential", value_name = "KEY[=VALUE]", conflicts_with = "from_existing")]
    credentials: Vec<String>,
    /// Takes what this environment holds for its type.
    #[arg(long)]
    from_existing: bool,
    /// Configuration, repeatable.
    #[arg(long = "config", value_name = "K=V")]
    config: Vec<String>,
    /// When a credential expires: epoch milliseconds or RFC 3339; 0 clears it.
    #[arg(long = "credential-expires-at", value_name = "K=TIME", value_parser = parse_expiry)]
    expiries: Vec<(String, i64)>,
    #[command(flatten)]
    wait: WaitArguments,
}

fn parse_expiry(argument: &str) -> Result<(String, i64), String> {
    match argument.split_once('=') {
        Some((key, time)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), parse_time_ms(time.trim())?)),
        Some(_) | None => Err("it is not of the form KEY=TIME".to_owned()),
    }
}

pub(crate) async fn run(arguments: UpdateArguments, context: &mut Context<'_>) -> Result<(), Failure> {
    let session = context.session()?;
    let workspace = session.workspace.clone();
    let variable = |name: &str| std::env::var(name).ok();
    let mut secrets = credentials(&arguments.credentials, variable)?;
    let mut config = pairs("--config", &arguments.config)?;
    let expiries: BTreeMap<_, _> = arguments.expiries.into_iter().collect();
    if arguments.from_existing {
        let request = GetProviderRequest { name: arguments.name.clone(), workspace: workspace.clone() };
        let stored = required(session.read(&methods::GET_PROVIDER, request).await?.provider, "provider")?;
        let profile = TypeProfile::new(&session, &stored.r#type, &stored.profile_workspace);
        let found = discover(&session, &profile, &variable).await?;
        secrets = with_explicit(found.credentials, secrets);
        config = with_explicit(found.config, config);
    }
    let provider = Provider {
        metadata: Some(ObjectMeta {
            name: arguments.name.clone(),
            workspace: workspace.clone(),
            ..ObjectMeta::default()
        }),
        credentials: secrets,
        config,
        ..Provider::default()
    };
    let request = UpdateProviderRequest { provider: Some(provider), credential_expires_at_ms: expiries, workspace };
    let (reply, seen) = session.change(&methods::UPDATE_PROVIDER, request).await?;
    let updated = required(reply.provider, "provider")?;
    context.console.done(&format!("Updated provider {}", updated.metadata.unwrap_or_default().name));
    arguments.wait.wait(&session, seen, false, context).await
}

#[cfg(test)]
mod tests {
    use super::parse_expiry;

    #[test]
    fn cli_scenario_24_an_expiry_is_a_key_and_a_time() {
        assert_eq!(
            parse_expiry("GITHUB_TOKEN=2030-01-01T00:00:00Z"),
            Ok(("GITHUB_TOKEN".to_owned(), 1_893_456_000_000))
        );
        assert_eq!(parse_expiry("A=0"), Ok(("A".to_owned(), 0)));
        for text in ["A", "=0", "A=soon", "A=-1"] {
            parse_expiry(text).expect_err(text);
        }
    }
}
