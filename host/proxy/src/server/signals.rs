//! Signals to the process, from its beginning to its end.

use std::io;

use log::{info, warn};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that Pace handles, because they mean something or would end the process otherwise.
pub(super) struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
    user1: Signal,
    user2: Signal,
}

const SIGTERM: &str = "SIGTERM";
const SIGINT: &str = "SIGINT";
const SIGQUIT: &str = "SIGQUIT";

impl Signals {
    /// Registers for the signals, which are kept from now on until [`Signals::end`] looks at them.
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

    /// Waits for a signal that ends the process, and returns its name. A hangup calls `reload`, and is kept for later if
    /// there is none.
    ///
    /// SIGUSR1 and SIGUSR2, with which nginx opens its log again and hands over to the next version, come from scripts that
    /// do not know Pace. A log line answers them, and they do no harm.
    pub(super) async fn end(&mut self, reload: Option<&(dyn Fn() + Sync)>) -> &'static str {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return SIGTERM,
                _ = self.interrupt.recv() => return SIGINT,
                _ = self.quit.recv() => return SIGQUIT,
                _ = self.hangup.recv(), if reload.is_some() => reload.iter().for_each(|reload| reload()),
                _ = self.user1.recv() => info!(
                    target: "pace::server",
                    "SIGUSR1: nothing to open again, log lines go to standard error"
                ),
                _ = self.user2.recv() => warn!(
                    target: "pace::server",
                    "SIGUSR2: nothing is done, because this version hands over to no other"
                ),
            }
        }
    }

    /// Waits until a signal comes again. Another signal does not count: a group of processes that is stopped by Ctrl-C and
    /// then by SIGTERM is meant to stop once.
    pub(super) async fn again(&mut self, before: &'static str) {
        while self.end(None).await != before {}
    }
}
