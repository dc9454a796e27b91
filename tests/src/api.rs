//! Calls to a cluster the way a program makes them, through `openshell_client`. What the answers
//! must be is the tests' business.

use std::time::Duration;

use openshell_client::{
    Answer, CallError, CallOptions, Client, ClientBuilder, Consistency, Method, Seen, Tls, Uuid, methods,
    parse_endpoints,
};
use openshell_proto::v1::UpdateConfigRequest;
use prost::Message;

use crate::fixtures::bool_setting;

/// A caller of one node or of several, with the wishes that its calls share. Cheap to clone.
#[derive(Clone)]
pub struct Api {
    client: Client,
    options: CallOptions,
    endpoints: String,
    tls: Tls,
}

impl Api {
    /// A caller of these URLs, separated by commas, with the defaults of [`CallOptions`].
    ///
    /// # Panics
    /// When one is no URL.
    #[must_use]
    pub fn new(endpoints: &str) -> Self {
        Self::with_tls(endpoints, Tls::None)
    }

    /// As [`Api::new`], with what it takes to be let in where the URLs are `https`.
    ///
    /// # Panics
    /// When one is no URL, or the certificates cannot be used.
    #[must_use]
    pub fn with_tls(endpoints: &str, tls: Tls) -> Self {
        Self::of(endpoints, tls, None)
    }

    /// A caller of these URLs who shows a token.
    ///
    /// # Panics
    /// When one is no URL, or the token is no text for a header.
    #[must_use]
    pub fn bearer(endpoints: &str, token: &str) -> Self {
        Self::bearer_with_tls(endpoints, Tls::None, token)
    }

    /// As [`Api::bearer`], with what it takes to be let in where the URLs are `https`.
    ///
    /// # Panics
    /// As [`Api::bearer`], and when the certificates cannot be used.
    #[must_use]
    pub fn bearer_with_tls(endpoints: &str, tls: Tls, token: &str) -> Self {
        Self::of(endpoints, tls, Some(token))
    }

    /// Another caller of the same URLs, who shows a token.
    ///
    /// # Panics
    /// When the token is no text for a header.
    #[must_use]
    pub fn showing(&self, token: &str) -> Self {
        Self { options: self.options.clone(), ..Self::of(&self.endpoints, self.tls.clone(), Some(token)) }
    }

    fn of(endpoints: &str, tls: Tls, token: Option<&str>) -> Self {
        let parsed = parse_endpoints(endpoints).expect("the harness makes well-formed endpoints");
        let mut builder = ClientBuilder::new(parsed).tls(tls.clone());
        if let Some(token) = token {
            builder = builder.header("authorization", &format!("Bearer {token}"));
        }
        let client = builder.build().expect("the harness makes good certificates, and tokens that fit in a header");
        Self { client, options: CallOptions::default(), endpoints: endpoints.to_owned(), tls }
    }

    /// The client behind it, for streams and watches.
    #[must_use]
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// The same caller, each call one attempt.
    #[must_use]
    pub fn once(&self) -> Self {
        self.with(|options| options.once())
    }

    /// The same caller, asking for linearizable answers.
    #[must_use]
    pub fn linearizable(&self) -> Self {
        self.with(|options| options.consistency(Consistency::Linearizable))
    }

    /// The same caller, content with what the node has applied.
    #[must_use]
    pub fn local(&self) -> Self {
        self.with(|options| options.consistency(Consistency::Local))
    }

    /// The same caller, each call bounded by `limit`.
    #[must_use]
    pub fn deadline(&self, limit: Duration) -> Self {
        self.with(|options| options.deadline(limit))
    }

    /// The same caller, its calls being number `attempt` of the request `id`.
    #[must_use]
    pub fn request(&self, id: Uuid, attempt: u32) -> Self {
        self.with(|options| options.request_id(id).first_attempt(attempt))
    }

    /// The same caller, taking no answer from a state older than `seen`.
    #[must_use]
    pub fn not_before(&self, seen: &Seen) -> Self {
        self.with(|options| options.not_before(seen))
    }

    fn with(&self, change: impl FnOnce(CallOptions) -> CallOptions) -> Self {
        Self { options: change(self.options.clone()), ..self.clone() }
    }

    /// Makes a call.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn call<Q, A>(&self, method: &Method<Q, A>, request: Q) -> Result<Answer<A>, CallError>
    where
        Q: Message + Clone + 'static,
        A: Message + Default + 'static,
    {
        self.client.call(method, request, &self.options).await
    }

    /// Sets `providers_v2_enabled` for the gateway and says what state that made.
    ///
    /// # Panics
    /// When the cluster does not accept it.
    pub async fn enable_providers_v2(&self, on: bool) -> Seen {
        let request = UpdateConfigRequest {
            global: true,
            setting_key: "providers_v2_enabled".to_owned(),
            setting_value: Some(bool_setting(on)),
            ..UpdateConfigRequest::default()
        };
        self.call(&methods::UPDATE_CONFIG, request).await.expect("the setting is accepted").seen
    }
}
