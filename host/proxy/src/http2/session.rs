//! The connection to a backend, which many requests share.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use h2::PingPong;
use h2::client::{Builder, Connection, SendRequest};

use super::{Io, RESET_MEMORY, SEND_BUFFER, STREAM_WINDOW};
use crate::io::{Share, Traffic};

/// The most requests under way on a session, even if the backend takes more: the windows of all their responses fit into that
/// of the session, so a response that is not read stalls no other.
pub const MAX_STREAMS: usize = 100;

/// The most bytes that a backend may send on all streams of a session together before they have been passed on.
const CONNECTION_WINDOW: u32 = MAX_STREAMS as u32 * STREAM_WINDOW;

/// The most bytes of a response's fields, with 32 more for each: as many as a head of HTTP/1 may have.
const MAX_HEAD: u32 = 64 << 10;

/// The most streams that are remembered after their reset, and that may be reset because the backend broke the rules.
const MAX_RESETS: usize = 1000;
const MAX_ERRORS: usize = 1000;

/// The most bytes that unread frames with little data may cost, each 256 less its length. More end the session, so such
/// frames in the windows of slow clients take some 40 MiB at the most.
const SMALL_FRAMES: usize = 32 << 20;

/// The limit of requests before the backend has named one.
const UNKNOWN: usize = usize::MAX - 1;

/// A session that has begun.
pub struct Begun {
    /// Sends requests.
    pub sender: SendRequest<Bytes>,
    /// Sends PING to the backend.
    pub pings: Option<PingPong>,
    /// The account of what the backend sends.
    pub traffic: Arc<Traffic>,
    /// Reads and writes; without it nothing happens.
    pub driver: Box<Driver>,
}

/// Reads and writes a session.
pub struct Driver {
    connection: Connection<Io, Bytes>,
    traffic: Arc<Traffic>,
    limit: usize,
}

/// Begins a session on a connection that has carried nothing yet.
///
/// # Errors
///
/// The connection breaks.
pub async fn begin(io: Io, traffic: Arc<Traffic>) -> Result<Begun, h2::Error> {
    let (sender, mut connection) = Builder::new()
        .enable_push(false)
        .initial_max_send_streams(UNKNOWN)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(MAX_HEAD)
        .max_send_buffer_size(SEND_BUFFER)
        .max_concurrent_reset_streams(MAX_RESETS)
        .max_local_error_reset_streams(Some(MAX_ERRORS))
        .reset_stream_duration(RESET_MEMORY)
        .data_frame_budget(SMALL_FRAMES)
        .handshake(io)
        .await?;
    Ok(Begun {
        sender,
        pings: connection.ping_pong(),
        driver: Box::new(Driver {
            connection,
            traffic: Arc::clone(&traffic),
            limit: UNKNOWN,
        }),
        traffic,
    })
}

impl Driver {
    /// Reads and writes until the session has ended. Calls `limit` with the number of requests that the backend takes at once:
    /// when its settings have come, and each time that they change.
    ///
    /// # Errors
    ///
    /// The session has not ended in order.
    pub async fn run(mut self, mut limit: impl FnMut(usize)) -> Result<(), h2::Error> {
        poll_fn(|context| {
            self.traffic.begin_turn();
            let polled = Pin::new(&mut self.connection).poll(context);
            let most = self.connection.max_concurrent_send_streams();
            if most != self.limit && polled.is_pending() {
                self.limit = most;
                limit(most);
            }
            polled
        })
        .await
    }
}

/// The share of a further request in a session's traffic.
pub fn share(traffic: &Arc<Traffic>) -> Share {
    Share::new(Arc::clone(traffic), STREAM_WINDOW)
}
