//! Runs other programs to their end, or ends them.

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};
use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Runs a program to its end and shows its output. Any end but success is an error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = Owned::spawn(command)?.0.wait()?;
    succeeded(command, status)
}

/// Runs a program to its end and returns its standard output. Any end but success is an error.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.with_context(|| cannot_start(command))?;
    succeeded(command, output.status)?;
    String::from_utf8(output.stdout).with_context(|| format!("{} prints no text", display(command)))
}

/// Runs a program as [`run`] does, but ends it after `limit`. Its output is shown only in the error.
pub(crate) fn run_within(command: &mut Command, limit: Duration) -> Result<()> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut child = Owned::spawn(command)?;
    let stderr = child.0.stderr.take().context("stderr was asked for")?;
    let reader = std::thread::spawn(move || std::io::read_to_string(stderr));
    let Some(status) = child.wait_within(limit)? else {
        bail!("no result after {} s", limit.as_secs());
    };
    let printed = reader
        .join()
        .map_err(|_| anyhow!("reading its messages failed"))??;
    if status.success() {
        return Ok(());
    }
    bail!("{}", reason(&printed).unwrap_or("failed without a message"))
}

/// Whether a command works, such as `cmake --version`.
pub(crate) fn works(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// An error unless `status` is success.
pub(crate) fn succeeded(command: &Command, status: ExitStatus) -> Result<()> {
    if status.success() {
        return Ok(());
    }
    bail!("{} failed ({status})", display(command))
}

/// The command as one would type it, its program without the directory.
pub(crate) fn display(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    let words = std::iter::once(program).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

fn cannot_start(command: &Command) -> String {
    format!("cannot start {}", command.get_program().to_string_lossy())
}

/// Finds the line with the reason in the output of a program that failed.
fn reason(printed: &str) -> Option<&str> {
    let mut lines = printed.lines().map(str::trim);
    let marked = lines.clone().find(|line| line.starts_with("error"));
    let line = marked.or_else(|| lines.rfind(|line| !line.is_empty()))?;
    Some(line.trim_start_matches("error: "))
}

/// A program that outlives neither its owner nor, should this program be killed, the thread that started it.
pub(crate) struct Owned(pub(crate) Child);

impl Owned {
    /// Starts the program.
    pub(crate) fn spawn(command: &mut Command) -> Result<Owned> {
        let die_with_parent = || set_parent_process_death_signal(Some(Signal::KILL)).map_err(Into::into);
        // SAFETY: between fork and exec only one system call is made; nothing is allocated or locked.
        unsafe { command.pre_exec(die_with_parent) };
        Ok(Owned(command.spawn().with_context(|| cannot_start(command))?))
    }

    /// The process id.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.0)
    }

    /// Asks the program to end, and kills it if it has not ended after `grace`.
    pub(crate) fn end(mut self, grace: Duration) -> Result<ExitStatus> {
        // The call fails only if the program has ended already.
        let _ = kill_process(self.pid(), Signal::TERM);
        if let Some(status) = self.wait_within(grace)? {
            return Ok(status);
        }
        self.0.kill()?;
        Ok(self.0.wait()?)
    }

    /// Waits for the end of the program; `None` if it does not come within `limit`.
    pub(crate) fn wait_within(&mut self, limit: Duration) -> Result<Option<ExitStatus>> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.0.try_wait()? {
                return Ok(Some(status));
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // Both calls fail only if the program has ended already, which is the aim.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reason_is_the_marked_line_or_else_the_last() {
        assert_eq!(
            reason("info: a\nerror: no network\n\nbacktrace:\n  0: x\n"),
            Some("no network")
        );
        assert_eq!(reason("first\nlast\n\n"), Some("last"));
        assert_eq!(reason("\n"), None);
    }

    #[test]
    fn program_that_takes_too_long_is_ended() {
        let error = run_within(Command::new("sleep").arg("600"), Duration::ZERO).unwrap_err();
        assert_eq!(error.to_string(), "no result after 0 s");
    }

    #[test]
    fn failure_names_the_command() {
        let error = run(&mut Command::new("false")).unwrap_err();
        assert_eq!(error.to_string(), "false failed (exit status: 1)");
        let error = run(&mut Command::new("no-such-program")).unwrap_err();
        assert_eq!(error.to_string(), "cannot start no-such-program");
    }
}
