//! Signals to the process, from its beginning to its end.

use std::io;

use log::info;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::telemetry::access_log::reopen_files;

/// The signals that Pace handles, because they mean something or would end the process otherwise.
pub(super) struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
    user1: Signal,
    user2: Signal,
}

/// The wish that a signal stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// SIGHUP: read the configuration again.
    Reload,
    /// SIGUSR2: let the program that is installed now take this one's place, as nginx does.
    Upgrade,
    /// End. The name is the signal's.
    End(&'static str),
}

impl Signals {
    /// Registers for the signals, which are kept from now on until somebody looks at them.
    pub(super) fn new() -> io::Result<Signals> {
        Ok(Signals {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            user1: signal(SignalKind::user_defined1())?,
            user2: signal(SignalKind::user_defined2())?,
        })
    }

    /// Waits for a signal.
    ///
    /// SIGUSR1 opens the files of the access log again.
    pub(super) async fn next(&mut self) -> Wish {
        loop {
            tokio::select! {
                _ = self.hangup.recv() => return Wish::Reload,
                _ = self.user2.recv() => return Wish::Upgrade,
                name = end(&mut self.terminate, &mut self.interrupt, &mut self.quit) => return Wish::End(name),
                _ = self.user1.recv() => reopen_files(),
            }
        }
    }

    /// Waits for a signal that ends the process, and returns its name. A hangup is kept for later.
    pub(super) async fn end(&mut self) -> &'static str {
        loop {
            tokio::select! {
                name = end(&mut self.terminate, &mut self.interrupt, &mut self.quit) => return name,
                _ = self.user1.recv() => reopen_files(),
                _ = self.user2.recv() => info!(
                    target: "pace::server",
                    "SIGUSR2: nothing is done, because this process does not serve"
                ),
            }
        }
    }

    /// Waits until a signal comes again. Another signal does not count: a group of processes that is stopped by Ctrl-C and
    /// then by SIGTERM is meant to stop once.
    pub(super) async fn again(&mut self, before: &'static str) {
        while self.end().await != before {}
    }
}

async fn end(terminate: &mut Signal, interrupt: &mut Signal, quit: &mut Signal) -> &'static str {
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
        _ = quit.recv() => "SIGQUIT",
    }
}
