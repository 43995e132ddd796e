//! From the listening socket to a worker.

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use log::warn;
use tokio::io::unix::AsyncFd;
use tokio::time::sleep;

use super::admission::turn_away;
use super::connection::Connection;
use super::drain::Drain;
use super::worker::Workers;
use crate::client::TrustedProxies;
use crate::logging::Limited;
use crate::snapshot::{Environment, Snapshot};
use crate::telemetry::RefusedConnection;

/// Accepts for all workers.
pub(super) struct Acceptor<'a> {
    /// Connections are for the workers' runtimes; the acceptor's only waits for there to be one.
    pub(super) listener: AsyncFd<TcpListener>,
    pub(super) workers: &'a Workers,
    pub(super) environment: &'a Arc<Environment>,
    /// Says how many connections there may be.
    pub(super) snapshot: &'a ArcSwap<Snapshot>,
    /// Told when there are no descriptors left.
    pub(super) drain: &'a Drain,
    /// The peers that begin with a PROXY header, if any do.
    pub(super) proxy_protocol: Option<TrustedProxies>,
}

/// How long to wait when the process has no file descriptor left, so that others can end.
pub(super) const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

impl Acceptor<'_> {
    /// Accepts until it is dropped, which closes the listener.
    pub(super) async fn run(self) -> io::Result<Infallible> {
        let warnings = Limited::new("connections that could not be accepted");
        loop {
            let mut ready = self.listener.readable().await?;
            match ready.try_io(|listener| listener.get_ref().accept()) {
                Ok(Ok((stream, _))) if self.is_full() => self.turn_away(stream),
                Ok(Ok((stream, peer))) => {
                    if !self.give(stream, peer) {
                        return Err(io::Error::other("every worker has died"));
                    }
                }
                Ok(Err(error)) => self.failed(&error, &warnings).await,
                Err(_would_block) => {}
            }
        }
    }

    fn is_full(&self) -> bool {
        let most = self.snapshot.load().connections.max;
        most.is_some_and(|most| self.workers.open() >= most.get() as usize)
    }

    fn turn_away(&self, stream: TcpStream) {
        self.environment
            .metrics
            .connection_refused(RefusedConnection::TooMany);
        let stream = stream
            .set_nonblocking(true)
            .and_then(|()| tokio::net::TcpStream::from_std(stream));
        if let Ok(stream) = stream {
            tokio::spawn(turn_away(stream));
        }
    }

    fn give(&self, stream: TcpStream, peer: SocketAddr) -> bool {
        let metrics = &self.environment.metrics;
        metrics.connections_total.inc();
        let expects_header = self
            .proxy_protocol
            .as_ref()
            .is_some_and(|trusted| trusted.contains(peer.ip()));
        self.workers.give(
            Connection {
                stream,
                peer,
                expects_header,
            },
            &metrics.connections,
        )
    }

    async fn failed(&self, error: &io::Error, warnings: &Limited) {
        match error.kind() {
            // The client left while it waited to be accepted.
            io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted => {}
            _ => {
                if warnings.admits() {
                    warn!("cannot accept connections: {error}; connections without a request are closed");
                }
                self.drain.shed_idle();
                sleep(EXHAUSTED_PAUSE).await;
            }
        }
    }
}
