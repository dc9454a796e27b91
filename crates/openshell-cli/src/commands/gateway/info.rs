//! `openshell gateway info`: what the gateway says about itself (`cli.md` 2.1).

use openshell_client::{CallError, methods};
use openshell_proto::v1::{GetGatewayInfoRequest, GetGatewayInfoResponse, ServiceStatus};
use serde_json::{Value, json};
use tonic::Code;

use crate::context::Context;
use crate::failure::Failure;
use crate::output::{self, Format, Paint};

pub(super) async fn run(format: Format, context: &mut Context<'_>) -> Result<(), Failure> {
    let session = context.session()?;
    let info = session.read(&methods::GET_GATEWAY_INFO, GetGatewayInfoRequest {}).await.map_err(failure)?;
    let report = Report {
        gateway: &session.gateway,
        server: &session.endpoints,
        has_token: session.token.is_some(),
        info: &info,
    };
    let text = match format {
        Format::Table => lines(&report, context.console.paint),
        Format::Json => output::json(document(&report)),
        Format::Yaml => output::yaml(document(&report)),
    };
    context.console.print(&text);
    Ok(())
}

struct Report<'a> {
    gateway: &'a str,
    server: &'a str,
    has_token: bool,
    info: &'a GetGatewayInfoResponse,
}

/// The two answers that say something about gateway or caller rather than about the call.
fn failure(error: CallError) -> Failure {
    match error.refusal_code() {
        Some(Code::Unimplemented) => {
            Failure::new("gateway info is unsupported by this gateway version").because(&error)
        }
        Some(Code::PermissionDenied) => {
            Failure::new("gateway info needs a platform admin: 'openshell whoami' shows your roles").because(&error)
        }
        Some(_) | None => error.into(),
    }
}

fn status_word(info: &GetGatewayInfoResponse) -> &'static str {
    match info.status() {
        ServiceStatus::Healthy => "healthy",
        ServiceStatus::Degraded => "degraded",
        ServiceStatus::Unhealthy => "unhealthy",
        ServiceStatus::Unspecified => "unknown",
    }
}

fn lines(report: &Report<'_>, paint: Paint) -> String {
    let mut text = format!("{}\n\n", paint.bold("Gateway Info"));
    let mut line = |indent: &str, label: &str, value: &str| {
        text.push_str(format!("{indent}{} {value}", paint.dim(label)).trim_end());
        text.push('\n');
    };
    line("  ", "Gateway:", report.gateway);
    line("  ", "Server:", report.server);
    if report.has_token {
        line("  ", "Auth:", "Edge (bearer token)");
    }
    line("  ", "Status:", status_word(report.info));
    line("  ", "Version:", &report.info.gateway_version);
    if !report.info.compute_drivers.is_empty() {
        line("  ", "Compute drivers:", "");
    }
    for driver in &report.info.compute_drivers {
        let capabilities = driver.capabilities.clone().unwrap_or_default();
        line("    ", &driver.name, "");
        if capabilities.driver_name != driver.name {
            line("      ", "Driver name:", &capabilities.driver_name);
        }
        line("      ", "Driver version:", &capabilities.driver_version);
    }
    text
}

fn document(report: &Report<'_>) -> Value {
    let drivers = report.info.compute_drivers.iter().map(|driver| {
        let capabilities = driver.capabilities.clone().unwrap_or_default();
        json!({
            "capabilities": {
                "driver_name": capabilities.driver_name,
                "driver_version": capabilities.driver_version,
            },
            "name": driver.name,
        })
    });
    json!({
        "auth": report.has_token.then_some("bearer"),
        "compute_drivers": drivers.collect::<Vec<_>>(),
        "gateway": report.gateway,
        "server": report.server,
        "status": status_word(report.info),
        "version": report.info.gateway_version,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic::Status;

    fn info() -> GetGatewayInfoResponse {
        GetGatewayInfoResponse {
            status: ServiceStatus::Healthy as i32,
            gateway_version: "0.1.0".into(),
            compute_drivers: Vec::new(),
        }
    }

    #[test]
    fn cli_scenario_18_information_has_every_key() {
        let report = Report { gateway: "a", server: "http://h:1", has_token: false, info: &info() };
        assert_eq!(
            output::json(document(&report)),
            "{\n  \"auth\": null,\n  \"compute_drivers\": [],\n  \"gateway\": \"a\",\n  \"server\": \"http://h:1\",\n  \
             \"status\": \"healthy\",\n  \"version\": \"0.1.0\"\n}\n"
        );
        assert_eq!(
            lines(&report, Paint::plain()),
            "Gateway Info\n\n  Gateway: a\n  Server: http://h:1\n  Status: healthy\n  Version: 0.1.0\n"
        );
    }

    #[test]
    fn a_token_and_drivers_are_shown_where_there_are_some() {
        let mut info = info();
        info.status = 9;
        info.compute_drivers
            .push(openshell_proto::v1::ComputeDriverInfo { name: "docker".into(), ..Default::default() });
        let report = Report { gateway: "a", server: "http://h:1", has_token: true, info: &info };
        let text = lines(&report, Paint::plain());
        assert!(text.contains("  Auth: Edge (bearer token)\n  Status: unknown\n"), "{text}");
        assert!(text.contains("  Compute drivers:\n    docker\n      Driver name:\n      Driver version:\n"), "{text}");
        assert_eq!(document(&report)["auth"], "bearer");
        assert_eq!(document(&report)["compute_drivers"][0]["name"], "docker");
    }

    #[test]
    fn who_may_not_ask_and_who_cannot_answer_have_words_of_their_own() {
        let refused = |status: Status| failure(CallError::Refused(status));
        assert!(refused(Status::permission_denied("no")).message.contains("admin"));
        assert!(refused(Status::unimplemented("no")).message.contains("unsupported by this gateway version"));
        assert!(refused(Status::internal("broken")).message.contains("broken"));
    }
}
