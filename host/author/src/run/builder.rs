//! Builds a project each time one of its sources is saved with another content, and looks at its configuration.
//!
//! What is built takes the place of `plugin.wasm`, and that is all: Pace follows the file, as it does every plugin's.

use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use log::{error, info, warn};
use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process_group};

use super::defaults::Defaults;
use super::sources::Sources;
use crate::cli::CommandError;
use pace_follow::Follower;

/// Builds until it is dropped. Then a build that is going on is given up.
pub(super) struct Builder {
    notes: mpsc::Sender<Note>,
    thread: Option<JoinHandle<()>>,
}

enum Note {
    /// Something may have changed.
    Look,
    End,
}

/// The backstop for what the system does not tell of.
const RESCAN: Duration = Duration::from_secs(1);

/// How soon to look again while a build goes on.
const SOON: Duration = Duration::from_millis(50);

impl Builder {
    /// Follows what is saved.
    pub(super) fn start(followed: Followed) -> io::Result<Builder> {
        let notes = followed.sender.clone();
        let thread = thread::Builder::new()
            .name("pace-build".to_owned())
            .spawn(move || followed.run())?;
        Ok(Builder {
            notes,
            thread: Some(thread),
        })
    }
}

impl Drop for Builder {
    fn drop(&mut self) {
        let _ = self.notes.send(Note::End);
        if let Some(thread) = self.thread.take() {
            // It has said what there was to say.
            let _ = thread.join();
        }
    }
}

/// The files that are followed, and what is done when they change.
pub(super) struct Followed {
    sender: mpsc::Sender<Note>,
    notes: mpsc::Receiver<Note>,
    files: Follower,
    sources: Option<Sources>,
    defaults: Option<Defaults>,
    /// The build that goes on.
    build: Option<Build>,
}

impl Followed {
    /// Follows the sources of a project from now on, which is before it is built.
    pub(super) fn new(project: Option<PathBuf>) -> Followed {
        let (sender, notes) = mpsc::channel();
        let hints = sender.clone();
        let mut files = Follower::new(RESCAN, move || {
            // Nobody listens any more when Pace ends.
            let _ = hints.send(Note::Look);
        });
        Followed {
            sender,
            notes,
            sources: project.map(|project| Sources::of(project, &mut files)),
            files,
            defaults: None,
            build: None,
        }
    }

    /// Follows also where the plugin's configuration is.
    pub(super) fn with_defaults(self, defaults: Option<Defaults>) -> Followed {
        Followed { defaults, ..self }
    }

    fn run(mut self) {
        loop {
            if Instant::now() >= self.files.due() {
                self.look();
            }
            let mut wait = self.files.due().saturating_duration_since(Instant::now());
            if self.build.is_some() {
                wait = wait.min(SOON);
            }
            match self.notes.recv_timeout(wait) {
                Ok(Note::Look) => self.files.hinted(),
                Err(RecvTimeoutError::Timeout) => {}
                Ok(Note::End) | Err(RecvTimeoutError::Disconnected) => return,
            }
            self.end_build();
        }
    }

    /// Begins a build if a source has changed, and takes the configuration if that has.
    fn look(&mut self) {
        self.sources.iter_mut().for_each(Sources::list_again);
        let sources = self.sources.iter().flat_map(Sources::files);
        let files = sources.chain(self.defaults.iter().map(Defaults::file));
        self.files.follow(files.cloned());
        let found = self.files.look(Instant::now());
        if let Some(sources) = &mut self.sources {
            sources.note(&found, self.build.is_some());
            if sources.take(&self.files) {
                // What was saved last is what counts.
                drop(self.build.take());
                info!(target: "pace::author", "a source has changed: building");
                // What the build says comes below that.
                log::logger().flush();
                self.build = Build::start(sources.project())
                    .inspect_err(|error| error!(target: "pace::author", "no build can be started: {error}"))
                    .ok();
            }
        }
        self.defaults
            .iter_mut()
            .for_each(|defaults| defaults.note(&found));
    }

    /// Says what came of a build that has ended.
    fn end_build(&mut self) {
        let Some(status) = self.build.as_mut().and_then(Build::ended) else {
            return;
        };
        self.build.take().iter().for_each(|build| build.report(status));
        if status.success() {
            self.defaults.iter_mut().for_each(Defaults::try_again);
        }
    }
}

/// The build before anything is served: another thread can give it up.
#[derive(Clone, Default)]
pub(super) struct FirstBuild(Arc<Mutex<First>>);

#[derive(Default)]
struct First {
    build: Option<Build>,
    is_given_up: bool,
}

/// There is nothing to serve with, and whoever built it has said why.
#[derive(Debug, thiserror::Error)]
#[error("the build failed, and what it said is above")]
pub struct Told;

impl FirstBuild {
    /// Builds a project, and waits for the end of that.
    pub(super) fn run(&self, project: &Path) -> Result<(), CommandError> {
        info!(target: "pace::author", "building {}", project.display());
        // What the build says comes below that.
        log::logger().flush();
        loop {
            let mut first = self.0.lock();
            if first.is_given_up {
                return Err(Told.into());
            }
            let build = match &mut first.build {
                Some(build) => build,
                none => none.insert(Build::start(project)?),
            };
            match build.ended() {
                Some(status) if status.success() => return Ok(()),
                Some(_) => return Err(Told.into()),
                None => drop(first),
            }
            thread::sleep(SOON);
        }
    }

    /// Ends it, and all that it has started.
    pub(super) fn give_up(&self) {
        let mut first = self.0.lock();
        first.is_given_up = true;
        first.build = None;
    }
}

/// A build that is going on. It and all that it has started are ended when this is dropped.
struct Build {
    process: Child,
    since: Instant,
}

impl Build {
    /// `pace plugin build`, in a group of processes of its own, so that all of it can be ended.
    fn start(project: &Path) -> io::Result<Build> {
        // The program that runs, also if another has taken its place meanwhile.
        let process = Command::new("/proc/self/exe")
            .args(["plugin", "build"])
            .arg(project)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .process_group(0)
            .spawn()?;
        Ok(Build {
            process,
            since: Instant::now(),
        })
    }

    fn ended(&mut self) -> Option<ExitStatus> {
        // It is ours, and has not been waited for elsewhere.
        self.process.try_wait().ok().flatten()
    }

    fn report(&self, status: ExitStatus) {
        match status.success() {
            true => info!(target: "pace::author", "built in {:.1?}", self.since.elapsed()),
            false => {
                warn!(target: "pace::author", "the build failed, and what it said is above; the version before serves on")
            }
        }
    }
}

impl Drop for Build {
    fn drop(&mut self) {
        if self.ended().is_some() {
            return;
        }
        // Not waited for yet, so the number is still this process's, and the group's.
        let _ = kill_process_group(Pid::from_child(&self.process), Signal::TERM);
        let _ = self.process.wait();
    }
}
