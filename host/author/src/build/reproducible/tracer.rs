//! Follows a program from stop to stop.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus};

use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::Pid;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch, apply_filter};

use super::tracee::{self, Syscall, Until};
use super::world::{self, World};
use super::{Settings, Untraced};

/// Runs a program to its end.
pub(super) fn run(mut command: Command, settings: Settings) -> Result<ExitStatus, Untraced> {
    let filter = filter().map_err(Untraced::Refused)?;
    let mut blocked = SigSet::all();
    // The end of exec is told with it.
    blocked.remove(Signal::SIGTRAP);
    let prepare = move || {
        apply_filter(&filter).map_err(|_| io::Error::last_os_error())?;
        // A tracee stops for every signal, and nobody would see it before exec is done.
        blocked.thread_block()?;
        Ok(ptrace::traceme()?)
    };
    // SAFETY: between fork and exec only what is safe in a signal handler may be done: another thread may have held a lock at the
    // fork, of the allocator for one. `prepare` makes four syscalls with memory that was allocated before, takes no lock and
    // allocates nothing, also where one fails: its errors are numbers.
    unsafe { command.pre_exec(prepare) };
    let child = command.spawn().map_err(Untraced::Refused)?;
    let first = Pid::from_raw(child.id().cast_signed());
    let mut tracer = Tracer {
        first,
        entered: HashMap::new(),
        world: World::new(first, settings),
    };
    let ended = match tracer.take_over() {
        Ok(()) => tracer.follow().map_err(Untraced::Lost),
        Err(error) => Err(Untraced::Refused(error)),
    };
    if ended.is_err() {
        kill(first);
    }
    ended
}

/// Stops every thread at the syscalls that are answered in all of them, and no other: most of a tool's are none of them. A program
/// that makes syscalls of 32 bits is killed at the first of them.
fn filter() -> io::Result<BpfProgram> {
    let calls = world::FILTERED.iter().map(|call| (*call, Vec::new())).collect();
    SeccompFilter::new(
        calls,
        SeccompAction::Allow,
        SeccompAction::Trace(0),
        TargetArch::x86_64,
    )
    .and_then(BpfProgram::try_from)
    .map_err(io::Error::other)
}

/// Ends a program that can no longer be followed, with all that it has started, and waits for its end: it may be writing what
/// another run writes next.
fn kill(first: Pid) {
    // It may have ended already.
    let _ = nix::sys::signal::kill(first, Signal::SIGKILL);
    while let Ok((thread, status)) = wait() {
        if libc::WIFSTOPPED(status) {
            let _ = nix::sys::signal::kill(thread, Signal::SIGKILL);
        }
    }
}

/// Waits for the next stop or end of a tracee of this thread. An error says that there is none.
fn wait() -> io::Result<(Pid, i32)> {
    let mut status = 0;
    loop {
        // SAFETY: the kernel writes one number, to `status`.
        let thread = unsafe { libc::waitpid(-1, &raw mut status, libc::__WALL | libc::__WNOTHREAD) };
        if thread > 0 {
            return Ok((Pid::from_raw(thread), status));
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

struct Tracer {
    /// The first thread of the program, and the program. It stops at all of its syscalls, because in it the snapshot is
    /// taken, and the clock is answered in this thread only: others compile, and read it a million times.
    first: Pid,
    /// The syscalls that threads have entered.
    entered: HashMap<Pid, Syscall>,
    world: World,
}

impl Tracer {
    /// Begins to follow the program where it has just become itself.
    fn take_over(&self) -> io::Result<()> {
        let (_, status) = wait()?;
        if !libc::WIFSTOPPED(status) || libc::WSTOPSIG(status) != libc::SIGTRAP {
            return Err(io::Error::other("it ended as it began"));
        }
        let options = Options::PTRACE_O_EXITKILL
            | Options::PTRACE_O_TRACECLONE
            | Options::PTRACE_O_TRACEEXEC
            | Options::PTRACE_O_TRACEFORK
            | Options::PTRACE_O_TRACESECCOMP
            | Options::PTRACE_O_TRACESYSGOOD
            | Options::PTRACE_O_TRACEVFORK;
        ptrace::setoptions(self.first, options)?;
        // Directories are read by way of it, and in a container it may be that of other processes.
        fs::metadata(format!("/proc/{0}/task/{0}/fdinfo", self.first))?;
        tracee::hide_vdso(self.first)?;
        tracee::unblock_signals(self.first)?;
        tracee::resume(self.first, Until::Syscall, 0)
    }

    fn follow(&mut self) -> io::Result<ExitStatus> {
        loop {
            let (thread, status) = wait()?;
            if libc::WIFSTOPPED(status) {
                match self.stopped(thread, status) {
                    // Something else has killed the thread since.
                    Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
                    done => done?,
                }
            } else if thread == self.first {
                return Ok(ExitStatus::from_raw(status));
            } else {
                self.entered.remove(&thread);
                self.world.forget(thread);
            }
        }
    }

    /// Does what there is to do at a stop, and lets the thread go on.
    fn stopped(&mut self, thread: Pid, status: i32) -> io::Result<()> {
        const AT_SYSCALL: i32 = libc::SIGTRAP | 0x80;
        let mut until = match thread == self.first {
            true => Until::Syscall,
            false => Until::Filtered,
        };
        let signal = match (libc::WSTOPSIG(status), status >> 16) {
            (libc::SIGTRAP, libc::PTRACE_EVENT_SECCOMP) => {
                // The first thread has stopped at this entry before.
                if thread != self.first {
                    self.enter(thread)?;
                    until = Until::Syscall;
                }
                0
            }
            (libc::SIGTRAP, libc::PTRACE_EVENT_EXEC) => {
                if thread == self.first {
                    tracee::hide_vdso(thread)?;
                    // Another thread may have entered it, and has this one's number now. Its exit comes next.
                    self.entered.insert(thread, Syscall::of(thread)?);
                }
                0
            }
            (AT_SYSCALL, _) => {
                match self.entered.remove(&thread) {
                    Some(syscall) => self.world.answer(thread, syscall)?,
                    None => self.enter(thread)?,
                }
                0
            }
            // A new thread begins with it.
            (libc::SIGSTOP, 0) => 0,
            (signal, 0) => signal,
            _ => 0,
        };
        tracee::resume(thread, until, signal)
    }

    fn enter(&mut self, thread: Pid) -> io::Result<()> {
        let syscall = Syscall::of(thread)?;
        self.world.entered(thread, syscall)?;
        self.entered.insert(thread, syscall);
        Ok(())
    }
}
