//! The proxies that are measured.
//!
//! Another one is a function like [`pace`] here and a line in `bench::run`.

use super::cores::Cores;
use crate::cargo::{self, Profile};
use crate::process::Owned;
use anyhow::{Context, Result, bail};
use std::ffi::OsString;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long a proxy may take until it accepts connections.
const START_LIMIT: Duration = Duration::from_secs(30);

/// A proxy, ready to be started.
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    /// Where it listens when started.
    pub(crate) listen: SocketAddr,
    program: PathBuf,
    arguments: Vec<OsString>,
}

/// Pingora with nothing but a round robin in native code.
pub(crate) fn bare_pingora(profile: Profile, backends: [SocketAddr; 2]) -> Result<Subject> {
    let listen = free_address()?;
    Ok(Subject {
        name: "bare Pingora",
        listen,
        program: cargo::build_example(profile, "bare_pingora")?,
        arguments: [listen]
            .iter()
            .chain(&backends)
            .map(|address| address.to_string().into())
            .collect(),
    })
}

/// Pace with its three default plugins. The configuration is written to `directory`.
pub(crate) fn pace(profile: Profile, backends: [SocketAddr; 2], directory: &Path) -> Result<Subject> {
    let listen = free_address()?;
    let config = directory.join("pace.toml");
    // The limiter counts every request, but must not deny one.
    let text = format!(
        r#"
[server]
listen = "{listen}"
workers = 1

[upstreams]
backends = ["http://{}", "http://{}"]

[rate_limit]
max_requests = 4000000000
window_seconds = 60

[metrics]
enabled = true
"#,
        backends[0], backends[1]
    );
    fs::write(&config, text)?;
    Ok(Subject {
        name: "Pace, three plugins",
        listen,
        program: cargo::build_pace(profile)?,
        arguments: vec!["run".into(), "--config".into(), config.into()],
    })
}

impl Subject {
    /// Starts the proxy on its core and waits until it accepts connections.
    pub(crate) fn start(&self, cores: &Cores) -> Result<Running> {
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        // A program starts on the cores of the thread that starts it.
        cores.proxy.pin()?;
        let process = Owned::spawn(&mut command);
        cores.load.pin()?;
        let mut process = process?;

        let deadline = Instant::now() + START_LIMIT;
        while TcpStream::connect(self.listen).is_err() {
            if let Some(status) = process.0.try_wait()? {
                bail!("ended before it accepted connections ({status})");
            }
            if Instant::now() > deadline {
                bail!("accepts no connections on {}", self.listen);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(Running(process))
    }
}

/// A proxy that was started. It ends when this is dropped.
pub(crate) struct Running(Owned);

impl Running {
    /// The CPU time that its threads have used so far, in user mode and in the kernel.
    pub(crate) fn cpu_time(&self) -> Result<Duration> {
        let mut total = 0;
        for thread in fs::read_dir(self.proc("task"))? {
            let schedstat = fs::read_to_string(thread?.path().join("schedstat"))?;
            total += run_nanoseconds(&schedstat).context("unreadable schedstat")?;
        }
        Ok(Duration::from_nanos(total))
    }

    /// The most memory that was resident at any time, in bytes.
    pub(crate) fn peak_memory(&self) -> Result<u64> {
        peak_memory(&fs::read_to_string(self.proc("status"))?).context("no VmHWM in its status")
    }

    fn proc(&self, file: &str) -> PathBuf {
        format!("/proc/{}/{file}", self.0.pid()).into()
    }
}

/// The first number of a `schedstat`: time on a core.
fn run_nanoseconds(schedstat: &str) -> Option<u64> {
    schedstat.split_whitespace().next()?.parse().ok()
}

/// `VmHWM` of a `/proc/PID/status`, in bytes.
fn peak_memory(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1024)
}

fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_numbers_are_read() {
        assert_eq!(run_nanoseconds("1234567 89 3\n"), Some(1_234_567));
        assert_eq!(
            peak_memory("VmPeak:\t  20000 kB\nVmHWM:\t    3124 kB\n"),
            Some(3124 * 1024)
        );
        assert_eq!(peak_memory("VmPeak:\t  20000 kB\n"), None);
    }
}
