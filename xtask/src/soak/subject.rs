//! The proxy under test: its configuration, its process, and what the kernel says of it.

use super::exchange::DEBUG;
use super::place::FILE;
use crate::process::Owned;
use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Signal, kill_process};
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long the proxy may take until it serves, which includes compiling its plugins.
const START_LIMIT: Duration = Duration::from_secs(60);

/// More than it gives its requests to finish, with its default grace period of 10 s.
const END_LIMIT: Duration = Duration::from_secs(15);

/// For how long the proxy keeps a connection that nobody uses. At the end it is waited for.
pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_secs(2);

/// The plugins that are swapped, with their file in `target/plugins`, in the order in which routes use them: the default
/// plugins, and one that is as small as a plugin can be.
pub(crate) const SWAPPED: [(&str, &str); 4] = [
    ("limit", "rate-limiter"),
    ("balance", "round-robin"),
    ("front", "header-injection"),
    ("own", "fixtures/stamp"),
];

/// A plugin whose versions say which they are, so that nobody has to take the proxy's word for it.
pub(crate) struct Stamp {
    pub(crate) plugin: &'static str,
    /// Where it says so in responses.
    pub(crate) header: &'static str,
    /// Where the origin tells what the request had, if the plugin says so in requests too.
    pub(crate) seen: Option<&'static str>,
    /// Whether all responses have it; or else those that are the plugin's own.
    pub(crate) always: bool,
    /// What it has among its constants: a header of the same length and its value, side by side.
    pub(crate) constant: &'static str,
    /// Where in this constant are four characters that each version has its own of.
    pub(crate) word: usize,
}

/// Three of those that are swapped: what they say fits together only if all are of the same time. A balancer writes
/// nothing.
pub(crate) const STAMPS: [Stamp; 3] = [
    Stamp {
        plugin: "limit",
        header: "content-type",
        seen: None,
        always: false,
        constant: "Content-Typetext/plain",
        word: "Content-Typetext/".len(),
    },
    Stamp {
        plugin: "front",
        header: "x-front",
        seen: Some("x-soak-front"),
        always: true,
        constant: "X-Proxypace",
        word: "X-Proxy".len(),
    },
    Stamp {
        plugin: "own",
        header: "x-stamp",
        seen: Some("x-soak-stamp"),
        always: true,
        constant: "x-stampmark",
        word: "x-stamp".len(),
    },
];

/// The plugin whose hash is in the configuration. It sets headers that nobody reads.
pub(crate) const PINNED: (&str, &str) = ("pinned", "header-injection");

/// Requests of one client that pass at [`LIMITED`], in far more time than a run of them takes.
pub(crate) const LIMIT: u32 = 50;

/// Where that limit holds.
pub(crate) const LIMITED: &str = "/limited";

/// Fixtures that harm themselves when they are asked to, each on a route of its own.
pub(crate) const MISBEHAVING: [&str; 12] = [
    "bad-index",
    "counter-hoard",
    "deep-recursion",
    "endless-loop",
    "header-hoard",
    "illegal-header",
    "illegal-reply-header",
    "large-reply",
    "memory-bomb",
    "response-trap",
    "select-trap",
    "trap",
];

/// The proxy. It ends when this is dropped.
pub(crate) struct Subject {
    process: Owned,
    pub(crate) listen: SocketAddr,
    pub(crate) admin: SocketAddr,
}

impl Subject {
    /// Starts it with a configuration and its log in `directory`, and waits until it serves.
    pub(crate) fn start(
        program: &Path,
        directory: &Path,
        origins: [SocketAddr; 2],
        pinned_sha256: &str,
    ) -> Result<Subject> {
        let config = directory.join("pace.toml");
        fs::write(&config, configuration(origins, pinned_sha256))?;
        let log = log(directory);
        let mut command = Command::new(program);
        command
            .args(["run", "--config"])
            .arg(&config)
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log)?);
        let mut process = Owned::spawn(&mut command)?;
        let deadline = Instant::now() + START_LIMIT;
        loop {
            let written = fs::read_to_string(&log)?;
            let listen = address(&written, "listening on http://");
            if let (Some(listen), Some(admin)) = (listen, address(&written, "admin on http://")) {
                return Ok(Subject {
                    process,
                    listen,
                    admin,
                });
            }
            if let Some(status) = process.0.try_wait()? {
                bail!("the proxy ended before it served ({status}):\n{written}");
            }
            ensure!(Instant::now() < deadline, "the proxy does not serve:\n{written}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// What it is asked with to read everything again.
    pub(crate) fn hang_up(&self) -> Result<()> {
        kill_process(self.process.pid(), Signal::HUP).context("the proxy has ended")
    }

    /// The memory that is resident now, in bytes.
    pub(crate) fn resident(&self) -> Result<u64> {
        let status = fs::read_to_string(self.proc("status")).context("the proxy has ended")?;
        resident(&status).context("no VmRSS in its status")
    }

    /// How many files and sockets it has open.
    pub(crate) fn descriptors(&self) -> Result<usize> {
        Ok(fs::read_dir(self.proc("fd"))
            .context("the proxy has ended")?
            .count())
    }

    /// Asks it to end, which it must do by itself.
    pub(crate) fn end(self) -> Result<()> {
        let status = self.process.end(END_LIMIT)?;
        ensure!(status.success(), "the proxy ended with {status}");
        Ok(())
    }

    fn proc(&self, file: &str) -> PathBuf {
        format!("/proc/{}/{file}", self.process.pid()).into()
    }
}

/// What it writes on standard error.
pub(crate) fn log(directory: &Path) -> PathBuf {
    directory.join("pace.log")
}

/// A plugin's directory.
pub(crate) fn plugin_directory(directory: &Path, plugin: &str) -> PathBuf {
    directory.join("plugins").join(plugin)
}

/// The path by which a fixture's route is reached and the fixture asked to misbehave.
pub(crate) fn misbehaving_path(fixture: &str) -> String {
    format!("/{fixture}/misbehave")
}

/// Ports are the system's choice. Limits are the default ones: that a healthy hook keeps them on a machine that
/// compiles and makes the load too is a part of what is to be shown.
fn configuration(origins: [SocketAddr; 2], pinned_sha256: &str) -> String {
    let mut text = format!(
        r#"
[server]
listen = "127.0.0.1:0"
workers = 2
trusted_proxies = ["127.0.0.1/32"]

[admin]
listen = "127.0.0.1:0"
debug_header = "{DEBUG}"

[[pools]]
name = "origins"
backends = ["http://{}", "http://{}"]
idle_timeout_ms = {}
"#,
        origins[0],
        origins[1],
        IDLE_TIMEOUT.as_millis()
    );
    let mut plugin = |name: &str, keys: &str| {
        text += &format!("\n[[plugins]]\nname = \"{name}\"\n{keys}\n");
    };
    for (name, package) in SWAPPED {
        let config = match package {
            "rate-limiter" => "config = { max_requests = 4000000000, window_seconds = 1 }",
            _ => "",
        };
        plugin(name, &format!("wasm = \"plugins/{name}/{FILE}\"\n{config}"));
    }
    let (pinned, _) = PINNED;
    plugin(
        pinned,
        &format!(
            "wasm = \"plugins/{pinned}/{FILE}\"\nsha256 = \"{pinned_sha256}\"\n\
             config = {{ identify = false, request = {{ set = {{ x-pinned = \"yes\" }} }} }}"
        ),
    );
    for fixture in MISBEHAVING {
        // So that they are called again and again, and not left alone for a minute.
        let breaker = "breaker = { cooldown_ms = 100, max_cooldown_ms = 500 }\nrollback = { calls = 0 }";
        plugin(
            fixture,
            &format!("wasm = \"plugins/{fixture}/{FILE}\"\n{breaker}"),
        );
    }

    let names: Vec<&str> = SWAPPED.iter().map(|(name, _)| *name).chain([pinned]).collect();
    let healthy = format!("plugins = {names:?}");
    let (limiter, others) = (names[0], &names[1..]);
    let limit = format!(
        "plugins = [{{ use = \"{limiter}\", config = {{ max_requests = {LIMIT}, window_seconds = 3600 }} }}, {}]",
        others
            .iter()
            .map(|name| format!("\"{name}\""))
            .collect::<Vec<_>>()
            .join(", ")
    );
    let mut route = |prefix: &str, plugins: &str| {
        text += &format!(
            "\n[[routes]]\nmatch = {{ path_prefix = \"{prefix}\" }}\npool = \"origins\"\n{plugins}\n"
        );
    };
    route("/", &healthy);
    route(LIMITED, &limit);
    for fixture in MISBEHAVING {
        route(&format!("/{fixture}"), &format!("plugins = [\"{fixture}\"]"));
    }
    text
}

/// What follows a word in the log.
fn address(log: &str, word: &str) -> Option<SocketAddr> {
    let (_, rest) = log.split_once(word)?;
    // A line that is not complete may end in the middle of a number.
    let (line, _) = rest.split_once('\n')?;
    line.split_whitespace().next()?.parse().ok()
}

/// `VmRSS` of a `/proc/PID/status`, in bytes.
fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_is_toml_and_names_what_it_uses() {
        let origin = SocketAddr::from(([127, 0, 0, 1], 8000));
        let config: toml::Table = configuration([origin, origin], "00").parse().expect("it is TOML");
        let count = |key: &str| config[key].as_array().map(Vec::len);
        assert_eq!(count("plugins"), Some(SWAPPED.len() + 1 + MISBEHAVING.len()));
        assert_eq!(count("routes"), Some(2 + MISBEHAVING.len()));
    }

    #[test]
    fn addresses_are_read_from_whole_lines() {
        let log = "[INFO] listening on http://127.0.0.1:4000 with 2 workers\nadmin on http://127.0.0.1:40";
        let listen = address(log, "listening on http://").map(|address| address.port());
        assert_eq!(listen, Some(4000));
        assert_eq!(address(log, "admin on http://"), None);
    }

    #[test]
    fn the_kernels_number_is_read() {
        assert_eq!(
            resident("VmHWM:\t 9 kB\nVmRSS:\t    3124 kB\n"),
            Some(3124 * 1024)
        );
        assert_eq!(resident("VmHWM:\t 9 kB\n"), None);
    }
}
