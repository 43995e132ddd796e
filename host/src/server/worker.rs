//! The threads that serve.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::thread;

use arc_swap::ArcSwap;
use log::{error, warn};
use pingora::apps::{HttpServerApp, ServerApp};
use pingora::server::configuration::ServerConf;
use pingora_proxy::{HttpProxy, http_proxy};
use prometheus::IntGauge;
use tokio::sync::{Notify, mpsc, watch};

use super::connection::{Connection, ConnectionError};
use crate::escape::Line;
use crate::logging::Limited;
use crate::plugin;
use crate::proxy::{Idle, Proxy};
use crate::snapshot::{Environment, Snapshot};

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

/// Pingora's bound on attempts per request; ours, per pool, is at most 10 retries.
const MAX_ATTEMPTS: usize = 16;

/// A request's future is large while wasm, which may use half a megabyte, runs on top of it.
const STACK_SIZE: usize = 4 << 20;

impl Workers {
    /// Starts the threads. They end with the process.
    pub(super) fn start(
        count: usize,
        idle_connections: usize,
        snapshot: &Arc<ArcSwap<Snapshot>>,
        environment: &Arc<Environment>,
        shutting_down: &watch::Receiver<bool>,
    ) -> io::Result<Workers> {
        let conf = Arc::new(ServerConf {
            threads: 1,
            upstream_keepalive_pool_size: idle_connections,
            max_retries: MAX_ATTEMPTS,
            ..ServerConf::default()
        });
        let workers = (0..count)
            .map(|index| {
                let (sender, receiver) = mpsc::unbounded_channel();
                let idle = Idle::new(idle_connections);
                let proxy = Proxy::new(Arc::clone(snapshot), Arc::clone(environment), Arc::clone(&idle));
                let environment = Arc::clone(environment);
                let conf = Arc::clone(&conf);
                let shutting_down = shutting_down.clone();
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()?;
                thread::Builder::new()
                    .name(format!("pace-worker-{index}"))
                    .stack_size(STACK_SIZE)
                    .spawn(move || {
                        // In the runtime, because Pingora's connector looks for it.
                        runtime.block_on(async move {
                            let proxy = Arc::new(http_proxy(&conf, proxy));
                            tokio::spawn(idle.sweep());
                            serve(proxy, environment, receiver, shutting_down).await;
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
    proxy: Arc<HttpProxy<Proxy>>,
    environment: Arc<Environment>,
    mut connections: mpsc::UnboundedReceiver<(Connection, Open)>,
    shutting_down: watch::Receiver<bool>,
) {
    tokio::spawn(close_idle(Arc::clone(&proxy), shutting_down.clone()));
    tokio::spawn(sweep());
    while let Some((connection, open)) = connections.recv().await {
        let proxy = Arc::clone(&proxy);
        let environment = Arc::clone(&environment);
        let shutting_down = shutting_down.clone();
        // A panic ends this task and with it the connection, nothing else.
        tokio::spawn(async move {
            let peer = connection.peer;
            match connection.into_stream().await {
                Ok(stream) => {
                    proxy.process_new(stream, &shutting_down).await;
                }
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

/// When the process is to end: wakes the connections that wait for a next request.
async fn close_idle(proxy: Arc<HttpProxy<Proxy>>, mut shutting_down: watch::Receiver<bool>) {
    if shutting_down.wait_for(|now| *now).await.is_ok() {
        proxy.http_cleanup().await;
    }
}
