//! Builds a project each time one of its sources is saved, and looks at its configuration.
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
use pace_proxy::reload::Watch;

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

/// How soon to look again while a source is being written or a build goes on.
const SOON: Duration = Duration::from_millis(50);

impl Builder {
    /// Follows what is saved.
    pub(super) fn start(followed: Followed) -> io::Result<Builder> {
        let (notes, taken) = mpsc::channel();
        let hints = notes.clone();
        let thread = thread::Builder::new()
            .name("pace-build".to_owned())
            .spawn(move || {
                let watch = Watch::new(move || {
                    // Nobody listens any more when Pace ends.
                    let _ = hints.send(Note::Look);
                });
                followed.follow(watch, &taken);
            })?;
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

/// What is looked at.
pub(super) struct Followed {
    /// A project, with its sources as they were before it was built.
    pub(super) project: Option<(PathBuf, Sources)>,
    /// Where the plugin's configuration is.
    pub(super) defaults: Option<Defaults>,
}

impl Followed {
    fn follow(mut self, mut watch: Watch, notes: &mpsc::Receiver<Note>) {
        let mut build: Option<Build> = None;
        loop {
            let sources = self.project.iter().flat_map(|(_, sources)| sources.files());
            watch.follow(sources.chain(self.defaults.iter().map(Defaults::file)));
            let mut is_busy = self.look_at_sources(&mut build);
            if let Some(status) = build.as_mut().and_then(Build::ended) {
                build.take().iter().for_each(|build| build.report(status));
                if status.success() {
                    self.defaults.iter_mut().for_each(Defaults::try_again);
                }
            }
            is_busy |= self.defaults.as_mut().is_some_and(Defaults::look);
            let pause = if is_busy || build.is_some() { SOON } else { RESCAN };
            match notes.recv_timeout(pause) {
                Ok(Note::Look) | Err(RecvTimeoutError::Timeout) => {}
                Ok(Note::End) | Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Begins a build if a source has changed. Says whether somebody may be in the middle of saving one.
    fn look_at_sources(&mut self, build: &mut Option<Build>) -> bool {
        let Some((project, known)) = &mut self.project else {
            return false;
        };
        let now = Sources::of(project);
        if now == *known || now.are_being_written() {
            return now != *known;
        }
        *known = now;
        // What was saved last is what counts.
        drop(build.take());
        info!(target: "pace::author", "a source has changed: building");
        // What the build says comes below that.
        log::logger().flush();
        *build = Build::start(project)
            .inspect_err(|error| error!(target: "pace::author", "no build can be started: {error}"))
            .ok();
        false
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
