//! The threads that accept and serve.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::thread;
use std::{io, net};

use arc_swap::ArcSwap;
use log::{error, warn};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};

use super::accept::{Acceptor, Listening};
use super::admission::{PerClient, turn_away};
use super::connection::{Connection, ConnectionError};
use super::drain::Drain;
use crate::client::TrustedProxies;
use crate::proxy::{Idle, Proxy};
use crate::snapshot::{Environment, Snapshot};
use crate::telemetry::{Metrics, RefusedConnection};
use pace_base::escape::Line;
use pace_base::logging::Limited;

/// All workers, as the thread that started them sees them.
pub(super) struct Workers {
    seats: Arc<Seats>,
    listening: mpsc::Receiver<Infallible>,
}

/// What all workers share about all.
struct Seats {
    seats: Box<[Seat]>,
    /// Told each time a connection ends.
    ended: Notify,
}

/// What the others know of a worker. Apart from its neighbours in memory, as each counts for itself.
#[repr(align(128))]
struct Seat {
    open: AtomicUsize,
    handed: mpsc::UnboundedSender<Handed>,
}

/// A connection from one worker's runtime to another's.
struct Handed {
    stream: net::TcpStream,
    peer: net::SocketAddr,
    expects_header: bool,
    open: Open,
}

/// What each worker begins with.
pub(super) struct Equipment<'a> {
    pub(super) snapshot: &'a Arc<ArcSwap<Snapshot>>,
    pub(super) environment: &'a Arc<Environment>,
    pub(super) drain: &'a Arc<Drain>,
    /// The peers that begin with a PROXY header, if any do.
    pub(super) proxy_protocol: Option<Arc<TrustedProxies>>,
}

/// Wasm may use half a megabyte of it.
const STACK_SIZE: usize = 4 << 20;

/// How many connections more than another a worker must have before it gives one away: what a moment makes uneven is
/// not worth a wake-up of another thread.
const UNEVEN: usize = 2;

impl Workers {
    /// Starts the threads, which all accept from this socket. They end with the process.
    pub(super) fn start(
        count: usize,
        listener: &net::TcpListener,
        equipment: &Equipment<'_>,
    ) -> io::Result<Workers> {
        let (holder, listening) = mpsc::channel(1);
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..count).map(|_| mpsc::unbounded_channel()).unzip();
        let seats = Arc::new(Seats {
            seats: senders.into_iter().map(Seat::new).collect(),
            ended: Notify::new(),
        });
        let per_client: Arc<PerClient> = Arc::default();
        for (index, handed) in receivers.into_iter().enumerate() {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            let acceptor = {
                let _entered = runtime.enter();
                Acceptor {
                    listener: TcpListener::from_std(listener.try_clone()?)?,
                    proxy_protocol: equipment.proxy_protocol.clone(),
                    listening: Listening::clone(&holder),
                }
            };
            let idle = Arc::new(Idle::default());
            let drain = Arc::clone(equipment.drain);
            let place = Arc::new(Place {
                index,
                seats: Arc::clone(&seats),
                proxy: Proxy::new(
                    Arc::clone(equipment.snapshot),
                    Arc::clone(equipment.environment),
                    Arc::clone(&idle),
                    Arc::clone(&drain),
                    index,
                ),
                environment: Arc::clone(equipment.environment),
                drain: Arc::clone(&drain),
                per_client: Arc::clone(&per_client),
            });
            thread::Builder::new()
                .name(format!("pace-worker-{index}"))
                .stack_size(STACK_SIZE)
                .spawn(move || {
                    runtime.block_on(async move {
                        tokio::spawn(idle.sweep(Arc::clone(&drain)));
                        tokio::spawn(sweep(place.environment.runtime.clone()));
                        tokio::spawn(accept(acceptor, Arc::clone(&place), drain));
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

impl Seats {
    fn open(&self) -> usize {
        self.seats
            .iter()
            .map(|seat| seat.open.load(Ordering::Acquire))
            .sum()
    }
}

impl Seat {
    fn new(handed: mpsc::UnboundedSender<Handed>) -> Seat {
        Seat {
            open: AtomicUsize::new(0),
            handed,
        }
    }
}

/// Counts as an open connection of a worker until it is dropped.
struct Open {
    seats: Arc<Seats>,
    index: usize,
    environment: Arc<Environment>,
}

impl Open {
    fn new(place: &Place, index: usize) -> Open {
        place.seats.seats[index].open.fetch_add(1, Ordering::AcqRel);
        place.metrics().connections.inc();
        Open {
            seats: Arc::clone(&place.seats),
            index,
            environment: Arc::clone(&place.environment),
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.environment.metrics.connections.dec();
        self.seats.seats[self.index].open.fetch_sub(1, Ordering::AcqRel);
        self.seats.ended.notify_one();
    }
}

/// A worker: where connections are accepted and served.
pub(super) struct Place {
    /// Which of the seats is its own.
    index: usize,
    seats: Arc<Seats>,
    proxy: Proxy,
    environment: Arc<Environment>,
    drain: Arc<Drain>,
    per_client: Arc<PerClient>,
}

/// Connections that come to nothing are as many as somebody likes to make.
static CLOSED: LazyLock<Limited> = LazyLock::new(|| Limited::new("connections closed before a request"));

impl Place {
    pub(super) fn metrics(&self) -> &Metrics {
        &self.environment.metrics
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
    pub(super) fn take(self: &Arc<Place>, connection: Connection) {
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
        } = connection;
        let open = Open::new(self, index);
        let handed = stream.into_std().map(|stream| Handed {
            stream,
            peer,
            expects_header,
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

    fn spawn(self: &Arc<Place>, connection: Connection, open: Open) {
        let place = Arc::clone(self);
        // A panic ends this task and with it the connection, nothing else.
        tokio::spawn(async move {
            place.serve(connection).await;
            drop(open);
        });
    }

    async fn serve(&self, connection: Connection) {
        let peer = connection.peer;
        let must_end = self.drain.idle_must_end(self.index);
        let client = tokio::select! {
            biased;
            client = connection.into_client() => client,
            // One that has not said yet for whom it connects has asked for nothing.
            () = must_end => return,
        };
        match client {
            Ok(None) => {}
            Ok(Some(client)) => match self.proxy.connection_limits().max_per_client {
                None => self.proxy.serve(client).await,
                Some(most) => match self.per_client.admit(client.peer, most) {
                    Some(admitted) => {
                        self.proxy.serve(client).await;
                        drop(admitted);
                    }
                    None => {
                        self.metrics()
                            .connection_refused(RefusedConnection::TooManyOfClient);
                        turn_away(client.transport.into_stream()).await;
                    }
                },
            },
            Err(error) => {
                if !matches!(error, ConnectionError::Io(_)) {
                    self.metrics().proxy_header_errors.inc();
                }
                if CLOSED.admits() {
                    warn!(target: "pace::server", "connection from {peer} closed: {}", Line(error));
                }
            }
        }
    }
}

/// Accepts until the process begins to end.
async fn accept(acceptor: Acceptor, place: Arc<Place>, drain: Arc<Drain>) {
    // A task of its own that is ended from outside: the loop has nothing to look at between connections.
    let accepting = tokio::spawn(acceptor.run(place));
    drain.accepting_ended().await;
    accepting.abort();
}

/// Serves what others accepted.
async fn receive(mut handed: mpsc::UnboundedReceiver<Handed>, place: Arc<Place>) {
    while let Some(handed) = handed.recv().await {
        match TcpStream::from_std(handed.stream) {
            Ok(stream) => {
                let connection = Connection {
                    stream,
                    peer: handed.peer,
                    expects_header: handed.expects_header,
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
