//! Replacing plugins and configuration while requests are served.
//!
//! ```text
//! file event, 2 s rescan ─┐
//! SIGHUP ─────────────────┼─▶ Manager (one thread, one thing at a time)
//! POST …/reload ──────────┘     read ─▶ hash ─▶ compile ─▶ check ─┐
//!                                                                 ├─▶ Serving: try ─▶ publish a new Snapshot
//! first calls fail ───────┬─▶ Rollbacks (another thread) ─────────┘     any failure: the old one serves on,
//! POST …/rollback ────────┘                                             and it is said why
//! ```
//!
//! A file's content is the truth; events are hints to look. A request ends with the snapshot that it began with.
//!
//! | file | what it does |
//! |---|---|
//! | `start` | the first generations and the first snapshot |
//! | `manager` | the thread that joins these: commands, and changed files |
//! | `plugins` | replaces one plugin by a new file |
//! | `early` | compiles a file while it may still be written |
//! | `rollback` | the thread that restores the generation before, whatever is being compiled |
//! | `serving` | the snapshot that serves, and the lock for replacing it |
//! | `configuration` | the configuration: taken as a whole, or tried again later |
//! | `next` | the plugins of another configuration, made before anything is replaced |
//! | `programs` | from bytes to a generation |
//! | `changes` | the differences between two configurations, for people |
//! | `difference` | the differences between two configurations, and their consequences |
//! | `outcome` | the outcomes of a reload, and their sentences |
//! | `status` | the state of each plugin, for people |

mod changes;
mod configuration;
mod difference;
mod early;
mod manager;
mod next;
mod outcome;
mod plugins;
mod programs;
mod rollback;
mod serving;
mod start;
mod status;

use std::path::PathBuf;
use std::sync::{Arc, mpsc};

use tokio::sync::oneshot;

pub use self::changes::Changes;
pub use self::manager::Manager;
pub use self::outcome::{Begun, Published, Refused, ReloadOutcome, ReloadOutcomes};
use self::rollback::Rollback;
pub use self::start::StartError;
pub use self::status::{BreakerStatus, PluginStatus, RefusedFile, Status};
use pace_config::{Config, Overrides};

/// The source of the configuration, from which it can be read again.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The file, if there is one.
    pub path: Option<PathBuf>,
    /// The command line.
    pub overrides: Overrides,
}

/// A command to the manager.
pub(crate) enum Command {
    /// Look whether files have changed.
    Scan,
    /// Read everything again.
    ReloadAll(oneshot::Sender<ReloadOutcomes>),
    /// Read a plugin's file again, even if its content is the known one.
    Reload(String, oneshot::Sender<ReloadOutcome>),
    /// Give new connections the certificates that are in the files now.
    RenewCertificates,
    /// Look at no files any more, and take no commands.
    Stop,
    /// Serve with this configuration.
    Configure(Box<Config>, oneshot::Sender<ReloadOutcome>),
}

/// The handle by which the rest of Pace commands the threads that replace things.
#[derive(Clone)]
pub struct Reloader {
    commands: mpsc::Sender<Command>,
    returns: mpsc::Sender<Rollback>,
    status: Arc<Status>,
}

/// The answer when the manager's thread has died.
const DEAD: ReloadOutcome = ReloadOutcome::Refused(Refused::ThreadDied("reloads"));

impl Reloader {
    /// The state of the plugins.
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// Makes the thread end, because another process serves from now on.
    pub(crate) fn stop(&self) {
        // A thread that has died has ended.
        let _ = self.commands.send(Command::Stop);
    }

    /// Gives new connections the certificates that are in the files now, without waiting for the outcome.
    pub fn renew_certificates_soon(&self) {
        self.send(Command::RenewCertificates);
    }

    /// Reads configuration and plugins again.
    pub async fn reload_all(&self) -> ReloadOutcomes {
        let (reply, answer) = oneshot::channel();
        self.send(Command::ReloadAll(reply));
        answer.await.unwrap_or_else(|_| ReloadOutcomes(vec![DEAD]))
    }

    /// Reads a plugin's file again.
    pub async fn reload(&self, plugin: &str) -> ReloadOutcome {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Reload(plugin.to_owned(), reply));
        answer.await.unwrap_or(DEAD)
    }

    /// Returns to a plugin's generation before, even while something is compiled. A file of this plugin that is being
    /// compiled is then not taken.
    pub async fn rollback(&self, plugin: &str) -> ReloadOutcome {
        let (reply, answer) = oneshot::channel();
        let asked = self.returns.send(Rollback::Requested(plugin.to_owned(), reply));
        let dead = ReloadOutcome::Refused(Refused::ThreadDied("rolls back"));
        match asked {
            Ok(()) => answer.await.unwrap_or(dead),
            Err(_) => dead,
        }
    }

    /// Serves with another configuration, which comes from no file. Blocks until the outcome is known, so a thread
    /// that has other things to do must not call it.
    pub fn configure(&self, config: Config) -> ReloadOutcome {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Configure(Box::new(config), reply));
        answer.blocking_recv().unwrap_or(DEAD)
    }

    fn send(&self, command: Command) {
        if self.commands.send(command).is_err() {
            log::error!(target: "pace::reload", "the thread that reloads has died; nothing can be reloaded until Pace is restarted");
        }
    }
}
