//! The program that runs, as it was started.

use std::env;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The program and the arguments that this process was started with.
///
/// The path is remembered at the start, because it is the one that an update replaces: `/proc/self/exe` follows the file that
/// runs wherever it goes, and a symbolic link that leads elsewhere by now is not seen behind it.
pub(in super::super) struct Program {
    path: PathBuf,
    name: OsString,
    args: Vec<OsString>,
}

impl Program {
    /// The program of this process.
    pub(in super::super) fn of_this_process() -> Program {
        let mut args = env::args_os();
        let name = args.next().unwrap_or_else(|| "pace".into());
        Program {
            path: path(&name).unwrap_or_else(|| "/proc/self/exe".into()),
            name,
            args: args.collect(),
        }
    }

    /// The path of the program.
    pub(in super::super) fn path(&self) -> &Path {
        &self.path
    }

    /// A command with the same arguments and environment, without what systemd meant for this process alone.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command.arg0(&self.name).args(&self.args);
        for variable in ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "WATCHDOG_PID"] {
            command.env_remove(variable);
        }
        command
    }
}

/// The path by which the program was started: a name without a slash was found in `PATH`.
fn path(name: &OsString) -> Option<PathBuf> {
    if Path::new(name).components().nth(1).is_some() {
        return std::path::absolute(name).ok();
    }
    let directories = env::var_os("PATH")?;
    let found = env::split_paths(&directories).map(|directory| directory.join(name));
    let found = found
        .filter(|path| path.is_file())
        .find_map(|path| std::path::absolute(path).ok());
    found.or_else(|| env::current_exe().ok())
}
