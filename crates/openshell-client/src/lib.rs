//! The telephone: how a program speaks to a cluster of gateways. Endpoints, connections, TLS,
//! request ids, failover, and what an answer says about the state it was made from. What a call
//! means is not here: the rules live behind the gateway.

mod attempt;
mod call;
mod client;
mod dial;
mod endpoint;
mod error;
mod event;
mod line;
mod method;
mod nearest;
mod options;
mod position;
mod probe;
mod seen;
mod source;
mod stream;
mod tls;
mod watch;

pub use attempt::{id_time_ms, said_by};
pub use call::Answer;
pub use client::{Client, ClientBuilder};
pub use dial::{BoxedStream, Dial, Duplex, TcpDial};
pub use endpoint::{EndpointError, EndpointUrl, parse_endpoints};
pub use error::{CallError, ConfigurationError, EndpointFailure};
pub use event::{End, Ended, Event, Listener};
pub use method::{Method, methods};
pub use options::{CallOptions, Consistency};
pub use position::Position;
pub use seen::Seen;
pub use tls::{Tls, TlsError};
pub use uuid::Uuid;
pub use watch::{Watch, WatchError};
