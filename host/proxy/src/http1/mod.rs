//! Connections that speak HTTP/1.1: those of clients and those to backends.
//!
//! The rules of the protocol are in `pace-wire`, sockets and memory in [`io`](crate::io). Here the two meet.
//!
//! | file | what it has |
//! |---|---|
//! | `client` | a client's connection: heads, answers, an end in stages |
//! | `backend` | a connection to a backend: the response's head |
//! | `body` | a body while it is read, from either |
//! | `sink` | what is to be written, and how far that has come |
//! | `pump` | a body on its way from one connection to the other |
//! | `tunnel` | both directions of a connection that speaks another protocol from now on |

mod backend;
mod body;
mod client;
mod pump;
mod sink;
mod tunnel;

pub use backend::{BackendConnection, HeadError, connect};
pub use body::{BodyError, BodyReader};
pub use client::{Client, Next, Waited};
pub use pump::{Outgoing, Pump, PumpError, Side};
pub use sink::Sink;
pub use tunnel::tunnel;
