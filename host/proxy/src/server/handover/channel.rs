//! The channel between two processes of Pace.

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use serde::{Deserialize, Serialize};

use super::super::inherited::Use;

/// One end of the channel, which keeps messages apart.
pub(super) struct Channel(OwnedFd);

/// A message. Later versions may add fields that have a default.
#[derive(Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Message {
    /// A listening socket, which comes with the message.
    Socket(Description),
    /// All sockets have been sent.
    Complete,
    /// The new process can serve.
    Ready,
    /// The old process stops accepting, and the new one begins to.
    Serve,
    /// The old process ends.
    Ended(Ended),
}

/// The facts about a listening socket.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(in super::super) struct Description {
    /// The use of the socket, and its address in the configuration, unless it is in no use.
    pub(in super::super) had: Option<(Use, String)>,
    /// The unit of systemd that keeps it open, if one does.
    pub(in super::super) unit: Option<String>,
}

/// How the connections of the old process ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub(in super::super) struct Ended {
    /// Connections that were cut because the grace period was over.
    pub(in super::super) cut: u64,
    /// Those of them that had been upgraded.
    pub(in super::super) upgraded: u64,
}

impl fmt::Display for Ended {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ended { cut, upgraded } = self;
        match cut {
            0 => out.write_str("all connections are done"),
            1 => write!(out, "1 connection is cut ({upgraded} upgraded)"),
            _ => write!(out, "{cut} connections are cut ({upgraded} upgraded)"),
        }
    }
}

/// The longest message in bytes. An address and a name are the longest parts of one.
const MAX_MESSAGE: usize = 4096;

impl Channel {
    /// Both ends of a channel.
    pub(super) fn pair() -> io::Result<(Channel, OwnedFd)> {
        let (own, other) = socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )?;
        Ok((Channel(own), other))
    }

    /// The end that a descriptor is.
    pub(super) fn from_descriptor(descriptor: OwnedFd) -> Channel {
        Channel(descriptor)
    }

    /// Limits each wait for a message.
    pub(super) fn set_patience(&self, patience: Option<Duration>) -> io::Result<()> {
        Ok(set_socket_timeout(&self.0, Timeout::Recv, patience)?)
    }

    /// Sends a message, with a descriptor if it needs one.
    pub(super) fn send(&self, message: &Message, descriptor: Option<BorrowedFd<'_>>) -> io::Result<()> {
        let text = serde_json::to_vec(message)?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let descriptors: Vec<_> = descriptor.into_iter().collect();
        if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(&descriptors)) {
            return Err(io::Error::other("there is no room for a descriptor"));
        }
        sendmsg(&self.0, &[IoSlice::new(&text)], &mut control, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// Waits for a message, and the descriptor that comes with it. `None` if the other process has gone.
    pub(super) fn receive(&self) -> io::Result<Option<(Message, Option<OwnedFd>)>> {
        let mut text = vec![0; MAX_MESSAGE];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = rustix::io::retry_on_intr(|| {
            recvmsg(
                &self.0,
                &mut [IoSliceMut::new(&mut text)],
                &mut control,
                RecvFlags::CMSG_CLOEXEC,
            )
        })?;
        let mut descriptor = None;
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                descriptor = descriptors.into_iter().next();
            }
        }
        match received.bytes {
            0 => Ok(None),
            length => Ok(Some((serde_json::from_slice(&text[..length])?, descriptor))),
        }
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn socket_arrives_with_its_description_and_the_end_is_noticed() {
        let (own, other) = Channel::pair().expect("there are sockets");
        let other = Channel::from_descriptor(other);
        let listener = TcpListener::bind("127.0.0.1:0").expect("some port is free");
        let message = Message::Socket(Description {
            had: Some((Use::Public, "localhost:0".to_owned())),
            unit: None,
        });
        own.send(&message, Some(listener.as_fd())).expect("it is open");
        own.send(&Message::Complete, None).expect("it is open");
        drop(own);
        let (received, descriptor) = other.receive().expect("it was sent").expect("it was sent");
        assert_eq!(received, message);
        let same: TcpListener = descriptor.expect("it came along").into();
        assert_eq!(same.local_addr().ok(), listener.local_addr().ok());
        let (received, descriptor) = other.receive().expect("it was sent").expect("it was sent");
        assert_eq!((received, descriptor.is_none()), (Message::Complete, true));
        assert!(other.receive().expect("the other end is closed").is_none());
    }

    #[test]
    fn wait_for_a_message_ends_with_the_patience() {
        let (own, _other) = Channel::pair().expect("there are sockets");
        own.set_patience(Some(Duration::from_millis(1)))
            .expect("it is short");
        let error = own.receive().expect_err("nothing was sent");
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }
}
