//! The program under test.

use std::io::Read;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::reader::Log;
use crate::wait::wait_within;
use crate::{Client, DEADLINE, Metrics, Response, Setup, wait_for, wait_until};

/// A Pace that serves. It is killed when this is dropped.
pub struct Pace {
    process: Process,
    address: SocketAddr,
    admin: Option<SocketAddr>,
}

/// How Pace ended.
#[derive(Debug)]
pub struct Exit {
    /// `None` if a signal ended it.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it said: log lines, and the reason of its end.
    pub stderr: String,
}

impl Pace {
    /// Starts it with this configuration.
    pub fn with_config(text: &str) -> Pace {
        Setup::new().config(text).start()
    }

    pub(crate) fn new(mut process: Process) -> Pace {
        wait_until("Pace to listen", || {
            let listens = process.log().contains("listening on http://");
            if !listens && process.child.try_wait().is_ok_and(|ended| ended.is_some()) {
                let log = process.log();
                panic!("Pace ended instead of serving:\n{log}");
            }
            listens
        });
        let log = process.log();
        let address = |marker: &str| {
            let (_, rest) = log.split_once(marker)?;
            rest.split_whitespace().next()?.parse().ok()
        };
        let public: SocketAddr = address("listening on http://").expect("the line ends with an address");
        let reachable = if public.ip().is_unspecified() {
            SocketAddr::new(IpAddr::from([127, 0, 0, 1]), public.port())
        } else {
            public
        };
        Pace {
            process,
            address: reachable,
            admin: address("admin on http://"),
        }
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A client on 127.0.0.1.
    pub fn client(&self) -> Client {
        Client::new(self.address)
    }

    /// A client on another address of this machine, such as `127.0.0.2`.
    pub fn client_from(&self, address: &str) -> Client {
        Client::bound(address.parse().expect("a test names an IP address"), self.address)
    }

    /// A GET by a client of its own.
    pub fn get(&self, target: &str) -> Response {
        self.client().get(target)
    }

    /// Where the admin listener is.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin.expect("the configuration has [admin]")
    }

    /// A client of the admin listener.
    pub fn admin(&self) -> Client {
        Client::new(self.admin_address())
    }

    /// What it has counted, from the admin listener if there is one.
    pub fn metrics(&self) -> Metrics {
        let mut client = match self.admin {
            Some(admin) => Client::new(admin),
            None => self.client(),
        };
        let response = client.get("/metrics");
        assert_eq!(response.status, 200, "{response:?}");
        Metrics::parse(response.text())
    }

    /// What `/plugins` says of a plugin.
    pub fn plugin(&self, name: &str) -> Value {
        let response = self.admin().get("/plugins");
        assert_eq!(response.status, 200, "{response:?}");
        let plugins: Vec<Value> = serde_json::from_slice(&response.body).expect("it is a list in JSON");
        plugins
            .into_iter()
            .find(|plugin| plugin["name"] == name)
            .unwrap_or_else(|| panic!("the plugin {name} in {response:?}"))
    }

    /// Which generation of a plugin serves, as `/plugins` says.
    pub fn generation(&self, name: &str) -> u64 {
        self.plugin(name)["generation"].as_u64().expect("it is a number")
    }

    /// Waits until this generation of a plugin serves.
    pub fn wait_for_generation(&self, name: &str, number: u64) {
        wait_until(&format!("generation {number} of {name}"), || {
            self.generation(name) == number
        });
    }

    /// Waits until a counter has a value. It comes to others only after the client has had its response.
    pub fn wait_for_metric(&self, name: &str, labels: &[(&str, &str)], value: u64) {
        let mut last = 0;
        wait_until(&format!("{name}{labels:?} to be {value}"), || {
            last = self.metrics().sum(name, labels);
            assert!(last <= value, "{name}{labels:?} is {last}, not {value}");
            last == value
        });
    }

    /// The log so far.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Waits for a log line that has all these words, and returns it.
    pub fn wait_for_log(&self, words: &[&str]) -> String {
        wait_for(&format!("a log line with {words:?}"), || {
            let log = self.log();
            let mut lines = log.lines();
            lines
                .find(|line| words.iter().all(|word| line.contains(word)))
                .map(str::to_owned)
        })
    }

    /// Waits until an entry of the log, which may have several lines, has all these words, and returns it.
    pub fn wait_for_entry(&self, words: &[&str]) -> String {
        wait_for(&format!("an entry of the log with {words:?}"), || {
            let log = self.log();
            // An entry begins with its time in brackets.
            let mut entries = log.split("\n[");
            entries
                .find(|entry| words.iter().all(|word| entry.contains(word)))
                .map(str::to_owned)
        })
    }

    /// Leaves its log unread from now on, so that the pipe gets full.
    pub fn pause_log(&self) {
        self.process.log.pause();
    }

    /// Reads its log again.
    pub fn resume_log(&self) {
        self.process.log.resume();
    }

    /// Closes the other end of its log.
    pub fn close_log(&self) {
        self.process.log.close();
    }

    /// Whether it still takes connections.
    pub fn accepts(&self) -> bool {
        TcpStream::connect(self.address).is_ok()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Where it was started, and where its configuration is.
    pub fn directory(&self) -> &Path {
        self.process.directory.path()
    }

    /// What the system says of the process: `/proc/PID/NAME`.
    pub fn proc(&self, name: &str) -> PathBuf {
        self.process.proc(name)
    }

    /// Waits until it has ended.
    pub fn wait(self) -> Exit {
        self.process.wait()
    }

    /// Ends it by SIGTERM, and waits until it has ended.
    pub fn stop(self) -> Exit {
        self.signal(Signal::TERM);
        self.wait()
    }
}

/// A program that has been started and may not serve yet, or never.
pub struct Starting(Process);

impl Starting {
    pub(crate) fn new(process: Process) -> Starting {
        Starting(process)
    }

    /// The log so far.
    pub fn log(&self) -> String {
        self.0.log()
    }

    /// Waits for words in the log.
    pub fn wait_for_log(&self, words: &str) {
        wait_until(&format!("{words:?} in the log"), || self.log().contains(words));
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        self.0.signal(signal);
    }

    /// What the system says of the process: `/proc/PID/NAME`.
    pub fn proc(&self, name: &str) -> PathBuf {
        self.0.proc(name)
    }

    /// Waits until it has ended.
    pub fn wait(self) -> Exit {
        self.0.wait()
    }
}

impl Exit {
    /// The reason why Pace did not start, as the operator reads it.
    ///
    /// # Panics
    ///
    /// If it did start, or ended otherwise than with exit code 1 and one message.
    pub fn refusal(&self) -> &str {
        assert_eq!(self.code, Some(1), "{self:#?}");
        assert!(self.stdout.is_empty(), "{self:#?}");
        assert_no_panic(&self.stderr);
        // Warnings may come before it.
        let begins = |line: &&str| line.starts_with("pace: ");
        assert_eq!(self.stderr.lines().filter(begins).count(), 1, "{self:#?}");
        let at = self.stderr.find("pace: ").expect("one line begins so");
        let message = &self.stderr[at + "pace: ".len()..];
        message.trim_end()
    }
}

/// A running program and what it says.
pub(crate) struct Process {
    child: Child,
    log: Log,
    /// Each ends with the pipe that it reads. Standard error may be something else.
    readers: Option<(Option<JoinHandle<()>>, JoinHandle<String>)>,
    directory: TempDir,
}

impl Process {
    pub(crate) fn new(mut child: Child, directory: TempDir) -> Process {
        let mut stdout = child.stdout.take().expect("it was started with a pipe");
        let log = Log::default();
        let stderr = child.stderr.take().map(|stderr| log.read(stderr));
        let stdout = thread::spawn(move || {
            let mut text = String::new();
            stdout.read_to_string(&mut text).expect("it prints text");
            text
        });
        Process {
            child,
            log,
            readers: Some((stderr, stdout)),
            directory,
        }
    }

    fn log(&self) -> String {
        self.log.text()
    }

    fn proc(&self, name: &str) -> PathBuf {
        Path::new("/proc").join(self.child.id().to_string()).join(name)
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("it has not been waited for, so the process is ours");
    }

    pub(crate) fn wait(self) -> Exit {
        self.wait_within(DEADLINE)
    }

    pub(crate) fn wait_within(mut self, deadline: Duration) -> Exit {
        let status = wait_within(deadline, "Pace to end", || {
            self.child.try_wait().expect("the process is ours")
        });
        let (stderr, stdout) = self.readers.take().expect("nobody has waited before");
        // What is in the pipe is part of it, whether or not somebody has read it meanwhile.
        self.log.resume();
        if let Some(stderr) = stderr {
            stderr.join().expect("reading lines does not panic");
        }
        Exit {
            code: status.code(),
            stdout: stdout.join().expect("it printed text"),
            stderr: self.log(),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It keeps nothing that an orderly end would save.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let log = self.log();
        if thread::panicking() {
            eprintln!("what Pace said:\n{log}");
        } else {
            assert_no_panic(&log);
        }
    }
}

/// A plugin may panic, in a log line of its own. Pace may not.
fn assert_no_panic(log: &str) {
    let says_panicked = |line: &str| {
        let said = line.split_once("ERROR pace] ").map_or(line, |(_, said)| said);
        said.starts_with("thread '") && said.contains("panicked at")
    };
    let panicked = log.lines().any(says_panicked);
    assert!(
        !panicked && !log.contains("stack backtrace"),
        "Pace panicked:\n{log}"
    );
}
