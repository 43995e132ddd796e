//! How Pace is to be started.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::pace::Process;
use crate::{Exit, Pace, Starting};

/// How long a compiler may take before a test gives up.
const LONG: Duration = Duration::from_secs(600);

/// A command line and a directory for its files.
pub struct Setup {
    command: Command,
    directory: TempDir,
}

impl Setup {
    /// `pace` without arguments.
    pub fn new() -> Setup {
        let mut command = Command::new(program());
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .env_remove("RUST_LOG")
            // What it prints for people must not depend on this.
            .env("RUST_BACKTRACE", "1");
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        command.current_dir(directory.path());
        Setup { command, directory }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Setup {
        self.command.args(args);
        self
    }

    /// Writes a configuration, and adds `--config` with its path. The file is `pace.toml` in the directory
    /// where Pace is started, under its full path.
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

    /// Starts it in another directory.
    #[must_use]
    pub fn within(mut self, directory: &Path) -> Setup {
        self.command.current_dir(directory);
        self
    }

    /// Sets a variable of the environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Setup {
        self.command.env(name, value);
        self
    }

    /// Where Pace is started, and where its configuration is.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Starts it, and waits until it serves.
    ///
    /// # Panics
    ///
    /// If it ends instead, or says nothing within the deadline.
    pub fn start(self) -> Pace {
        Pace::new(self.spawn())
    }

    /// Starts it, and waits for nothing.
    pub fn begin(self) -> Starting {
        Starting::new(self.spawn())
    }

    /// Lets it write its log into something else than a pipe that is read.
    #[must_use]
    pub fn log_to(mut self, file: impl Into<Stdio>) -> Setup {
        self.command.stderr(file);
        self
    }

    /// Runs it to its end, which must come by itself.
    pub fn run(self) -> Exit {
        self.spawn().wait()
    }

    /// The same where it compiles something, or has it downloaded.
    pub fn run_long(self) -> Exit {
        self.spawn().wait_within(LONG)
    }

    fn spawn(mut self) -> Process {
        let child = self
            .command
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {:?}: {error}", self.command.get_program()));
        Process::new(child, self.directory)
    }
}

impl Default for Setup {
    fn default() -> Setup {
        Setup::new()
    }
}

/// The program is in the directory above the tests: `target/debug/pace` for `target/debug/deps/all-...`.
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
