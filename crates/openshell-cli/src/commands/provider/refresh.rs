//! `openshell provider refresh`: credentials that the cluster mints by itself (`cli.md` 2.7).

use std::collections::BTreeMap;

use clap::{Args, Subcommand, ValueEnum};
use openshell_client::methods;
use openshell_proto::v1;
use openshell_proto::v1::ProviderCredentialRefreshStrategy;

use crate::commands::pairs::pairs;
use crate::context::{Context, required};
use crate::failure::Failure;
use crate::output::{Paint, parse_time_ms, table, time_text};

/// A longer error is cut in a table.
const ERROR_CHARACTERS: usize = 72;

#[derive(Debug, Subcommand)]
pub(crate) enum RefreshCommand {
    /// Shows when credentials were minted, when they will be, and what went wrong.
    Status {
        /// The provider.
        name: String,
        /// Of one credential only.
        #[arg(long)]
        credential_key: Option<String>,
    },
    /// Says how a credential is minted; it is minted from then on.
    Configure(ConfigureArguments),
    /// Mints a credential now.
    Rotate {
        /// The provider.
        name: String,
        /// The credential.
        #[arg(long)]
        credential_key: String,
    },
    /// Ends the minting of a credential; its value stays.
    Delete {
        /// The provider.
        name: String,
        /// The credential.
        #[arg(long)]
        credential_key: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ConfigureArguments {
    /// The provider.
    name: String,
    /// The credential.
    #[arg(long)]
    credential_key: String,
    /// How it is minted.
    #[arg(long, value_enum)]
    strategy: Strategy,
    /// What it is minted from, KEY=VALUE.
    #[arg(long, value_name = "KEY=VALUE")]
    material: Vec<String>,
    /// Secret material from an environment variable: KEY, which is also the variable's name, or KEY=VARIABLE.
    #[arg(long, value_name = "KEY[=VARIABLE]")]
    secret_material_env: Vec<String>,
    /// Material that is secret.
    #[arg(long, value_name = "KEY")]
    secret_material_key: Vec<String>,
    /// When the present value expires: epoch milliseconds or RFC 3339; 0 is never.
    #[arg(long, value_parser = parse_time_ms)]
    credential_expires_at: Option<i64>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Strategy {
    Oauth2RefreshToken,
    Oauth2ClientCredentials,
    GoogleServiceAccountJwt,
    AwsStsAssumeRole,
}

impl Strategy {
    fn on_the_wire(self) -> ProviderCredentialRefreshStrategy {
        match self {
            Strategy::Oauth2RefreshToken => ProviderCredentialRefreshStrategy::Oauth2RefreshToken,
            Strategy::Oauth2ClientCredentials => ProviderCredentialRefreshStrategy::Oauth2ClientCredentials,
            Strategy::GoogleServiceAccountJwt => ProviderCredentialRefreshStrategy::GoogleServiceAccountJwt,
            Strategy::AwsStsAssumeRole => ProviderCredentialRefreshStrategy::AwsStsAssumeRole,
        }
    }
}

pub(crate) async fn run(command: RefreshCommand, context: &mut Context<'_>) -> Result<(), Failure> {
    match command {
        RefreshCommand::Status { name, credential_key } => status(name, credential_key, context).await,
        RefreshCommand::Configure(arguments) => configure(arguments, context).await,
        RefreshCommand::Rotate { name, credential_key } => rotate(name, credential_key, context).await,
        RefreshCommand::Delete { name, credential_key } => delete(name, credential_key, context).await,
    }
}

async fn status(name: String, credential_key: Option<String>, context: &mut Context<'_>) -> Result<(), Failure> {
    let session = context.session()?;
    let request = v1::GetProviderRefreshStatusRequest {
        provider: name.clone(),
        credential_key: credential_key.unwrap_or_default(),
        workspace: session.workspace.clone(),
    };
    let statuses = session.read(&methods::GET_PROVIDER_REFRESH_STATUS, request).await?.credentials;
    match statuses.is_empty() {
        true => context.console.line(&format!("No credential of provider {name} is refreshed.")),
        false => context.console.print(&rows(&statuses, context.console.paint)),
    }
    Ok(())
}

fn rows(statuses: &[v1::ProviderCredentialRefreshStatus], paint: Paint) -> String {
    let time = |time_ms: i64| if time_ms > 0 { time_text(time_ms) } else { "-".to_owned() };
    let row = |status: &v1::ProviderCredentialRefreshStatus| {
        vec![
            status.provider_name.clone(),
            status.credential_key.clone(),
            word(status.strategy()),
            status.status.clone(),
            time(status.expires_at_ms),
            time(status.next_refresh_at_ms),
            time(status.last_refresh_at_ms),
            error_text(&status.last_error),
        ]
    };
    let rows: Vec<_> = statuses.iter().map(row).collect();
    let heads = [
        "PROVIDER",
        "CREDENTIAL_KEY",
        "STRATEGY",
        "STATUS",
        "EXPIRES_AT",
        "NEXT_REFRESH",
        "LAST_REFRESH",
        "LAST_ERROR",
    ];
    table(&heads, &rows, "", paint)
}

/// The strategy as profiles write it.
fn word(strategy: ProviderCredentialRefreshStrategy) -> String {
    strategy.as_str_name().trim_start_matches("PROVIDER_CREDENTIAL_REFRESH_STRATEGY_").to_lowercase()
}

fn error_text(error: &str) -> String {
    if error.is_empty() {
        return "-".to_owned();
    }
    match error.char_indices().nth(ERROR_CHARACTERS) {
        Some((end, _)) => format!("{}...", &error[..end]),
        None => error.to_owned(),
    }
}

async fn configure(arguments: ConfigureArguments, context: &mut Context<'_>) -> Result<(), Failure> {
    let mut material = pairs("--material", &arguments.material)?;
    let secret = secret_material(&arguments.secret_material_env, &material, |name| std::env::var(name).ok())?;
    let mut secret_material_keys = arguments.secret_material_key;
    secret_material_keys
        .extend(secret.keys().filter(|key| !secret_material_keys.contains(key)).cloned().collect::<Vec<_>>());
    material.extend(secret);
    let session = context.session()?;
    let request = v1::ConfigureProviderRefreshRequest {
        provider: arguments.name,
        credential_key: arguments.credential_key,
        strategy: arguments.strategy.on_the_wire() as i32,
        material,
        secret_material_keys,
        expires_at_ms: arguments.credential_expires_at,
        workspace: session.workspace.clone(),
    };
    let status = session.write(&methods::CONFIGURE_PROVIDER_REFRESH, request).await?.status;
    let status = required(status, "status")?;
    context.console.done(&format!("Configured refresh for {} {}", status.provider_name, status.credential_key));
    Ok(())
}

/// Material from environment variables, so that it is in no list of processes and in no shell's history.
fn secret_material(
    arguments: &[String],
    material: &BTreeMap<String, String>,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<BTreeMap<String, String>, Failure> {
    let mut secret = BTreeMap::new();
    for argument in arguments {
        let (key, name) = argument.split_once('=').unwrap_or((argument, argument));
        let (key, name) = (key.trim(), name.trim());
        if key.is_empty() || name.is_empty() {
            return Err(Failure::new(format!(
                "--secret-material-env '{argument}' is not of the form KEY or KEY=VARIABLE"
            )));
        }
        if material.contains_key(key) {
            return Err(Failure::new(format!(
                "{key} is given by --material and by --secret-material-env; give it once"
            )));
        }
        let value = variable(name).filter(|value| !value.trim().is_empty()).ok_or_else(|| {
            Failure::new(format!(
                "--secret-material-env {argument}: the environment variable {name} is not set or blank"
            ))
        })?;
        if secret.insert(key.to_owned(), value).is_some() {
            return Err(Failure::new(format!("--secret-material-env names {key} twice")));
        }
    }
    Ok(secret)
}

async fn rotate(name: String, credential_key: String, context: &mut Context<'_>) -> Result<(), Failure> {
    let session = context.session()?;
    let request =
        v1::RotateProviderCredentialRequest { provider: name, credential_key, workspace: session.workspace.clone() };
    let status = required(session.write(&methods::ROTATE_PROVIDER_CREDENTIAL, request).await?.status, "status")?;
    let what = format!("{} {} ({})", status.provider_name, status.credential_key, status.status);
    match status.last_error.is_empty() {
        true => context.console.done(&format!("Rotation requested for {what}")),
        false => context.console.line(&format!("Rotation request recorded for {what}: {}", status.last_error)),
    }
    Ok(())
}

async fn delete(name: String, credential_key: String, context: &mut Context<'_>) -> Result<(), Failure> {
    let session = context.session()?;
    let request = v1::DeleteProviderRefreshRequest {
        provider: name.clone(),
        credential_key: credential_key.clone(),
        workspace: session.workspace.clone(),
    };
    match session.write(&methods::DELETE_PROVIDER_REFRESH, request).await?.deleted {
        true => context.console.done(&format!("Deleted refresh config for {name} {credential_key}")),
        false => context.console.line(&format!("No refresh config for {name} {credential_key} was found.")),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &[&str], given: &[&str]) -> Result<BTreeMap<String, String>, String> {
        let arguments: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
        let material = given.iter().map(|key| ((*key).to_owned(), "v".to_owned())).collect();
        let variable = |name: &str| match name {
            "SET" => Some("secret".to_owned()),
            "BLANK" => Some(" ".to_owned()),
            _ => None,
        };
        secret_material(&arguments, &material, variable).map_err(|failure| failure.message)
    }

    #[test]
    fn secret_material_comes_from_a_variable_of_its_name_or_of_another() {
        assert_eq!(read(&["SET"], &[]).expect("set")["SET"], "secret");
        assert_eq!(read(&["client_secret=SET"], &[]).expect("set")["client_secret"], "secret");
    }

    #[test]
    fn secret_material_that_is_missing_blank_or_given_twice_is_refused_in_words() {
        for (arguments, given, words) in [
            (vec!["UNSET"], vec![], "UNSET is not set"),
            (vec!["a=BLANK"], vec![], "BLANK is not set or blank"),
            (vec!["a=SET"], vec!["a"], "give it once"),
            (vec!["a=SET", "a=SET"], vec![], "twice"),
            (vec!["=SET"], vec![], "form KEY"),
        ] {
            let message = read(&arguments, &given).expect_err(words);
            assert!(message.contains(words), "{message}");
        }
    }

    #[test]
    fn a_status_is_one_line_of_times_and_words() {
        let long = "x".repeat(80);
        assert_eq!(error_text(&long), format!("{}...", &long[..72]));
        assert_eq!(error_text(""), "-");
        assert_eq!(word(ProviderCredentialRefreshStrategy::Oauth2ClientCredentials), "oauth2_client_credentials");
        let status = v1::ProviderCredentialRefreshStatus {
            provider_name: "acme".to_owned(),
            credential_key: "ACME_TOKEN".to_owned(),
            strategy: ProviderCredentialRefreshStrategy::Oauth2RefreshToken as i32,
            status: "refreshed".to_owned(),
            expires_at_ms: 1_700_003_600_000,
            ..v1::ProviderCredentialRefreshStatus::default()
        };
        let text = rows(&[status], Paint::for_stream(None));
        let words: Vec<&str> = text.lines().nth(1).expect("a row").split_whitespace().collect();
        let expected =
            ["acme", "ACME_TOKEN", "oauth2_refresh_token", "refreshed", "2023-11-14", "23:13:20", "-", "-", "-"];
        assert_eq!(words, expected);
    }
}
