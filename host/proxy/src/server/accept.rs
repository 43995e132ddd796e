//! From the listening socket to a worker.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use log::warn;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::admission::turn_away;
use super::connection::{Connection, Entry};
use super::drain::{Drain, Phase};
use super::sockets::ListeningSocket;
use super::worker::Worker;
use crate::client::TrustedProxies;
use crate::telemetry::RefusedConnection;
use pace_base::logging::Limited;

/// Accepts for one worker on all sockets, including those that are opened later.
pub(super) struct Accepting {
    pub(super) sockets: watch::Receiver<Vec<Arc<ListeningSocket>>>,
    /// The trusted peers that begin with a PROXY header, if there are any.
    pub(super) proxy_protocol: Option<Arc<TrustedProxies>>,
    /// A handle that says by its drop that this worker no longer listens.
    pub(super) listening: Listening,
}

impl Accepting {
    /// Accepts until the process begins to end. Connections that wait in the queue of a socket by then are accepted, too: the
    /// kernel would reset them. A socket that another process has, or systemd, keeps its queue.
    pub(super) async fn run(mut self, worker: Arc<Worker>, drain: Arc<Drain>) {
        let mut accepting: Vec<(Arc<ListeningSocket>, JoinHandle<Infallible>)> = Vec::new();
        let mut ended = pin!(drain.entered(Phase::Draining));
        loop {
            let sockets = self.sockets.borrow_and_update().clone();
            accepting.retain(|(socket, task)| {
                let stays = sockets.iter().any(|open| open.id == socket.id);
                if !stays {
                    // The socket closes with the task, as soon as no worker has it any more.
                    task.abort();
                }
                stays
            });
            for socket in sockets {
                if accepting.iter().all(|(open, _)| open.id != socket.id) {
                    match self.acceptor(&socket, &worker) {
                        Ok(acceptor) => {
                            let task = tokio::spawn(acceptor.run(Arc::clone(&worker)));
                            accepting.push((socket, task));
                        }
                        Err(error) => {
                            warn!(target: "pace::server", "a worker cannot accept on {}: {error}", socket.address);
                        }
                    }
                }
            }
            tokio::select! {
                changed = self.sockets.changed() => if changed.is_err() { break },
                () = &mut ended => break,
            }
        }
        for (socket, task) in accepting {
            task.abort();
            if socket.unit.is_none() && drain.phase() == Phase::Draining {
                self.accept_rest(&socket, &worker);
            }
        }
    }

    fn accept_rest(&self, socket: &ListeningSocket, worker: &Arc<Worker>) {
        let Ok(acceptor) = self.acceptor(socket, worker) else {
            return;
        };
        let accepted = std::iter::from_fn(|| socket.listener.accept().ok());
        // Whoever connects all the time must not keep the process from ending.
        for (stream, peer) in accepted.take(MAX_REST) {
            let stream = stream
                .set_nonblocking(true)
                .and_then(|()| TcpStream::from_std(stream));
            if let Ok(stream) = stream {
                worker.take(acceptor.connection(stream, peer));
            }
        }
    }

    fn acceptor(&self, socket: &ListeningSocket, worker: &Worker) -> io::Result<Acceptor> {
        Ok(Acceptor {
            listener: TcpListener::from_std(socket.listener.try_clone()?)?,
            entry: Entry {
                listener: socket.id,
                port: socket.port,
                connections: worker.metrics().clients.of(&socket.address.to_string()),
            },
            proxy_protocol: self.proxy_protocol.clone(),
            listening: Listening::clone(&self.listening),
        })
    }
}

/// Accepts for one worker on one socket.
///
/// The acceptors of all workers share the socket: connections wait in one queue, which a busy worker does not keep
/// from the others, and which can be handed on as a whole.
pub(super) struct Acceptor {
    /// This worker's view of the shared socket.
    pub(super) listener: TcpListener,
    /// The listener's facts that its connections remember.
    pub(super) entry: Entry,
    /// The trusted peers that begin with a PROXY header, if there are any.
    pub(super) proxy_protocol: Option<Arc<TrustedProxies>>,
    /// A handle that says by its drop that this acceptor no longer listens.
    #[expect(dead_code, reason = "dropped with the listener, after it")]
    pub(super) listening: Listening,
}

/// A handle that exists for as long as somebody listens.
pub(super) type Listening = mpsc::Sender<Infallible>;

/// The most connections that a worker accepts from a queue at the end: as many as a queue holds.
const MAX_REST: usize = 4096;

/// The pause when the process has no file descriptor left, in which other connections can end.
pub(super) const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

static FAILED: LazyLock<Limited> = LazyLock::new(|| Limited::new("connections that could not be accepted"));

impl Acceptor {
    /// Accepts until it is dropped. Each connection is served by the worker that accepted it, unless another worker
    /// has clearly fewer.
    pub(super) async fn run(self, worker: Arc<Worker>) -> Infallible {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) if worker.is_full() => {
                    worker.metrics().connection_refused(RefusedConnection::TooMany);
                    tokio::spawn(turn_away(stream));
                }
                Ok((stream, peer)) => worker.take(self.connection(stream, peer)),
                Err(error) => failed(&error, &worker).await,
            }
        }
    }

    fn connection(&self, stream: TcpStream, peer: SocketAddr) -> Connection {
        let trusted = self.proxy_protocol.as_ref();
        Connection {
            stream,
            peer,
            expects_header: trusted.is_some_and(|trusted| trusted.contains(peer.ip())),
            entry: self.entry.clone(),
        }
    }
}

async fn failed(error: &io::Error, worker: &Worker) {
    match error.kind() {
        // The client left while it waited to be accepted.
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted => {}
        _ => {
            if FAILED.admits() {
                warn!(target: "pace::server", "cannot accept connections: {error}; connections without a request are closed");
            }
            worker.shed_idle();
            sleep(EXHAUSTED_PAUSE).await;
        }
    }
}
