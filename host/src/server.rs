//! Sockets and threads: who accepts, who serves, and how all of it ends.
//!
//! One thread accepts and gives each connection to the worker that has the fewest; there it stays, so
//! that a request never changes threads. Each worker has a runtime, a Pingora proxy with its own pool of
//! backend connections, and its own plugin instances: workers share counters, nothing that waits.

mod accept;
mod admin;
mod connection;
mod stream;
mod worker;

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
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use self::accept::Acceptor;
use self::worker::Workers;
use crate::config::Config;
use crate::snapshot::{Environment, Snapshot};

/// A process that is ready to serve: its ports are bound.
pub struct Server {
    public: TcpListener,
    admin: Option<TcpListener>,
    workers: usize,
    idle_connections: usize,
    grace_period: Duration,
    proxy_protocol: bool,
    trusted_proxies: Vec<IpNet>,
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
    pub fn bind(config: &Config) -> Result<Server, BindError> {
        let idle_connections = config
            .pools
            .iter()
            .map(|pool| pool.idle_connections)
            .sum::<usize>()
            .max(1);
        Ok(Server {
            public: listen(config.server.listen, " ([server] listen)")?,
            admin: match config.admin {
                Some(admin) => Some(listen(admin.listen, " ([admin] listen)")?),
                None => None,
            },
            workers: config.server.workers,
            idle_connections,
            grace_period: config.server.grace_period,
            proxy_protocol: config.server.proxy_protocol,
            trusted_proxies: config.server.trusted_proxies.clone(),
        })
    }

    /// Serves until SIGTERM or SIGINT, then lets requests finish for as long as the grace period. The
    /// same signal again ends it at once.
    pub fn run(self, snapshot: Arc<ArcSwap<Snapshot>>, environment: Arc<Environment>) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(self.control(snapshot, environment))
    }

    async fn control(
        self,
        snapshot: Arc<ArcSwap<Snapshot>>,
        environment: Arc<Environment>,
    ) -> io::Result<()> {
        let mut signals = Signals::new()?;
        let (shutdown, shutting_down) = watch::channel(false);
        let workers = Workers::start(
            self.workers,
            self.idle_connections,
            &snapshot,
            &environment,
            &shutting_down,
        )?;
        if let Some(listener) = self.admin {
            info!("admin on http://{}", listener.local_addr()?);
            tokio::spawn(admin::serve(
                listener,
                Arc::clone(&snapshot),
                Arc::clone(&environment),
                shutting_down.clone(),
            ));
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
            proxy_protocol: self
                .proxy_protocol
                .then(|| self.trusted_proxies.into_iter().collect()),
        };
        let signal = tokio::select! {
            stopped = acceptor.run() => match stopped? {},
            signal = signals.next() => signal,
        };
        info!(
            "{signal}: no new connections, {:?} for those that are open",
            self.grace_period
        );
        // The public listener is closed by now: new connections are refused, so that a load balancer goes
        // elsewhere. Idle connections are closed, busy ones after the response that is under way.
        let deadline = Instant::now() + self.grace_period;
        shutdown.send_replace(true);
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

/// The signals that end the process.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => SIGTERM,
            _ = self.interrupt.recv() => SIGINT,
        }
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

fn listen(address: SocketAddr, key: &'static str) -> Result<TcpListener, BindError> {
    let bind = || -> io::Result<TcpListener> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        // A restart need not wait for old connections to be forgotten. It does not let two processes have
        // the port: that would be SO_REUSEPORT.
        socket.set_reuse_address(true)?;
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
