//! The thread that takes new files and configurations, one thing at a time.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use log::{error, info};
use tokio::sync::oneshot;

use super::configuration::RefusedConfig;
use super::early::Early;
use super::file::{Followed, Phase};
use super::plugins::Asked;
use super::programs::Programs;
use super::rollback::Rollbacks;
use super::serving::Serving;
use super::status::Managed;
use super::watch::Watch;
use super::{Command, Origin, Outcome, Outcomes};
use crate::snapshot::Environment;
use pace_config::Source;

/// Brings new files and configurations to life. Nobody else changes the configuration.
pub struct Manager {
    pub(super) origin: Origin,
    pub(super) environment: Arc<Environment>,
    pub(super) serving: Arc<Serving>,
    /// Until they have a thread.
    pub(super) rollbacks: Option<Rollbacks>,
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) programs: Programs,
    /// The files that matter.
    pub(super) files: HashMap<PathBuf, Followed>,
    /// What has been compiled of files that are not quiet yet, by the plugin's name.
    pub(super) early: HashMap<String, Early>,
    pub(super) watch: Watch,
    /// The configuration that is in the file, if it is not the one that serves.
    pub(super) refused: Option<RefusedConfig>,
}

/// What files look like that do not look as they did.
struct Found {
    /// Those that are to be taken.
    changed: Vec<PathBuf>,
    /// Those that probably are, a little later.
    pausing: Vec<PathBuf>,
    /// When to look again.
    next: Instant,
}

/// The backstop for changes that the system does not tell of.
pub(super) const RESCAN: Duration = Duration::from_secs(2);

/// How soon to look at files after a hint: who replaces one causes several.
const SETTLE: Duration = Duration::from_millis(10);

/// Gives this thread, and those threads and processes that it starts, a tenth of the weight of a worker: where more threads
/// want to run than there are cores, a swap takes longer and requests do not. A process that compiles has less still, for
/// as long as it yields.
fn yield_to_requests() {
    const NICE: i32 = 10;
    // On Linux this is about the calling thread alone. Where it is forbidden, nothing is lost but that.
    let _forbidden = rustix::process::setpriority_process(None, NICE);
}

impl Manager {
    /// Serves commands and looks at files, as long as the process lives. The calling thread is its own, and
    /// one for rollbacks is started, which has nothing to wait for.
    pub fn run(mut self) {
        self.start_rollbacks();
        yield_to_requests();
        let mut next_scan = Instant::now() + RESCAN;
        loop {
            let wait = next_scan.saturating_duration_since(Instant::now());
            match self.commands.recv_timeout(wait) {
                Ok(Command::Scan) => next_scan = next_scan.min(Instant::now() + SETTLE),
                Ok(Command::ReloadAll(reply)) => {
                    let outcomes = self.reload_all();
                    outcomes.0.iter().for_each(log_outcome);
                    if let Some(reply) = reply {
                        answer(reply, outcomes);
                    }
                }
                Ok(Command::Reload(name, reply)) => {
                    let outcome = self.reload(&name, Asked::ForThis);
                    log_outcome(&outcome);
                    answer(reply, outcome);
                }
                Ok(Command::Configure(config, reply)) => {
                    // Who asked says what came of it.
                    let outcome = self.configure(*config);
                    answer(reply, outcome);
                }
                Err(RecvTimeoutError::Timeout) => {
                    next_scan = self.scan();
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn start_rollbacks(&mut self) {
        let Some(rollbacks) = self.rollbacks.take() else {
            return;
        };
        let started = thread::Builder::new()
            .name("pace-rollback".to_owned())
            .spawn(|| rollbacks.run());
        if let Err(error) = started {
            error!(
                target: "pace::reload",
                "no plugin can be rolled back until Pace is restarted: no thread can be started for it: {error}"
            );
        }
    }

    /// Takes what has changed, and says when to look again.
    fn scan(&mut self) -> Instant {
        let found = self.look();
        if self
            .origin
            .path
            .as_ref()
            .is_some_and(|path| found.changed.contains(path))
        {
            log_outcome(&self.reload_config());
        } else {
            log_outcome(&self.retry_config());
        }
        for name in self.plugins_of(&found.changed) {
            log_outcome(&self.reload(&name, Asked::ByNobody));
        }
        if !found.changed.is_empty() {
            // What a link leads to may be somewhere else now.
            self.follow_files();
        }
        for name in self.plugins_of(&found.pausing) {
            if self.compile_early(&name) {
                // By now it may be quiet, and what is certain comes before the next guess.
                return Instant::now();
            }
        }
        if self.files.values().all(Followed::is_settled) {
            // What is still there belongs to files that are again what they were, or to plugins that are gone.
            self.early.clear();
        }
        found.next
    }

    /// Looks at every file.
    fn look(&mut self) -> Found {
        let now = Instant::now();
        let mut found = Found {
            changed: Vec::new(),
            pausing: Vec::new(),
            next: now + RESCAN,
        };
        for (path, file) in &mut self.files {
            match file.look(path, now) {
                None => {}
                Some(Phase::Quiet) => found.changed.push(path.clone()),
                Some(Phase::Pausing { quiet_in }) => {
                    found.pausing.push(path.clone());
                    found.next = found.next.min(now + quiet_in);
                }
                Some(Phase::Writing { pausing_in }) => found.next = found.next.min(now + pausing_in),
            }
        }
        found
    }

    /// The plugins that come from one of these files.
    fn plugins_of(&self, files: &[PathBuf]) -> Vec<String> {
        if files.is_empty() {
            return Vec::new();
        }
        let is_of = |managed: &Managed| match &managed.entry.source {
            Source::File(path) => files.contains(path),
            Source::Builtin(_) => false,
        };
        let plugins = self.serving.plugins().into_iter();
        plugins
            .filter_map(|(name, managed)| is_of(&managed).then_some(name))
            .collect()
    }

    /// Everything is looked at, whatever becomes of the rest.
    fn reload_all(&mut self) -> Outcomes {
        let mut outcomes = vec![self.reload_config()];
        for name in self.serving.plugins().into_keys() {
            outcomes.push(self.reload(&name, Asked::ForAll));
        }
        Outcomes(outcomes)
    }

    /// Watches the files that matter now.
    pub(super) fn follow_files(&mut self) {
        let plugins = self.serving.plugins().into_values();
        let files = plugins.filter_map(|managed| match managed.entry.source {
            Source::File(path) => Some(path),
            Source::Builtin(_) => None,
        });
        let files: Vec<PathBuf> = files.chain(self.origin.path.clone()).collect();
        self.files.retain(|path, _| files.contains(path));
        for file in &files {
            self.files.entry(file.clone()).or_default();
        }
        self.watch.follow(files.iter().map(PathBuf::as_path));
    }
}

fn answer<T>(reply: oneshot::Sender<T>, outcome: T) {
    // Who asked may have gone.
    let _ = reply.send(outcome);
}

fn log_outcome(outcome: &Outcome) {
    match outcome {
        Outcome::Unchanged => {}
        Outcome::Refused(refused) => error!(target: "pace::reload", "{refused}"),
        done => info!(target: "pace::reload", "{done}"),
    }
}
