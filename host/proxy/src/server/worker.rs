//! The threads that accept and serve.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::Duration;
use std::{io, net};

use arc_swap::ArcSwap;
use log::{debug, error, warn};
use pace_tls::server::{Handshake, Handshakes, accept as accept_tls};
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use super::accept::{Accepting, Listening};
use super::admission::{PerClient, answer_plaintext, turn_away};
use super::connection::{Connection, ConnectionError, Entry};
use super::drain::Drain;
use crate::client::TrustedProxies;
use crate::http1::{Arrival, Client};
use crate::io::Transport;
use crate::proxy::{Idle, Proxy};
use crate::snapshot::{Shared, Snapshot};
use crate::telemetry::{Metrics, RefusedConnection};
use pace_base::escape::Line;
use pace_base::logging::Limited;

/// All workers, as the thread that started them sees them.
pub(super) struct Workers {
    seats: Arc<WorkerHandles>,
    listening: mpsc::Receiver<Infallible>,
}

/// What all workers share about all.
struct WorkerHandles {
    seats: Box<[WorkerHandle]>,
    /// Told each time a connection ends.
    ended: Notify,
}

/// What the others know of a worker. Apart from its neighbours in memory, as each counts for itself.
#[repr(align(128))]
struct WorkerHandle {
    open: AtomicUsize,
    handed: mpsc::UnboundedSender<HandedConnection>,
}

/// A connection from one worker's runtime to another's.
struct HandedConnection {
    stream: net::TcpStream,
    peer: net::SocketAddr,
    expects_header: bool,
    entry: Entry,
    open: Open,
}

/// What each worker begins with.
pub(super) struct WorkerSetup<'a> {
    pub(super) snapshot: &'a Arc<ArcSwap<Snapshot>>,
    pub(super) shared: &'a Arc<Shared>,
    pub(super) drain: &'a Arc<Drain>,
    /// The peers that begin with a PROXY header, if any do.
    pub(super) proxy_protocol: Option<Arc<TrustedProxies>>,
}

/// Wasm may use half a megabyte of it.
const STACK_SIZE: usize = 4 << 20;

/// How many connections more than another a worker must have before it gives one away: what a moment makes uneven is
/// not worth a wake-up of another thread.
const UNEVEN: usize = 2;

/// How long a client may take for the handshake of TLS.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// How many handshakes there may be at once on a worker. One with an RSA key of 2,048 bits takes half a millisecond of it.
const MAX_HANDSHAKES: usize = 2048;

impl Workers {
    /// Starts the threads, which all accept at every door. They end with the process.
    pub(super) fn start(count: usize, equipment: &WorkerSetup<'_>) -> io::Result<Workers> {
        let (holder, listening) = mpsc::channel(1);
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..count).map(|_| mpsc::unbounded_channel()).unzip();
        let seats = Arc::new(WorkerHandles {
            seats: senders.into_iter().map(WorkerHandle::new).collect(),
            ended: Notify::new(),
        });
        let per_client: Arc<PerClient> = Arc::default();
        for (index, handed) in receivers.into_iter().enumerate() {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            let door = Accepting {
                doors: equipment.shared.listeners.doors().follow(),
                proxy_protocol: equipment.proxy_protocol.clone(),
                listening: Listening::clone(&holder),
            };
            let idle = Arc::new(Idle::default());
            let drain = Arc::clone(equipment.drain);
            let place = Arc::new(Worker {
                index,
                seats: Arc::clone(&seats),
                proxy: Arc::new(Proxy::new(
                    Arc::clone(equipment.snapshot),
                    Arc::clone(equipment.shared),
                    Arc::clone(&idle),
                    Arc::clone(&drain),
                    index,
                )),
                shared: Arc::clone(equipment.shared),
                drain: Arc::clone(&drain),
                per_client: Arc::clone(&per_client),
                handshakes: Handshakes::new(MAX_HANDSHAKES),
            });
            thread::Builder::new()
                .name(format!("pace-worker-{index}"))
                .stack_size(STACK_SIZE)
                .spawn(move || {
                    runtime.block_on(async move {
                        tokio::spawn(idle.sweep(Arc::clone(&drain)));
                        tokio::spawn(sweep(place.shared.runtime.clone()));
                        tokio::spawn(door.run(Arc::clone(&place), drain));
                        receive(handed, place).await;
                    });
                })?;
        }
        Ok(Workers { seats, listening })
    }

    /// Waits until nobody listens any more: after [`Drain::stop_accepting`], or when every thread has died.
    pub(super) async fn closed(&mut self) {
        let None = self.listening.recv().await;
    }

    /// How many connections are open.
    pub(super) fn open(&self) -> usize {
        self.seats.open()
    }

    /// Waits until none is.
    pub(super) async fn drained(&self) {
        loop {
            let ended = self.seats.ended.notified();
            if self.open() == 0 {
                return;
            }
            ended.await;
        }
    }
}

impl WorkerHandles {
    fn open(&self) -> usize {
        self.seats
            .iter()
            .map(|seat| seat.open.load(Ordering::Acquire))
            .sum()
    }
}

impl WorkerHandle {
    fn new(handed: mpsc::UnboundedSender<HandedConnection>) -> WorkerHandle {
        WorkerHandle {
            open: AtomicUsize::new(0),
            handed,
        }
    }
}

/// Counts as an open connection of a worker until it is dropped.
struct Open {
    seats: Arc<WorkerHandles>,
    index: usize,
    shared: Arc<Shared>,
}

impl Open {
    fn new(place: &Worker, index: usize) -> Open {
        place.seats.seats[index].open.fetch_add(1, Ordering::AcqRel);
        place.metrics().connections.inc();
        Open {
            seats: Arc::clone(&place.seats),
            index,
            shared: Arc::clone(&place.shared),
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.shared.metrics.connections.dec();
        self.seats.seats[self.index].open.fetch_sub(1, Ordering::AcqRel);
        self.seats.ended.notify_one();
    }
}

/// A worker: where connections are accepted and served.
pub(super) struct Worker {
    /// Which of the seats is its own.
    index: usize,
    seats: Arc<WorkerHandles>,
    proxy: Arc<Proxy>,
    shared: Arc<Shared>,
    drain: Arc<Drain>,
    per_client: Arc<PerClient>,
    /// Handshakes of TLS under way on this worker.
    handshakes: Handshakes,
}

/// Connections that come to nothing are as many as somebody likes to make.
static CLOSED: LazyLock<Limited> = LazyLock::new(|| Limited::new("connections closed before a request"));

impl Worker {
    pub(super) fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    /// Whether there are as many connections as there may be.
    pub(super) fn is_full(&self) -> bool {
        let most = self.proxy.connection_limits().max;
        most.is_some_and(|most| self.seats.open() >= most.get() as usize)
    }

    /// Closes what waits for a request, as there are no descriptors left.
    pub(super) fn shed_idle(&self) {
        self.drain.shed_idle();
    }

    /// Serves a connection that was accepted here, or has another worker serve it that has clearly fewer.
    pub(super) fn take(self: &Arc<Worker>, connection: Connection) {
        self.metrics().connections_total.inc();
        match self.less_busy() {
            None => {
                let open = Open::new(self, self.index);
                self.spawn(connection, open);
            }
            Some(index) => self.hand(connection, index),
        }
    }

    /// The worker with the fewest connections, if this one has clearly more.
    fn less_busy(&self) -> Option<usize> {
        let own = self.seats.seats[self.index].open.load(Ordering::Relaxed);
        let others = self.seats.seats.iter().enumerate().filter(|(index, seat)| {
            // A worker whose thread has died takes nothing, and would look idle.
            *index != self.index && !seat.handed.is_closed()
        });
        let (index, fewest) = others
            .map(|(index, seat)| (index, seat.open.load(Ordering::Relaxed)))
            .min_by_key(|(_, open)| *open)?;
        (own >= fewest + UNEVEN).then_some(index)
    }

    fn hand(&self, connection: Connection, index: usize) {
        let Connection {
            stream,
            peer,
            expects_header,
            entry,
        } = connection;
        let open = Open::new(self, index);
        let handed = stream.into_std().map(|stream| HandedConnection {
            stream,
            peer,
            expects_header,
            entry,
            open,
        });
        match handed {
            Ok(handed) => {
                if self.seats.seats[index].handed.send(handed).is_err() {
                    error!(target: "pace::server", "a worker has died, and a connection with it");
                }
            }
            Err(error) => warn!(target: "pace::server", "connection from {peer} closed: {error}"),
        }
    }

    fn spawn(self: &Arc<Worker>, connection: Connection, open: Open) {
        let place = Arc::clone(self);
        // A panic ends this task and with it the connection, nothing else.
        tokio::spawn(async move {
            place.serve(connection).await;
            drop(open);
        });
    }

    async fn serve(&self, mut connection: Connection) {
        let source = tokio::select! {
            biased;
            source = connection.source() => source,
            // One that has not said yet for whom it connects has asked for nothing.
            () = self.drain.idle_must_end(self.index) => return,
        };
        let source = match source {
            Ok(Some(source)) => source,
            Ok(None) => return,
            Err(error) => return self.not_identified(connection.peer, &error),
        };
        let admitted = match self.proxy.connection_limits().max_per_client {
            None => None,
            Some(most) => match self.per_client.admit(source, most) {
                Some(admitted) => Some(admitted),
                None => {
                    self.metrics()
                        .connection_refused(RefusedConnection::TooManyOfClient);
                    return turn_away(connection.stream).await;
                }
            },
        };
        let Connection { stream, entry, .. } = connection;
        let arrival = Arrival {
            peer: source,
            listener: entry.listener,
            port: entry.port,
            tls: None,
        };
        if let Some(client) = self.client(stream, arrival).await {
            self.proxy.serve(client).await;
        }
        drop(admitted);
    }

    /// The client behind a connection, with which a handshake is made where its listener speaks TLS.
    async fn client(&self, stream: TcpStream, mut arrival: Arrival) -> Option<Client> {
        let Some(frontend) = self.proxy.frontend(arrival.listener) else {
            return Some(Client::new(Transport::new(stream), arrival));
        };
        let Some(under_way) = self.handshakes.begin() else {
            self.metrics().handshake_refused();
            return None;
        };
        let deadline = Instant::now() + HANDSHAKE_TIMEOUT;
        let handshake = Box::pin(accept_tls(stream, &frontend, deadline)).await;
        drop(under_way);
        match handshake {
            Ok(Handshake::Client { stream, facts }) => {
                self.metrics().handshake_done(&facts);
                arrival.tls = Some(Arc::new(facts));
                Some(Client::new(Transport::Tls(Box::new(stream.into())), arrival))
            }
            Ok(Handshake::Challenge) => None,
            Err(error) => {
                self.metrics().handshake_failed(error.reason);
                debug!(target: "pace::server", "TLS with {}: {}", arrival.peer, Line(&error));
                if let Some(stream) = error.plaintext {
                    answer_plaintext(stream, arrival).await;
                }
                None
            }
        }
    }

    fn not_identified(&self, peer: net::SocketAddr, error: &ConnectionError) {
        if !matches!(error, ConnectionError::Io(_)) {
            self.metrics().proxy_header_errors.inc();
        }
        if CLOSED.admits() {
            warn!(target: "pace::server", "connection from {peer} closed: {}", Line(error));
        }
    }
}

/// Serves what others accepted.
async fn receive(mut handed: mpsc::UnboundedReceiver<HandedConnection>, place: Arc<Worker>) {
    while let Some(handed) = handed.recv().await {
        match TcpStream::from_std(handed.stream) {
            Ok(stream) => {
                let connection = Connection {
                    stream,
                    peer: handed.peer,
                    expects_header: handed.expects_header,
                    entry: handed.entry,
                };
                place.spawn(connection, handed.open);
            }
            Err(error) => warn!(target: "pace::server", "connection from {} closed: {error}", handed.peer),
        }
    }
}

/// Drops this thread's instances of plugins that have been replaced, also when no request comes.
async fn sweep(runtime: pace_sandbox::Runtime) {
    let mut ended = runtime.ended();
    while ended.changed().await.is_ok() {
        runtime.sweep();
    }
}
