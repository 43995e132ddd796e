//! Builds a project each time a source is saved with new content, and rereads its configuration.
//!
//! A build replaces `plugin.wasm`, and nothing else happens here: Pace follows that file, as it follows every
//! plugin's.

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

/// Builds until it is dropped, which ends a running build.
pub(super) struct Builder {
    notes: mpsc::Sender<Note>,
    thread: Option<JoinHandle<()>>,
}

enum Note {
    /// A file may have changed.
    Look,
    End,
}

/// The interval in which changes are found that the system does not report.
const RESCAN: Duration = Duration::from_secs(1);

/// The interval of looks while a build runs.
const SOON: Duration = Duration::from_millis(50);

impl Builder {
    /// Starts to follow the files.
    pub(super) fn start(followed: ProjectFiles) -> io::Result<Builder> {
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
            // The thread has logged all that it had to.
            let _ = thread.join();
        }
    }
}

/// The followed files of a project, and the reactions to their changes.
pub(super) struct ProjectFiles {
    sender: mpsc::Sender<Note>,
    notes: mpsc::Receiver<Note>,
    files: Follower,
    sources: Option<Sources>,
    defaults: Option<Defaults>,
    /// The running build.
    build: Option<Build>,
}

impl ProjectFiles {
    /// Follows the sources of a project from now on, which is before it is built.
    pub(super) fn new(project: Option<PathBuf>) -> ProjectFiles {
        let (sender, notes) = mpsc::channel();
        let hints = sender.clone();
        let mut files = Follower::new(RESCAN, move || {
            // When Pace ends, no receiver is left.
            let _ = hints.send(Note::Look);
        });
        ProjectFiles {
            sender,
            notes,
            sources: project.map(|project| Sources::of(project, &mut files)),
            files,
            defaults: None,
            build: None,
        }
    }

    /// Follows the file with the plugin's configuration too.
    pub(super) fn with_defaults(self, defaults: Option<Defaults>) -> ProjectFiles {
        ProjectFiles { defaults, ..self }
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

    /// Starts a build if a source has changed, and takes the configuration if it has.
    fn look(&mut self) {
        self.sources.iter_mut().for_each(Sources::list_again);
        let sources = self.sources.iter().flat_map(Sources::files);
        let files = sources.chain(self.defaults.iter().map(Defaults::file));
        self.files.follow(files.cloned());
        let found = self.files.look(Instant::now());
        if let Some(sources) = &mut self.sources {
            sources.note(&found, self.build.is_some());
            if sources.take(&self.files) {
                // The latest sources count, so a running build is abandoned.
                drop(self.build.take());
                info!(target: "pace::author", "a source has changed: building");
                // Output of the build comes after this line.
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

    /// Reports a build that has ended.
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

/// The build before serving, which another thread can end.
#[derive(Clone, Default)]
pub(super) struct FirstBuild(Arc<Mutex<First>>);

#[derive(Default)]
struct First {
    build: Option<Build>,
    is_given_up: bool,
}

/// The first build failed, and its output says why.
#[derive(Debug, thiserror::Error)]
#[error("the build failed, and what it said is above")]
pub struct BuildFailed;

impl FirstBuild {
    /// Builds a project, and waits for the end of the build.
    pub(super) fn run(&self, project: &Path) -> Result<(), CommandError> {
        info!(target: "pace::author", "building {}", project.display());
        // Output of the build comes after this line.
        log::logger().flush();
        loop {
            let mut first = self.0.lock();
            if first.is_given_up {
                return Err(BuildFailed.into());
            }
            let build = match &mut first.build {
                Some(build) => build,
                none => none.insert(Build::start(project)?),
            };
            match build.ended() {
                Some(status) if status.success() => return Ok(()),
                Some(_) => return Err(BuildFailed.into()),
                None => drop(first),
            }
            thread::sleep(SOON);
        }
    }

    /// Ends the build with all of its processes.
    pub(super) fn give_up(&self) {
        let mut first = self.0.lock();
        first.is_given_up = true;
        first.build = None;
    }
}

/// A running build. Dropping it ends it with all of its processes.
struct Build {
    process: Child,
    since: Instant,
}

impl Build {
    /// Starts `pace plugin build` in a process group of its own, so that all of it can be ended.
    fn start(project: &Path) -> io::Result<Build> {
        // This path leads to the running program, even if its file has been replaced.
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
        // The process is ours, and is waited for only here.
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
        // The process has not been waited for, so its id is still its own, and the group's.
        let _ = kill_process_group(Pid::from_child(&self.process), Signal::TERM);
        let _ = self.process.wait();
    }
}
