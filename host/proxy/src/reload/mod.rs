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
//! A file's content is the truth; events are hints to look. Requests that have begun end with the snapshot
//! that they began with.
//!
//! | file | what it does |
//! |---|---|
//! | `start` | the first generations and the first snapshot |
//! | `manager` | the thread that joins these: commands, and files that have changed |
//! | `plugins` | one plugin: a new file takes over |
//! | `early` | compiles a file while it may still be written |
//! | `rollback` | the thread that has the generation before take over, whatever is being compiled |
//! | `serving` | what is served with, and whose turn it is to replace it |
//! | `configuration` | the configuration: taken as a whole, or tried again later |
//! | `next` | the plugins of another configuration, made before anything is replaced |
//! | `programs` | from bytes to a generation |
//! | `difference` | what differs, and what that means |
//! | `outcome` | what came of it, and the sentences |
//! | `status` | what is known of each plugin, for people |

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

pub use self::manager::Manager;
pub use self::outcome::{Begun, Outcome, Outcomes, Published, Refused};
use self::rollback::Rollback;
pub use self::start::StartError;
pub use self::status::{BreakerStatus, PluginStatus, RefusedFile, Status};
use pace_config::{Config, Overrides};

/// Where the configuration came from, so that it can be read again.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The file, if there is one.
    pub path: Option<PathBuf>,
    /// The command line.
    pub overrides: Overrides,
}

/// What the manager can be asked to do.
pub(crate) enum Command {
    /// Look whether files have changed.
    Scan,
    /// Read everything again.
    ReloadAll(Option<oneshot::Sender<Outcomes>>),
    /// Read a plugin's file again, also if it is the one that is known.
    Reload(String, oneshot::Sender<Outcome>),
    /// Give new connections the certificates that there are now.
    RenewCertificates,
    /// Serve with this configuration.
    Configure(Box<Config>, oneshot::Sender<Outcome>),
}

/// How the rest of Pace speaks to the threads that replace things.
#[derive(Clone)]
pub struct Reloader {
    commands: mpsc::Sender<Command>,
    returns: mpsc::Sender<Rollback>,
    status: Arc<Status>,
}

/// The answer of a manager that is not there any more.
const DEAD: Outcome = Outcome::Refused(Refused::ThreadDied("reloads"));

impl Reloader {
    /// What is known of the plugins.
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// Reads configuration and plugins again, without waiting for what comes of it.
    pub fn reload_all_soon(&self) {
        self.send(Command::ReloadAll(None));
    }

    /// Has new connections get the certificates that there are now, without waiting for what comes of it.
    pub fn renew_certificates_soon(&self) {
        self.send(Command::RenewCertificates);
    }

    /// Reads configuration and plugins again.
    pub async fn reload_all(&self) -> Outcomes {
        let (reply, answer) = oneshot::channel();
        self.send(Command::ReloadAll(Some(reply)));
        answer.await.unwrap_or_else(|_| Outcomes(vec![DEAD]))
    }

    /// Reads a plugin's file again.
    pub async fn reload(&self, plugin: &str) -> Outcome {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Reload(plugin.to_owned(), reply));
        answer.await.unwrap_or(DEAD)
    }

    /// Returns to a plugin's generation before, also while something is compiled. A file of this plugin that is
    /// being compiled is not taken then.
    pub async fn rollback(&self, plugin: &str) -> Outcome {
        let (reply, answer) = oneshot::channel();
        let asked = self.returns.send(Rollback::Requested(plugin.to_owned(), reply));
        let dead = Outcome::Refused(Refused::ThreadDied("rolls back"));
        match asked {
            Ok(()) => answer.await.unwrap_or(dead),
            Err(_) => dead,
        }
    }

    /// Serves with another configuration, which is in no file. Waits for what comes of it, so it is not for a
    /// thread that has other things to do.
    pub fn configure(&self, config: Config) -> Outcome {
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
