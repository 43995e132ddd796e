//! TLS towards backends.
//!
//! A [`Connector`] is made once for each pool: reading roots costs milliseconds, and the connector keeps the sessions
//! that are resumed.
//!
//! # The end of a connection
//!
//! A backend that ends its side as TLS demands sends `close_notify`, and reading returns `Ok(0)`. If the connection
//! ends without, reading returns [`UnexpectedEof`](std::io::ErrorKind::UnexpectedEof): anybody may have cut a body
//! short whose end is the end of the connection, so it must not pass as complete; see
//! [`ended_without_notice`](crate::ended_without_notice).
//!
//! # Refusals that come late
//!
//! In TLS 1.3 the client's part of the handshake is done before the backend has judged the client's certificate. A
//! backend that demands one and gets none, or a wrong one, says so by an alert that the first read finds;
//! [`Reason::of`] recognises it, and [`explained`] puts it into words.

mod connector;
mod failure;
mod pinned;
mod reason;
mod roots;
mod unverified;

pub use connector::{Connected, Connector, ConnectorError, Settings};
pub use failure::{ConnectError, explained};
pub use reason::Reason;
pub use roots::{NoRoots, Roots, system_roots};
pub use rustls::RootCertStore;
