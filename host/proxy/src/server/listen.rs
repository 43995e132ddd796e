//! Ports are taken early, and listened on once Pace can serve.

use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use super::inherited::InheritedSocket;
use crate::io::set_up;
use pace_config::{Host, ListenAddress};

/// A port that this process has taken or been given, and on which it does not accept connections yet.
pub(super) struct Port {
    socket: Socket,
    /// The unit of systemd that keeps the socket open, if one does.
    unit: Option<String>,
    address: ListenAddress,
    key: &'static str,
}

/// A socket that listens.
pub(super) struct Listening {
    pub(super) listener: TcpListener,
    /// The address in the configuration.
    pub(super) address: ListenAddress,
    /// The unit of systemd that keeps the socket open, if one does.
    pub(super) unit: Option<String>,
}

/// An error of a port that could not be taken or listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} ({key}): {reason}")]
pub struct BindError {
    /// The address as it is written.
    address: String,
    /// The key where it is written.
    key: &'static str,
    /// The reason, and what to do.
    reason: String,
}

/// The most connections that the kernel holds until they are accepted.
pub(super) const BACKLOG: i32 = 4096;

impl Port {
    /// Takes a port, which the configuration has under this key. `keepalive` is that of its connections. A name is looked
    /// up, and its first address taken. A socket that was inherited for it is used.
    ///
    /// A port that another process listens on cannot be taken. With `SO_REUSEADDR` Linux lets several processes bind a port
    /// as long as none of them listens, so two that start at the same time may both succeed here.
    pub(super) fn bind(
        address: &ListenAddress,
        keepalive: Option<Duration>,
        key: &'static str,
        inherited: Option<InheritedSocket>,
    ) -> Result<Port, BindError> {
        let found = match inherited {
            None => find(address, key)?,
            Some(InheritedSocket { socket, unit, .. }) => {
                set_up(&socket, keepalive).map_err(|error| BindError::of_port(address, key, &error))?;
                return Ok(Port {
                    socket,
                    unit,
                    address: address.clone(),
                    key,
                });
            }
        };
        let bind = || -> io::Result<Socket> {
            let socket = Socket::new(Domain::for_address(found), Type::STREAM, Some(Protocol::TCP))?;
            // A restart then need not wait until the kernel has forgotten old connections. Two processes still cannot listen
            // on the port: with SO_REUSEPORT a second Pace, started by mistake, would take half of the connections, and one
            // that ends would lose those in its queue. A process that takes another's place is given its sockets.
            socket.set_reuse_address(true)?;
            set_up(&socket, keepalive)?;
            socket.bind(&found.into())?;
            socket.set_nonblocking(true)?;
            Ok(socket)
        };
        match bind() {
            Ok(socket) => Ok(Port {
                socket,
                unit: None,
                address: address.clone(),
                key,
            }),
            Err(error) => Err(BindError::of_port(address, key, &error)),
        }
    }

    /// Listens, so that clients can connect. Fails if another process was quicker.
    pub(super) fn listen(self) -> Result<Listening, BindError> {
        match self.socket.listen(BACKLOG) {
            Ok(()) => Ok(Listening {
                listener: self.socket.into(),
                address: self.address,
                unit: self.unit,
            }),
            Err(error) => Err(BindError::of_port(&self.address, self.key, &error)),
        }
    }
}

/// The address to listen on: a name is looked up, and its first address taken.
pub(super) fn find(address: &ListenAddress, key: &'static str) -> Result<SocketAddr, BindError> {
    let name = match &address.host {
        Host::Ip(ip) => return Ok(SocketAddr::new(*ip, address.port)),
        Host::Name(name) => name,
    };
    let found = (name.as_str(), address.port).to_socket_addrs();
    let first = found.and_then(|mut found| found.next().ok_or_else(|| io::ErrorKind::NotFound.into()));
    first.map_err(|error| {
        let reason = format!("cannot find the address of {name}: {error}");
        BindError::new(address, key, reason)
    })
}

impl BindError {
    pub(super) fn new(address: &impl ToString, key: &'static str, reason: String) -> BindError {
        BindError {
            address: address.to_string(),
            key,
            reason,
        }
    }

    fn of_port(address: &ListenAddress, key: &'static str, error: &io::Error) -> BindError {
        let port = address.port;
        let reason = match error.kind() {
            io::ErrorKind::AddrInUse => {
                format!("port {port} is in use by another process; `ss -ltnp` shows which")
            }
            io::ErrorKind::PermissionDenied => {
                format!("port {port} needs the right to bind ports below 1024 (CAP_NET_BIND_SERVICE)")
            }
            io::ErrorKind::AddrNotAvailable => "no interface of this machine has that address".to_owned(),
            _ => error.to_string(),
        };
        BindError::new(address, key, reason)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::net::TcpStream;

    use super::*;

    const KEY: &str = "a test";

    fn port(address: &str) -> Result<Port, BindError> {
        let address: SocketAddr = address.parse().expect("it is an address");
        Port::bind(&address.into(), None, KEY, None)
    }

    fn address(port: &Port) -> SocketAddr {
        let address = port.socket.local_addr().expect("it is bound");
        address.as_socket().expect("it is IP")
    }

    fn assert_in_use(refused: Result<impl Sized, BindError>, address: SocketAddr) {
        let error = refused.err().expect("the port is in use").to_string();
        let expected = format!(
            "cannot listen on {address} (a test): port {} is in use by another process; `ss -ltnp` shows which",
            address.port()
        );
        assert_eq!(error, expected);
    }

    #[test]
    fn port_refuses_connections_until_it_listens() {
        for any in ["127.0.0.1:0", "[::1]:0"] {
            let taken = port(any).expect("some port is free");
            let address = address(&taken);
            let refused = TcpStream::connect(address).expect_err("nobody listens");
            assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
            let _listener = taken.listen().expect("nobody else has it");
            TcpStream::connect(address).expect("it listens");
        }
    }

    #[test]
    fn port_of_a_listening_socket_is_in_use() {
        let listening = port("127.0.0.1:0").expect("some port is free");
        let address = address(&listening);
        let _listener = listening.listen().expect("nobody else has it");
        assert_in_use(port(&address.to_string()), address);
    }

    #[test]
    fn port_taken_twice_is_in_use_for_the_second_to_listen() {
        let free = port("127.0.0.1:0").expect("some port is free");
        let address = address(&free);
        let first = port(&address.to_string()).expect("nobody listens yet");
        let second = port(&address.to_string()).expect("nobody listens yet");
        let _listener = second.listen().expect("it is the first to");
        assert_in_use(first.listen(), address);
    }

    #[test]
    fn known_name_is_bound_and_unknown_name_is_an_error() {
        let named = |name: &str| ListenAddress {
            host: Host::Name(name.to_owned()),
            port: 0,
        };
        let port = Port::bind(&named("localhost"), None, KEY, None).expect("every machine has it");
        assert!(address(&port).ip().is_loopback());
        let error = Port::bind(&named("gone.invalid"), None, KEY, None)
            .err()
            .expect("nobody has it");
        let start = "cannot listen on gone.invalid:0 (a test): cannot find the address of gone.invalid: ";
        assert!(error.to_string().starts_with(start), "{error}");
    }

    /// The kernel picks only ports that no socket has, even if none listens.
    #[test]
    fn ports_picked_by_the_kernel_are_different() {
        let ports: Vec<Port> = (0..200)
            .map(|_| port("127.0.0.1:0").expect("some port is free"))
            .collect();
        let addresses: HashSet<SocketAddr> = ports.iter().map(address).collect();
        assert_eq!(addresses.len(), ports.len());
    }
}
