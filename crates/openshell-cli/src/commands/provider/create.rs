//! `openshell provider create`: the type made canonical, the credentials gathered from one source, one
//! write (`cli.md` 2.5).

use std::collections::BTreeMap;

use clap::{ArgGroup, Args};
use openshell_client::methods;
use openshell_proto::datamodel::{ObjectMeta, Provider};
use openshell_proto::v1::CreateProviderRequest;
use openshell_providers::predicates;

use super::adc;
use super::discover::discover;
use super::profile::TypeProfile;
use crate::commands::pairs::{credentials, pairs};
use crate::context::{Context, required};
use crate::failure::Failure;

/// `openshell provider create`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("source").required(true).args(["credentials", "from_existing", "from_gcloud_adc", "runtime_credentials"]))]
pub(crate) struct CreateArguments {
    /// What to call it.
    #[arg(long)]
    name: String,
    /// The kind of service: a known word, or the id of a profile.
    #[arg(long = "type", value_name = "TYPE")]
    provider_type: String,
    /// A credential, repeatable; a bare KEY is read from the variable of that name.
    #[arg(long = "credential", value_name = "KEY[=VALUE]")]
    credentials: Vec<String>,
    /// Takes what this environment holds for the type.
    #[arg(long)]
    from_existing: bool,
    /// Takes the application default credentials of gcloud.
    #[arg(long)]
    from_gcloud_adc: bool,
    /// Needs none: the gateway obtains them itself.
    #[arg(long)]
    runtime_credentials: bool,
    /// Configuration, repeatable.
    #[arg(long = "config", value_name = "K=V")]
    config: Vec<String>,
    /// Takes the profile of the whole platform, not of the workspace.
    #[arg(long)]
    global_profile: bool,
}

pub(crate) async fn run(arguments: CreateArguments, context: &mut Context<'_>) -> Result<(), Failure> {
    let session = context.session()?;
    let profile_workspace = if arguments.global_profile { String::new() } else { session.workspace.clone() };
    let profile = TypeProfile::of_word(&session, &arguments.provider_type, &profile_workspace).await?;
    let adc_key = match arguments.from_gcloud_adc {
        true => Some(adc::credential_key(&profile).await?),
        false => None,
    };
    let variable = |name: &str| std::env::var(name).ok();
    let mut secrets = credentials(&arguments.credentials, variable)?;
    let mut config = pairs("--config", &arguments.config)?;
    if arguments.from_existing {
        let found = discover(&session, &profile, &variable).await?;
        secrets = with_explicit(found.credentials, secrets);
        config = with_explicit(found.config, config);
    }
    if secrets.is_empty() {
        check_runtime_credentials(&profile).await?;
    }
    // Read before anything is created.
    let adc = match adc_key {
        Some(key) => Some((key, adc::material(&variable)?)),
        None => None,
    };
    let provider = Provider {
        metadata: Some(ObjectMeta {
            name: arguments.name,
            workspace: session.workspace.clone(),
            ..ObjectMeta::default()
        }),
        r#type: profile.r#type().to_owned(),
        credentials: secrets,
        config,
        profile_workspace: profile_workspace.clone(),
        ..Provider::default()
    };
    let request = CreateProviderRequest { provider: Some(provider), workspace: session.workspace.clone() };
    let created = required(session.write(&methods::CREATE_PROVIDER, request).await?.provider, "provider")?;
    let name = created.metadata.unwrap_or_default().name;
    let minted = match adc {
        Some((key, material)) => {
            adc::mint(&session, &name, &key, material, context.console).await?;
            Some(key)
        }
        None => None,
    };
    context.console.done(&format!("Created provider {name}"));
    if let Some(key) = minted {
        context.console.line(&format!("{key} is minted from the application default credentials of gcloud."));
    }
    Ok(())
}

/// What was found, overruled by what was said.
pub(super) fn with_explicit(
    mut found: BTreeMap<String, String>,
    said: BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    found.extend(said);
    found
}

/// Without credentials, the profile must let the gateway obtain all that it requires.
async fn check_runtime_credentials(profile: &TypeProfile<'_>) -> Result<(), Failure> {
    if profile.get().await?.is_some_and(predicates::allows_empty_credentials) {
        return Ok(());
    }
    let r#type = profile.r#type();
    Err(Failure::new(format!(
        "a provider of type '{type}' needs credentials: its profile has none that the gateway can obtain at run time, or requires others; use --credential"
    )))
}

#[cfg(test)]
mod tests {
    use super::CreateArguments;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        _arguments: CreateArguments,
    }

    #[test]
    fn cli_scenario_27_exactly_one_source_is_required() {
        let is_good =
            |words: &[&str]| Line::try_parse_from([&["create", "--name", "x", "--type", "t"], words].concat()).is_ok();
        assert!(!is_good(&[]));
        assert!(!is_good(&["--credential", "A=b", "--runtime-credentials"]));
        assert!(!is_good(&["--from-existing", "--from-gcloud-adc"]));
        assert!(is_good(&["--credential", "A=b", "--credential", "B"]));
        assert!(is_good(&["--runtime-credentials", "--global-profile", "--config", "a=b"]));
    }
}
