//! A running program, its output, and its end.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};

use crate::ask_within;
use crate::reader::Pipe;

/// A running program. Dropping it kills the program, and so does the end of the thread that started it.
pub struct Process {
    child: Child,
    stdout: Output,
    stderr: Said,
}

/// Where a program's standard error goes.
pub(crate) enum Stderr {
    /// Into a file without a name.
    Kept,
    /// Through a pipe with a reader.
    Piped,
    /// Where the kit cannot read it.
    Elsewhere(Stdio),
}

/// Where standard error went.
enum Said {
    Kept(Output),
    Piped(Pipe),
    Elsewhere,
}

impl Process {
    /// Starts a program without input. Its output is kept in files without a name, so it never waits for a
    /// reader.
    pub fn spawn(command: &mut Command) -> io::Result<Process> {
        Process::spawn_with(command, Stderr::Kept)
    }

    pub(crate) fn spawn_with(command: &mut Command, stderr: Stderr) -> io::Result<Process> {
        let stdout = Output::new()?;
        let (stderr, kept) = match stderr {
            Stderr::Kept => {
                let output = Output::new()?;
                (Stdio::from(output.0.try_clone()?), Said::Kept(output))
            }
            Stderr::Piped => (Stdio::piped(), Said::Piped(Pipe::default())),
            Stderr::Elsewhere(file) => (file, Said::Elsewhere),
        };
        let die_with_parent = || set_parent_process_death_signal(Some(Signal::KILL)).map_err(Into::into);
        // SAFETY: between fork and exec only one system call is made; nothing is allocated or locked.
        unsafe { command.pre_exec(die_with_parent) };
        let mut child = command
            .stdin(Stdio::null())
            .stdout(stdout.0.try_clone()?)
            .stderr(stderr)
            .spawn()?;
        if let (Said::Piped(pipe), Some(stderr)) = (&kept, child.stderr.take()) {
            pipe.read(stderr);
        }
        Ok(Process {
            child,
            stdout,
            stderr: kept,
        })
    }

    /// The process's id.
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// The standard output so far.
    pub fn stdout(&self) -> String {
        self.stdout.read()
    }

    /// The standard error so far.
    pub fn stderr(&self) -> String {
        match &self.stderr {
            Said::Kept(output) => output.read(),
            Said::Piped(pipe) => pipe.text(),
            Said::Elsewhere => String::new(),
        }
    }

    pub(crate) fn pipe(&self) -> Option<&Pipe> {
        match &self.stderr {
            Said::Piped(pipe) => Some(pipe),
            Said::Kept(_) | Said::Elsewhere => None,
        }
    }

    /// The whole lines of standard error.
    pub fn log(&self) -> String {
        let mut log = self.stderr();
        log.truncate(log.rfind('\n').map_or(0, |end| end + 1));
        log
    }

    /// Sends a signal; an error if the process has been waited for.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        Ok(kill_process(self.pid(), signal)?)
    }

    /// The exit status, if the process has ended.
    pub fn try_wait(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("it is a child of this process")
    }

    /// Waits for the end of the process; `None` if it does not come within the limit.
    pub fn wait_within(&mut self, limit: Duration) -> Option<ExitStatus> {
        let status = ask_within(limit, || self.try_wait())?;
        if let Some(pipe) = self.pipe() {
            // Bytes still in the pipe are part of the output, whether or not the reader was paused.
            pipe.finish();
        }
        Some(status)
    }

    /// Ends the process at once.
    pub fn kill(&mut self) {
        // Both calls fail only if the process has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A file that a program writes its output to.
struct Output(File);

impl Output {
    fn new() -> io::Result<Output> {
        tempfile::tempfile().map(Output)
    }

    fn read(&self) -> String {
        // Reading at an offset leaves the file's offset alone, which is also the program's.
        let read = || -> io::Result<Vec<u8>> {
            let mut bytes = vec![0; self.0.metadata()?.len() as usize];
            self.0.read_exact_at(&mut bytes, 0)?;
            Ok(bytes)
        };
        let bytes = read().expect("nothing shortens the file");
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Process {
        Process::spawn(Command::new("sh").args(["-c", script])).expect("there is a shell")
    }

    #[test]
    fn output_is_kept_apart_and_log_has_whole_lines() {
        let mut process = shell("printf 'out'; printf 'one\\ntwo' >&2");
        let status = process.wait_within(crate::DEADLINE).expect("it ends");
        assert!(status.success());
        assert_eq!(
            (process.stdout().as_str(), process.stderr().as_str()),
            ("out", "one\ntwo")
        );
        assert_eq!(process.log(), "one\n");
    }

    #[test]
    fn program_that_does_not_end_is_killed_when_dropped() {
        let mut process = shell("exec sleep 600");
        assert_eq!(process.wait_within(Duration::ZERO), None);
        let pid = process.pid();
        drop(process);
        assert!(rustix::process::test_kill_process(pid).is_err());
    }
}
