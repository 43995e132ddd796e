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
use super::doors::Door;
use super::drain::Drain;
use super::worker::Worker;
use crate::client::TrustedProxies;
use crate::telemetry::RefusedConnection;
use pace_base::logging::Limited;

/// Accepts for one worker at all doors, those among them that are opened later.
pub(super) struct Accepting {
    pub(super) doors: watch::Receiver<Vec<Arc<Door>>>,
    /// The peers that begin with a PROXY header, if any do.
    pub(super) proxy_protocol: Option<Arc<TrustedProxies>>,
    /// Says by its end that this worker does not listen any more.
    pub(super) listening: Listening,
}

impl Accepting {
    /// Accepts until the process begins to end.
    pub(super) async fn run(mut self, place: Arc<Worker>, drain: Arc<Drain>) {
        let mut accepting: Vec<(Arc<Door>, JoinHandle<Infallible>)> = Vec::new();
        let mut ended = pin!(drain.accepting_ended());
        loop {
            let doors = self.doors.borrow_and_update().clone();
            accepting.retain(|(door, task)| {
                let stays = doors.iter().any(|open| open.id == door.id);
                if !stays {
                    // The socket is closed with the task, as soon as no worker has it any more.
                    task.abort();
                }
                stays
            });
            for door in doors {
                if accepting.iter().all(|(open, _)| open.id != door.id) {
                    match self.acceptor(&door) {
                        Ok(acceptor) => {
                            let task = tokio::spawn(acceptor.run(Arc::clone(&place)));
                            accepting.push((door, task));
                        }
                        Err(error) => {
                            warn!(target: "pace::server", "a worker cannot accept on {}: {error}", door.address);
                        }
                    }
                }
            }
            tokio::select! {
                changed = self.doors.changed() => if changed.is_err() { break },
                () = &mut ended => break,
            }
        }
        for (_, task) in accepting {
            task.abort();
        }
    }

    fn acceptor(&self, door: &Door) -> io::Result<Acceptor> {
        Ok(Acceptor {
            listener: TcpListener::from_std(door.socket.try_clone()?)?,
            entry: Entry {
                listener: door.id,
                port: door.port,
            },
            proxy_protocol: self.proxy_protocol.clone(),
            listening: Listening::clone(&self.listening),
        })
    }
}

/// Accepts for one worker at one door, beside those of the others.
///
/// All listen on the same socket: a connection waits in one queue, which no worker that is busy keeps from the others, and
/// which can be handed on as a whole.
pub(super) struct Acceptor {
    /// This worker's view of the socket that all share.
    pub(super) listener: TcpListener,
    /// What its connections remember of it.
    pub(super) entry: Entry,
    /// The peers that begin with a PROXY header, if any do.
    pub(super) proxy_protocol: Option<Arc<TrustedProxies>>,
    /// Says by its end that this one does not listen any more.
    #[expect(dead_code, reason = "dropped with the listener, after it")]
    pub(super) listening: Listening,
}

/// Held for as long as somebody listens.
pub(super) type Listening = mpsc::Sender<Infallible>;

/// How long to wait when the process has no file descriptor left, so that others can end.
pub(super) const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

static FAILED: LazyLock<Limited> = LazyLock::new(|| Limited::new("connections that could not be accepted"));

impl Acceptor {
    /// Accepts until it is dropped. Each connection is served where it was accepted, unless another worker has clearly
    /// fewer.
    pub(super) async fn run(self, place: Arc<Worker>) -> Infallible {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) if place.is_full() => {
                    place.metrics().connection_refused(RefusedConnection::TooMany);
                    tokio::spawn(turn_away(stream));
                }
                Ok((stream, peer)) => place.take(self.connection(stream, peer)),
                Err(error) => failed(&error, &place).await,
            }
        }
    }

    fn connection(&self, stream: TcpStream, peer: SocketAddr) -> Connection {
        let trusted = self.proxy_protocol.as_ref();
        Connection {
            stream,
            peer,
            expects_header: trusted.is_some_and(|trusted| trusted.contains(peer.ip())),
            entry: self.entry,
        }
    }
}

async fn failed(error: &io::Error, place: &Worker) {
    match error.kind() {
        // The client left while it waited to be accepted.
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted => {}
        _ => {
            if FAILED.admits() {
                warn!(target: "pace::server", "cannot accept connections: {error}; connections without a request are closed");
            }
            place.shed_idle();
            sleep(EXHAUSTED_PAUSE).await;
        }
    }
}
