//! Tells systemd, or whoever else starts Pace and listens at `NOTIFY_SOCKET`, how the process is doing (sd_notify(3)).

use std::fmt::Display;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use log::warn;
use rustix::time::{ClockId, clock_gettime};

/// The time that the end itself takes at most.
const MARGIN: Duration = Duration::from_secs(5);

/// The connection to the manager of services. Without `NOTIFY_SOCKET` there is none, and nothing is sent.
pub(super) struct Notifier {
    socket: Option<UnixDatagram>,
    /// The time within which systemd must hear from the process, if it watches it.
    watchdog: Option<Duration>,
}

impl Notifier {
    /// The manager that the environment names. An address that cannot be used is warned of.
    pub(super) fn from_env() -> Notifier {
        let socket = std::env::var_os("NOTIFY_SOCKET").filter(|address| !address.is_empty());
        let socket = socket.and_then(|address| {
            connect(address.as_bytes())
                .inspect_err(|error| {
                    warn!(target: "pace::server", "cannot notify the service manager at {address:?} (NOTIFY_SOCKET): {error}");
                })
                .ok()
        });
        let variable = |name| std::env::var(name).ok();
        Notifier {
            watchdog: socket.as_ref().and_then(|_| {
                watchdog(
                    variable("WATCHDOG_USEC").as_deref(),
                    variable("WATCHDOG_PID").as_deref(),
                )
            }),
            socket,
        }
    }

    /// Says that the process serves.
    pub(super) fn ready(&self, status: impl Display) {
        self.send(format_args!("READY=1\nSTATUS={status}"));
    }

    /// Says that the process reads its configuration again, until it is ready. The time tells this reload from one before.
    pub(super) fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let microseconds = now.tv_sec * 1_000_000 + now.tv_nsec / 1_000;
        self.send(format_args!(
            "RELOADING=1\nMONOTONIC_USEC={microseconds}\nSTATUS=reading the configuration again"
        ));
    }

    /// Says that the process is about to end, within a time that systemd has to wait for at least: otherwise it would kill the
    /// process after `TimeoutStopSec`.
    pub(super) fn stopping(&self, reason: impl Display, within: Duration) {
        let microseconds = (within + MARGIN).as_micros();
        self.send(format_args!(
            "STOPPING=1\nEXTEND_TIMEOUT_USEC={microseconds}\nSTATUS={reason}: connections that are open are completed"
        ));
    }

    /// Says that another process is the service from now on.
    pub(super) fn succeeded_by(&self, pid: u32) {
        self.send(format_args!("MAINPID={pid}"));
    }

    /// Says that the process is alive.
    pub(super) fn alive(&self) {
        self.send(format_args!("WATCHDOG=1"));
    }

    /// The time within which [`Notifier::alive`] must be called again, if the process is watched.
    pub(super) fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    fn send(&self, message: std::fmt::Arguments<'_>) {
        let Some(socket) = &self.socket else { return };
        // A manager that is being restarted misses a message, and the process serves all the same.
        if let Err(error) = socket.send(message.to_string().as_bytes()) {
            warn!(target: "pace::server", "cannot notify the service manager: {error}");
        }
    }
}

fn connect(address: &[u8]) -> io::Result<UnixDatagram> {
    let address = match address {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        path => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(path))?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// The time of a watchdog that is meant for this process.
fn watchdog(microseconds: Option<&str>, pid: Option<&str>) -> Option<Duration> {
    let microseconds: u64 = microseconds?.parse().ok()?;
    let is_meant = pid.is_none_or(|pid| pid.parse() == Ok(std::process::id()));
    (is_meant && microseconds > 0).then(|| Duration::from_micros(microseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watchdog_of_another_process_or_without_time_is_none() {
        let own = std::process::id().to_string();
        assert_eq!(
            watchdog(Some("2000000"), Some(&own)),
            Some(Duration::from_secs(2))
        );
        assert_eq!(watchdog(Some("2000000"), None), Some(Duration::from_secs(2)));
        for (microseconds, pid) in [
            (Some("2000000"), Some("1")),
            (Some("0"), None),
            (Some("soon"), None),
            (None, None),
        ] {
            assert_eq!(watchdog(microseconds, pid), None, "{microseconds:?} {pid:?}");
        }
    }

    #[test]
    fn message_reaches_a_socket_with_an_abstract_name() {
        let name = format!("pace-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).expect("the name is short");
        let manager = UnixDatagram::bind_addr(&address).expect("nobody else has the name");
        let notifier = Notifier {
            socket: Some(connect(format!("@{name}").as_bytes()).expect("it is bound")),
            watchdog: None,
        };
        notifier.ready("serving");
        let mut buffer = [0; 64];
        let length = manager.recv(&mut buffer).expect("a message was sent");
        assert_eq!(&buffer[..length], b"READY=1\nSTATUS=serving");
    }
}
