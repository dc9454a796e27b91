//! `openshell status`: whether the gateway can be reached and who the caller is to it (`cli.md` 2.2). It
//! reports rather than fails, except when nobody is there.

use std::time::Duration;

use clap::Args;
use openshell_client::{CallError, EndpointUrl, methods};
use openshell_proto::v1::{GetGatewayInfoRequest, HealthRequest};
use serde_json::{Value, json};

use crate::context::{Context, Session};
use crate::failure::{Failure, status_text};
use crate::output::{self, Format, Paint};

/// For one probe; upstream waits for ever on a silent port.
const LIMIT: Duration = Duration::from_secs(5);

/// `openshell status`.
#[derive(Debug, Args)]
pub(crate) struct StatusArguments {
    /// Form of the output.
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,
}

/// What was found out.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Report {
    gateway: String,
    server: String,
    has_token: bool,
    connection: Connection,
    authentication: Authentication,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Connection {
    Connected {
        version: String,
    },
    /// gRPC failed, HTTP did not.
    Http {
        status: u16,
        error: String,
    },
    /// HTTP answered, but not well.
    Error {
        status: u16,
        error: String,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Authentication {
    Authenticated(&'static str),
    /// Known to the gateway, but not allowed to ask about it.
    Denied(&'static str),
    NotRequired,
    Failed(String),
    Unverified(String),
}

pub(crate) async fn run(arguments: StatusArguments, context: &mut Context<'_>) -> Result<(), Failure> {
    let text = match context.selected() {
        Err(failure) => not_configured(arguments.output, &failure, context.console.paint),
        Ok(selected) => {
            let report = probe(&context.session_with(&selected)?).await?;
            match arguments.output {
                Format::Table => lines(&report, context.console.paint),
                Format::Json => output::json(document(&report)),
                Format::Yaml => output::yaml(document(&report)),
            }
        }
    };
    context.console.print(&text);
    Ok(())
}

fn not_configured(format: Format, failure: &Failure, paint: Paint) -> String {
    let document = json!({"status": "not_configured"});
    match format {
        Format::Table => format!(
            "{}\n\n  Status: No gateway configured ({})\n\n  Add one with: openshell gateway add <URL>\n",
            paint.bold("Gateway Status"),
            failure.message
        ),
        Format::Json => output::json(document),
        Format::Yaml => output::yaml(document),
    }
}

async fn probe(session: &Session) -> Result<Report, Failure> {
    let report = |connection, authentication| Report {
        gateway: session.gateway.clone(),
        server: session.endpoints.clone(),
        has_token: session.has_token,
        connection,
        authentication,
    };
    let error = match session.read_within(&methods::HEALTH, HealthRequest {}, LIMIT).await {
        Ok(health) => {
            let information = session.read_within(&methods::GET_GATEWAY_INFO, GetGatewayInfoRequest {}, LIMIT).await;
            let connection = Connection::Connected { version: health.version };
            return Ok(report(connection, authentication(session, information.map(drop))));
        }
        Err(error) => error,
    };
    let words = error.status().map_or_else(|| error.to_string(), status_text);
    let unverified = Authentication::Unverified("the gateway did not answer over gRPC".to_owned());
    match session.client.probe_health(LIMIT).await {
        Ok(status @ 200..300) => Ok(report(Connection::Http { status, error: words }, unverified)),
        Ok(status) => Ok(report(Connection::Error { status, error: words }, unverified)),
        Err(_) => Err(error.into()),
    }
}

fn authentication(session: &Session, information: Result<(), CallError>) -> Authentication {
    let is_secure = session.client.endpoints().any(EndpointUrl::is_secure);
    let way = match (session.has_token, is_secure) {
        (true, _) => Some("OIDC"),
        (false, true) => Some("mTLS transport"),
        (false, false) => None,
    };
    judge(way, information)
}

/// What the answer to `GetGatewayInfo` says about the caller, who came by `way`, or as nobody.
fn judge(way: Option<&'static str>, information: Result<(), CallError>) -> Authentication {
    let error = match (way, information) {
        (Some(way), Ok(())) => return Authentication::Authenticated(way),
        (None, Ok(())) => return Authentication::NotRequired,
        (_, Err(error)) => error,
    };
    let message = error.status().map_or_else(|| error.to_string(), |status| status.message().to_owned());
    match (error.refusal_code(), way) {
        (Some(tonic::Code::PermissionDenied), way) => Authentication::Denied(way.unwrap_or("gateway")),
        (Some(tonic::Code::Unauthenticated), _) => Authentication::Failed(message),
        (Some(tonic::Code::Unimplemented), None) => Authentication::NotRequired,
        (Some(tonic::Code::Unimplemented), Some(way)) if way != "OIDC" => Authentication::Authenticated(way),
        (Some(_) | None, _) => Authentication::Unverified(message),
    }
}

fn lines(report: &Report, paint: Paint) -> String {
    let mut text = format!("{}\n\n", paint.bold("Server Status"));
    let mut line = |label: &str, value: &str| text.push_str(&format!("  {} {value}\n", paint.dim(label)));
    line("Gateway:", &report.gateway);
    line("Server:", &report.server);
    match &report.connection {
        Connection::Connected { .. } => line("Status:", &paint.green("Connected")),
        Connection::Http { .. } => line("Status:", &paint.yellow("Connected (HTTP)")),
        Connection::Error { .. } => line("Status:", &paint.red("Error")),
    }
    line(
        "Authentication:",
        &match &report.authentication {
            Authentication::Authenticated(way) => format!("Authenticated ({way})"),
            Authentication::Denied(way) => format!("Authenticated ({way}; authorization denied)"),
            Authentication::NotRequired => "Not required (gateway)".to_owned(),
            Authentication::Failed(error) => format!("Failed ({error})"),
            Authentication::Unverified(reason) => format!("Unverified ({reason})"),
        },
    );
    match &report.connection {
        Connection::Connected { version } => line("Version:", version),
        Connection::Http { status, error } | Connection::Error { status, error } => {
            line("HTTP:", &status.to_string());
            line("gRPC error:", error);
        }
    }
    text
}

fn document(report: &Report) -> Value {
    let mut document = json!({
        "authentication": match &report.authentication {
            Authentication::Authenticated(provider) | Authentication::Denied(provider) => {
                json!({"provider": provider, "status": "authenticated"})
            }
            Authentication::NotRequired => json!({"mode": "gateway", "status": "not_required"}),
            Authentication::Failed(error) => json!({"error": error, "status": "failed"}),
            Authentication::Unverified(reason) => json!({"reason": reason, "status": "unverified"}),
        },
        "gateway": report.gateway,
        "server": report.server,
    });
    if report.has_token {
        document["auth"] = json!("edge_bearer");
    }
    match &report.connection {
        Connection::Connected { version } => {
            document["status"] = json!("connected");
            document["version"] = json!(version);
        }
        Connection::Http { status, error } => {
            document["status"] = json!("connected_http");
            document["http_status"] = json!(status);
            document["error"] = json!(error);
        }
        Connection::Error { status, error } => {
            document["status"] = json!("error");
            document["http_status"] = json!(status);
            document["error"] = json!(error);
        }
    }
    document
}

#[cfg(test)]
mod tests {
    use super::{Authentication, Connection, Report, document, judge, lines, not_configured};
    use crate::failure::Failure;
    use crate::output::{self, Format, Paint};
    use openshell_client::CallError;
    use tonic::Status;

    fn report(connection: Connection) -> Report {
        Report {
            gateway: "a".into(),
            server: "http://h:1".into(),
            has_token: false,
            connection,
            authentication: Authentication::NotRequired,
        }
    }

    #[test]
    fn cli_scenario_11_a_connected_gateway_without_authentication() {
        let report = report(Connection::Connected { version: "0.1.0".into() });
        assert_eq!(
            output::json(document(&report)),
            "{\n  \"authentication\": {\n    \"mode\": \"gateway\",\n    \"status\": \"not_required\"\n  },\n  \"gateway\": \"a\",\n  \
             \"server\": \"http://h:1\",\n  \"status\": \"connected\",\n  \"version\": \"0.1.0\"\n}\n"
        );
        assert_eq!(
            lines(&report, Paint::plain()),
            "Server Status\n\n  Gateway: a\n  Server: http://h:1\n  Status: Connected\n  Authentication: Not required (gateway)\n  \
             Version: 0.1.0\n"
        );
    }

    #[test]
    fn cli_scenarios_1_and_2_without_a_gateway_the_report_says_so() {
        let failure = Failure::new("no active gateway");
        assert_eq!(not_configured(Format::Json, &failure, Paint::plain()), "{\n  \"status\": \"not_configured\"\n}\n");
        let text = not_configured(Format::Table, &failure, Paint::plain());
        assert!(text.starts_with("Gateway Status\n") && text.contains("openshell gateway add"), "{text}");
    }

    #[test]
    fn the_answer_about_the_gateway_tells_who_the_caller_is() {
        let refused = |status: Status| Err(CallError::Refused(status));
        for (way, information, expected) in [
            (Some("OIDC"), Ok(()), Authentication::Authenticated("OIDC")),
            (None, refused(Status::permission_denied("no")), Authentication::Denied("gateway")),
            (Some("OIDC"), refused(Status::unauthenticated("old")), Authentication::Failed("old".into())),
            (None, refused(Status::unimplemented("")), Authentication::NotRequired),
            (
                Some("mTLS transport"),
                refused(Status::unimplemented("")),
                Authentication::Authenticated("mTLS transport"),
            ),
            (Some("OIDC"), refused(Status::unimplemented("x")), Authentication::Unverified("x".into())),
            (None, refused(Status::internal("x")), Authentication::Unverified("x".into())),
        ] {
            assert_eq!(judge(way, information), expected);
        }
    }
}
