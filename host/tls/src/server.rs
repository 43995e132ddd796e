//! TLS towards clients.
//!
//! ```text
//!               Frontend: a listener's names → configurations, made anew on reload
//!                  │           ▲ keys of tickets outlive it: Tickets
//!                  ▼           │
//! client ──▶ accept: ClientHello → choose by name → handshake ──▶ TlsStream + Facts
//!                  └──▶ HandshakeError: a Reason, an alert to the client
//! ```
//!
//! There is no renegotiation, since the library has none, no early data, and no half-RTT data.
//!
//! # The end of a connection
//!
//! A peer that ends its side as TLS demands sends `close_notify`, and reading returns `Ok(0)`. If the connection ends
//! without, reading returns [`UnexpectedEof`](std::io::ErrorKind::UnexpectedEof): the end may be that of an attacker.
//! From a client this is harmless, because requests are framed; see
//! [`ended_without_notice`](crate::ended_without_notice).

mod accept;
mod chain;
mod client_certificates;
mod facts;
mod frontend;
mod handshakes;
mod reason;
mod served;
mod tickets;

pub use accept::{Handshake, HandshakeError, accept};
pub use client_certificates::ClientCertificates;
pub use facts::Facts;
pub use frontend::{Frontend, FrontendError, Settings, Site};
pub use handshakes::{Handshakes, UnderWay};
pub use reason::Reason;
pub use tickets::Tickets;
