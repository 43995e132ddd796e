//! The threads that accept and serve.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
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
use super::drain::{Drain, LAST_REQUEST};
use crate::client::{ShownCertificate, TrustedProxies};
use crate::http1::{Arrival, Client};
use crate::io::Transport;
use crate::proxy::{BackendConnections, Idle, Proxy, Sessions};
use crate::snapshot::{Shared, Snapshot};
use crate::telemetry::{Counting, Metrics, RefusedConnection};
use pace_base::escape::Line;
use pace_base::logging::Limited;

/// All workers, as the thread that started them sees them.
pub(super) struct Workers {
    handles: Arc<WorkerHandles>,
    listening: mpsc::Receiver<Infallible>,
    backends: BackendConnections,
}

/// The facts about all workers that each of them knows.
struct WorkerHandles {
    workers: Box<[WorkerHandle]>,
    /// Notified each time a connection ends.
    ended: Notify,
}

/// The part of a worker that the others see. It is apart from its neighbours in memory, as each counts for itself.
#[repr(align(128))]
struct WorkerHandle {
    open: AtomicUsize,
    /// The number of times that the worker has shown that it is alive.
    beats: AtomicU64,
    handed: mpsc::UnboundedSender<HandedConnection>,
}

/// A connection on its way from one worker's runtime to another's.
struct HandedConnection {
    stream: net::TcpStream,
    peer: net::SocketAddr,
    expects_header: bool,
    entry: Entry,
    open: Open,
}

/// The parts that every worker starts with.
pub(super) struct WorkerSetup<'a> {
    pub(super) snapshot: &'a Arc<ArcSwap<Snapshot>>,
    pub(super) shared: &'a Arc<Shared>,
    pub(super) drain: &'a Arc<Drain>,
    /// The trusted peers that begin with a PROXY header, if there are any.
    pub(super) proxy_protocol: Option<Arc<TrustedProxies>>,
    /// How often each worker has to show that it is alive, if somebody watches.
    pub(super) beat: Option<Duration>,
}

/// The workers, as the watchdog sees them.
pub(super) struct Pulse {
    handles: Arc<WorkerHandles>,
    /// The beats of each worker when they were last looked at.
    seen: Vec<u64>,
}

/// The size of a worker's stack in bytes. Wasm may use half a megabyte of it.
const STACK_SIZE: usize = 4 << 20;

/// The difference in connections from which on a worker gives one away. A smaller difference lasts for a moment only,
/// and is not worth waking another thread.
const UNEVEN: usize = 2;

/// How long a client may take for the TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// The most handshakes at once on a worker. One with an RSA key of 2,048 bits takes half a millisecond of its time.
const MAX_HANDSHAKES: usize = 2048;

impl Workers {
    /// Starts the threads, which all accept on every socket. They end with the process.
    pub(super) fn start(count: usize, setup: &WorkerSetup<'_>) -> io::Result<Workers> {
        let (holder, listening) = mpsc::channel(1);
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..count).map(|_| mpsc::unbounded_channel()).unzip();
        let handles = Arc::new(WorkerHandles {
            workers: senders.into_iter().map(WorkerHandle::new).collect(),
            ended: Notify::new(),
        });
        let per_client: Arc<PerClient> = Arc::default();
        let mut backends = BackendConnections::default();
        for (index, handed) in receivers.into_iter().enumerate() {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            let accepting = Accepting {
                sockets: setup.shared.listeners.sockets().follow(),
                proxy_protocol: setup.proxy_protocol.clone(),
                listening: Listening::clone(&holder),
            };
            let idle = Arc::new(Idle::default());
            let sessions = Arc::new(Sessions::default());
            backends.add(&idle, &sessions);
            let drain = Arc::clone(setup.drain);
            let beat = setup.beat;
            let worker = Arc::new(Worker {
                index,
                handles: Arc::clone(&handles),
                proxy: Arc::new(Proxy::new(
                    Arc::clone(setup.snapshot),
                    Arc::clone(setup.shared),
                    Arc::clone(&idle),
                    Arc::clone(&sessions),
                    Arc::clone(&drain),
                    index,
                )),
                shared: Arc::clone(setup.shared),
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
                        tokio::spawn(sessions.sweep(Arc::clone(&drain), index));
                        tokio::spawn(sweep(worker.shared.runtime.clone()));
                        tokio::spawn(accepting.run(Arc::clone(&worker), drain));
                        if let Some(every) = beat {
                            tokio::spawn(beat_every(every, Arc::clone(&worker)));
                        }
                        receive(handed, worker).await;
                    });
                })?;
        }
        Ok(Workers {
            handles,
            listening,
            backends,
        })
    }

    /// Waits until no worker listens any more: from [`Phase::Draining`](super::drain::Phase) on, or when every thread has died.
    pub(super) async fn closed(&mut self) {
        let None = self.listening.recv().await;
    }

    /// The number of open connections.
    pub(super) fn open(&self) -> usize {
        self.handles.open()
    }

    /// The connections of all workers to backends.
    pub(super) fn backend_connections(&self) -> BackendConnections {
        self.backends.clone()
    }

    /// The beats of the workers.
    pub(super) fn pulse(&self) -> Pulse {
        Pulse {
            handles: Arc::clone(&self.handles),
            seen: vec![0; self.handles.workers.len()],
        }
    }

    /// Waits until no connection is open.
    pub(super) async fn drained(&self) {
        loop {
            let ended = self.handles.ended.notified();
            if self.open() == 0 {
                return;
            }
            ended.await;
        }
    }
}

impl Pulse {
    /// The first worker that has shown nothing since the last call.
    pub(super) fn stuck(&mut self) -> Option<usize> {
        let workers = self.handles.workers.iter().zip(&mut self.seen);
        let beats = workers.map(|(worker, seen)| {
            let now = worker.beats.load(Ordering::Relaxed);
            std::mem::replace(seen, now) != now
        });
        // All are looked at, whatever the first ones show.
        let beats: Vec<bool> = beats.collect();
        beats.iter().position(|has_beaten| !has_beaten)
    }
}

impl WorkerHandles {
    fn open(&self) -> usize {
        self.workers
            .iter()
            .map(|worker| worker.open.load(Ordering::Acquire))
            .sum()
    }
}

impl WorkerHandle {
    fn new(handed: mpsc::UnboundedSender<HandedConnection>) -> WorkerHandle {
        WorkerHandle {
            open: AtomicUsize::new(0),
            beats: AtomicU64::new(0),
            handed,
        }
    }
}

/// Counts as an open connection of a worker until it is dropped.
struct Open {
    handles: Arc<WorkerHandles>,
    index: usize,
    _counting: Counting,
}

impl Open {
    fn new(worker: &Worker, index: usize, entry: &Entry) -> Open {
        worker.handles.workers[index].open.fetch_add(1, Ordering::AcqRel);
        Open {
            handles: Arc::clone(&worker.handles),
            index,
            _counting: Counting::open(&entry.connections),
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.handles.workers[self.index]
            .open
            .fetch_sub(1, Ordering::AcqRel);
        self.handles.ended.notify_one();
    }
}

/// A worker, which accepts and serves connections.
pub(super) struct Worker {
    /// The index of its own handle.
    index: usize,
    handles: Arc<WorkerHandles>,
    proxy: Arc<Proxy>,
    shared: Arc<Shared>,
    drain: Arc<Drain>,
    per_client: Arc<PerClient>,
    /// The TLS handshakes under way on this worker.
    handshakes: Handshakes,
}

/// The log of connections that end before a request. It is limited, because anybody can make any number of them.
static CLOSED: LazyLock<Limited> = LazyLock::new(|| Limited::new("connections closed before a request"));

impl Worker {
    pub(super) fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    /// Whether the limit of connections is reached.
    pub(super) fn is_full(&self) -> bool {
        let most = self.proxy.connection_limits().max;
        most.is_some_and(|most| self.handles.open() >= most.get() as usize)
    }

    /// Closes connections that wait for a request, because no descriptors are left.
    pub(super) fn shed_idle(&self) {
        self.drain.shed_idle();
    }

    /// Serves a connection that was accepted here, or hands it to another worker that has clearly fewer.
    pub(super) fn take(self: &Arc<Worker>, connection: Connection) {
        self.metrics().connections_total.inc();
        match self.less_busy() {
            None => {
                let open = Open::new(self, self.index, &connection.entry);
                self.spawn(connection, open);
            }
            Some(index) => self.hand(connection, index),
        }
    }

    /// The worker with the fewest connections, if this one has clearly more.
    fn less_busy(&self) -> Option<usize> {
        let own = self.handles.workers[self.index].open.load(Ordering::Relaxed);
        let others = self.handles.workers.iter().enumerate().filter(|(index, handle)| {
            // A worker whose thread has died takes nothing, and would look idle.
            *index != self.index && !handle.handed.is_closed()
        });
        let (index, fewest) = others
            .map(|(index, handle)| (index, handle.open.load(Ordering::Relaxed)))
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
        let open = Open::new(self, index, &entry);
        let handed = stream.into_std().map(|stream| HandedConnection {
            stream,
            peer,
            expects_header,
            entry,
            open,
        });
        match handed {
            Ok(handed) => {
                if self.handles.workers[index].handed.send(handed).is_err() {
                    error!(target: "pace::server", "a worker has died, and a connection with it");
                }
            }
            Err(error) => warn!(target: "pace::server", "connection from {peer} closed: {error}"),
        }
    }

    fn spawn(self: &Arc<Worker>, connection: Connection, open: Open) {
        let worker = Arc::clone(self);
        // A panic ends this task and with it the connection, nothing else.
        tokio::spawn(async move {
            worker.serve(connection).await;
            drop(open);
        });
    }

    async fn serve(&self, mut connection: Connection) {
        let began = Instant::now();
        let source = tokio::select! {
            biased;
            source = connection.source() => source,
            // A connection whose client is not known yet has asked for nothing.
            () = self.must_end(began) => return,
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
            certificate: None,
            connections: entry.connections,
        };
        if let Some(client) = self.client(stream, arrival).await {
            self.proxy.serve(client).await;
        }
        drop(admitted);
    }

    /// Waits until a connection has to be closed that began then, and whose client is not known yet.
    async fn must_end(&self, began: Instant) {
        self.drain.idle_must_end(self.index).await;
        tokio::time::sleep_until(began + LAST_REQUEST).await;
    }

    /// Makes the client of a connection, after a handshake where the listener speaks TLS.
    async fn client(&self, stream: TcpStream, mut arrival: Arrival) -> Option<Client> {
        let Some(frontend) = self.proxy.frontend(arrival.listener) else {
            return Some(Client::new(Transport::new(stream), Arc::new(arrival)));
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
                arrival.certificate = ShownCertificate::of(&facts);
                arrival.tls = Some(Arc::new(facts));
                let transport = Transport::Tls(Box::new(stream.into()));
                Some(Client::new(transport, Arc::new(arrival)))
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

/// Shows again and again that a worker is alive.
async fn beat_every(every: Duration, worker: Arc<Worker>) {
    loop {
        worker.handles.workers[worker.index]
            .beats
            .fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(every).await;
    }
}

/// Serves connections that other workers accepted.
async fn receive(mut handed: mpsc::UnboundedReceiver<HandedConnection>, worker: Arc<Worker>) {
    while let Some(handed) = handed.recv().await {
        match TcpStream::from_std(handed.stream) {
            Ok(stream) => {
                let connection = Connection {
                    stream,
                    peer: handed.peer,
                    expects_header: handed.expects_header,
                    entry: handed.entry,
                };
                worker.spawn(connection, handed.open);
            }
            Err(error) => warn!(target: "pace::server", "connection from {} closed: {error}", handed.peer),
        }
    }
}

/// Drops this thread's instances of replaced plugins, even when no request comes.
async fn sweep(runtime: pace_sandbox::Runtime) {
    let mut ended = runtime.ended();
    while ended.changed().await.is_ok() {
        runtime.sweep();
    }
}
