//! Sockets and threads: who accepts, who serves, and how all of it ends.
//!
//! One thread accepts and gives each connection to the worker that has the fewest; there it stays, so
//! that a request never changes threads. Each worker has a runtime, a proxy with its own pool of backend
//! connections, and its own plugin instances: workers share counters, nothing that waits.

mod accept;
mod admin;
mod admission;
mod connection;
mod drain;
mod worker;

pub use drain::Drain;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use ipnet::IpNet;
use log::{info, warn};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::unix::AsyncFd;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, timeout_at};

use self::accept::Acceptor;
use self::worker::Workers;
use crate::admin::Admin;
use crate::config::Config;
use crate::io::set_up;
use crate::reload::Reloader;
use crate::snapshot::{Environment, Snapshot};

/// A process that is ready to serve: its ports are bound.
pub struct Server {
    runtime: tokio::runtime::Runtime,
    bound: Bound,
}

/// What a process has when its ports are bound, and how it will use them.
struct Bound {
    signals: Signals,
    public: TcpListener,
    admin: Option<TcpListener>,
    workers: usize,
    idle_connections: usize,
    grace_period: Duration,
    proxy_protocol: bool,
    trusted_proxies: Vec<IpNet>,
}

/// Why a process cannot begin to serve.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A port could not be bound.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The system has no threads, signals or file descriptors left for it.
    #[error("cannot start: {0}")]
    System(#[from] io::Error),
}

/// A port that could not be bound.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}{key}: {reason}")]
pub struct BindError {
    /// Which one.
    pub address: SocketAddr,
    /// Where it comes from.
    key: &'static str,
    /// What to do.
    reason: String,
}

/// What the kernel may hold of connections that nobody has accepted yet.
const BACKLOG: i32 = 4096;

impl Server {
    /// Binds the ports that the configuration names.
    ///
    /// From now on signals are kept until [`Server::run`] looks at them: what comes while plugins are
    /// compiled ends the process in order, or has it read its files again.
    pub fn bind(config: &Config) -> Result<Server, StartError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let signals = {
            let _entered = runtime.enter();
            Signals::new()?
        };
        let idle_connections = config
            .pools
            .iter()
            .map(|pool| pool.settings.idle_connections)
            .sum::<usize>()
            .max(1);
        let bound = Bound {
            signals,
            public: listen(
                config.server.listen,
                config.server.connections.tcp_keepalive,
                " ([server] listen)",
            )?,
            admin: match &config.admin {
                Some(admin) => Some(listen(admin.listen, None, " ([admin] listen)")?),
                None => None,
            },
            workers: config.server.workers,
            idle_connections,
            grace_period: config.server.grace_period,
            proxy_protocol: config.server.proxy_protocol,
            trusted_proxies: config.server.trusted_proxies.clone(),
        };
        Ok(Server { runtime, bound })
    }

    /// Serves until SIGTERM or SIGINT, then lets requests finish for as long as the grace period. The
    /// same signal again ends it at once.
    pub fn run(
        self,
        snapshot: Arc<ArcSwap<Snapshot>>,
        environment: Arc<Environment>,
        reloader: Reloader,
    ) -> io::Result<()> {
        self.runtime
            .block_on(self.bound.serve(snapshot, environment, reloader))
    }
}

impl Bound {
    async fn serve(
        mut self,
        snapshot: Arc<ArcSwap<Snapshot>>,
        environment: Arc<Environment>,
        reloader: Reloader,
    ) -> io::Result<()> {
        let signals = &mut self.signals;
        let drain = Arc::new(Drain::default());
        let workers = Workers::start(
            self.workers,
            self.idle_connections,
            &snapshot,
            &environment,
            &drain,
        )?;
        if let Some(listener) = self.admin {
            info!("admin on http://{}", listener.local_addr()?);
            let admin = Admin {
                environment: Arc::clone(&environment),
                reloader: reloader.clone(),
            };
            tokio::spawn(admin::serve(listener, admin, Arc::clone(&drain)));
        }
        info!(
            "listening on http://{} with {} workers",
            self.public.local_addr()?,
            self.workers
        );
        // SAFETY: the file descriptor is the listener's own, which keeps it open and the same for as long as
        // the `AsyncFd` holds the listener.
        let listener = unsafe { AsyncFd::register(self.public)? };
        let acceptor = Acceptor {
            listener,
            workers: &workers,
            environment: &environment,
            snapshot: &snapshot,
            drain: &drain,
            proxy_protocol: self
                .proxy_protocol
                .then(|| self.trusted_proxies.into_iter().collect()),
        };
        let reloads = async {
            loop {
                signals.hangup.recv().await;
                reloader.reload_all_soon();
            }
        };
        let signal = tokio::select! {
            stopped = acceptor.run() => match stopped? {},
            signal = next(&mut signals.terminate, &mut signals.interrupt) => signal,
            never = reloads => never,
        };
        info!(
            "{signal}: no new connections, {:?} for those that are open",
            self.grace_period
        );
        // The public listener is closed by now: new connections are refused, so that a load balancer goes
        // elsewhere. Idle connections are closed, busy ones after the response that is under way.
        let deadline = Instant::now() + self.grace_period;
        drain.begin();
        tokio::select! {
            drained = timeout_at(deadline, workers.drained()) => match drained {
                Ok(()) => info!("all connections are done"),
                Err(_) => warn!("{} connections were not done within the grace period", workers.open()),
            },
            () = signals.again(signal) => warn!("{signal} again: {} connections are cut", workers.open()),
        }
        Ok(())
    }
}

const SIGTERM: &str = "SIGTERM";
const SIGINT: &str = "SIGINT";

/// The signals that mean something to the process.
struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Signals> {
        Ok(Signals {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for a signal that was there before. Another does not count: who stops a whole group by Ctrl-C
    /// and then by SIGTERM means it once.
    async fn again(&mut self, before: &'static str) {
        let signal = if before == SIGTERM {
            &mut self.terminate
        } else {
            &mut self.interrupt
        };
        signal.recv().await;
    }
}

/// Waits for a signal that ends the process.
async fn next(terminate: &mut Signal, interrupt: &mut Signal) -> &'static str {
    tokio::select! {
        _ = terminate.recv() => SIGTERM,
        _ = interrupt.recv() => SIGINT,
    }
}

fn listen(
    address: SocketAddr,
    keepalive: Option<Duration>,
    key: &'static str,
) -> Result<TcpListener, BindError> {
    let bind = || -> io::Result<TcpListener> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        // A restart need not wait for old connections to be forgotten. It does not let two processes have
        // the port: that would be SO_REUSEPORT.
        socket.set_reuse_address(true)?;
        set_up(&socket, keepalive)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        Ok(socket.into())
    };
    bind().map_err(|error| BindError {
        address,
        key,
        reason: match error.kind() {
            io::ErrorKind::AddrInUse => {
                format!(
                    "port {} is in use by another process; `ss -ltnp` shows which",
                    address.port()
                )
            }
            io::ErrorKind::PermissionDenied => format!(
                "port {} needs the right to bind ports below 1024 (CAP_NET_BIND_SERVICE)",
                address.port()
            ),
            io::ErrorKind::AddrNotAvailable => "no interface of this machine has that address".to_owned(),
            _ => error.to_string(),
        },
    })
}
