//! Connects to backends for requests, which wait no longer than they may, and fail with the errors of attempts.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use pace_tls::client::{ConnectError, Connected, Reason};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::attempt::AttemptError;
use crate::io::{Alarm, Transport};
use crate::upstream::Backend;

/// Connects to a backend by a deadline, and counts the connection. A handshake may follow.
pub(super) async fn connect(
    to: &Backend,
    keepalive: Option<Duration>,
    until: Instant,
    alarm: &mut Alarm,
) -> Result<Transport, AttemptError> {
    let mut connecting = pin!(to.address.connect(keepalive));
    let connected = poll_fn(|context| {
        if let Poll::Ready(connected) = connecting.as_mut().poll(context) {
            return Poll::Ready(connected);
        }
        alarm
            .poll(until, context)
            .map(|()| Err(io::ErrorKind::TimedOut.into()))
    })
    .await;
    let transport = connected.map_err(AttemptError::of_connecting)?;
    to.metrics.connections.inc();
    Ok(transport)
}

/// The connection behind a handshake.
pub(super) fn encrypted(
    connected: Result<Connected<TcpStream>, ConnectError>,
) -> Result<Transport, AttemptError> {
    match connected {
        Ok(connected) => Ok(Transport::Tls(Box::new(connected.stream.into()))),
        Err(error) if error.reason == Reason::Timeout => Err(AttemptError::Connect(io::Error::new(
            io::ErrorKind::TimedOut,
            error,
        ))),
        Err(error) => Err(AttemptError::Tls(error)),
    }
}
