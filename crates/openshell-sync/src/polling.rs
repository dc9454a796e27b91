//! A session with a node that has no stream: it is asked again and again, and now and then whether it has
//! one by now.

use std::sync::Arc;
use std::time::Duration;

use openshell_client::{CallError, Client, EndpointUrl};
use rand::Rng;
use tokio::time::sleep;

use crate::clock;
use crate::follow::{End, Follower};
use crate::node;
use crate::poll::{Polled, poll};
use crate::report;
use crate::session::end_of;

const POLL: Duration = Duration::from_secs(5);
/// Before the stream is tried again.
const POLLS: u32 = 12;

impl Follower {
    /// Polls this node for a minute or so. Nobody is told what became of it: there is no session to name.
    pub(crate) async fn poll(&mut self, endpoint: &EndpointUrl, client: &Client) -> End {
        tracing::info!(%endpoint, "the node has no stream: polling");
        let (options, stop) = (Arc::clone(&self.options), self.stop.clone());
        let to_record =
            report::to_record(client.clone(), options.sandbox_id.clone(), self.feed.clone(), self.outcome.clone());
        tokio::pin!(to_record);
        for _ in 0..POLLS {
            if self.token.was_replaced() {
                tracing::info!("the token's file holds another one");
                break;
            }
            if self.renew_in().is_some_and(|left| left.is_zero())
                && self.keep_token(node::new_token(client.clone()).await).await
            {
                break;
            }
            // Not when the answer is read: this may stand still meanwhile.
            let asked_ms = clock::now_ms();
            let Polled { offer, node, age } = tokio::select! {
                () = stop.cancelled() => return End::Stopped,
                polled = poll(client, &options.sandbox_id) => match polled {
                    Ok(polled) => polled,
                    Err(CallError::Refused(status)) => return end_of(&status),
                    Err(error) => return End::Lost(error.to_string()),
                },
            };
            let position = offer.position;
            if let Err(error) = self.accept(position) {
                return End::Lost(error.to_string());
            }
            self.pass_on(Some(offer), position, asked_ms.saturating_sub(clock::ms(age)), node);
            self.served(endpoint);
            let pause = POLL.mul_f64(self.random.random_range(0.8..1.2));
            tokio::select! {
                () = stop.cancelled() => return End::Stopped,
                never = &mut to_record => match never {},
                () = sleep(pause) => {}
            }
        }
        End::At(endpoint.clone())
    }
}
