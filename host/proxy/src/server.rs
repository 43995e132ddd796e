//! Sockets and threads: accepting, serving, and the end of both.
//!
//! Each worker accepts for itself, and gives a connection to another only if that one has clearly fewer. The
//! connection stays there, so that a request never changes threads. Each worker has a runtime, a proxy with its own
//! pool of backend connections, and its own plugin instances: workers share the listening socket and counters, and
//! nothing that waits.

mod accept;
mod admin;
mod admission;
mod connection;
mod drain;
mod listen;
mod ready;
mod signals;
mod sockets;
mod worker;

pub use drain::Drain;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use arc_swap::ArcSwap;
use ipnet::IpNet;
use log::{info, warn};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

pub use self::listen::BindError;
pub use self::sockets::ListeningSockets;
use self::sockets::Ports;

use self::listen::Port;
use self::ready::ReadyFile;
pub use self::ready::ReadyFileError;
use self::signals::Signals;
use self::worker::{WorkerSetup, Workers};
use crate::admin::Admin;
use crate::ordering::Ordering;
use crate::reload::Reloader;
use crate::snapshot::{Shared, Snapshot};
use crate::upstream::Keeper;
use pace_base::logging::{summarise_limited, summarise_limited_now};
use pace_config::Config;

/// A process that handles signals, and ends when one asks for it, whatever the process does at that time.
pub struct Process {
    runtime: tokio::runtime::Runtime,
    signals: Signals,
}

/// The bound ports, which nobody can connect to yet, and how they will be used.
pub struct Server {
    public: Ports,
    admin: Option<Port>,
    workers: usize,
    grace_period: Duration,
    proxy_protocol: bool,
    trusted_proxies: Vec<IpNet>,
    ready_file: Option<ReadyFile>,
}

/// An error that keeps a process from beginning to serve, or from going on.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A port could not be bound.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The ready file cannot be written.
    #[error(transparent)]
    ReadyFile(#[from] ReadyFileError),
    /// The system has no threads, signals or file descriptors left for it.
    #[error("cannot start: {0}")]
    System(#[from] io::Error),
}

const ADMIN_LISTEN: &str = "[admin] listen";

/// Looks up the names in listening addresses, without binding any port.
pub fn find_addresses(config: &Config) -> Result<(), BindError> {
    for listener in &config.listeners {
        listen::find(&listener.listen, sockets::key(config))?;
    }
    if let Some(admin) = &config.admin {
        listen::find(&admin.listen, ADMIN_LISTEN)?;
    }
    Ok(())
}

/// The size of the main thread's stack in bytes.
const STACK_SIZE: usize = 8 << 20;

impl Process {
    /// Starts to handle signals. They are kept until the process looks at them.
    pub fn begin() -> Result<Process, StartError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let signals = {
            let _entered = runtime.enter();
            Signals::new()?
        };
        Ok(Process { runtime, signals })
    }

    /// Does slow work that precedes serving: looking up names, compiling plugins. Returns `None` if a signal ends the
    /// process first: then the work goes on until `main` returns. A hangup is kept until there is something to
    /// reload.
    pub fn prepare<T: Send + 'static>(
        &mut self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Option<T>, StartError> {
        let (sender, done) = oneshot::channel();
        let thread = thread::Builder::new()
            .name("pace-start".to_owned())
            .stack_size(STACK_SIZE)
            .spawn(move || {
                // The receiver is gone if the process is about to end.
                let _ = sender.send(work());
            })?;
        let signals = &mut self.signals;
        let ended = self.runtime.block_on(async {
            tokio::select! {
                done = done => Ok(done),
                signal = signals.end(None) => Err(signal),
            }
        });
        match ended {
            Ok(Ok(done)) => Ok(Some(done)),
            Ok(Err(_)) => match thread.join() {
                Ok(()) => unreachable!("it ends with a result"),
                Err(panic) => std::panic::resume_unwind(panic),
            },
            Err(signal) => {
                info!(target: "pace::server", "{signal}: this is the end, before anybody was served");
                Ok(None)
            }
        }
    }
}

impl Server {
    /// Binds the ports that the configuration names. A port that another process listens on is an error.
    pub fn bind(config: &Config) -> Result<Server, BindError> {
        Ok(Server {
            public: Ports::bind(config)?,
            admin: match &config.admin {
                Some(admin) => Some(Port::bind(&admin.listen, None, ADMIN_LISTEN)?),
                None => None,
            },
            workers: config.server.workers,
            grace_period: config.server.grace_period,
            proxy_protocol: config.server.proxy_protocol,
            trusted_proxies: config.server.trusted_proxies.clone(),
            ready_file: None,
        })
    }

    /// Makes [`Server::run`] write the addresses into this file when the process serves, and remove the file when it
    /// no longer accepts connections. The file of an earlier process is removed now.
    ///
    /// The ports are bound by then, so a process that has no port never removes the file of the one that has it.
    pub fn with_ready_file(mut self, path: &Path) -> Result<Server, ReadyFileError> {
        self.ready_file = Some(ReadyFile::prepare(path)?);
        Ok(self)
    }

    /// Listens and serves until SIGTERM, SIGINT or SIGQUIT, then lets requests finish within the grace period. The
    /// same signal again ends it at once.
    pub fn run(
        self,
        process: Process,
        snapshot: Arc<ArcSwap<Snapshot>>,
        shared: Arc<Shared>,
        reloader: Reloader,
        ordering: Option<Ordering>,
    ) -> Result<(), StartError> {
        let Process { runtime, signals } = process;
        runtime.block_on(self.serve(signals, snapshot, shared, reloader, ordering))
    }

    async fn serve(
        self,
        mut signals: Signals,
        snapshot: Arc<ArcSwap<Snapshot>>,
        shared: Arc<Shared>,
        reloader: Reloader,
        ordering: Option<Ordering>,
    ) -> Result<(), StartError> {
        let listeners = &shared.listeners;
        listeners.sockets().take(self.public.open(listeners)?);
        let admin = self.admin.map(Port::listen).transpose()?;
        let drain = Arc::new(Drain::new(self.workers));
        let setup = WorkerSetup {
            snapshot: &snapshot,
            shared: &shared,
            drain: &drain,
            proxy_protocol: self
                .proxy_protocol
                .then(|| Arc::new(self.trusted_proxies.into_iter().collect())),
        };
        let mut workers = Workers::start(self.workers, &setup)?;
        tokio::spawn(summarise_limited());
        let mut admin_address = None;
        if let Some(listener) = admin {
            let address = listener.local_addr()?;
            info!(target: "pace::server", "admin on http://{address}");
            admin_address = Some(address);
            let admin = Admin {
                shared: Arc::clone(&shared),
                snapshot: Arc::clone(&snapshot),
                reloader: reloader.clone(),
            };
            tokio::spawn(admin::serve(listener, admin, Arc::clone(&drain)));
        }
        let mut addresses = Vec::new();
        for (id, address) in listeners.sockets().addresses()? {
            let snapshot = snapshot.load();
            let is_encrypted = snapshot.front(id).is_some_and(|front| front.frontend.is_some());
            let scheme = if is_encrypted { "https" } else { "http" };
            info!(target: "pace::server", "listening on {scheme}://{address} with {} workers", self.workers);
            addresses.push(address);
        }
        let mut ready_file = self.ready_file;
        if let Some(ready) = &mut ready_file {
            ready
                .publish(&addresses, admin_address)
                .map_err(io::Error::other)?;
        }
        tokio::spawn(warn_of_ends(Arc::clone(&snapshot)));
        tokio::spawn(keep_pools(snapshot, Arc::clone(&shared)));
        if let Some(ordering) = ordering {
            tokio::spawn(ordering.run(Arc::clone(&shared), reloader.clone()));
        }
        let reload = || reloader.reload_all_soon();
        let signal = tokio::select! {
            () = workers.closed() => return Err(io::Error::other("every worker has died").into()),
            signal = signals.end(Some(&reload)) => signal,
        };
        info!(
            target: "pace::server",
            "{signal}: no new connections, {:?} for those that are open",
            self.grace_period
        );
        drop(ready_file);
        let deadline = Instant::now() + self.grace_period;
        // Listening ends first: new connections are refused, so that a load balancer goes elsewhere. Then idle
        // connections are closed, and busy ones after the response that is under way.
        let drained = async {
            shared.listeners.sockets().close();
            drain.stop_accepting();
            workers.closed().await;
            drain.begin();
            workers.drained().await;
        };
        tokio::select! {
            drained = timeout_at(deadline, drained) => match drained {
                Ok(()) => info!(target: "pace::server", "all connections are done"),
                Err(_) => warn!(target: "pace::server", "{} connections were not done within the grace period", workers.open()),
            },
            () = signals.again(signal) => warn!(target: "pace::server", "{signal} again: {} connections are cut", workers.open()),
        }
        summarise_limited_now();
        Ok(())
    }
}

/// Keeps the pools that serve, as long as the process lives.
async fn keep_pools(snapshot: Arc<ArcSwap<Snapshot>>, shared: Arc<Shared>) {
    let keeper = Keeper {
        pools: || snapshot.load().pools().map(Arc::clone).collect(),
        changes: Arc::clone(&shared.changes),
        lookup: shared.lookup.clone(),
        metrics: shared,
    };
    keeper.run().await;
}

/// How often certificates that end soon are warned of.
const A_DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Warns of certificates that end soon, every day.
async fn warn_of_ends(snapshot: Arc<ArcSwap<Snapshot>>) {
    loop {
        tokio::time::sleep(A_DAY).await;
        snapshot.load().frontends.warn_of_ends();
    }
}
