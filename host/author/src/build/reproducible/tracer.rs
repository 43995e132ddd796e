//! Follows a program from call to call.

use std::collections::HashMap;
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus};

use nix::errno::Errno;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch, apply_filter};

use super::kernel::{self, Call};
use super::world::World;
use super::{Settings, world};

/// Runs a program to its end.
pub(super) fn run(mut command: Command, settings: Settings) -> io::Result<ExitStatus> {
    let filter = filter()?;
    let prepare = move || {
        ptrace::traceme()?;
        apply_filter(&filter).map_err(|_| io::Error::last_os_error())
    };
    // SAFETY: between fork and exec only what is safe in a signal handler may be done: another thread may have held a lock at the
    // fork, of the allocator for one. `prepare` makes three calls to the system with memory that was allocated before, takes no
    // lock and allocates nothing, also where a call fails: its errors are numbers.
    unsafe { command.pre_exec(prepare) };
    let child = command.spawn()?;
    let first = Pid::from_raw(child.id().cast_signed());
    let mut tracer = Tracer {
        first,
        calls: HashMap::new(),
        world: World::new(first, settings),
    };
    let ended = tracer.follow();
    if ended.is_err() {
        // It may be gone already.
        let _ = ptrace::kill(first);
    }
    ended
}

/// Stops every thread at the calls that are answered in all of them, and no other: most of a tool's calls are none of them.
fn filter() -> io::Result<BpfProgram> {
    let calls = world::CALLS.iter().map(|call| (*call, Vec::new())).collect();
    SeccompFilter::new(
        calls,
        SeccompAction::Allow,
        SeccompAction::Trace(0),
        TargetArch::x86_64,
    )
    .and_then(BpfProgram::try_from)
    .map_err(io::Error::other)
}

struct Tracer {
    /// The first thread of the program, and the program. It stops at all of its calls, because in it the snapshot is
    /// taken, and the clock is answered in this thread only: others compile, and ask for the time a million times.
    first: Pid,
    /// The calls that threads are in.
    calls: HashMap<Pid, Call>,
    world: World,
}

impl Tracer {
    fn follow(&mut self) -> io::Result<ExitStatus> {
        self.begin()?;
        loop {
            let event = match waitpid(None, Some(WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD)) {
                Err(Errno::EINTR) => continue,
                event => event?,
            };
            match event {
                WaitStatus::Exited(thread, code) if thread == self.first => {
                    return Ok(ExitStatus::from_raw((code & 0xff) << 8));
                }
                WaitStatus::Signaled(thread, signal, _) if thread == self.first => {
                    return Ok(ExitStatus::from_raw(signal as i32));
                }
                stopped => match self.stopped(stopped) {
                    // Something else has killed the thread since.
                    Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
                    done => done?,
                },
            }
        }
    }

    /// Takes the program over where it has just become itself.
    fn begin(&self) -> io::Result<()> {
        loop {
            match waitpid(self.first, None) {
                Ok(WaitStatus::Stopped(_, Signal::SIGTRAP)) => break,
                Ok(WaitStatus::Stopped(thread, signal)) => ptrace::cont(thread, signal)?,
                Ok(other) => return Err(io::Error::other(format!("it ended as it began: {other:?}"))),
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let options = Options::PTRACE_O_EXITKILL
            | Options::PTRACE_O_TRACECLONE
            | Options::PTRACE_O_TRACEEXEC
            | Options::PTRACE_O_TRACEFORK
            | Options::PTRACE_O_TRACESECCOMP
            | Options::PTRACE_O_TRACESYSGOOD
            | Options::PTRACE_O_TRACEVFORK;
        ptrace::setoptions(self.first, options)?;
        kernel::hide_vdso(self.first)?;
        Ok(ptrace::syscall(self.first, None)?)
    }

    /// Does what there is to do at a stop, and lets the thread go on.
    fn stopped(&mut self, event: WaitStatus) -> io::Result<()> {
        let (thread, signal) = match event {
            WaitStatus::PtraceEvent(thread, _, libc::PTRACE_EVENT_SECCOMP) => {
                // The first thread has stopped at this call before.
                if thread != self.first {
                    self.enter(thread)?;
                }
                return Ok(ptrace::syscall(thread, None)?);
            }
            WaitStatus::PtraceSyscall(thread) => {
                match self.calls.remove(&thread) {
                    Some(call) => self.world.answer(thread, call)?,
                    None => self.enter(thread)?,
                }
                (thread, None)
            }
            WaitStatus::PtraceEvent(thread, _, event) => {
                if thread == self.first && event == libc::PTRACE_EVENT_EXEC {
                    kernel::hide_vdso(thread)?;
                }
                (thread, None)
            }
            // A new thread begins with it.
            WaitStatus::Stopped(thread, Signal::SIGSTOP) => (thread, None),
            WaitStatus::Stopped(thread, signal) => (thread, Some(signal)),
            WaitStatus::Exited(thread, _) | WaitStatus::Signaled(thread, _, _) => {
                self.calls.remove(&thread);
                self.world.forget(thread);
                return Ok(());
            }
            WaitStatus::Continued(_) | WaitStatus::StillAlive => return Ok(()),
        };
        match thread == self.first {
            true => ptrace::syscall(thread, signal)?,
            false => ptrace::cont(thread, signal)?,
        }
        Ok(())
    }

    fn enter(&mut self, thread: Pid) -> io::Result<()> {
        let call = Call::of(thread)?;
        self.world.begin(thread, call)?;
        self.calls.insert(thread, call);
        Ok(())
    }
}
