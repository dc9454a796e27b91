//! A token endpoint on loopback that counts what it is asked, and answers as it is told.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::post;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::wait::eventually;

/// A token endpoint. It ends with the value.
#[derive(Debug)]
pub struct Issuer {
    url: String,
    inside: Arc<Inside>,
    _serving: JoinSet<()>,
}

#[derive(Debug)]
struct Inside {
    /// The forms that came, in order.
    asked: Mutex<Vec<String>>,
    /// Answers wait until it is true.
    open: watch::Sender<bool>,
    /// What is answered; `{n}` in it is the number of the request, from 1.
    answer: Mutex<(StatusCode, String)>,
}

impl Issuer {
    /// An endpoint that answers at once with the token `token-N`, N counting from 1, valid for an hour.
    ///
    /// # Panics
    /// When it cannot listen.
    pub async fn start() -> Self {
        Self::on(vec![TcpListener::bind("127.0.0.1:0").await.expect("a free port")])
    }

    /// The same on all of these, which have one port, each on a loopback of its own.
    ///
    /// # Panics
    /// When there are none.
    #[must_use]
    pub fn on(listeners: Vec<TcpListener>) -> Self {
        let answer = (StatusCode::OK, r#"{"access_token":"token-{n}","expires_in":3600}"#.to_owned());
        let inside =
            Arc::new(Inside { asked: Mutex::default(), open: watch::Sender::new(true), answer: Mutex::new(answer) });
        let place = listeners.first().expect("an issuer listens somewhere").local_addr().expect("it is bound");
        let url = format!("http://{place}/token");
        let handling = Arc::clone(&inside);
        let handle = move |form: String| {
            let inside = Arc::clone(&handling);
            async move { inside.handle(form).await }
        };
        let router = Router::new().route("/token", post(handle));
        let serve = |listener| {
            let router = router.clone();
            async move { axum::serve(listener, router).await.expect("it serves") }
        };
        Self { url, inside, _serving: listeners.into_iter().map(serve).collect() }
    }

    /// Where it is asked.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The forms that came so far, in order.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        lock(&self.inside.asked).clone()
    }

    /// Waits until it was asked so often.
    ///
    /// # Panics
    /// When it is not within `limit`.
    pub async fn asked_times(&self, times: usize, limit: Duration) {
        let enough = async || (self.asked().len() >= times).then_some(());
        eventually(&format!("{times} requests to the issuer"), limit, enough).await.expect("it is asked");
    }

    /// From now on answers wait.
    pub fn hold(&self) {
        self.inside.open.send_replace(false);
    }

    /// From now on answers, those that wait too, are given.
    pub fn release(&self) {
        self.inside.open.send_replace(true);
    }

    /// From now on this is answered.
    ///
    /// # Panics
    /// When the status is none of HTTP's.
    pub fn answer(&self, status: u16, body: &str) {
        *lock(&self.inside.answer) = (StatusCode::from_u16(status).expect("a status"), body.to_owned());
    }
}

impl Inside {
    async fn handle(&self, form: String) -> (StatusCode, String) {
        let number = {
            let mut asked = lock(&self.asked);
            asked.push(form);
            asked.len()
        };
        let mut open = self.open.subscribe();
        // The sender lives as long as this.
        let _ = open.wait_for(|open| *open).await;
        let (status, body) = lock(&self.answer).clone();
        (status, body.replace("{n}", &number.to_string()))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
