//! `openshell status`: whether the gateway can be reached and who the caller is to it (`cli.md` 2.2). It
//! reports rather than fails, except when nobody is there.

use std::time::{Duration, Instant};

use clap::Args;
use openshell_client::{CallError, EndpointUrl, methods};
use openshell_proto::v1::{GetGatewayInfoRequest, HealthRequest, HealthResponse};
use serde_json::{Value, json};

use crate::config::Giver;
use crate::context::{Context, Session};
use crate::failure::{Failure, status_text};
use crate::output::{self, Format, Paint};

/// For one probe; upstream waits for ever on a silent port.
const LIMIT: Duration = Duration::from_secs(5);
/// For everything, when nobody could be connected: who cannot reach any hears it within five seconds.
const UNREACHED_LIMIT: Duration = Duration::from_secs(4);

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
            let session = context.session_with(&selected)?;
            let giver = selected.registered.as_ref().and_then(|entry| entry.metadata.giver());
            let report = with_known_token(probe(&session).await?, giver, session.has_expired_token());
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

/// Who logs in to a gateway and has no token that still holds is not known to it, whatever it answers to others.
fn with_known_token(report: Report, giver: Option<Giver>, has_expired: bool) -> Report {
    let gateway = &report.gateway;
    let reason = match report.has_token {
        true if has_expired => format!("the stored token of gateway '{gateway}' has expired"),
        false if giver.is_some() => format!("no token of gateway '{gateway}' is stored"),
        true | false => return report,
    };
    Report { authentication: Authentication::Failed(reason), ..report }
}

async fn probe(session: &Session) -> Result<Report, Failure> {
    let report = |connection, authentication| Report {
        gateway: session.gateway.clone(),
        server: session.endpoints.clone(),
        has_token: session.token.is_some(),
        connection,
        authentication,
    };
    let (error, http_status) = match health(session).await {
        Ok(health) => {
            let information = session.read_within(&methods::GET_GATEWAY_INFO, GetGatewayInfoRequest {}, LIMIT).await;
            let connection = Connection::Connected { version: health.version };
            return Ok(report(connection, authentication(session, information.map(drop))));
        }
        Err(failed) => failed,
    };
    let words = error.status().map_or_else(|| error.to_string(), status_text);
    let unverified = Authentication::Unverified("the gateway did not answer over gRPC".to_owned());
    match http_status {
        Some(status @ 200..300) => Ok(report(Connection::Http { status, error: words }, unverified)),
        Some(status) => Ok(report(Connection::Error { status, error: words }, unverified)),
        None => Err(error.into()),
    }
}

/// What the gateway says of its health: over gRPC, or else why not and what it says over HTTP, if it does.
pub(crate) async fn health(session: &Session) -> Result<HealthResponse, (CallError, Option<u16>)> {
    let begun = Instant::now();
    let error = match session.read_within(&methods::HEALTH, HealthRequest {}, LIMIT).await {
        Ok(health) => return Ok(health),
        Err(error) => error,
    };
    let http_status = match time_left(&error, begun.elapsed(), session.deadline) {
        Duration::ZERO => None,
        left => session.client.probe_health(left).await.ok(),
    };
    Err((error, http_status))
}

/// For a look over HTTP, after gRPC took so long to fail. Who could not be connected will hardly be for that,
/// except one that does not choose HTTP/2, which turns out at once.
fn time_left(error: &CallError, took: Duration, deadline: Duration) -> Duration {
    match error {
        CallError::Unreachable(_) => UNREACHED_LIMIT.min(deadline).saturating_sub(took),
        CallError::Refused(_) | CallError::NotDone { .. } | CallError::Unknown { .. } => {
            LIMIT.min(deadline.saturating_sub(took))
        }
    }
}

fn authentication(session: &Session, information: Result<(), CallError>) -> Authentication {
    let is_secure = session.client.endpoints().any(EndpointUrl::is_secure);
    let way = match session.token.as_ref().map(|token| token.giver) {
        Some(Giver::Oidc) => Some("OIDC"),
        Some(Giver::Edge) => Some("edge"),
        None if is_secure => Some("mTLS transport"),
        None => None,
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
    use std::time::Duration;

    use super::{
        Authentication, Connection, Report, document, judge, lines, not_configured, time_left, with_known_token,
    };
    use crate::config::Giver;
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
    fn a_missing_or_expired_token_is_a_failed_authentication_where_one_is_needed() {
        let connected = || report(Connection::Connected { version: "0.1.0".into() });
        let failed = with_known_token(connected(), Some(Giver::Oidc), false);
        assert_eq!(document(&failed)["authentication"]["status"], "failed");
        assert_eq!(with_known_token(connected(), None, false), connected());
        let with_token = Report { has_token: true, ..connected() };
        assert_eq!(with_known_token(with_token.clone(), Some(Giver::Oidc), false), with_token);
        let expired = with_known_token(with_token, Some(Giver::Oidc), true);
        assert!(matches!(&expired.authentication, Authentication::Failed(reason) if reason.contains("expired")));
    }

    #[test]
    fn a_look_over_http_takes_no_more_than_is_left() {
        let seconds = Duration::from_secs;
        let silent = || CallError::NotDone { status: Status::unavailable("silent"), attempts: 1 };
        let unreachable = || CallError::Unreachable(Vec::new());
        for (error, took, deadline, left) in [
            (silent(), 5, 30, 5),
            (silent(), 5, 7, 2),
            (silent(), 1, 1, 0),
            (unreachable(), 0, 30, 4),
            (unreachable(), 3, 30, 1),
            (unreachable(), 4, 30, 0),
            (unreachable(), 2, 1, 0),
        ] {
            assert_eq!(time_left(&error, seconds(took), seconds(deadline)), seconds(left), "{error}: {took} s");
        }
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
