//! Runs a tool that takes a snapshot of a running program, so that it takes the same snapshot each time.
//!
//! componentize-py starts an interpreter and keeps its memory. In it is whatever the interpreter has asked the system for: random
//! numbers for the seed of its hashes, the time, and the numbers, times and order of files. There is no option for any of them,
//! so the tool is traced, and what the system tells it of these is replaced by what depends on the source alone. It is what
//! [DetTrace] does for whole containers, for the few calls that reach a snapshot.
//!
//! [DetTrace]: https://doi.org/10.1145/3373376.3378519 "Navarro Leija et al., Reproducible Containers, ASPLOS 2020"

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod kernel;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod statx;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod tracer;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod world;

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::process::{Command, ExitStatus};

/// A world that is the same each time.
#[cfg_attr(not(all(target_os = "linux", target_arch = "x86_64")), expect(dead_code))]
pub(super) struct Settings {
    /// What random numbers are made of.
    pub(super) seed: [u8; 32],
    /// Whether a directory is listed without a name in it, as if there were none. What it names can be opened all the same.
    pub(super) hidden: Box<Hidden>,
}

pub(super) type Hidden = dyn Fn(&Path, &OsStr) -> bool + Send;

/// Why a program could not be run in a world that is the same each time. Whether it exists at all is another question.
#[derive(Debug, thiserror::Error)]
pub(super) enum Untraced {
    #[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
    #[error("programs are traced on Linux on x86-64 only")]
    Elsewhere,
    #[error("the tool cannot be traced here: {0}")]
    Refused(#[from] io::Error),
}

/// Runs a program to its end in a world that is the same each time.
///
/// # Errors
///
/// [`Untraced`], and the program may have begun by then.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub(super) fn status(command: Command, settings: Settings) -> Result<ExitStatus, Untraced> {
    use std::{panic, thread};
    // The system reports on what is traced to the thread that began it, which must not wait for children of others. And it
    // kills what is traced when that thread ends.
    let ended = thread::scope(|scope| {
        let traced = scope.spawn(|| tracer::run(command, settings));
        traced.join().unwrap_or_else(|panic| panic::resume_unwind(panic))
    });
    Ok(ended?)
}

/// The same where it cannot be done.
#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
pub(super) fn status(_: Command, _: Settings) -> Result<ExitStatus, Untraced> {
    Err(Untraced::Elsewhere)
}
