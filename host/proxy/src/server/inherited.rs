//! Sockets that this process has been given: by systemd, or by the Pace whose place it takes.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use listenfd::ListenFd;
use log::{debug, warn};
use rustix::net::sockopt::socket_acceptconn;
use socket2::{SockAddr, Socket};

/// Listening sockets that this process was given and that no listener uses yet.
#[derive(Debug, Default)]
pub struct Inherited {
    sockets: Vec<InheritedSocket>,
    /// Whether they come from a process that serves until this one takes its place.
    are_of_predecessor: bool,
}

/// A listening socket that this process was given.
#[derive(Debug)]
pub(super) struct InheritedSocket {
    pub(super) socket: Socket,
    /// The address that it is bound to.
    pub(super) bound: Bound,
    /// The name of systemd's unit that keeps the socket open (`FileDescriptorName`), if one does.
    pub(super) unit: Option<String>,
    /// What the process before used it for, and the address in its configuration, if it did.
    pub(super) had: Option<(Use, String)>,
}

/// The address of a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Bound {
    /// A port.
    Tcp(SocketAddr),
    /// A path on this machine.
    Unix(PathBuf),
}

/// The use of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Use {
    /// Clients connect to it.
    Public,
    /// Operators connect to it.
    Admin,
}

impl Inherited {
    /// The sockets that systemd has passed (sd_listen_fds(3)). Those that cannot be listened on are warned of, and left open.
    pub fn from_systemd() -> Inherited {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':');
        let mut passed = ListenFd::from_env();
        let mut sockets = Vec::new();
        for index in 0..passed.len() {
            let name = names.next().filter(|name| !name.is_empty()).unwrap_or("unknown");
            let listener = take(&mut passed, index)
                .and_then(|listener| InheritedSocket::new(listener, Some(name.to_owned()), None));
            match listener {
                Ok(socket) => sockets.push(socket),
                Err(error) => warn!(
                    target: "pace::server",
                    "systemd has passed the socket `{name}`, which is not used: it must be a stream that listens on TCP or \
                     on a path, with Accept=no ({error})"
                ),
            }
        }
        Inherited {
            sockets,
            are_of_predecessor: false,
        }
    }

    /// The sockets of the process before.
    pub(super) fn from_predecessor(sockets: Vec<InheritedSocket>) -> Inherited {
        Inherited {
            sockets,
            are_of_predecessor: true,
        }
    }

    /// Whether they come from a process that serves until this one takes its place.
    pub(super) fn are_of_predecessor(&self) -> bool {
        self.are_of_predecessor
    }

    /// Removes and returns the socket for an address of the configuration, which was found to be `found`.
    pub(super) fn take(&mut self, purpose: Use, address: &str, found: &Bound) -> Option<InheritedSocket> {
        let index = self
            .sockets
            .iter()
            .position(|socket| socket.was(purpose, address))
            .or_else(|| self.sockets.iter().position(|socket| socket.is_at(found)))?;
        let socket = self.sockets.swap_remove(index);
        debug!(target: "pace::server", "{address} gets the socket of {}", socket.giver());
        Some(socket)
    }

    /// Keeps a socket for a configuration that needs it later.
    pub(super) fn keep(&mut self, socket: InheritedSocket) {
        self.sockets.push(socket);
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.sockets.is_empty()
    }

    /// The sockets that are in no use.
    pub(super) fn iter(&self) -> impl Iterator<Item = &InheritedSocket> {
        self.sockets.iter()
    }

    /// Closes the sockets of the process before that the configuration does not have any more, and warns of those of systemd.
    pub(super) fn settle(&mut self) {
        self.sockets.retain(|socket| socket.unit.is_some());
        self.sockets.iter().for_each(InheritedSocket::warn);
    }
}

impl InheritedSocket {
    /// A socket that listens; an error if it does not.
    pub(super) fn new(
        socket: Socket,
        unit: Option<String>,
        had: Option<(Use, String)>,
    ) -> io::Result<InheritedSocket> {
        let not_usable = |reason| io::Error::new(io::ErrorKind::InvalidInput, reason);
        if !socket_acceptconn(&socket)? {
            return Err(not_usable("it does not listen"));
        }
        let bound = Bound::of(&socket.local_addr()?);
        let bound = bound.ok_or_else(|| not_usable("it is neither a socket of TCP nor one with a path"))?;
        socket.set_nonblocking(true)?;
        Ok(InheritedSocket {
            socket,
            bound,
            unit,
            had,
        })
    }

    /// Warns that the socket is in no use. systemd keeps it open, so whoever connects waits for ever.
    pub(super) fn warn(&self) {
        warn!(
            target: "pace::server",
            "{} listens on {}, which the configuration does not have: clients that connect there get no answer",
            self.giver(),
            self.bound
        );
    }

    fn giver(&self) -> String {
        match &self.unit {
            Some(unit) => format!("systemd's socket unit (`{unit}`)"),
            None => "the process before".to_owned(),
        }
    }

    /// Whether the process before had the socket for this address of its configuration, which may be a name or have port 0.
    fn was(&self, purpose: Use, address: &str) -> bool {
        matches!(&self.had, Some((used, had)) if *used == purpose && had == address)
    }

    /// Whether clients reach this socket at an address. `[::]` stands for all addresses of IPv4 as well, unless the socket is
    /// for IPv6 alone: systemd's `ListenStream=80` makes one that is not.
    fn is_at(&self, address: &Bound) -> bool {
        match (&self.bound, address) {
            (Bound::Tcp(bound), Bound::Tcp(address)) => self.is_at_port(*bound, *address),
            (Bound::Unix(bound), Bound::Unix(address)) => bound == address,
            (Bound::Tcp(_), Bound::Unix(_)) | (Bound::Unix(_), Bound::Tcp(_)) => false,
        }
    }

    fn is_at_port(&self, bound: SocketAddr, address: SocketAddr) -> bool {
        let both = || {
            bound.ip().is_unspecified()
                && bound.is_ipv6()
                && address.ip().is_unspecified()
                && !self.socket.only_v6().unwrap_or(true)
        };
        address.port() != 0 && bound.port() == address.port() && (bound.ip() == address.ip() || both())
    }
}

impl Bound {
    /// The address, if connections can be made to it.
    fn of(address: &SockAddr) -> Option<Bound> {
        let tcp = address.as_socket().map(Bound::Tcp);
        tcp.or_else(|| Some(Bound::Unix(address.as_pathname()?.to_owned())))
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bound::Tcp(address) => address.fmt(out),
            Bound::Unix(path) => write!(out, "unix:{}", path.display()),
        }
    }
}

/// Takes a socket that systemd has passed, of one kind or the other.
fn take(passed: &mut ListenFd, index: usize) -> io::Result<Socket> {
    let socket = match passed.take_tcp_listener(index) {
        Ok(listener) => listener.map(Socket::from),
        Err(_) => passed.take_unix_listener(index)?.map(Socket::from),
    };
    socket.ok_or_else(|| io::ErrorKind::NotFound.into())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn inherited(bind: &str, had: Option<(Use, String)>) -> InheritedSocket {
        let listener = TcpListener::bind(bind).expect("some port is free");
        InheritedSocket::new(listener.into(), None, had).expect("it listens")
    }

    fn at(ip: &str, port: u16) -> Bound {
        Bound::Tcp(SocketAddr::new(ip.parse().expect("it is an address"), port))
    }

    fn port(socket: &InheritedSocket) -> u16 {
        match &socket.bound {
            Bound::Tcp(bound) => bound.port(),
            Bound::Unix(path) => panic!("{path:?} has none"),
        }
    }

    #[test]
    fn socket_for_both_families_serves_the_address_of_one() {
        let both = inherited("[::]:0", None);
        let number = port(&both);
        assert!(both.is_at(&at("0.0.0.0", number)));
        assert!(both.is_at(&at("::", number)));
        assert!(!both.is_at(&at("127.0.0.1", number)));
        assert!(!both.is_at(&Bound::Unix("/run/pace.sock".into())));
        let one = inherited("127.0.0.1:0", None);
        assert!(!one.is_at(&at("0.0.0.0", port(&one))));
    }

    #[test]
    fn socket_of_the_process_before_is_found_by_its_use_and_configured_address() {
        let any_port = "localhost:0";
        let had = |purpose| Some((purpose, any_port.to_owned()));
        let (admin, public) = (
            inherited("127.0.0.1:0", had(Use::Admin)),
            inherited("127.0.0.1:0", had(Use::Public)),
        );
        let bound = public.bound.clone();
        let mut sockets = Inherited::from_predecessor(vec![admin, public]);
        let mut take = |purpose| sockets.take(purpose, any_port, &at("127.0.0.1", 0));
        assert_eq!(take(Use::Public).expect("it is there").bound, bound);
        assert!(take(Use::Public).is_none());
        assert!(take(Use::Admin).is_some());
    }

    #[test]
    fn socket_that_does_not_listen_is_refused() {
        let socket =
            Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("there are sockets");
        let error = InheritedSocket::new(socket, None, None).expect_err("it does not listen");
        assert_eq!(error.to_string(), "it does not listen");
    }
}
