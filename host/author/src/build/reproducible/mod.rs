//! Runs a tool that takes a snapshot of a running program, so that it takes the same snapshot each time.
//!
//! componentize-py starts an interpreter and keeps its memory. In it is whatever the interpreter has asked the system for: random
//! numbers for the seed of its hashes, the time, and the inodes, times and order of files. There is no option for any of them,
//! so the tool is traced (ptrace(2)), and the answers of the system to these syscalls are replaced by some that depend on
//! the source alone. It is what [DetTrace] does for whole containers, for the few syscalls that reach a snapshot.
//!
//! [DetTrace]: https://doi.org/10.1145/3373376.3378519 "Navarro Leija et al., Reproducible Containers, ASPLOS 2020"

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod listing;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod statx;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod tracee;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod tracer;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod world;

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, ExitStatus};

/// A world that is the same each time.
#[cfg_attr(not(all(target_os = "linux", target_arch = "x86_64")), expect(dead_code))]
pub(super) struct Settings {
    /// The seed of random numbers.
    pub(super) seed: [u8; 32],
    pub(super) hidden: Box<Hidden>,
}

/// Says of a directory, without links, and a name in it whether the directory is listed without the name. The file can be opened
/// all the same.
pub(super) type Hidden = dyn Fn(&Path, &OsStr) -> bool + Send;

/// The reason why a program was not run to its end in such a world.
#[derive(Debug, thiserror::Error)]
pub(super) enum Untraced {
    #[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
    #[error("tools are traced on Linux on x86-64 only")]
    Elsewhere,
    /// The program has not begun: it cannot be started, or not be traced.
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    #[error("the tool cannot be traced here: {0}")]
    Refused(std::io::Error),
    /// The program was ended in the middle.
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    #[error("the trace of the tool was lost: {0}")]
    Lost(std::io::Error),
}

/// Runs a program to its end in a world that is the same each time. Other processes that it has started end with it.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub(super) fn status(command: Command, settings: Settings) -> Result<ExitStatus, Untraced> {
    use std::{panic, thread};
    // The system reports on tracees to the thread that began it, which must not wait for children of others. And it
    // kills them when that thread ends.
    thread::scope(|scope| {
        let traced = scope.spawn(|| tracer::run(command, settings));
        traced.join().unwrap_or_else(|panic| panic::resume_unwind(panic))
    })
}

/// Refuses, on systems without an implementation.
#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
pub(super) fn status(_: Command, _: Settings) -> Result<ExitStatus, Untraced> {
    Err(Untraced::Elsewhere)
}
