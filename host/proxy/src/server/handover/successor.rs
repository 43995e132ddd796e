//! The old process's side: starts the new process, and waits until it is ready.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, ExitStatus};
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;

use super::channel::{Channel, Description, Ended, Message};
use super::{Program, VARIABLE, VERSION};

/// A new process that is ready to serve.
pub(in super::super) struct Successor {
    channel: Channel,
    pid: u32,
}

/// A socket for the new process.
pub(in super::super) struct Given {
    pub(in super::super) socket: OwnedFd,
    pub(in super::super) description: Description,
}

/// An error of an upgrade. The process that runs serves on.
#[derive(Debug, thiserror::Error)]
pub(in super::super) enum UpgradeError {
    /// The program cannot be started.
    #[error("{path} cannot be started: {reason}")]
    Start { path: String, reason: io::Error },
    /// The new process ended.
    #[error("the new process ({pid}) ended before it could serve ({status}); its own lines say why")]
    Ended { pid: u32, status: ExitStatus },
    /// The new process takes too long.
    #[error("the new process ({pid}) was not ready within {READY_TIMEOUT:?}, and was ended")]
    TooLong { pid: u32 },
    /// The new process says something else than this one expects.
    #[error("the new process ({pid}) does not hand over in the way of this one ({reason}), and was ended")]
    Protocol { pid: u32, reason: String },
}

/// How long the new process may take to read its configuration and to compile plugins, which takes up to a minute each.
const READY_TIMEOUT: Duration = Duration::from_secs(5 * 60);

impl Successor {
    /// Starts the program, gives it the sockets, and waits on a thread of its own until it is ready.
    pub(in super::super) fn start(
        program: &Program,
        sockets: Vec<Given>,
    ) -> oneshot::Receiver<Result<Successor, UpgradeError>> {
        let (sender, ready) = oneshot::channel();
        let path = program.path().display().to_string();
        let mut command = program.command();
        let begin = move || -> Result<(Channel, Child), UpgradeError> {
            let begun = Channel::pair().and_then(|(channel, other)| {
                let child = command.env(VARIABLE, VERSION).stdin(other).spawn()?;
                // Closes the other end here, so that its end over there is noticed.
                drop(command);
                Ok((channel, child))
            });
            begun.map_err(|reason| UpgradeError::Start { path, reason })
        };
        // Without a thread the sender is dropped, and the receiver has an error.
        let _ = thread::Builder::new()
            .name("pace-upgrade".to_owned())
            .spawn(move || {
                let started = begin().and_then(|(channel, child)| wait(channel, child, &sockets));
                // A copy that is still open makes a socket that nobody accepts on look alive.
                drop(sockets);
                // If nobody waits any more, the process is about to end, and the new one notices that.
                let _ = sender.send(started);
            });
        ready
    }

    /// The id of the new process.
    pub(in super::super) fn pid(&self) -> u32 {
        self.pid
    }

    /// Makes the new process serve.
    pub(in super::super) fn serve(&self) -> io::Result<()> {
        self.channel.send(&Message::Serve, None)
    }

    /// Tells how the connections of this process ended.
    pub(in super::super) fn tell_end(&self, ended: Ended) {
        // The new process only logs and counts it.
        let _ = self.channel.send(&Message::Ended(ended), None);
    }
}

/// Gives a process the sockets, and waits until it is ready. One that is not is ended.
fn wait(channel: Channel, mut child: Child, sockets: &[Given]) -> Result<Successor, UpgradeError> {
    let pid = child.id();
    let failed = match offer(&channel, sockets) {
        Ok(Some(Message::Ready)) => return Ok(Successor { channel, pid }),
        Ok(Some(other)) => Failed::Protocol(format!("{other:?}")),
        Ok(None) => Failed::Ended,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Failed::TooLong,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
            ) =>
        {
            Failed::Ended
        }
        Err(error) => Failed::Protocol(error.to_string()),
    };
    drop(channel);
    if !matches!(failed, Failed::Ended) {
        // It fails only if the process has ended by itself.
        let _ = child.kill();
    }
    let status = child.wait().unwrap_or_default();
    Err(match failed {
        Failed::Ended => UpgradeError::Ended { pid, status },
        Failed::TooLong => UpgradeError::TooLong { pid },
        Failed::Protocol(reason) => UpgradeError::Protocol { pid, reason },
    })
}

enum Failed {
    Ended,
    TooLong,
    Protocol(String),
}

fn offer(channel: &Channel, sockets: &[Given]) -> io::Result<Option<Message>> {
    channel.set_patience(Some(READY_TIMEOUT))?;
    for given in sockets {
        let Given { socket, description } = given;
        channel.send(&Message::Socket(description.clone()), Some(socket.as_fd()))?;
    }
    channel.send(&Message::Complete, None)?;
    Ok(channel.receive()?.map(|(message, _)| message))
}
