//! The connection of a client.

use bytes::Bytes;
use h2::server::{Builder, Connection};

use super::{Io, RESET_MEMORY, SEND_BUFFER, STREAM_WINDOW};

/// The bytes with which a client begins a connection (section 3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The most requests under way on a connection.
const MAX_STREAMS: u32 = 100;

/// The most bytes that a client may send on all streams of a connection together before they have been passed on.
const CONNECTION_WINDOW: u32 = 1 << 20;

/// The most streams that a client may reset before the proxy has looked at them (CVE-2023-44487), and that may be
/// reset because of what the client sent (CVE-2025-8671). More end the connection.
const MAX_RESETS: usize = 50;
const MAX_ERRORS: usize = 100;

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
