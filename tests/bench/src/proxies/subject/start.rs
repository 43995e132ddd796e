//! Starts a program and waits until it listens.

use super::process::{Listener, Running, listener};
use super::{Programs, Setting, Subject};
use crate::proxies::cores::{Core, Cores};
use anyhow::{Context, Result, anyhow, bail};
use pace_kit::{Process, ask_within};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

/// How long a proxy may take until it accepts connections.
const START_LIMIT: Duration = Duration::from_secs(30);

/// How many ports are tried if other processes take them.
const PORTS: usize = 5;

impl Subject {
    /// Starts the proxy on its core, with its files in `directory`, and waits until it listens.
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
            if wait(&mut running)? {
                return Ok(running);
            }
            eprintln!("somebody else has taken {listen}; another port is tried");
        }
        bail!("all of {PORTS} free ports were taken by somebody else before the proxy could bind them")
    }

    /// Starts the proxy on these cores and waits for nothing.
    pub(crate) fn spawn(
        &self,
        programs: &Programs,
        setting: &Setting,
        directory: &Path,
        listen: SocketAddr,
        on: &Core,
        cores: &Cores,
    ) -> Result<Running> {
        let mut command = programs.command(self, setting, listen, directory)?;
        // A program starts on the cores of the thread that starts it.
        on.pin()?;
        let process = Process::spawn(&mut command);
        cores.load.pin()?;
        Ok(Running {
            process: process.with_context(|| format!("cannot start {:?}", command.get_program()))?,
            listen,
        })
    }
}

/// Waits until a proxy listens. `false` means that another process has its port.
fn wait(running: &mut Running) -> Result<bool> {
    let outcome = ask_within(START_LIMIT, || {
        match listener(running.process.pid(), running.listen) {
            Ok(Listener::This) => Some(Ok(true)),
            // Some proxies try for a long time to get the port.
            Ok(Listener::Another) => Some(Ok(false)),
            Ok(Listener::Nobody) if running.process.try_wait().is_none() => None,
            Ok(Listener::Nobody) if running.has_lost_its_port() => Some(Ok(false)),
            Ok(Listener::Nobody) => Some(Err(anyhow!("ended before it listened{}", running.last_words()))),
            Err(error) => Some(Err(error)),
        }
    });
    match outcome {
        Some(outcome) => outcome,
        None => bail!("does not listen on {}{}", running.listen, running.last_words()),
    }
}

/// An address with a port that is free at the moment.
pub(crate) fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn owner_of_a_port_is_found() {
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

    /// The process that has taken the port keeps it, and the proxy that wanted it ends or waits.
    #[test]
    fn port_of_another_process_is_noticed() {
        let socket = TcpListener::bind("127.0.0.1:0").expect("some port is free");
        for mut command in [Command::new("true"), Command::new("sleep")] {
            let mut running = Running {
                process: Process::spawn(command.arg("600")).expect("it can be started"),
                listen: socket.local_addr().expect("it is bound"),
            };
            assert!(!wait(&mut running).expect("somebody has the port"));
        }
    }

    #[test]
    fn program_that_ends_before_it_listens_is_quoted() {
        let mut running = Running {
            process: Process::spawn(Command::new("sh").args(["-c", "echo no such key >&2; exit 1"]))
                .expect("there is a shell"),
            // Port 0 is never listened on.
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        };
        let error = wait(&mut running).unwrap_err().to_string();
        assert_eq!(error, "ended before it listened. It said:\nno such key");
    }
}
