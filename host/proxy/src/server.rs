//! Sockets and threads: accepting, serving, and the end of both.
//!
//! | file | what it does |
//! |---|---|
//! | `listen`, `sockets` | ports and the sockets on them, which change with the configuration |
//! | `inherited` | sockets that systemd or the process before has opened |
//! | `accept`, `connection`, `admission` | from a socket to a worker |
//! | `worker` | the threads that serve |
//! | `admin`, `admin_port`, `local` | connections of operators, and the port or the Unix socket that they come to |
//! | `life` | the process from when it serves to its end |
//! | `signals`, `drain`, `handover` | how an end begins, how connections learn of it, and how another process takes over |
//! | `systemd`, `ready` | tell others how the process is doing |
//!
//! Each worker accepts for itself, and gives a connection to another only if that one has clearly fewer. The
//! connection stays there, so that a request never changes threads. Each worker has a runtime, a proxy with its own
//! pool of backend connections, and its own plugin instances: workers share the listening socket and counters, and
//! nothing that waits.

mod accept;
mod admin;
mod admin_port;
mod admission;
mod connection;
mod drain;
mod handover;
mod inherited;
mod life;
mod listen;
mod local;
mod ready;
mod signals;
mod sockets;
mod systemd;
mod worker;

pub use drain::{Drain, LAST_REQUEST, Phase};
pub use handover::HandoverError;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use arc_swap::ArcSwap;
use ipnet::IpNet;
use log::{info, warn};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::oneshot;

pub use self::inherited::Inherited;
pub use self::listen::BindError;
pub use self::sockets::ListeningSockets;

use self::admin_port::AdminPort;
use self::handover::{Predecessor, Program};
use self::life::Life;
use self::ready::ReadyFile;
pub use self::ready::ReadyFileError;
use self::signals::Signals;
use self::sockets::Ports;
use self::systemd::Notifier;
use crate::ordering::Ordering;
use crate::reload::Reloader;
use crate::snapshot::{Shared, Snapshot};
use crate::telemetry::{access_log, tracing};
use pace_config::Config;

/// A process that handles signals, and ends when one asks for it, whatever the process does at that time.
pub struct Process {
    runtime: tokio::runtime::Runtime,
    signals: Signals,
    notifier: Notifier,
    program: Program,
    /// The process whose place this one takes.
    predecessor: Option<Predecessor>,
    inherited: Inherited,
}

/// The bound ports, which nobody can connect to yet, and how they will be used.
pub struct Server {
    public: Ports,
    admin: Option<AdminPort>,
    /// The inherited sockets that the configuration has no use for.
    rest: Inherited,
    /// Whether another process serves until this one takes its place.
    takes_over: bool,
    workers: usize,
    shutdown_delay: Duration,
    grace_period: Duration,
    proxy_protocol: bool,
    trusted_proxies: Vec<IpNet>,
    ready_file: Option<ReadyFile>,
}

/// The parts that serve together with the sockets.
pub struct Parts {
    /// The configuration and plugins in use.
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    /// The state that outlives them.
    pub shared: Arc<Shared>,
    /// How they are replaced.
    pub reloader: Reloader,
    /// The orders of a certificate.
    pub ordering: Option<Ordering>,
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
    /// The place of the running process cannot be taken.
    #[error(transparent)]
    Handover(#[from] HandoverError),
    /// The system has no threads, signals or file descriptors left for it.
    #[error("cannot start: {0}")]
    System(#[from] io::Error),
}

/// Looks up the names in listening addresses, without binding any port.
pub fn find_addresses(config: &Config) -> Result<(), BindError> {
    for listener in &config.listeners {
        listen::find(&listener.listen, sockets::key(config))?;
    }
    if let Some(admin) = &config.admin {
        admin_port::find(&admin.listen)?;
    }
    Ok(())
}

/// The size of the main thread's stack in bytes.
const STACK_SIZE: usize = 8 << 20;

impl Process {
    /// Starts to handle signals, which are kept until the process looks at them, and takes the sockets that it is given.
    ///
    /// The limit of open descriptors is raised as far as the system allows: a request needs two of them, and the limit that most
    /// shells and managers set is for programs that cannot handle more than 1,024.
    pub fn begin() -> Result<Process, StartError> {
        raise_descriptor_limit();
        let program = Program::of_this_process();
        let (predecessor, inherited) = match Predecessor::from_env()? {
            Some((predecessor, sockets)) => (Some(predecessor), Inherited::from_predecessor(sockets)),
            None => (None, Inherited::from_systemd()),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let signals = {
            let _entered = runtime.enter();
            Signals::new()?
        };
        Ok(Process {
            runtime,
            signals,
            notifier: Notifier::from_env(),
            program,
            predecessor,
            inherited,
        })
    }

    /// Removes and returns the sockets that the process was given.
    pub fn take_inherited(&mut self) -> Inherited {
        std::mem::take(&mut self.inherited)
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
                signal = signals.end() => Err(signal),
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
    /// Binds the ports that the configuration names, unless the process was given sockets for them. A port that another process
    /// listens on is an error.
    pub fn bind(config: &Config, mut inherited: Inherited) -> Result<Server, BindError> {
        let takes_over = inherited.are_of_predecessor();
        let public = Ports::bind(config, &mut inherited)?;
        let admin = config.admin.as_ref();
        let admin = admin
            .map(|admin| AdminPort::bind(admin, &mut inherited))
            .transpose()?;
        inherited.settle();
        Ok(Server {
            public,
            admin,
            rest: inherited,
            takes_over,
            shutdown_delay: config.server.shutdown_delay,
            workers: config.server.workers,
            grace_period: config.server.grace_period,
            proxy_protocol: config.server.proxy_protocol,
            trusted_proxies: config.server.trusted_proxies.clone(),
            ready_file: None,
        })
    }

    /// Makes [`Server::run`] write the addresses into this file when the process serves, and remove the file when it
    /// no longer accepts connections. The file of an earlier process is removed now, unless that one still serves and hands over.
    ///
    /// The ports are bound by then, so a process that has no port never removes the file of the one that has it.
    pub fn with_ready_file(mut self, path: &Path) -> Result<Server, ReadyFileError> {
        self.ready_file = Some(match self.takes_over {
            true => ReadyFile::beside_another(path)?,
            false => ReadyFile::prepare(path)?,
        });
        Ok(self)
    }

    /// Listens and serves until a signal ends the process, or another process takes its place.
    pub fn run(self, process: Process, parts: Parts) -> Result<(), StartError> {
        let Process {
            runtime,
            signals,
            notifier,
            program,
            predecessor,
            inherited: _,
        } = process;
        let ended = runtime.block_on(async {
            let life = Life::begin(self, parts, signals, notifier, program, predecessor)?;
            life.live().await
        });
        tracing::flush();
        access_log::flush();
        ended
    }
}

/// Raises the soft limit of descriptors to the hard one. A failure leaves it as it is.
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        warn!(target: "pace::server", "the limit of open files stays at {:?}: {error}", limit.current);
    }
}
