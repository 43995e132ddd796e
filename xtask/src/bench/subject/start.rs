//! From a program to a process that listens.

use super::process::{Listener, Running, listener};
use super::{Programs, Setting, Subject};
use crate::bench::cores::{Core, Cores};
use crate::process::Owned;
use anyhow::{Context, Result, bail};
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// How long a proxy may take until it accepts connections.
const START_LIMIT: Duration = Duration::from_secs(30);

/// How often a port that somebody else takes meanwhile is replaced by another.
const PORTS: usize = 5;

/// What a proxy prints goes here.
const LOG: &str = "stderr";

impl Subject {
    /// Starts it on its core, with its files in `directory`, and waits until it listens.
    pub(crate) fn start(
        &self,
        programs: &Programs,
        setting: &Setting,
        directory: &Path,
        cores: &Cores,
    ) -> Result<Running> {
        for _ in 0..PORTS {
            let listen = free_address()?;
            let mut running = self.spawn(programs, setting, directory, listen, &cores.proxy, cores)?;
            if wait(&mut running, directory)? {
                return Ok(running);
            }
            eprintln!("somebody else has taken {listen}; another port is tried");
        }
        bail!("all of {PORTS} free ports were taken by somebody else before the proxy could bind them")
    }

    /// Starts it on some cores and waits for nothing.
    pub(crate) fn spawn(
        &self,
        programs: &Programs,
        setting: &Setting,
        directory: &Path,
        listen: SocketAddr,
        on: &Core,
        cores: &Cores,
    ) -> Result<Running> {
        let log = File::create(directory.join(LOG)).context("cannot write what the proxy prints")?;
        let mut command = programs.command(self, setting, listen, directory)?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        // A program starts on the cores of the thread that starts it.
        on.pin()?;
        let process = Owned::spawn(&mut command);
        cores.load.pin()?;
        Ok(Running {
            process: process?,
            listen,
        })
    }
}

/// Waits until a proxy listens. `false`: somebody else has its port.
fn wait(running: &mut Running, directory: &Path) -> Result<bool> {
    let deadline = Instant::now() + START_LIMIT;
    loop {
        match listener(running.process.pid(), running.listen)? {
            Listener::This => return Ok(true),
            // Some proxies try for long to get it.
            Listener::Another => return Ok(false),
            Listener::Nobody => {}
        }
        if running.has_ended()? {
            if running.has_lost_its_port() {
                return Ok(false);
            }
            bail!("ended before it listened{}", last_words(directory));
        }
        if Instant::now() > deadline {
            bail!("does not listen on {}{}", running.listen, last_words(directory));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The end of what a proxy has printed, for an error.
pub(crate) fn last_words(directory: &Path) -> String {
    let said = fs::read_to_string(directory.join(LOG)).unwrap_or_default();
    let lines: Vec<&str> = said.lines().collect();
    let last = lines[lines.len().saturating_sub(5)..].join("\n");
    if last.is_empty() {
        String::new()
    } else {
        format!(". It said:\n{last}")
    }
}

/// An address that nobody has at the moment.
pub(crate) fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn who_listens_is_known() {
        let socket = TcpListener::bind("127.0.0.1:0").expect("some port is free");
        let address = socket.local_addr().expect("it is bound");
        let here = rustix::process::getpid();
        let parent = rustix::process::getppid().expect("somebody has started the test");
        assert_eq!(listener(here, address).expect("the kernel tells"), Listener::This);
        assert_eq!(
            listener(parent, address).expect("the kernel tells"),
            Listener::Another
        );
    }

    /// Who has taken the port keeps it, and the proxy that wanted it ends or waits.
    #[test]
    fn a_port_of_somebody_else_is_noticed() {
        let socket = TcpListener::bind("127.0.0.1:0").expect("some port is free");
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        for mut command in [Command::new("true"), Command::new("sleep")] {
            let mut running = Running {
                process: Owned::spawn(command.arg("600")).expect("it can be started"),
                listen: socket.local_addr().expect("it is bound"),
            };
            assert!(!wait(&mut running, directory.path()).expect("somebody has the port"));
        }
    }

    #[test]
    fn who_ends_before_it_listens_is_quoted() {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        fs::write(directory.path().join(LOG), "no such key\n").expect("it is writable");
        let mut running = Running {
            process: Owned::spawn(&mut Command::new("false")).expect("it can be started"),
            // Nobody can listen there.
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        };
        let error = wait(&mut running, directory.path()).unwrap_err().to_string();
        assert_eq!(error, "ended before it listened. It said:\nno such key");
    }

    #[test]
    fn the_last_lines_are_told() {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        assert_eq!(last_words(directory.path()), "");
        fs::write(directory.path().join(LOG), "1\n2\n3\n4\n5\n6\n").expect("it is writable");
        assert_eq!(last_words(directory.path()), ". It said:\n2\n3\n4\n5\n6");
    }
}
