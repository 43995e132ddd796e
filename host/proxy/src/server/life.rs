//! The life of a process that serves: from when it accepts connections to its end.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use log::{error, info, warn};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout_at};

use super::admin_port::{AdminListening, AdminPort};
use super::handover::{Ended, Given, Predecessor, Program, Successor, UpgradeError};
use super::ready::ReadyFile;
use super::signals::{Signals, Wish};
use super::systemd::Notifier;
use super::worker::{Pulse, WorkerSetup, Workers};
use super::{Drain, Parts, Phase, Server, StartError, admin};
use crate::admin::Admin;
use crate::reload::Reloader;
use crate::snapshot::{Shared, Snapshot};
use crate::upstream::Keeper;
use pace_base::logging::{summarise_limited, summarise_limited_now};
use pace_base::plural::Plural;

/// A process that serves.
pub(super) struct Life {
    signals: Signals,
    notifier: Arc<Notifier>,
    program: Program,
    workers: Workers,
    drain: Arc<Drain>,
    shared: Arc<Shared>,
    reloader: Reloader,
    admin: Option<AdminListening>,
    /// Serves operators.
    admin_task: Option<JoinHandle<()>>,
    ready_file: Option<ReadyFile>,
    shutdown_delay: Duration,
    grace_period: Duration,
    /// Asks for a reload.
    reload: mpsc::UnboundedSender<()>,
    /// The tasks that a process which has handed over no longer does.
    tasks: JoinSet<()>,
    upgrade: Upgrade,
}

/// The new process that is being started.
type Starting = oneshot::Receiver<Result<Successor, UpgradeError>>;

/// An upgrade, if one is under way.
#[derive(Default)]
struct Upgrade(Option<Starting>);

/// Why a process no longer serves.
enum End {
    /// A signal ends it.
    Signal(&'static str),
    /// Another process takes its place.
    Successor(Successor),
}

impl Life {
    /// Listens on the ports and starts the threads. A process that takes another's place begins when that one stops accepting.
    pub(super) fn begin(
        server: Server,
        parts: Parts,
        signals: Signals,
        notifier: Notifier,
        program: Program,
        predecessor: Option<Predecessor>,
    ) -> Result<Life, StartError> {
        let Parts {
            snapshot,
            shared,
            reloader,
            ordering,
        } = parts;
        let (listeners, notifier) = (&shared.listeners, Arc::new(notifier));
        let opened = server.public.open(listeners)?;
        listeners.sockets().keep_rest(server.rest);
        let mut admin = server.admin.map(AdminPort::listen).transpose()?;
        let drain = Arc::new(Drain::new(server.workers));
        let setup = WorkerSetup {
            snapshot: &snapshot,
            shared: &shared,
            drain: &drain,
            proxy_protocol: server
                .proxy_protocol
                .then(|| Arc::new(server.trusted_proxies.into_iter().collect())),
            beat: notifier.watchdog().map(|limit| limit / 4),
        };
        let workers = Workers::start(server.workers, &setup)?;
        // Everything that can fail has been done.
        if let Some(predecessor) = predecessor {
            predecessor.take_over()?;
            predecessor.follow(Arc::clone(&shared));
            admin.iter_mut().for_each(AdminListening::take_over);
        }
        listeners.sockets().take(opened);
        let mut tasks = JoinSet::new();
        tokio::spawn(summarise_limited());
        let (reload, asked) = mpsc::unbounded_channel();
        tasks.spawn(reload_when_asked(asked, reloader.clone(), Arc::clone(&notifier)));
        tasks.spawn(warn_of_ends(Arc::clone(&snapshot)));
        tasks.spawn(keep_pools(Arc::clone(&snapshot), Arc::clone(&shared)));
        if let Some(ordering) = ordering {
            tasks.spawn(ordering.run(Arc::clone(&shared), reloader.clone()));
        }
        if let Some(limit) = notifier.watchdog() {
            tasks.spawn(be_watched(workers.pulse(), limit / 2, Arc::clone(&notifier)));
        }
        let mut life = Life {
            signals,
            notifier,
            program,
            workers,
            drain,
            shared,
            reloader,
            admin,
            admin_task: None,
            ready_file: server.ready_file,
            shutdown_delay: server.shutdown_delay,
            grace_period: server.grace_period,
            reload,
            tasks,
            upgrade: Upgrade::default(),
        };
        life.announce(&snapshot, server.workers)?;
        Ok(life)
    }

    /// Says where the process listens: in the log, in the ready file, and to systemd.
    fn announce(&mut self, snapshot: &Arc<ArcSwap<Snapshot>>, workers: usize) -> Result<(), StartError> {
        let mut admin_address = None;
        if let Some(listening) = &self.admin {
            let is_encrypted = snapshot.load().frontends.of_admin().is_some();
            info!(target: "pace::server", "admin on {}", listening.url(is_encrypted)?);
            admin_address = Some(listening.address()?);
            let admin = Admin {
                shared: Arc::clone(&self.shared),
                snapshot: Arc::clone(snapshot),
                reloader: self.reloader.clone(),
                backends: self.workers.backend_connections(),
            };
            let serving = admin::serve(listening.listener()?, admin, Arc::clone(&self.drain));
            self.admin_task = Some(tokio::spawn(serving));
        }
        let mut addresses = Vec::new();
        for (id, address) in self.shared.listeners.sockets().addresses()? {
            let snapshot = snapshot.load();
            let is_encrypted = snapshot.front(id).is_some_and(|front| front.frontend.is_some());
            let scheme = if is_encrypted { "https" } else { "http" };
            info!(target: "pace::server", "listening on {scheme}://{address} with {}", Plural(workers, "worker"));
            addresses.push(address);
        }
        if let Some(ready) = &mut self.ready_file {
            ready
                .publish(&addresses, admin_address.as_deref())
                .map_err(io::Error::other)?;
        }
        self.notifier.ready(SERVING);
        Ok(())
    }

    /// Serves until SIGTERM, SIGINT or SIGQUIT, then lets requests finish within the grace period; the same signal again ends
    /// it at once. SIGUSR2 has another process take its place.
    pub(super) async fn live(mut self) -> Result<(), StartError> {
        match self.serve().await? {
            End::Signal(signal) => self.end_by(signal).await,
            End::Successor(successor) => self.leave_to(&successor).await,
        }
        summarise_limited_now();
        Ok(())
    }

    async fn serve(&mut self) -> Result<End, StartError> {
        loop {
            tokio::select! {
                () = self.workers.closed() => return Err(io::Error::other("every worker has died").into()),
                wish = self.signals.next() => match wish {
                    // The receiver lives as long as its task, which `self` holds.
                    Wish::Reload => drop(self.reload.send(())),
                    Wish::Upgrade => self.upgrade.begin(&self.program, given(&self.shared, self.admin.as_ref())),
                    Wish::End(signal) => return Ok(End::Signal(signal)),
                },
                successor = self.upgrade.ready() => match self.hand_over(&successor) {
                    Ok(()) => return Ok(End::Successor(successor)),
                    Err(error) => {
                        self.notifier.succeeded_by(std::process::id());
                        error!(target: "pace::server", "the new process is gone ({error}); this one serves on");
                    }
                },
            }
        }
    }

    /// Makes another process serve. systemd is told before: it would take the end of this process for the service's.
    fn hand_over(&mut self, successor: &Successor) -> io::Result<()> {
        self.notifier.succeeded_by(successor.pid());
        successor.serve()
    }

    /// Ends the process, of which others are told first.
    async fn end_by(mut self, signal: &'static str) {
        let within = self.shutdown_delay + self.grace_period;
        self.notifier.stopping(signal, within);
        self.drain.enter(Phase::Leaving);
        if !self.shutdown_delay.is_zero() {
            info!(
                target: "pace::server",
                "{signal}: /readyz fails, and connections are accepted for another {:?}",
                self.shutdown_delay
            );
            tokio::select! {
                () = sleep(self.shutdown_delay) => {}
                () = self.signals.again(signal) => {
                    cut(&self.shared, &format!("{signal} again"));
                    return;
                }
            }
        }
        info!(
            target: "pace::server",
            "{signal}: no new connections, {:?} for those that are open",
            self.grace_period
        );
        drop(self.ready_file.take());
        self.drain.enter(Phase::Draining);
        self.drain_until(Some(signal)).await;
    }

    /// Ends the process whose place another one has taken.
    async fn leave_to(mut self, successor: &Successor) {
        info!(
            target: "pace::server",
            "SIGUSR2: process {} serves in place of process {}, which has {:?} for connections that are open",
            successor.pid(),
            std::process::id(),
            self.grace_period
        );
        if let Some(ready_file) = self.ready_file.take() {
            ready_file.leave();
        }
        self.tasks.abort_all();
        self.reloader.stop();
        self.drain.enter(Phase::HandedOver);
        if let Some(serving) = self.admin_task.take() {
            // It ends with the phase. However it has ended, its copy of the socket is closed.
            let _ = serving.await;
        }
        if let Some(admin) = self.admin.take() {
            admin.leave();
        }
        let ended = self.drain_until(None).await;
        successor.tell_end(ended);
    }

    /// Waits until all connections are done, or the grace period is over, or the signal that ends the process comes again.
    ///
    /// Workers stop accepting first. Then idle connections are closed, and busy ones after the response that is under way.
    async fn drain_until(&mut self, signal: Option<&'static str>) -> Ended {
        let deadline = Instant::now() + self.grace_period;
        let Life {
            workers,
            signals,
            drain,
            shared,
            ..
        } = self;
        let drained = async {
            workers.closed().await;
            shared.listeners.sockets().close();
            drain.begin();
            workers.drained().await;
        };
        let again = async {
            let signal = match signal {
                Some(signal) => signal,
                // The process ends already, so the first signal asks for nothing new.
                None => signals.end().await,
            };
            signals.again(signal).await;
            signal
        };
        tokio::select! {
            drained = timeout_at(deadline, drained) => match drained {
                Ok(()) => info!(target: "pace::server", "all connections are done"),
                Err(_) => return cut(shared, "the grace period is over"),
            },
            signal = again => return cut(shared, &format!("{signal} again")),
        }
        Ended::default()
    }
}

/// Counts and logs the connections that the end of the process cuts.
fn cut(shared: &Shared, why: &str) -> Ended {
    let metrics = &shared.metrics;
    let clients = metrics.clients.total();
    let ended = Ended {
        cut: clients.open,
        upgraded: clients.upgraded,
    };
    metrics.process.cut(ended.cut, ended.upgraded);
    warn!(target: "pace::server", "{why}: {ended}");
    ended
}

impl Upgrade {
    /// Starts the program that is installed now, with copies of all sockets.
    fn begin(&mut self, program: &Program, given: io::Result<Vec<Given>>) {
        if self.0.is_some() {
            return warn!(target: "pace::server", "SIGUSR2: a new process is being started already");
        }
        // The end of the first process of a container is the container's, and with it the new process's.
        if std::process::id() == 1 {
            return error!(
                target: "pace::server",
                "SIGUSR2: this is the first process of a container, which ends with it: start another container"
            );
        }
        match given {
            Ok(sockets) => {
                info!(target: "pace::server", "SIGUSR2: {} is started to serve in place of this process", program.path().display());
                self.0 = Some(Successor::start(program, sockets));
            }
            Err(error) => error!(target: "pace::server", "SIGUSR2: this process serves on: {error}"),
        }
    }

    /// Waits for a new process that is ready. If one fails, that is logged, and there is none any more.
    async fn ready(&mut self) -> Successor {
        loop {
            let Some(starting) = &mut self.0 else {
                std::future::pending::<()>().await;
                continue;
            };
            let ready = starting.await;
            self.0 = None;
            match ready {
                Ok(Ok(successor)) => return successor,
                Ok(Err(error)) => error!(target: "pace::server", "SIGUSR2: this process serves on: {error}"),
                Err(_) => {
                    error!(target: "pace::server", "SIGUSR2: this process serves on: there is no thread left")
                }
            }
        }
    }
}

/// Copies of all sockets, for a process that takes this one's place.
fn given(shared: &Shared, admin: Option<&AdminListening>) -> io::Result<Vec<Given>> {
    let mut given = shared.listeners.sockets().given()?;
    if let Some(admin) = admin {
        given.push(admin.given()?);
    }
    Ok(given)
}

/// The status of a process that serves, as systemd shows it.
const SERVING: &str = "serving";

/// Reloads everything each time that it is asked to, and tells systemd when it begins and ends. The log has the outcome.
async fn reload_when_asked(
    mut asked: mpsc::UnboundedReceiver<()>,
    reloader: Reloader,
    notifier: Arc<Notifier>,
) {
    while asked.recv().await.is_some() {
        notifier.reloading();
        notifier.ready(match reloader.reload_all().await.is_refused() {
            false => SERVING,
            true => "serving as before: the last reload was refused, and the log says why",
        });
    }
}

/// Tells systemd that the process is alive, as long as each worker shows that it is.
async fn be_watched(mut pulse: Pulse, every: Duration, notifier: Arc<Notifier>) {
    loop {
        sleep(every).await;
        match pulse.stuck() {
            None => notifier.alive(),
            Some(worker) => error!(
                target: "pace::server",
                "worker {worker} does nothing, so systemd is not told that this process is alive, and will restart it"
            ),
        }
    }
}

/// Keeps the pools that serve, as long as the process does.
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
        sleep(A_DAY).await;
        snapshot.load().frontends.warn_of_ends();
    }
}
