//! The start of Pace in a test.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::net::TcpListener;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::io::{dup2, fcntl_dupfd_cloexec};
use tempfile::TempDir;

use crate::process::Stderr;
use crate::wasm::compiled_code;
use crate::{DEADLINE, Exit, Pace, Process, Starting};

/// How long a compiler may take before a test fails.
const LONG: Duration = Duration::from_secs(600);

/// The number of the first socket that is passed (sd_listen_fds(3)), and one that is beyond all of them.
const FIRST_PASSED: RawFd = 3;
const FIRST_COPY: RawFd = 100;

/// A command line and a directory for its files.
pub struct Setup {
    command: Command,
    directory: TempDir,
    ready_file: Option<PathBuf>,
    stderr: Stderr,
}

/// A process, and the directory that it was started in.
pub(crate) struct Started {
    pub(crate) process: Process,
    pub(crate) directory: TempDir,
    /// The directory of the ready file, which a process that takes this one's place writes again.
    pub(crate) place: Option<TempDir>,
}

impl Setup {
    /// Prepares `pace` without arguments.
    pub fn new() -> Setup {
        Setup::of(&program())
    }

    /// Prepares another build of `pace` without arguments. Plugins that another test has had compiled are not compiled again, unless
    /// the configuration has a `cache_dir`.
    pub fn of(program: &Path) -> Setup {
        let mut command = Command::new(program);
        command
            .env_remove("RUST_LOG")
            .env("CACHE_DIRECTORY", compiled_code())
            .env_remove("NOTIFY_SOCKET")
            // Pace's messages must not depend on this.
            .env("RUST_BACKTRACE", "1");
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        command.current_dir(directory.path());
        Setup {
            command,
            directory,
            ready_file: None,
            stderr: Stderr::Kept,
        }
    }

    /// Makes Pace compile all plugins, as it does without a cache.
    #[must_use]
    pub fn without_cache(mut self) -> Setup {
        self.command.env_remove("CACHE_DIRECTORY");
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Setup {
        self.command.args(args);
        self
    }

    /// Writes a configuration, and adds `--config` with its full path. The file is `pace.toml` in the
    /// directory that Pace is started in.
    #[must_use]
    pub fn config(self, text: &str) -> Setup {
        let path = self.directory.path().join("pace.toml");
        self.file("pace.toml", text)
            .args([OsString::from("--config"), path.into_os_string()])
    }

    /// Writes a file beside the configuration.
    #[must_use]
    pub fn file(self, name: &str, content: impl AsRef<[u8]>) -> Setup {
        fs::write(self.directory.path().join(name), content).expect("a temporary file can be written");
        self
    }

    /// Starts Pace in another directory.
    #[must_use]
    pub fn within(mut self, directory: &Path) -> Setup {
        self.command.current_dir(directory);
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Setup {
        self.command.env(name, value);
        self
    }

    /// Passes listening sockets, as systemd does.
    #[must_use]
    pub fn sockets(mut self, sockets: &[(&TcpListener, &str)]) -> Setup {
        let (copies, names): (Vec<OwnedFd>, Vec<&str>) = sockets
            .iter()
            .map(|(socket, name)| {
                // None of the copies is where another one goes.
                let copy = fcntl_dupfd_cloexec(socket, FIRST_COPY).expect("there are descriptors left");
                (copy, *name)
            })
            .unzip();
        self.command
            .env("LISTEN_FDS", copies.len().to_string())
            .env("LISTEN_FDNAMES", names.join(":"));
        let pass = move || {
            for (number, copy) in (FIRST_PASSED..).zip(&copies) {
                // SAFETY: nothing in this process, which is about to become Pace, uses what has been open under the number.
                let mut target = unsafe { OwnedFd::from_raw_fd(number) };
                dup2(copy, &mut target)?;
                std::mem::forget(target);
            }
            Ok(())
        };
        // SAFETY: between fork and exec only system calls are made; nothing is allocated or locked.
        unsafe { self.command.pre_exec(pass) };
        self
    }

    /// Makes Pace write its addresses into this file, instead of one that only the kit sees.
    #[must_use]
    pub fn ready_file(mut self, path: &Path) -> Setup {
        self.ready_file = Some(path.to_owned());
        self
    }

    /// The directory that Pace is started in, and that has its configuration.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Starts Pace, and waits until it serves.
    ///
    /// # Panics
    ///
    /// If Pace ends instead, or does not serve within the deadline.
    pub fn start(self) -> Pace {
        self.start_within(DEADLINE)
            .unwrap_or_else(|error| panic!("{error}"))
    }

    /// Starts Pace as [`Setup::start`] does, with another deadline; Pace's standard error is returned in
    /// place of a panic.
    pub fn start_within(mut self, limit: Duration) -> Result<Pace, String> {
        // The file is not in the directory of the configuration, which Pace watches.
        let place = tempfile::tempdir().expect("a temporary directory can be made");
        let path = self.ready_file.get_or_insert_with(|| place.path().join("ready"));
        let path = path.clone();
        let mut started = self.spawn();
        started.place = Some(place);
        Pace::when_ready(started, &path, limit)
    }

    /// Starts Pace, and waits for nothing.
    pub fn begin(self) -> Starting {
        Starting::new(self.spawn())
    }

    /// Sends the log to a pipe or socket instead of a file, from which the test reads as much as it wants.
    #[must_use]
    pub fn log_to(mut self, file: impl Into<Stdio>) -> Setup {
        self.stderr = Stderr::Elsewhere(file.into());
        self
    }

    /// Sends the log through a pipe, whose reader a test can stop.
    #[must_use]
    pub fn log_through_pipe(mut self) -> Setup {
        self.stderr = Stderr::Piped;
        self
    }

    /// Runs Pace to its end, which must come by itself.
    pub fn run(self) -> Exit {
        self.spawn().wait_within(DEADLINE)
    }

    /// Runs Pace to its end as [`Setup::run`] does, with time to compile or download something.
    pub fn run_long(self) -> Exit {
        self.spawn().wait_within(LONG)
    }

    fn spawn(mut self) -> Started {
        if let Some(path) = &self.ready_file {
            self.command.arg("--ready-file").arg(path);
        }
        let process = Process::spawn_with(&mut self.command, self.stderr)
            .unwrap_or_else(|error| panic!("cannot start {:?}: {error}", self.command.get_program()));
        Started {
            process,
            directory: self.directory,
            place: None,
        }
    }
}

impl Default for Setup {
    fn default() -> Setup {
        Setup::new()
    }
}

/// The path of `pace`: in the directory above the tests, `target/debug/pace` for `target/debug/deps/all-...`.
/// `PACE_BIN` names another.
pub fn program() -> PathBuf {
    if let Some(path) = env::var_os("PACE_BIN") {
        return path.into();
    }
    let test = env::current_exe().expect("the test has a path");
    let path = test.ancestors().nth(2).map(|directory| directory.join("pace"));
    path.filter(|path| path.is_file())
        .expect("the program `pace` has been built before its tests: run `cargo xtask test`")
}
