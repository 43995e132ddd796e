//! The port or the Unix socket on which operators connect.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::OwnedFd;

use pace_config::AdminAddress;
use tokio::net::{TcpStream, UnixStream};

use super::handover::{Description, Given};
use super::inherited::{Bound, Inherited, Use};
use super::listen::{self, BindError, Listening, Port};
use super::local::{LocalListening, LocalPort};
use super::sockets;

/// The key of the address in messages.
const KEY: &str = "[admin] listen";

/// An address that has been taken, and on which nothing is accepted yet.
pub(super) enum AdminPort {
    Tcp(Port),
    Local(LocalPort),
}

/// An address that is listened on.
pub(super) enum AdminListening {
    Tcp(Listening),
    Local(LocalListening),
}

/// The socket that connections are accepted on.
pub(super) enum AdminListener {
    Tcp(tokio::net::TcpListener),
    Local(tokio::net::UnixListener),
}

/// A connection of an operator.
pub(super) enum Accepted {
    Tcp(TcpStream, IpAddr),
    Local(UnixStream),
}

/// Looks up the name in an address.
pub(super) fn find(address: &AdminAddress) -> Result<(), BindError> {
    match address {
        AdminAddress::Tcp(address) => listen::find(address, KEY).map(drop),
        AdminAddress::Unix(_) => Ok(()),
    }
}

impl AdminPort {
    /// Takes the address of a configuration, or the socket that was inherited for it.
    pub(super) fn bind(
        admin: &pace_config::Admin,
        inherited: &mut Inherited,
    ) -> Result<AdminPort, BindError> {
        match &admin.listen {
            AdminAddress::Tcp(address) => {
                let socket = sockets::inherited(inherited, Use::Admin, address, KEY)?;
                Port::bind(address, None, KEY, socket).map(AdminPort::Tcp)
            }
            AdminAddress::Unix(path) => {
                let found = Bound::Unix(path.clone());
                let socket = inherited.take(Use::Admin, &admin.listen.to_string(), &found);
                LocalPort::bind(path, admin.mode, KEY, socket).map(AdminPort::Local)
            }
        }
    }

    /// Listens, so that operators can connect.
    pub(super) fn listen(self) -> Result<AdminListening, BindError> {
        match self {
            AdminPort::Tcp(port) => port.listen().map(AdminListening::Tcp),
            AdminPort::Local(port) => port.listen().map(AdminListening::Local),
        }
    }
}

impl AdminListening {
    /// Makes the file of a socket that the process before has made this process's own.
    pub(super) fn take_over(&mut self) {
        match self {
            AdminListening::Local(local) if local.unit.is_none() => local.file.take_over(),
            AdminListening::Local(_) | AdminListening::Tcp(_) => {}
        }
    }

    /// Leaves the address to another process. The file of a socket is removed if that has no use for it.
    pub(super) fn leave(self) {
        if let AdminListening::Local(local) = self {
            local.leave();
        }
    }

    /// The address that it has, as operators write it.
    pub(super) fn address(&self) -> io::Result<String> {
        match self {
            AdminListening::Tcp(listening) => Ok(listening.listener.local_addr()?.to_string()),
            AdminListening::Local(local) => Ok(Bound::Unix(local.path.clone()).to_string()),
        }
    }

    /// The URL by which operators reach it.
    pub(super) fn url(&self, is_encrypted: bool) -> io::Result<String> {
        let address = self.address()?;
        Ok(match (self, is_encrypted) {
            (AdminListening::Local(_), _) => address,
            (AdminListening::Tcp(_), true) => format!("https://{address}"),
            (AdminListening::Tcp(_), false) => format!("http://{address}"),
        })
    }

    /// A copy of the socket, to accept on.
    pub(super) fn listener(&self) -> io::Result<AdminListener> {
        Ok(match self {
            AdminListening::Tcp(listening) => AdminListener::Tcp(tokio::net::TcpListener::from_std(
                listening.listener.try_clone()?,
            )?),
            AdminListening::Local(local) => {
                AdminListener::Local(tokio::net::UnixListener::from_std(local.listener.try_clone()?)?)
            }
        })
    }

    /// A copy of the socket, for a process that takes this one's place.
    pub(super) fn given(&self) -> io::Result<Given> {
        let (socket, address, unit): (OwnedFd, String, _) = match self {
            AdminListening::Tcp(listening) => (
                listening.listener.try_clone()?.into(),
                listening.address.to_string(),
                &listening.unit,
            ),
            AdminListening::Local(local) => {
                (local.listener.try_clone()?.into(), self.address()?, &local.unit)
            }
        };
        Ok(Given {
            socket,
            description: Description {
                had: Some((Use::Admin, address)),
                unit: unit.clone(),
            },
        })
    }
}

impl AdminListener {
    /// Waits for the next connection.
    pub(super) async fn accept(&self) -> io::Result<Accepted> {
        match self {
            AdminListener::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                Ok(Accepted::Tcp(stream, peer.ip()))
            }
            AdminListener::Local(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok(Accepted::Local(stream))
            }
        }
    }
}

impl Accepted {
    /// The address of the operator.
    pub(super) fn peer(&self) -> IpAddr {
        match self {
            Accepted::Tcp(_, peer) => *peer,
            Accepted::Local(_) => Ipv4Addr::LOCALHOST.into(),
        }
    }
}
