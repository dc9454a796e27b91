//! The application default credentials of gcloud: the file they lie in, and a provider whose credential the
//! gateway mints from them (`cli.md` 2.5, `providers.md` CLI-7). What is secret in the file goes to the
//! gateway as material of the refresh, and into no message.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use openshell_client::methods;
use openshell_proto::v1::{
    ConfigureProviderRefreshRequest, DeleteProviderRequest, ProviderCredentialRefreshStrategy as Strategy,
    ProviderProfile, RotateProviderCredentialRequest,
};
use openshell_providers::predicates;
use serde_json::Value;

use super::profile::TypeProfile;
use crate::context::{Session, required};
use crate::failure::Failure;
use crate::output::Console;

/// What a refresh token needs beside it, and the token itself.
const MATERIAL: [&str; 3] = ["client_id", "client_secret", "refresh_token"];
const SECRET: [&str; 2] = ["client_secret", "refresh_token"];
const FILE: &str = "application_default_credentials.json";
const LOGIN: &str = "'gcloud auth application-default login' makes one";

type Variable<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The key under which a provider of this type keeps the credential: the first variable of the one that can
/// be minted from a refresh token.
pub(super) async fn credential_key(profile: &TypeProfile<'_>) -> Result<String, Failure> {
    let found = profile.get().await?.ok_or_else(|| {
        let r#type = profile.r#type();
        Failure::new(format!("--from-gcloud-adc needs a profile, and there is none for type '{type}'"))
    })?;
    key_of(found)
}

fn key_of(profile: &ProviderProfile) -> Result<String, Failure> {
    let credential = predicates::adc_credential(profile).ok_or_else(|| {
        Failure::new(format!(
            "--from-gcloud-adc cannot serve profile '{}': none of its credentials has a refresh of strategy oauth2_refresh_token with the material {}",
            profile.id,
            MATERIAL.join(", ")
        ))
    })?;
    let key = credential.env_vars.first().map(|name| name.trim()).filter(|name| !name.is_empty());
    key.map(str::to_owned).ok_or_else(|| {
        Failure::new(format!("credential '{}' of profile '{}' names no variable", credential.name, profile.id))
    })
}

/// The material in the file, all of it there.
pub(super) fn material(variable: Variable<'_>) -> Result<BTreeMap<String, String>, Failure> {
    let (path, origin) = location(variable)?;
    let text = std::fs::read_to_string(&path).map_err(|error| {
        let advice = format!("the application default credentials could not be read from {}", path.display());
        Failure::new(format!("{advice} ({origin}): {LOGIN}")).because(&error)
    })?;
    parse(&path, &text)
}

/// Where the file is, and who says so.
fn location(variable: Variable<'_>) -> Result<(PathBuf, &'static str), Failure> {
    let path = |name: &str| variable(name).filter(|value| !value.trim().is_empty()).map(PathBuf::from);
    if let Some(file) = path("GOOGLE_APPLICATION_CREDENTIALS") {
        return Ok((file, "named by GOOGLE_APPLICATION_CREDENTIALS"));
    }
    if let Some(folder) = path("CLOUDSDK_CONFIG") {
        return Ok((folder.join(FILE), "in the folder that CLOUDSDK_CONFIG names"));
    }
    match path("HOME") {
        Some(home) => Ok((home.join(".config/gcloud").join(FILE), "where gcloud puts them")),
        None => Err(Failure::new(
            "it is not known where the application default credentials are: set GOOGLE_APPLICATION_CREDENTIALS, CLOUDSDK_CONFIG or HOME",
        )),
    }
}

fn parse(path: &Path, text: &str) -> Result<BTreeMap<String, String>, Failure> {
    let wrong = |what: String| Failure::new(format!("{}: {what}", path.display()));
    // The parser's words name a line and a column, and none of the text.
    let file: Value = serde_json::from_str(text).map_err(|error| wrong(format!("this is no JSON: {error}")))?;
    let field = |name: &str| file.get(name).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty());
    match field("type") {
        Some("authorized_user") => {}
        Some("service_account") => {
            return Err(wrong(
                "this is the key of a service account: create the provider with --runtime-credentials, then give the key to 'openshell provider refresh configure --strategy google-service-account-jwt'".to_owned(),
            ));
        }
        Some(other) => {
            return Err(wrong(format!(
                "credentials of type '{other}' cannot be used, only those of a signed-in user (authorized_user): {LOGIN}"
            )));
        }
        None => return Err(wrong(format!("field 'type' is missing: these are no credentials of gcloud; {LOGIN}"))),
    }
    let missing: Vec<&str> = MATERIAL.into_iter().filter(|name| field(name).is_none()).collect();
    if !missing.is_empty() {
        return Err(wrong(format!("{} missing or empty: {LOGIN}", listed(&missing))));
    }
    Ok(MATERIAL.into_iter().filter_map(|name| Some((name.to_owned(), field(name)?.to_owned()))).collect())
}

fn listed(names: &[&str]) -> String {
    match names {
        [only] => format!("field '{only}' is"),
        several => format!("fields '{}' are", several.join("', '")),
    }
}

/// Has the gateway mint the credential of a provider that was just created, now and from now on. A provider
/// that cannot be served is deleted again.
pub(super) async fn mint(
    session: &Session,
    provider: &str,
    credential_key: &str,
    material: BTreeMap<String, String>,
    console: &mut Console,
) -> Result<(), Failure> {
    let Err(failure) = configure_and_rotate(session, provider, credential_key, material).await else { return Ok(()) };
    let request = DeleteProviderRequest { name: provider.to_owned(), workspace: session.workspace.clone() };
    match session.write(&methods::DELETE_PROVIDER, request).await {
        Ok(_) => {
            Err(Failure { message: format!("{} (provider {provider} was deleted again)", failure.message), ..failure })
        }
        Err(error) => {
            let words = Failure::from(error).message;
            console.warn(&format!(
                "provider {provider} could not be deleted again and has no credential: 'openshell provider delete {provider}' does it ({words})"
            ));
            Err(failure)
        }
    }
}

async fn configure_and_rotate(
    session: &Session,
    provider: &str,
    credential_key: &str,
    material: BTreeMap<String, String>,
) -> Result<(), Failure> {
    let request = ConfigureProviderRefreshRequest {
        provider: provider.to_owned(),
        credential_key: credential_key.to_owned(),
        strategy: Strategy::Oauth2RefreshToken.into(),
        material,
        secret_material_keys: SECRET.map(str::to_owned).to_vec(),
        workspace: session.workspace.clone(),
        ..ConfigureProviderRefreshRequest::default()
    };
    session.write(&methods::CONFIGURE_PROVIDER_REFRESH, request).await?;
    let request = RotateProviderCredentialRequest {
        provider: provider.to_owned(),
        credential_key: credential_key.to_owned(),
        workspace: session.workspace.clone(),
    };
    let status = required(session.write(&methods::ROTATE_PROVIDER_CREDENTIAL, request).await?.status, "status")?;
    match status.last_error.as_str() {
        "" => Ok(()),
        error => Err(Failure::new(format!("the credential could not be minted: {error}"))),
    }
}

#[cfg(test)]
mod tests;
