//! What signals mean to the process, from its beginning to its end.

use std::io;

use log::{info, warn};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Those that mean something, or would end the process if nobody took them.
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
    /// From now on they are kept until somebody looks.
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

    /// Waits for one that ends the process. A hangup is kept for later if nobody is there to `reload`.
    ///
    /// What nginx takes for "open the log again" and "hand over to the next version" comes from scripts that do not know
    /// Pace. It gets an answer and does no harm.
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

    /// Waits for a signal that was there before. Another does not count: who stops a whole group by Ctrl-C
    /// and then by SIGTERM means it once.
    pub(super) async fn again(&mut self, before: &'static str) {
        while self.end(None).await != before {}
    }
}
