//! The thread that takes new files and configurations, one at a time.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use log::{error, info};
use tokio::sync::oneshot;

use super::configuration::Configuration;
use super::plugins::{Plugins, Trigger};
use super::rollback::Rollbacks;
use super::{Command, ReloadOutcome, ReloadOutcomes};
use pace_follow::Follower;

/// Brings new files and configurations to life. It alone changes the configuration.
pub struct Manager {
    commands: mpsc::Receiver<Command>,
    /// The followed files.
    files: Follower,
    configuration: Configuration,
    plugins: Plugins,
    /// The rollbacks, until they have a thread.
    rollbacks: Option<Rollbacks>,
}

/// The interval of looks at the files, for changes that the system does not report.
pub(super) const RESCAN: Duration = Duration::from_secs(2);

/// Gives this thread, and the threads and processes that it starts, a tenth of the weight of a worker: where more
/// threads want to run than there are cores, a swap takes longer and requests do not. A process that compiles has
/// less still, for as long as it yields.
fn yield_to_requests() {
    const NICE: i32 = 10;
    // On Linux the call concerns the calling thread alone. Where it is forbidden, only this effect is lost.
    let _forbidden = rustix::process::setpriority_process(None, NICE);
}

impl Manager {
    /// Joins parts that share the same [`Serving`](super::serving::Serving).
    pub(super) fn new(
        commands: mpsc::Receiver<Command>,
        files: Follower,
        configuration: Configuration,
        plugins: Plugins,
        rollbacks: Rollbacks,
    ) -> Manager {
        let mut manager = Manager {
            commands,
            files,
            configuration,
            plugins,
            rollbacks: Some(rollbacks),
        };
        manager.follow_files();
        manager
    }

    /// Serves commands and looks at files for as long as the process lives, on the calling thread. Rollbacks get
    /// another thread, where they wait for nothing.
    pub fn run(mut self) {
        self.start_rollbacks();
        yield_to_requests();
        loop {
            let wait = self.files.due().saturating_duration_since(Instant::now());
            match self.commands.recv_timeout(wait) {
                Ok(Command::Scan) => self.files.hinted(),
                Ok(Command::ReloadAll(reply)) => {
                    let outcomes = self.reload_all();
                    outcomes.0.iter().for_each(log_outcome);
                    answer(reply, outcomes);
                }
                Ok(Command::Reload(name, reply)) => {
                    let outcome = self.plugins.reload(&name, Trigger::ReloadThis, &mut self.files);
                    log_outcome(&outcome);
                    answer(reply, outcome);
                }
                Ok(Command::RenewCertificates) => log_outcome(&self.configuration.renew_certificates()),
                Ok(Command::Configure(config, reply)) => {
                    // The caller reports the outcome.
                    let outcome = self.configuration.configure(*config, &mut self.files);
                    self.follow_files();
                    answer(reply, outcome);
                }
                Err(RecvTimeoutError::Timeout) => self.scan(),
                Ok(Command::Stop) | Err(RecvTimeoutError::Disconnected) => return,
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
            error!(target: "pace::reload",
                "no plugin can be rolled back until Pace is restarted: no thread can be started for it: {error}"
            );
        }
    }

    /// Takes changed files and configurations.
    fn scan(&mut self) {
        let found = self.files.look(Instant::now());
        log_outcome(&self.configuration.after(&found, &mut self.files));
        self.follow_files();
        for name in self.plugins.of(&found.changed) {
            log_outcome(&self.plugins.reload(&name, Trigger::FileChange, &mut self.files));
        }
        for name in self.plugins.of(&found.pausing) {
            if self.plugins.compile_early(&name) {
                // The file may be quiet by now, and a certain change is taken before the next guess.
                self.files.look_at_once();
                return;
            }
        }
        if self.files.are_settled() {
            self.plugins.forget_early();
        }
    }

    /// Reloads configuration and plugins, each whatever becomes of the others.
    fn reload_all(&mut self) -> ReloadOutcomes {
        let mut outcomes = vec![self.configuration.reload(&mut self.files)];
        self.follow_files();
        for name in self.plugins.names() {
            outcomes.push(self.plugins.reload(&name, Trigger::ReloadAll, &mut self.files));
        }
        ReloadOutcomes(outcomes)
    }

    /// Follows the files that matter now.
    fn follow_files(&mut self) {
        let plugins = self.plugins.files().into_iter();
        self.files.follow(plugins.chain(self.configuration.files()));
    }
}

fn answer<T>(reply: oneshot::Sender<T>, outcome: T) {
    // The caller may have gone.
    let _ = reply.send(outcome);
}

fn log_outcome(outcome: &ReloadOutcome) {
    match outcome {
        ReloadOutcome::Unchanged => {}
        ReloadOutcome::Refused(refused) => error!(target: "pace::reload", "{refused}"),
        partly @ ReloadOutcome::PartlyRenewed(..) => error!(target: "pace::reload", "{partly}"),
        done => info!(target: "pace::reload", "{done}"),
    }
}
