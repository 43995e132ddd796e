//! An accepted connection before its first request.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::listeners::ListenerId;
use crate::proxy_protocol::{self, Parsed};
use crate::telemetry::ListenerConnections;

/// A connection that has sent nothing yet.
pub(super) struct Connection {
    pub(super) stream: TcpStream,
    /// The other end.
    pub(super) peer: SocketAddr,
    /// Whether the peer must begin with a PROXY header, which names the client.
    pub(super) expects_header: bool,
    /// The listener that accepted it.
    pub(super) entry: Entry,
}

/// A listener, as the connections that it accepts remember it.
#[derive(Clone)]
pub(super) struct Entry {
    /// The number of the listener.
    pub(super) listener: ListenerId,
    /// The listener's port.
    pub(super) port: u16,
    /// The listener's connections.
    pub(super) connections: Arc<ListenerConnections>,
}

/// Why a connection was closed before its first request.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectionError {
    /// The socket failed.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// A trusted proxy sent something else than a PROXY header.
    #[error("no valid PROXY header: {0}")]
    Header(String),
    /// A trusted proxy sent nothing for too long.
    #[error("no PROXY header within {HEADER_TIMEOUT:?}")]
    HeaderTimeout,
}

/// How long a trusted proxy may take to send its header.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);

impl Connection {
    /// Reads the PROXY header if there must be one, and returns the client's address. `None` if a balancer only
    /// tested whether it can connect.
    pub(super) async fn source(&mut self) -> Result<Option<IpAddr>, ConnectionError> {
        let peer = match self.expects_header {
            false => self.peer,
            true => {
                let header = timeout(HEADER_TIMEOUT, read_header(&mut self.stream)).await;
                match header.map_err(|_| ConnectionError::HeaderTimeout)?? {
                    ProxyHeader::Client(source) => source,
                    ProxyHeader::Own => self.peer,
                    ProxyHeader::Missing => return Ok(None),
                }
            }
        };
        Ok(Some(peer.ip().to_canonical()))
    }
}

/// The content of a PROXY header.
enum ProxyHeader {
    /// The proxy connects for this client.
    Client(SocketAddr),
    /// The proxy connects for itself, as for health checks.
    Own,
    /// The proxy closed the connection without a header, as probes do that only connect.
    Missing,
}

/// Reads a PROXY header and not a byte more.
async fn read_header(stream: &mut TcpStream) -> Result<ProxyHeader, ConnectionError> {
    /// The bytes that are read at once: more than most headers have.
    const AT_ONCE: usize = 256;
    let mut header = Vec::with_capacity(AT_ONCE);
    let mut missing = AT_ONCE;
    loop {
        let seen = header.len();
        header.resize(seen + missing.max(AT_ONCE), 0);
        // Peeked bytes are taken from the socket only as far as they belong to the header.
        let peeked = match stream.peek(&mut header[seen..]).await {
            Ok(0) if seen == 0 => return Ok(ProxyHeader::Missing),
            Err(error) if seen == 0 && error.kind() == io::ErrorKind::ConnectionReset => {
                return Ok(ProxyHeader::Missing);
            }
            Ok(0) => return Err(ConnectionError::Header("the connection was closed".to_owned())),
            peeked => peeked?,
        };
        header.truncate(seen + peeked);
        match proxy_protocol::parse(&header) {
            Parsed::Header { consumed, source } => {
                stream.read_exact(&mut header[seen..consumed]).await?;
                return Ok(source.map_or(ProxyHeader::Own, ProxyHeader::Client));
            }
            Parsed::Incomplete(more) => missing = more,
            Parsed::NotProxy => return Err(ConnectionError::Header("it begins otherwise".to_owned())),
            Parsed::Invalid(reason) => return Err(ConnectionError::Header(reason.to_string())),
        }
        stream.read_exact(&mut header[seen..]).await?;
    }
}
