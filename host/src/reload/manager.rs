//! The thread that replaces plugins and configuration, one thing at a time.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use log::{error, info};

use super::configuration::RefusedConfig;
use super::file::Look;
use super::plugins::Asked;
use super::programs::Programs;
use super::status::{Managed, Status};
use super::watch::Watch;
use super::{Command, Origin, Outcome};
use crate::config::{Config, Source};
use crate::hook::Failure;
use crate::plugin::{Compiler, Generation};
use crate::snapshot::{DEFAULT_BALANCER, Environment, Generations, Snapshot};

/// Owns what is served with, and replaces it.
pub struct Manager {
    pub(super) origin: Origin,
    pub(super) config: Config,
    pub(super) environment: Arc<Environment>,
    pub(super) snapshot: Arc<ArcSwap<Snapshot>>,
    pub(super) status: Arc<Status>,
    pub(super) balancer: Arc<Generation>,
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) programs: Programs,
    /// How files looked when they were last looked at.
    pub(super) stamps: HashMap<PathBuf, Look>,
    pub(super) watch: Watch,
    /// The configuration that is in the file, if it is not the one that serves.
    pub(super) refused: Option<RefusedConfig>,
}

/// The backstop for changes that the system does not tell of.
pub(super) const RESCAN: Duration = Duration::from_secs(2);

/// How soon to look again at a file that is being written.
const SETTLE: Duration = Duration::from_millis(50);

/// Gives this thread, and those threads and processes that it starts to compile, a tenth of the weight of a worker: where more
/// threads want to run than there are cores, a swap takes longer and requests do not.
fn yield_to_requests() {
    const NICE: i32 = 10;
    // On Linux this is about the calling thread alone. Where it is forbidden, nothing is lost but that.
    let _forbidden = rustix::process::setpriority_process(None, NICE);
}

impl Manager {
    /// From now on, compiles plugins with this, because there are requests that must not wait for it.
    pub fn compile_with(&mut self, compiler: Compiler) {
        self.programs.compile_with(compiler);
    }

    /// Serves commands and looks at files, as long as the process lives. The calling thread is its own.
    pub fn run(mut self) {
        yield_to_requests();
        let mut next_scan = Instant::now() + RESCAN;
        loop {
            let wait = next_scan.saturating_duration_since(Instant::now());
            match self.commands.recv_timeout(wait) {
                Ok(Command::Scan) => next_scan = next_scan.min(Instant::now() + SETTLE),
                Ok(Command::ReloadAll(reply)) => {
                    let outcome = self.reload_all();
                    log_outcome(&outcome);
                    answer(reply, outcome);
                }
                Ok(Command::Reload(name, reply)) => {
                    let outcome = self.reload(&name, Asked::ForThis);
                    log_outcome(&outcome);
                    answer(Some(reply), outcome);
                }
                Ok(Command::Rollback(name, reply)) => {
                    let outcome = self.rollback(&name, "asked to");
                    log_outcome(&outcome);
                    answer(Some(reply), outcome);
                }
                Ok(Command::Configure(config, reply)) => {
                    // Who asked says what came of it.
                    let outcome = self.configure(*config);
                    answer(Some(reply), outcome);
                }
                Ok(Command::Unfit(name, number)) => self.unfit(&name, number),
                Err(RecvTimeoutError::Timeout) => {
                    let settled = self.scan();
                    next_scan = Instant::now() + if settled { RESCAN } else { SETTLE };
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Looks at every file that looks different. False if one is being written, and has to be looked at
    /// again soon.
    fn scan(&mut self) -> bool {
        let mut settled = true;
        let mut changed = Vec::new();
        for (path, before) in &mut self.stamps {
            let now = Look::at(path);
            if now == *before {
                continue;
            }
            if now.is_being_written() {
                settled = false;
                continue;
            }
            *before = now;
            changed.push(path.clone());
        }
        let is_changed = |path: &PathBuf| changed.contains(path);
        if self.origin.path.as_ref().is_some_and(is_changed) {
            log_outcome(&self.reload_config());
        } else {
            log_outcome(&self.retry_config());
        }
        let names: Vec<String> = {
            let plugins = self.status.plugins.lock();
            let of_changed_file = |managed: &Managed| match &managed.entry.source {
                Source::File(path) => changed.contains(path),
                Source::Builtin(_) => false,
            };
            plugins
                .iter()
                .filter(|(_, it)| of_changed_file(it))
                .map(|(name, _)| name.clone())
                .collect()
        };
        for name in names {
            log_outcome(&self.reload(&name, Asked::ByNobody));
        }
        if !changed.is_empty() {
            // What a link leads to may be somewhere else now.
            self.follow_files();
        }
        settled
    }

    /// Everything is looked at, whatever becomes of the rest.
    fn reload_all(&mut self) -> Outcome {
        let mut outcomes = vec![self.reload_config()];
        let names: Vec<String> = self.status.plugins.lock().keys().cloned().collect();
        for name in names {
            outcomes.push(self.reload(&name, Asked::ForAll));
        }
        let refused = outcomes.iter().any(Result::is_err);
        let said: Vec<String> = outcomes
            .into_iter()
            .map(|outcome| outcome.unwrap_or_else(|sentence| sentence))
            .filter(|sentence| !sentence.is_empty())
            .collect();
        match (said.is_empty(), refused) {
            (true, _) => Ok("nothing has changed".to_owned()),
            (false, false) => Ok(said.join("; ")),
            (false, true) => Err(said.join("; ")),
        }
    }

    /// Joins a configuration with generations. Nobody is served with it yet.
    pub(super) fn build(
        &self,
        config: &Config,
        generations: &Generations,
    ) -> Result<Snapshot, (String, Failure)> {
        let before = self.snapshot.load();
        Snapshot::build(config, generations, &self.environment, Some(&before))
    }

    /// The generations that serve.
    pub(super) fn generations(&self) -> Generations {
        generations(&self.status.plugins.lock(), &self.balancer)
    }

    /// Changes what is known of a plugin, if there is one of this name.
    pub(super) fn with(&self, name: &str, change: impl FnOnce(&mut Managed)) {
        if let Some(managed) = self.status.plugins.lock().get_mut(name) {
            change(managed);
        }
    }

    /// Watches the files that matter now.
    pub(super) fn follow_files(&mut self) {
        let plugins = self
            .config
            .plugins
            .iter()
            .filter_map(|plugin| match &plugin.source {
                Source::File(path) => Some(path.clone()),
                Source::Builtin(_) => None,
            });
        let files: Vec<PathBuf> = plugins.chain(self.origin.path.clone()).collect();
        self.stamps.retain(|path, _| files.contains(path));
        for file in &files {
            self.stamps.entry(file.clone()).or_default();
        }
        self.watch.follow(files.iter().map(PathBuf::as_path));
    }
}

/// What a snapshot is built with.
pub(super) fn generations(plugins: &BTreeMap<String, Managed>, balancer: &Arc<Generation>) -> Generations {
    let named = plugins
        .iter()
        .map(|(name, managed)| (name.clone(), Arc::clone(&managed.current)));
    named
        .chain([(DEFAULT_BALANCER.to_owned(), Arc::clone(balancer))])
        .collect()
}

fn answer(reply: Option<tokio::sync::oneshot::Sender<Outcome>>, outcome: Outcome) {
    if let Some(reply) = reply {
        // Who asked may have gone.
        let _ = reply.send(outcome.map(|sentence| {
            if sentence.is_empty() {
                "nothing has changed".to_owned()
            } else {
                sentence
            }
        }));
    }
}

fn log_outcome(outcome: &Outcome) {
    match outcome {
        Ok(sentence) if sentence.is_empty() => {}
        Ok(sentence) => info!("{sentence}"),
        Err(sentence) => error!("{sentence}"),
    }
}
