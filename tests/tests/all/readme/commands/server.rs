//! A command that serves until it is stopped.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use pace_tests::{Signal, wait_for, wait_until};
use rustix::process::{Pid, kill_process_group, test_kill_process_group};

use super::super::page::is_line;
use super::place::Place;

/// `cargo xtask run` may have to compile everything first.
const START_DEADLINE: Duration = Duration::from_mins(20);
const PAUSE: Duration = Duration::from_millis(20);

/// A server, which is killed with all that it has started when this is dropped.
pub(super) struct Server {
    child: Child,
    /// The output of both streams.
    log: PathBuf,
    /// The output that the page shows.
    shown: String,
}

impl Server {
    /// Starts the command, and waits until it serves.
    pub(super) fn start(place: &Place, command: &str, shown: String) -> Server {
        let log = place.log();
        let stdout = File::create(&log).expect("a temporary file can be made");
        let stderr = stdout.try_clone().expect("a file can have two writers");
        let mut shell = place.shell(&format!("exec {command}"));
        // The command gets a process group of its own, as in a terminal, to which Ctrl-C's signal is sent.
        shell.process_group(0).stdout(stdout).stderr(stderr);
        let mut server = Server {
            child: shell.spawn().expect("there is a shell"),
            log,
            shown,
        };
        let ready = match command.starts_with("cargo") {
            true => "Ctrl-C stops everything",
            false => "listening on http://",
        };
        let end = Instant::now() + START_DEADLINE;
        while !server.log().contains(ready) {
            let ended = server.child.try_wait().expect("the process is ours");
            assert!(ended.is_none(), "{command}: {ended:?}\n{}", server.log());
            assert!(
                Instant::now() < end,
                "{command} does not serve:\n{}",
                server.log()
            );
            thread::sleep(PAUSE);
        }
        server
    }

    /// Sends the signal of Ctrl-C, and checks the end.
    pub(super) fn stop(mut self) {
        kill_process_group(self.group(), Signal::INT).expect("it runs");
        let status = wait_for("a server to end", || {
            self.child.try_wait().expect("the process is ours")
        });
        let log = self.log();
        assert!(status.success(), "{status}:\n{log}");
        wait_until("what a server has started to end", || {
            test_kill_process_group(self.group()).is_err()
        });

        let mut lines = log.lines();
        for shown in self.shown.lines() {
            assert!(
                lines.any(|line| is_line(shown, line)),
                "nothing like\n{shown}\nin\n{log}"
            );
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).expect("it says text")
    }

    fn group(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|ended| ended.is_some()) {
            return;
        }
        // Both calls fail only if the process ends just now.
        let _ = kill_process_group(self.group(), Signal::KILL);
        let _ = self.child.wait();
    }
}
