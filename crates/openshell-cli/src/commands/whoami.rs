//! `openshell whoami`: who the caller is to the gateway (`cli.md` 2.3).

use clap::Args;
use openshell_client::{CallError, methods};
use openshell_proto::v1::{GetCurrentUserRequest, GetCurrentUserResponse};
use serde_json::{Value, json};
use tonic::Code;

use crate::context::Context;
use crate::failure::Failure;
use crate::output::{self, Format, Paint};

/// `openshell whoami`.
#[derive(Debug, Args)]
pub(crate) struct WhoamiArguments {
    /// Form of the output.
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,
}

pub(crate) async fn run(arguments: WhoamiArguments, context: &mut Context<'_>) -> Result<(), Failure> {
    let answer = context.session()?.read(&methods::GET_CURRENT_USER, GetCurrentUserRequest {}).await;
    let user = answer.map_err(failure)?;
    let text = match arguments.output {
        Format::Table => lines(&user, context.console.paint),
        Format::Json => output::json(document(&user)),
        Format::Yaml => output::yaml(document(&user)),
    };
    context.console.print(&text);
    Ok(())
}

/// The two answers that say something about the caller rather than about the call.
fn failure(error: CallError) -> Failure {
    match &error {
        CallError::Refused(status) if status.code() == Code::Unauthenticated => {
            Failure::new("the gateway does not know who you are: show a client certificate, or log in").because(&error)
        }
        CallError::Refused(status) if status.code() == Code::Unimplemented => {
            Failure::new("the gateway does not say who its callers are; it may be of another version").because(&error)
        }
        CallError::Refused(_) | CallError::NotDone { .. } | CallError::Unknown { .. } | CallError::Unreachable(_) => {
            error.into()
        }
    }
}

fn lines(user: &GetCurrentUserResponse, paint: Paint) -> String {
    let mut text = format!("{}\n\n", paint.bold("Current User"));
    let mut line = |label: &str, value: &str| text.push_str(&format!("  {} {value}\n", paint.dim(label)));
    line("Subject:", &user.subject);
    if !user.display_name.is_empty() {
        line("Name:", &user.display_name);
    }
    line("Provider:", &user.identity_provider);
    line("Roles:", &user.roles.join(", "));
    line("Scopes:", &user.scopes.join(", "));
    text
}

fn document(user: &GetCurrentUserResponse) -> Value {
    json!({
        "display_name": (!user.display_name.is_empty()).then_some(&user.display_name),
        "identity_provider": user.identity_provider,
        "roles": user.roles,
        "scopes": user.scopes,
        "subject": user.subject,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic::Status;

    fn user(display_name: &str) -> GetCurrentUserResponse {
        GetCurrentUserResponse {
            subject: "mia".into(),
            display_name: display_name.into(),
            roles: vec!["dev".into(), "ops".into()],
            scopes: Vec::new(),
            identity_provider: "mtls".into(),
        }
    }

    #[test]
    fn a_caller_is_lines_or_a_document() {
        assert_eq!(
            lines(&user("Mia"), Paint::plain()),
            "Current User\n\n  Subject: mia\n  Name: Mia\n  Provider: mtls\n  Roles: dev, ops\n  Scopes: \n"
        );
        assert!(!lines(&user(""), Paint::plain()).contains("Name:"));
        assert_eq!(document(&user(""))["display_name"], Value::Null);
        assert_eq!(document(&user("Mia"))["roles"], json!(["dev", "ops"]));
    }

    #[test]
    fn who_is_not_known_hears_what_to_do() {
        let refused = |status: Status| failure(CallError::Refused(status));
        assert!(refused(Status::unauthenticated("no")).message.contains("client certificate"));
        assert!(refused(Status::unimplemented("no")).message.contains("another version"));
        assert!(refused(Status::internal("broken")).message.contains("broken"));
    }
}
