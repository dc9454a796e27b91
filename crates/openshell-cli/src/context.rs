//! What a command has at hand: the global flags, the configuration directory, the console, and from them
//! a session with the gateway.

use std::time::Duration;

use openshell_client::{CallError, CallOptions, Client, ClientBuilder, Method, Tls, parse_endpoints};

use crate::Global;
use crate::config::{Paths, Selected, bearer_token, last_sandbox, resolve, tls_for};
use crate::failure::Failure;
use crate::output::Console;

/// One run of the program.
pub(crate) struct Context<'a> {
    pub(crate) global: Global,
    pub(crate) paths: Paths,
    pub(crate) console: &'a mut Console,
}

/// A gateway that was chosen, and the way to it.
pub(crate) struct Session {
    pub(crate) client: Client,
    /// Names its folder in the configuration directory, or is its URL.
    pub(crate) gateway: String,
    /// Its URLs as configured.
    pub(crate) endpoints: String,
    pub(crate) workspace: String,
    /// Whether calls carry a stored token.
    pub(crate) has_token: bool,
}

impl<'a> Context<'a> {
    pub(crate) fn new(global: Global, console: &'a mut Console) -> Self {
        Self { global, paths: Paths::from_variables(|name| std::env::var_os(name)), console }
    }

    /// The gateway that the flags mean.
    pub(crate) fn selected(&self) -> Result<Selected, Failure> {
        resolve(&self.paths, self.global.gateway.as_deref(), self.global.gateway_endpoint.as_deref())
    }

    /// A session with the gateway that the flags mean. Nothing is connected yet.
    pub(crate) fn session(&self) -> Result<Session, Failure> {
        self.session_with(&self.selected()?)
    }

    /// A session with a given gateway.
    pub(crate) fn session_with(&self, selected: &Selected) -> Result<Session, Failure> {
        let endpoints = parse_endpoints(&selected.endpoints).map_err(|error| Failure::new(error.to_string()))?;
        let token = bearer_token(&self.paths, selected)?;
        let tls = match endpoints.iter().any(openshell_client::EndpointUrl::is_secure) {
            true => tls_for(&self.paths, &selected.name, self.global.gateway_insecure, token.is_some())?,
            false => Tls::None,
        };
        let mut builder = ClientBuilder::new(endpoints).tls(tls);
        if let Some(token) = &token {
            builder = builder.header("authorization", &format!("Bearer {token}"));
        }
        Ok(Session {
            client: builder.build()?,
            gateway: selected.name.clone(),
            endpoints: selected.endpoints.clone(),
            workspace: self.global.workspace.clone(),
            has_token: token.is_some(),
        })
    }

    /// The sandbox that was named, or else the one used last, which is then said on stderr.
    pub(crate) fn sandbox_name(&mut self, session: &Session, name: Option<String>) -> Result<String, Failure> {
        if let Some(name) = name {
            return Ok(name);
        }
        let last = last_sandbox(&self.paths, &session.gateway, &session.workspace).ok_or_else(|| {
            Failure::new("no sandbox was named, and none was used before in this workspace: give its name")
        })?;
        let arrow = self.console.paint_err.dim("→");
        self.console.note(&format!("{arrow} Using sandbox '{last}' (last used)"));
        Ok(last)
    }
}

impl Session {
    /// A call that changes nothing, answered with everything acknowledged before it.
    pub(crate) async fn read<Q, A>(&self, method: &Method<Q, A>, request: Q) -> Result<A, CallError>
    where
        Q: Request,
        A: Answer,
    {
        let options = CallOptions::linearizable();
        Ok(self.client.call(method, request, &options).await?.message)
    }

    /// The same within a time of its own, for probes.
    pub(crate) async fn read_within<Q, A>(
        &self,
        method: &Method<Q, A>,
        request: Q,
        limit: Duration,
    ) -> Result<A, CallError>
    where
        Q: Request,
        A: Answer,
    {
        let options = CallOptions::default().deadline(limit);
        Ok(self.client.call(method, request, &options).await?.message)
    }

    /// A call that may change something.
    pub(crate) async fn write<Q, A>(&self, method: &Method<Q, A>, request: Q) -> Result<A, CallError>
    where
        Q: Request,
        A: Answer,
    {
        Ok(self.client.call(method, request, &CallOptions::default()).await?.message)
    }
}

/// Messages that can be asked with.
pub(crate) trait Request: prost::Message + Clone + 'static {}
impl<T: prost::Message + Clone + 'static> Request for T {}

/// Messages that can be answered with.
pub(crate) trait Answer: prost::Message + Default + 'static {}
impl<T: prost::Message + Default + 'static> Answer for T {}

/// A part that the gateway's reply must have.
pub(crate) fn required<T>(part: Option<T>, what: &str) -> Result<T, Failure> {
    part.ok_or_else(|| Failure::new(format!("the gateway's reply has no {what}; it may be of another version")))
}
