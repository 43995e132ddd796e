//! The program under test.

use std::fs;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::reader::Pipe;
use crate::setup::Started;
use crate::{Client, DEADLINE, Metrics, Process, Response, Setup, ask_within, wait_for, wait_until};

/// A Pace that serves. Dropping it kills the process.
pub struct Pace {
    started: Started,
    address: SocketAddr,
    listeners: Vec<SocketAddr>,
    admin: Option<SocketAddr>,
}

/// How Pace ended.
#[derive(Debug)]
pub struct Exit {
    /// The exit code; `None` if a signal ended the process.
    pub code: Option<i32>,
    /// The process's standard output.
    pub stdout: String,
    /// The process's standard error: log lines, and the reason of its end.
    pub stderr: String,
}

impl Pace {
    /// Starts Pace with this configuration.
    pub fn with_config(text: &str) -> Pace {
        Setup::new().config(text).start()
    }

    /// Waits until a process has written its addresses into the ready file.
    ///
    /// # Errors
    ///
    /// The process's standard error, if it ends instead or does not serve within the limit.
    pub(crate) fn when_ready(
        mut started: Started,
        ready_file: &Path,
        limit: Duration,
    ) -> Result<Pace, String> {
        let addresses = ask_within(limit, || match fs::read_to_string(ready_file) {
            Ok(text) => Some(Some(text)),
            Err(_) => started.process.try_wait().map(|_| None),
        });
        let failed = |what| Err(format!("{what}:\n{}", started.process.stderr()));
        let text = match addresses {
            Some(Some(text)) => text,
            Some(None) => return failed("Pace ended instead of serving"),
            None => return failed("Pace does not serve"),
        };
        let table: toml::Table = text.parse().expect("the ready file is TOML");
        let address = |key: &str| -> Option<SocketAddr> {
            let address = table.get(key)?.as_str().expect("an address is a text");
            let is_port = !address.starts_with("unix:");
            is_port.then(|| address.parse().expect("it has a port"))
        };
        let public = address("listen").expect("Pace listens");
        let reachable = if public.ip().is_unspecified() {
            SocketAddr::new(IpAddr::from([127, 0, 0, 1]), public.port())
        } else {
            public
        };
        let listeners = match table.get("listeners") {
            None => vec![reachable],
            Some(list) => {
                let list = list.as_array().expect("it is a list").iter();
                let addresses = list.map(|address| address.as_str().expect("an address is a text").parse());
                addresses.collect::<Result<_, _>>().expect("they have ports")
            }
        };
        Ok(Pace {
            listeners,
            address: reachable,
            admin: address("admin"),
            started,
        })
    }

    /// The public listener's address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The addresses of all listeners that there were at the start, in the configuration's order.
    pub fn listeners(&self) -> &[SocketAddr] {
        &self.listeners
    }

    /// Creates a client on 127.0.0.1.
    pub fn client(&self) -> Client {
        Client::new(self.address)
    }

    /// Creates a client on another address of this machine, such as `127.0.0.2`.
    pub fn client_from(&self, address: &str) -> Client {
        Client::bound(address.parse().expect("a test names an IP address"), self.address)
    }

    /// Sends a GET from a new client.
    pub fn get(&self, target: &str) -> Response {
        self.client().get(target)
    }

    /// The admin listener's address, if that is no Unix socket.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin.expect("the configuration has [admin], on a port")
    }

    /// Creates a client of the admin listener.
    pub fn admin(&self) -> Client {
        Client::new(self.admin_address())
    }

    /// Reads the metrics, from the admin listener if there is one.
    pub fn metrics(&self) -> Metrics {
        let mut client = match self.admin {
            Some(admin) => Client::new(admin),
            None => self.client(),
        };
        let response = client.get("/metrics");
        assert_eq!(response.status, 200, "{response:?}");
        Metrics::parse(response.text())
    }

    /// The entry of a plugin in `/plugins`.
    pub fn plugin(&self, name: &str) -> Value {
        let response = self.admin().get("/plugins");
        assert_eq!(response.status, 200, "{response:?}");
        let plugins: Vec<Value> = serde_json::from_slice(&response.body).expect("it is a list in JSON");
        plugins
            .into_iter()
            .find(|plugin| plugin["name"] == name)
            .unwrap_or_else(|| panic!("the plugin {name} in {response:?}"))
    }

    /// The entry of a backend in `/pools`, by its label.
    pub fn backend(&self, pool: &str, label: &str) -> Value {
        let pools = self.pools();
        let pool = pools.iter().find(|entry| entry["name"] == pool);
        let backends = pool.and_then(|pool| pool["backends"].as_array());
        let mut backends = backends.into_iter().flatten();
        let found = backends.find(|backend| backend["backend"] == label);
        found
            .unwrap_or_else(|| panic!("the backend {label} in {pools:#?}"))
            .clone()
    }

    /// The pools, as `/pools` has them.
    pub fn pools(&self) -> Vec<Value> {
        let response = self.admin().get("/pools");
        assert_eq!(response.status, 200, "{response:?}");
        serde_json::from_slice(&response.body).expect("it is a list in JSON")
    }

    /// Waits until a backend of the pool `web` is in a state.
    pub fn wait_for_health(&self, label: &str, health: &str) {
        wait_until(&format!("{label} to be {health}"), || {
            self.backend("web", label)["health"] == health
        });
    }

    /// The number of the generation that serves, as `/plugins` has it.
    pub fn generation(&self, name: &str) -> u64 {
        self.plugin(name)["generation"].as_u64().expect("it is a number")
    }

    /// Waits until this generation of a plugin serves.
    pub fn wait_for_generation(&self, name: &str, number: u64) {
        wait_until(&format!("generation {number} of {name}"), || {
            self.generation(name) == number
        });
    }

    /// Waits until a counter has a value. Pace counts a request only after its client has the response.
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
        self.started.process.log()
    }

    /// Waits for a log line that contains all these words, and returns it.
    pub fn wait_for_log(&self, words: &[&str]) -> String {
        wait_for(&format!("a log line with {words:?}"), || {
            let log = self.log();
            let mut lines = log.lines();
            lines
                .find(|line| words.iter().all(|word| line.contains(word)))
                .map(str::to_owned)
        })
    }

    /// Waits for an entry of the log, which may have several lines, that contains all these words, and
    /// returns it.
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

    /// Leaves the log unread from now on, so that the [pipe](Setup::log_through_pipe) gets full.
    pub fn pause_log(&self) {
        self.pipe().pause();
    }

    /// Reads the log again.
    pub fn resume_log(&self) {
        self.pipe().resume();
    }

    /// Closes the reading end of the log.
    pub fn close_log(&self) {
        self.pipe().close();
    }

    fn pipe(&self) -> &Pipe {
        self.process().pipe().expect("its log goes through a pipe")
    }

    /// Whether Pace still accepts connections.
    pub fn accepts(&self) -> bool {
        TcpStream::connect(self.address).is_ok()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let sent = self.started.process.signal(signal);
        sent.expect("it has not been waited for, so the process is ours");
    }

    /// The directory that Pace was started in, and that has its configuration.
    pub fn directory(&self) -> &Path {
        self.started.directory.path()
    }

    /// The process, for the system's figures about it.
    pub fn process(&self) -> &Process {
        &self.started.process
    }

    /// The path of a file that the system has about the process: `/proc/PID/NAME`.
    pub fn proc(&self, name: &str) -> PathBuf {
        self.process().proc(name)
    }

    /// Waits until the process has ended.
    pub fn wait(self) -> Exit {
        self.started.wait_within(DEADLINE)
    }

    /// Ends the process by SIGTERM; by SIGKILL once the limit is over.
    pub fn end_within(mut self, limit: Duration) -> Exit {
        self.signal(Signal::TERM);
        let status = self.started.process.wait_within(limit);
        self.started.process.kill();
        self.started.exit(status)
    }

    /// Ends the process by SIGTERM, and waits until it has ended.
    pub fn stop(self) -> Exit {
        self.signal(Signal::TERM);
        self.wait()
    }
}

/// A started program that may not serve yet, or never.
pub struct Starting(Started);

impl Starting {
    pub(crate) fn new(started: Started) -> Starting {
        Starting(started)
    }

    /// The log so far.
    pub fn log(&self) -> String {
        self.0.process.log()
    }

    /// Waits for words in the log.
    pub fn wait_for_log(&self, words: &str) {
        wait_until(&format!("{words:?} in the log"), || self.log().contains(words));
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let sent = self.0.process.signal(signal);
        sent.expect("it has not been waited for, so the process is ours");
    }

    /// The path of a file that the system has about the process: `/proc/PID/NAME`.
    pub fn proc(&self, name: &str) -> PathBuf {
        self.0.process.proc(name)
    }

    /// Waits until the process has ended.
    pub fn wait(self) -> Exit {
        self.0.wait_within(DEADLINE)
    }
}

impl Exit {
    /// The reason why Pace did not start, as the operator reads it.
    ///
    /// # Panics
    ///
    /// If Pace did start, or ended otherwise than with exit code 1 and one message.
    pub fn refusal(&self) -> &str {
        assert_eq!(self.code, Some(1), "{self:#?}");
        assert!(self.stdout.is_empty(), "{self:#?}");
        assert_no_panic(&self.stderr);
        // Warnings may precede the message.
        let begins = |line: &&str| line.starts_with("pace: ");
        assert_eq!(self.stderr.lines().filter(begins).count(), 1, "{self:#?}");
        let at = self.stderr.find("pace: ").expect("one line begins so");
        let message = &self.stderr[at + "pace: ".len()..];
        message.trim_end()
    }
}

impl Started {
    /// Waits for the end of the process, which must come within the limit.
    pub(crate) fn wait_within(mut self, limit: Duration) -> Exit {
        let status = self.process.wait_within(limit);
        assert!(status.is_some(), "waited {limit:?} for Pace to end");
        self.exit(status)
    }

    fn exit(&self, status: Option<ExitStatus>) -> Exit {
        Exit {
            code: status.and_then(|status| status.code()),
            stdout: self.process.stdout(),
            stderr: self.process.stderr(),
        }
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // The process keeps nothing that an orderly end would save.
        self.process.kill();
        let log = self.process.stderr();
        if thread::panicking() {
            eprintln!("what Pace said:\n{log}");
        } else {
            assert_no_panic(&log);
        }
    }
}

/// Checks that Pace itself has not panicked. A plugin may, in a log line of its own.
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
