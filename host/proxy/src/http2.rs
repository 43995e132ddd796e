//! Connections of clients that speak HTTP/2 (RFC 9113). The crate `h2` handles frames, windows and the compression of
//! fields, within the bounds that are set here.
//!
//! ```text
//! h2::server::Connection ◀──▶ Io ◀──▶ client
//!                             └─▶ Watch: the frames on their way ──▶ Seen: refused heads, floods, the end
//! ```
//!
//! The crate answers some faults by itself and reports nothing about them, so they are read from its frames.

mod allowance;
mod frames;
mod io;
mod watch;

use std::time::Duration;

use bytes::Bytes;
use h2::server::{Builder, Connection};

pub use io::Io;
pub use watch::{Ending, Seen};

/// The bytes with which a client begins a connection (section 3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The most requests under way on a connection.
const MAX_STREAMS: u32 = 100;

/// The most bytes of a body that a client may send before they have been passed on. An upload at 1 Gbit/s from a client
/// 2 ms away fills this window; a larger one would be held in memory for a slower backend.
const STREAM_WINDOW: u32 = 256 << 10;

/// The same bound for all streams of a connection together.
const CONNECTION_WINDOW: u32 = 1 << 20;

/// The most bytes of a response that wait to be written.
const SEND_BUFFER: usize = 128 << 10;

/// The most streams that a client may reset before the proxy has looked at them (CVE-2023-44487), and that may be
/// reset because of what the client sent (CVE-2025-8671). More end the connection.
const MAX_RESETS: usize = 50;
const MAX_ERRORS: usize = 100;

/// How long a stream that was reset is remembered, so that frames still on their way are no fault.
const RESET_MEMORY: Duration = Duration::from_secs(5);

/// Carries out the start of a connection that has sent nothing but the preface. `max_list` is how many bytes the
/// fields of a request may have, with 32 more for each (section 6.5.2). Clients are told, and 431 is the answer to more.
pub async fn handshake(io: Io, max_list: u32) -> Result<Connection<Io, Bytes>, h2::Error> {
    Builder::new()
        .max_concurrent_streams(MAX_STREAMS)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(max_list)
        .max_send_buffer_size(SEND_BUFFER)
        .max_concurrent_reset_streams(MAX_RESETS)
        .max_pending_accept_reset_streams(MAX_RESETS)
        .max_local_error_reset_streams(Some(MAX_ERRORS))
        .reset_stream_duration(RESET_MEMORY)
        .handshake(io)
        .await
}
