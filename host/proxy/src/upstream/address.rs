//! Addresses of backends.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use tokio::net::{TcpStream, UnixStream};

use crate::io::{Transport, set_up};

/// The address where a backend listens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Address {
    /// A port of this machine or of another one.
    Tcp(SocketAddr),
    /// A Unix socket on this machine.
    Unix(Arc<Path>),
}

impl Address {
    /// Connects, for as long as the system tries. `keepalive` is as for [`set_up`].
    pub async fn connect(&self, keepalive: Option<Duration>) -> io::Result<Transport> {
        match self {
            Address::Tcp(address) => {
                let stream = TcpStream::connect(address).await?;
                set_up(&stream, keepalive)?;
                Ok(Transport::new(stream))
            }
            Address::Unix(path) => Ok(Transport::Local(UnixStream::connect(path).await?)),
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Address {
        Address::Tcp(address)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => address.fmt(out),
            Address::Unix(path) => write!(out, "unix:{}", path.display()),
        }
    }
}
