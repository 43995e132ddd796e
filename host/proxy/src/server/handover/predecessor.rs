//! The new process's side: takes the sockets, and later the place, of the old one.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use log::{info, warn};

use super::super::inherited::InheritedSocket;
use super::channel::{Channel, Description, Message};
use super::{VARIABLE, VERSION};
use crate::snapshot::Shared;

/// The process whose place this one takes.
pub(in super::super) struct Predecessor(Channel);

/// An error of a process that should take another's place.
#[derive(Debug, thiserror::Error)]
pub enum HandoverError {
    /// The variable is set by somebody else, or by a version of Pace that hands over in another way.
    #[error("PACE_HANDOVER is {0:?}, which this version does not know: only a running Pace sets it")]
    Version(String),
    /// Something went wrong between both processes.
    #[error("cannot take the place of the running Pace: {0}")]
    Io(#[from] io::Error),
    /// The other process has ended, or gave up.
    #[error("the running Pace no longer hands over to this process")]
    Gone,
}

/// How long the old process may take for each step. It only sends what it has.
const PATIENCE: Duration = Duration::from_secs(30);

impl Predecessor {
    /// The process that has started this one to take its place, and its sockets; `None` if this process was started otherwise.
    pub(in super::super) fn from_env() -> Result<Option<(Predecessor, Vec<InheritedSocket>)>, HandoverError> {
        match std::env::var_os(VARIABLE) {
            None => return Ok(None),
            Some(version) if version == VERSION => {}
            Some(version) => return Err(HandoverError::Version(version.to_string_lossy().into_owned())),
        }
        let channel = Channel::from_descriptor(io::stdin().as_fd().try_clone_to_owned()?);
        // The end of this process closes the channel, whatever the processes are that it starts.
        rustix::stdio::dup2_stdin(File::open("/dev/null")?).map_err(io::Error::from)?;
        channel.set_patience(Some(PATIENCE))?;
        let mut sockets = Vec::new();
        loop {
            match channel.receive()? {
                Some((Message::Socket(description), Some(socket))) => {
                    let Description { had, unit } = description;
                    sockets.push(InheritedSocket::new(socket.into(), unit, had)?);
                }
                Some((Message::Complete, _)) => return Ok(Some((Predecessor(channel), sockets))),
                Some((other, _)) => return Err(unexpected(&other).into()),
                None => return Err(HandoverError::Gone),
            }
        }
    }

    /// Says that this process can serve, and waits until it has to.
    pub(in super::super) fn take_over(&self) -> Result<(), HandoverError> {
        self.0.send(&Message::Ready, None)?;
        match self.0.receive()? {
            Some((Message::Serve, _)) => Ok(()),
            Some((other, _)) => Err(unexpected(&other).into()),
            None => Err(HandoverError::Gone),
        }
    }

    /// Waits on a thread of its own for the end of the other process, to log and count it.
    pub(in super::super) fn follow(self, shared: Arc<Shared>) {
        let follow = move || {
            let Predecessor(channel) = self;
            let ended = channel.set_patience(None).and_then(|()| channel.receive());
            match ended {
                Ok(Some((Message::Ended(ended), _))) => {
                    shared.metrics.process.cut(ended.cut, ended.upgraded);
                    info!(target: "pace::server", "the process before has ended: {ended}");
                }
                Ok(Some(_) | None) | Err(_) => {
                    warn!(target: "pace::server", "the process before has ended, and did not say how");
                }
            }
        };
        // Without a thread only the line and the numbers are missing.
        let _ = thread::Builder::new()
            .name("pace-predecessor".to_owned())
            .spawn(follow);
    }
}

fn unexpected(message: &Message) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("it said {message:?}"))
}
