//! The threads that serve.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::thread;

use arc_swap::ArcSwap;
use log::{error, warn};
use prometheus::IntGauge;
use tokio::sync::{Notify, mpsc};

use super::admission::{PerClient, turn_away};
use super::connection::{Connection, ConnectionError};
use super::drain::Drain;
use crate::escape::Line;
use crate::logging::Limited;
use crate::plugin;
use crate::proxy::{Idle, Proxy};
use crate::snapshot::{Environment, Snapshot};
use crate::telemetry::RefusedConnection;

/// All workers.
pub(super) struct Workers {
    workers: Vec<Worker>,
    /// Told each time a connection ends.
    ended: Arc<Notify>,
}

struct Worker {
    connections: mpsc::UnboundedSender<(Connection, Open)>,
    open: Arc<AtomicUsize>,
}

/// Wasm may use half a megabyte of it.
const STACK_SIZE: usize = 4 << 20;

impl Workers {
    /// Starts the threads. They end with the process.
    pub(super) fn start(
        count: usize,
        idle_connections: usize,
        snapshot: &Arc<ArcSwap<Snapshot>>,
        environment: &Arc<Environment>,
        drain: &Arc<Drain>,
    ) -> io::Result<Workers> {
        let per_client: Arc<PerClient> = Arc::default();
        let workers = (0..count)
            .map(|index| {
                let (sender, receiver) = mpsc::unbounded_channel();
                let idle = Idle::new(idle_connections);
                let proxy = Proxy::new(
                    Arc::clone(snapshot),
                    Arc::clone(environment),
                    Arc::clone(&idle),
                    Arc::clone(drain),
                );
                let drain = Arc::clone(drain);
                let environment = Arc::clone(environment);
                let per_client = Arc::clone(&per_client);
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()?;
                thread::Builder::new()
                    .name(format!("pace-worker-{index}"))
                    .stack_size(STACK_SIZE)
                    .spawn(move || {
                        runtime.block_on(async move {
                            tokio::spawn(idle.sweep(drain));
                            serve(Arc::new(proxy), environment, per_client, receiver).await;
                        });
                    })?;
                Ok(Worker {
                    connections: sender,
                    open: Arc::default(),
                })
            })
            .collect::<io::Result<_>>()?;
        Ok(Workers {
            workers,
            ended: Arc::default(),
        })
    }

    /// Gives a connection to the worker that has the fewest. Says whether there is one.
    pub(super) fn give(&self, connection: Connection, gauge: &IntGauge) -> bool {
        // A worker whose thread has died takes nothing, and would look idle.
        let alive = self
            .workers
            .iter()
            .filter(|worker| !worker.connections.is_closed());
        let Some(worker) = alive.min_by_key(|worker| worker.open.load(Ordering::Relaxed)) else {
            return false;
        };
        let open = Open::new(worker, &self.ended, gauge);
        if worker.connections.send((connection, open)).is_err() {
            error!("a worker has died, and a connection with it");
        }
        true
    }

    /// How many connections are open.
    pub(super) fn open(&self) -> usize {
        self.workers
            .iter()
            .map(|worker| worker.open.load(Ordering::Acquire))
            .sum()
    }

    /// Waits until none is.
    pub(super) async fn drained(&self) {
        loop {
            let ended = self.ended.notified();
            if self.open() == 0 {
                return;
            }
            ended.await;
        }
    }
}

/// Counts as an open connection until it is dropped.
pub(super) struct Open {
    count: Arc<AtomicUsize>,
    ended: Arc<Notify>,
    gauge: IntGauge,
}

impl Open {
    fn new(worker: &Worker, ended: &Arc<Notify>, gauge: &IntGauge) -> Open {
        worker.open.fetch_add(1, Ordering::AcqRel);
        gauge.inc();
        Open {
            count: Arc::clone(&worker.open),
            ended: Arc::clone(ended),
            gauge: gauge.clone(),
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.gauge.dec();
        self.count.fetch_sub(1, Ordering::AcqRel);
        self.ended.notify_one();
    }
}

/// Connections that come to nothing are as many as somebody likes to make.
static CLOSED: LazyLock<Limited> = LazyLock::new(|| Limited::new("connections closed before a request"));

/// What a worker's thread does.
async fn serve(
    proxy: Arc<Proxy>,
    environment: Arc<Environment>,
    per_client: Arc<PerClient>,
    mut connections: mpsc::UnboundedReceiver<(Connection, Open)>,
) {
    tokio::spawn(sweep());
    while let Some((connection, open)) = connections.recv().await {
        let proxy = Arc::clone(&proxy);
        let environment = Arc::clone(&environment);
        let per_client = Arc::clone(&per_client);
        // A panic ends this task and with it the connection, nothing else.
        tokio::spawn(async move {
            let peer = connection.peer;
            match connection.into_client().await {
                Ok(None) => {}
                Ok(Some(client)) => match proxy.most_per_client() {
                    None => proxy.serve(client).await,
                    Some(most) => match per_client.admit(client.peer, most) {
                        Some(admitted) => {
                            proxy.serve(client).await;
                            drop(admitted);
                        }
                        None => {
                            environment
                                .metrics
                                .connection_refused(RefusedConnection::TooManyOfClient);
                            turn_away(client.transport.into_stream()).await;
                        }
                    },
                },
                Err(error) => {
                    if !matches!(error, ConnectionError::Io(_)) {
                        environment.metrics.proxy_header_errors.inc();
                    }
                    if CLOSED.admits() {
                        warn!("connection from {peer} closed: {}", Line(error));
                    }
                }
            }
            drop(open);
        });
    }
}

/// Drops this thread's instances of plugins that have been replaced, also when no request comes.
async fn sweep() {
    let mut ended = plugin::ended();
    while ended.changed().await.is_ok() {
        plugin::sweep();
    }
}
