//! `openshell gateway add`: normalises the endpoints, stores the registration, and looks whether somebody
//! is there (`cli.md` 2.1). Gateways that need a login cannot be added yet.

mod ssh;

use clap::Args;
use openshell_client::{EndpointUrl, parse_endpoints};

use crate::commands::status::health;
use crate::config::{Metadata, Selected, add, find, import_bundle, missing_bundle_file};
use crate::config::{Registered, Source};
use crate::context::Context;
use crate::failure::Failure;

/// `openshell gateway add`.
#[derive(Debug, Args)]
pub(crate) struct AddArguments {
    /// Its URL, or several of one cluster, separated by commas or spaces. The first one is all that other
    /// versions of this program know of.
    #[arg(required = true, value_name = "ENDPOINT")]
    endpoints: Vec<String>,
    /// What to call it.
    #[arg(long)]
    name: Option<String>,
    /// The host that it runs on, as ssh knows it.
    #[arg(long, value_name = "SSHDEST", conflicts_with_all = ["local", "oidc_issuer"])]
    remote: Option<String>,
    /// It runs on this machine.
    #[arg(long)]
    local: bool,
    /// Its OpenID Connect issuer.
    #[arg(long, value_name = "URL")]
    oidc_issuer: Option<String>,
    /// The client's id at the issuer.
    #[arg(long, value_name = "ID", requires = "oidc_issuer")]
    oidc_client_id: Option<String>,
    /// The audience to ask a token for.
    #[arg(long, value_name = "AUDIENCE", requires = "oidc_issuer")]
    oidc_audience: Option<String>,
    /// The scopes to ask for, separated by spaces.
    #[arg(long, value_name = "SCOPES", requires = "oidc_issuer")]
    oidc_scopes: Option<String>,
}

pub(crate) async fn run(arguments: AddArguments, context: &mut Context<'_>) -> Result<(), Failure> {
    if arguments.oidc_issuer.is_some() {
        return Err(Failure::new("logging in through an OpenID Connect issuer is not built yet"));
    }
    let metadata = metadata(&arguments)?;
    let name = metadata.name.clone();
    if find(&context.paths, &name).is_some_and(|entry| entry.source == Source::User) {
        // Says that the name is taken before certificates are looked for.
        return add(&context.paths, &metadata);
    }
    let is_plaintext = metadata.auth() == "plaintext";
    if is_plaintext {
        if missing_bundle_file(&context.paths, &name)?.is_none() {
            context.console.warn(&format!("there are TLS certificates for '{name}': did you mean https?"));
        }
    } else {
        if arguments.local && missing_bundle_file(&context.paths, &name)?.is_some() {
            import_bundle(&context.paths, &name)?;
        }
        if let Some(path) = missing_bundle_file(&context.paths, &name)? {
            return Err(Failure::new(format!(
                "gateway '{name}' needs a TLS bundle, and {} is missing: put ca.crt, tls.crt and tls.key there",
                path.display()
            )));
        }
    }
    add(&context.paths, &metadata)?;
    warn_when_silent(&metadata, context).await;
    let kind = metadata.kind();
    context.console.note_done(&format!("Gateway '{name}' added and set as active"));
    context.console.note(&format!("  Endpoint: {}", metadata.endpoints()));
    context.console.note(&format!("  Type: {kind}"));
    match is_plaintext {
        true => context.console.note("  Auth: plaintext"),
        false => context.console.note_done("TLS certificates present"),
    }
    Ok(())
}

fn metadata(arguments: &AddArguments) -> Result<Metadata, Failure> {
    let given = arguments.endpoints.join(",");
    if let Some(destination) = ssh::parse(&given)? {
        return of_destination(&destination, arguments);
    }
    let endpoints = endpoints(&given)?;
    let Some((first, more)) = endpoints.split_first() else {
        return Err(Failure::new("no endpoint was given"));
    };
    let is_secure = endpoints.iter().any(EndpointUrl::is_secure);
    if is_secure && !arguments.local && arguments.remote.is_none() {
        return Err(Failure::new(
            "logging in to a cloud gateway is not built yet: add --local or --remote for one that takes client certificates",
        ));
    }
    let is_loopback = endpoints.iter().all(EndpointUrl::is_loopback);
    let name = arguments.name.clone().unwrap_or_else(|| default_name(first));
    Ok(Metadata {
        name,
        gateway_endpoint: first.to_string(),
        more_gateway_endpoints: more.iter().map(EndpointUrl::to_string).collect(),
        is_remote: if is_secure { !arguments.local } else { !(arguments.local || is_loopback) },
        remote_host: arguments.remote.clone(),
        auth_mode: Some(if is_secure { "mtls" } else { "plaintext" }.to_owned()),
        ..Metadata::default()
    })
}

/// What a gateway is called when nobody says so.
fn default_name(endpoint: &EndpointUrl) -> String {
    match endpoint.is_loopback() {
        true => "openshell".to_owned(),
        false => endpoint.host().to_owned(),
    }
}

/// A gateway on another machine, whose name there ssh knows.
fn of_destination(destination: &ssh::Destination, arguments: &AddArguments) -> Result<Metadata, Failure> {
    if arguments.local || arguments.remote.is_some() {
        return Err(Failure::new("an endpoint with ssh:// says where the gateway is: leave out --local and --remote"));
    }
    let resolved = destination.resolve()?;
    let endpoints = endpoints(&destination.url(&resolved))?;
    let first = endpoints.first().ok_or_else(|| Failure::new("no endpoint was given"))?;
    Ok(Metadata {
        name: arguments.name.clone().unwrap_or_else(|| default_name(first)),
        gateway_endpoint: first.as_str().to_owned(),
        is_remote: true,
        remote_host: Some(destination.remote.clone()),
        resolved_host: Some(resolved),
        auth_mode: Some("mtls".to_owned()),
        ..Metadata::default()
    })
}

/// The list with `https://` before every entry that has no scheme.
fn endpoints(list: &str) -> Result<Vec<EndpointUrl>, Failure> {
    let with_scheme = |entry: &str| {
        if entry.contains("://") || entry.is_empty() { entry.to_owned() } else { format!("https://{entry}") }
    };
    let list: Vec<_> = list.split(',').map(str::trim).map(with_scheme).collect();
    if list.iter().any(|entry| entry.starts_with("ssh://")) {
        return Err(Failure::new(
            "an endpoint with ssh:// stands alone: for several give https://HOST:PORT each, and --remote SSHDEST",
        ));
    }
    parse_endpoints(&list.join(",")).map_err(|error| Failure::new(error.to_string()))
}

/// An unreachable gateway is registered all the same: it may start later.
async fn warn_when_silent(metadata: &Metadata, context: &mut Context<'_>) {
    let selected = Selected {
        name: metadata.name.clone(),
        endpoints: metadata.endpoints(),
        registered: Some(Registered { metadata: metadata.clone(), source: Source::User }),
    };
    let failure = match context.session_with(&selected) {
        Err(failure) => failure,
        Ok(session) => match health(&session).await {
            Ok(_) | Err((_, Some(200..300))) => return,
            Err((error, _)) => error.into(),
        },
    };
    let causes = failure.causes.last().map(|cause| format!(" ({cause})")).unwrap_or_default();
    context.console.warn(&format!("the gateway could not be reached: {}{causes}", failure.message));
}

#[cfg(test)]
mod tests {
    use super::{AddArguments, metadata};
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: AddArguments,
    }

    fn added(words: &[&str]) -> Result<crate::config::Metadata, crate::failure::Failure> {
        metadata(&Line::try_parse_from([&["add"], words].concat()).expect("good flags").arguments)
    }

    #[test]
    fn several_endpoints_are_one_gateway_named_after_the_first() {
        for words in [&["http://127.0.0.1:1, http://127.0.0.1:2"][..], &["http://127.0.0.1:1", "http://127.0.0.1:2"]] {
            let metadata = added(words).expect("good endpoints");
            assert_eq!(metadata.gateway_endpoint, "http://127.0.0.1:1");
            assert_eq!(metadata.endpoints(), "http://127.0.0.1:1,http://127.0.0.1:2");
            let facts = (metadata.name.as_str(), metadata.is_remote, metadata.auth());
            assert_eq!(facts, ("openshell", false, "plaintext"));
        }
        let metadata = added(&["http://far.example:1"]).expect("a good endpoint");
        assert_eq!((metadata.name.as_str(), metadata.is_remote), ("far.example", true));
    }

    #[test]
    fn an_entry_without_a_scheme_is_https_and_needs_certificates() {
        let metadata = added(&["127.0.0.1:1", "--local", "--name", "t"]).expect("a good endpoint");
        assert_eq!((metadata.gateway_endpoint.as_str(), metadata.auth()), ("https://127.0.0.1:1", "mtls"));
        assert!(added(&["127.0.0.1:1"]).expect_err("a cloud gateway").message.contains("not built yet"));
        assert!(added(&["ssh://me@h:1", "--local"]).expect_err("ssh").message.contains("leave out --local"));
        assert!(added(&["https://h:1,ssh://h:1", "--local"]).expect_err("ssh").message.contains("stands alone"));
    }
}
