//! A supervisor that embeds the library. Its firewall only says what it would do.

use std::time::Duration;

use openshell_client::parse_endpoints;
use openshell_sync::{Change, ChangeKind, Configuration, Options, SyncClient, TokenSource, WhenStale};

struct Firewall;

impl Firewall {
    fn load(&self, configuration: &Configuration) -> Result<(), String> {
        let policy = configuration.config.policy.as_ref().ok_or("there is no policy")?;
        let variables = configuration.environment.environment.len();
        tracing::info!(rules = policy.network_policies.len(), variables, "loaded");
        Ok(())
    }

    fn deny_everything(&self) {
        tracing::warn!("nothing is allowed any more");
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let endpoints = parse_endpoints("https://gw-1.example:17670,https://gw-2.example:17670")?;
    let token = TokenSource::File("/run/sandbox/token".into());
    let sandbox_id = std::env::var("OPENSHELL_SANDBOX_ID")?;
    let options = Options {
        max_age: Some(Duration::from_secs(600)),
        when_stale: WhenStale::FailClosed,
        ..Options::new(&sandbox_id, token, endpoints, "/var/lib/sandbox/sync".into())
    };
    let firewall = Firewall;
    let sync = SyncClient::start(options, move |change: &Change| match change.kind {
        ChangeKind::Closed => {
            firewall.deny_everything();
            Ok(())
        }
        // What is in force from now on. An error leaves the last good one there, and is told upward.
        _ => firewall.load(&change.configuration),
    })
    .await?;

    let mut status = sync.status();
    let ctrl_c = tokio::signal::ctrl_c();
    tokio::pin!(ctrl_c);
    loop {
        tokio::select! {
            asked = &mut ctrl_c => break asked?,
            changed = status.changed() => changed?,
        }
        let now = status.borrow_and_update().clone();
        tracing::info!(standing = now.standing.as_str(), node = now.node, age_s = now.age().as_secs(), "how it stands");
    }
    sync.stop().await;
    Ok(())
}
