//! Messages on connections of clients and to backends: HTTP/1.1, and the bodies of streams of HTTP/2.
//!
//! This module applies the rules of the protocol, which are in `pace-wire`, to the sockets and memory of [`io`](crate::io).
//!
//! | file | what it has |
//! |---|---|
//! | `client` | a client's connection: reads heads, sends answers, closes in stages |
//! | `backend` | a connection to a backend, or a stream: reads the response's head |
//! | `body` | reads a body from either connection |
//! | `sink` | bytes to be written, and how far that has come |
//! | `pump` | moves a body from one connection to the other |
//! | `tunnel` | copies both directions of a connection after a switch of protocols |

mod backend;
mod body;
mod client;
mod pump;
mod sink;
mod tunnel;

pub use backend::{BackendConnection, HeadError};
pub use body::{BodyError, BodyReader};
pub use client::{Arrival, Client, Next, WaitOutcome};
pub use pump::{Flow, Outgoing, Passed, Pump, PumpError, Side, Transform};
pub use sink::Sink;
pub use tunnel::tunnel;
