//! A process that has taken Pace's place.

use std::fs;

use rustix::process::{Pid, Signal, WaitOptions, kill_process, set_child_subreaper, waitpid};

use crate::{Pace, wait_until};

/// A Pace that was started by another one, and serves in its place. Dropping it kills the process.
pub struct Successor {
    pid: Pid,
}

impl Pace {
    /// Has the program that is installed now take this process's place, and waits until it has.
    pub fn upgrade(&self) -> Successor {
        self.signal(Signal::USR2);
        self.successor_of(self.process().pid())
    }

    /// Waits until a process has been succeeded by another. Both write into this one's log.
    fn successor_of(&self, before: Pid) -> Successor {
        // The new process outlives the old one, and is ours to wait for then.
        set_child_subreaper(Some(rustix::process::getpid())).expect("Linux has it");
        let words = format!(" serves in place of process {},", before.as_raw_nonzero());
        let line = self.wait_for_log(&[&words]);
        let (_, rest) = line.split_once("SIGUSR2: process ").expect("it has the words");
        let number = rest.split(' ').next().and_then(|number| number.parse().ok());
        Successor {
            pid: number.and_then(Pid::from_raw).expect("it is the id of a process"),
        }
    }
}

impl Successor {
    /// The id of the process.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid, signal).expect("the process has not been waited for, so it is ours");
    }

    /// Has yet another process take the place of this one. `first` is the one whose log they share.
    pub fn upgrade(&self, first: &Pace) -> Successor {
        self.signal(Signal::USR2);
        first.successor_of(self.pid)
    }

    /// Whether the process has ended, waited for or not.
    pub fn has_ended(&self) -> bool {
        has_ended(self.pid)
    }

    /// Waits until the process has ended.
    pub fn wait(self) {
        wait_until("the new process to end", || self.has_ended());
    }
}

impl Drop for Successor {
    fn drop(&mut self) {
        // Both calls fail only if the process has been waited for already, or is a child of the one before it.
        let _ = kill_process(self.pid, Signal::KILL);
        let _ = waitpid(Some(self.pid), WaitOptions::NOHANG);
    }
}

/// Whether a process is gone, or waits for its parent to notice its end.
fn has_ended(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    // The name of the program is in parentheses, and its state behind it.
    stat.rsplit_once(") ")
        .is_none_or(|(_, rest)| rest.starts_with('Z'))
}
