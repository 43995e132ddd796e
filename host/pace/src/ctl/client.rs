//! Requests to the admin listener, each on a connection of its own.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pace_base::escape::Shown;
use pace_config::{Host, ListenAddress};
use pace_tls::ServerName;
use pace_tls::alpn::Alpn;
use pace_tls::client::{Connector, Roots, Settings, system_roots};
use pace_tls::pem::PemFile;
use serde_json::Value;

use super::address::Address;

/// The longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(5);

/// The longest wait for an answer: a reload is answered when a plugin has been compiled.
const ANSWER: Duration = Duration::from_secs(180);

/// The most bytes of an answer.
const MOST: u64 = 64 << 20;

/// A client of the admin listener.
pub(super) struct Client {
    address: Address,
    token: Option<String>,
    /// The way to speak TLS, and the name that the listener has to prove.
    tls: Option<(Connector, ServerName<'static>)>,
}

/// The certificates that an admin listener with TLS may show.
#[derive(Clone, Copy, Debug)]
pub(super) enum Trust<'a> {
    /// One for its name, of an authority that the system trusts.
    System,
    /// One for its name, of an authority in this file.
    Authorities(&'a Path),
    /// The one in this file.
    Certificate(&'a Path),
}

/// The reason why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failed {
    /// Nobody listens, or the connection broke.
    #[error("the admin listener {0}: {1}; is there [admin], and is this its address (--admin, or --config)?")]
    Unreachable(Address, io::Error),
    /// The address is none.
    #[error("--admin: {0}")]
    Address(String),
    /// The listener's certificate cannot be verified, for this reason.
    #[error("the certificate of the admin listener cannot be verified: {0}")]
    Trust(String),
    /// There is no TLS with the listener.
    #[error("the admin listener {0}: {1}")]
    Tls(Address, pace_tls::client::ConnectError),
    /// The answer is not one of HTTP, or not what is expected.
    #[error("the admin listener {0} gives no answer that is understood")]
    Strange(Address),
    /// The token is missing or wrong.
    #[error(
        "the admin listener wants a token: set PACE_ADMIN_TOKEN, or name the configuration with --config"
    )]
    Unauthorized,
    /// The request was refused, for this reason.
    #[error("{0}")]
    Refused(Shown),
    /// The configuration has no admin listener.
    #[error("{} has no [admin], so there is nobody to ask", .0.display())]
    NoAdmin(PathBuf),
}

impl Client {
    pub(super) fn new(address: Address, token: Option<String>, trust: Trust<'_>) -> Result<Client, Failed> {
        let tls = match &address {
            Address::Encrypted(listener) => Some((connector(trust)?, server_name(listener)?)),
            Address::Plain(_) | Address::Unix(_) => None,
        };
        Ok(Client { address, token, tls })
    }

    /// The address of the listener.
    pub(super) fn address(&self) -> String {
        self.address.to_string()
    }

    /// What `/health` says: `ok`, or `draining`.
    pub(super) fn health(&self) -> Result<String, Failed> {
        let (_, said) = self.ask("GET", "/health", ANYTHING)?;
        Ok(said.trim().to_owned())
    }

    /// The metrics.
    pub(super) fn metrics(&self) -> Result<super::top::Metrics, Failed> {
        let text = self.successful("GET", "/metrics", ANYTHING)?;
        Ok(super::top::Metrics::parse(&text))
    }

    /// A list or an object.
    pub(super) fn json(&self, path: &str) -> Result<Value, Failed> {
        let text = self.successful("GET", path, ANYTHING)?;
        serde_json::from_str(&text).map_err(|_| Failed::Strange(self.address.clone()))
    }

    /// A text of this kind.
    pub(super) fn text(&self, path: &str, kind: &str) -> Result<String, Failed> {
        self.successful("GET", path, kind)
    }

    /// Asks for a change. Returns the sentence about it.
    pub(super) fn post(&self, path: &str) -> Result<String, Failed> {
        self.successful("POST", path, ANYTHING)
    }

    fn successful(&self, method: &str, path: &str, accept: &str) -> Result<String, Failed> {
        match self.ask(method, path, accept)? {
            (200, said) => Ok(said),
            (401, _) => Err(Failed::Unauthorized),
            (_, said) => Err(Failed::Refused(Shown::lines(said.trim_end()))),
        }
    }

    fn ask(&self, method: &str, path: &str, accept: &str) -> Result<(u16, String), Failed> {
        let unreachable = |error| Failed::Unreachable(self.address.clone(), error);
        // A name in `Host` would be taken for a web page's.
        let mut request = format!(
            "{method} {} HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\nContent-Length: 0\r\nConnection: close\r\n",
            encoded(path)
        );
        if let Some(token) = &self.token {
            request += &format!("Authorization: Bearer {}\r\n", token.trim());
        }
        request += "\r\n";
        let answer = match &self.address {
            Address::Unix(path) => connect_local(path).and_then(|socket| exchange(socket, &request)),
            Address::Plain(listener) | Address::Encrypted(listener) => {
                let socket = connect(listener).map_err(unreachable)?;
                match &self.tls {
                    None => exchange(socket, &request),
                    Some((connector, name)) => {
                        let encrypted = connector.connect_blocking(socket, name.clone());
                        let encrypted =
                            encrypted.map_err(|error| Failed::Tls(self.address.clone(), error))?;
                        exchange(encrypted, &request)
                    }
                }
            }
        };
        let answer = answer.map_err(unreachable)?;
        parse(&answer).ok_or_else(|| Failed::Strange(self.address.clone()))
    }
}

/// The value of `Accept` of whoever takes the answer as it is.
const ANYTHING: &str = "*/*";

fn connect(ListenAddress { host, port }: &ListenAddress) -> io::Result<TcpStream> {
    let addresses = match host {
        Host::Ip(ip) => vec![SocketAddr::new(*ip, *port)],
        Host::Name(name) => (name.as_str(), *port).to_socket_addrs()?.collect(),
    };
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        match TcpStream::connect_timeout(&address, CONNECT) {
            Ok(socket) => {
                socket.set_read_timeout(Some(ANSWER))?;
                return Ok(socket);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn connect_local(path: &Path) -> io::Result<UnixStream> {
    let socket = UnixStream::connect(path)?;
    socket.set_read_timeout(Some(ANSWER))?;
    Ok(socket)
}

fn exchange(mut socket: impl Read + Write, request: &str) -> io::Result<Vec<u8>> {
    socket.write_all(request.as_bytes())?;
    socket.flush()?;
    let mut answer = Vec::new();
    socket.take(MOST).read_to_end(&mut answer)?;
    Ok(answer)
}

/// Speaks TLS with a listener that shows what is trusted.
fn connector(trust: Trust<'_>) -> Result<Connector, Failed> {
    let read = |path: &Path| PemFile::read(path).map_err(Failed::Trust);
    let make = |roots| {
        let settings = Settings {
            roots: Some(roots),
            identity: None,
            alpn: &[Alpn::Http11],
        };
        Connector::new(settings).map_err(|error| Failed::Trust(error.to_string()))
    };
    match trust {
        Trust::System => make(Roots::System(
            system_roots().map_err(|error| Failed::Trust(error.to_string()))?,
        )),
        Trust::Authorities(path) => make(Roots::File(read(path)?.pem())),
        Trust::Certificate(path) => make(Roots::Pinned(read(path)?.pem())),
    }
}

/// The name in an address.
fn server_name(address: &ListenAddress) -> Result<ServerName<'static>, Failed> {
    match &address.host {
        Host::Ip(ip) => Ok(ServerName::IpAddress((*ip).into())),
        Host::Name(name) => ServerName::try_from(name.clone())
            .map_err(|_| Failed::Trust(format!("{name:?} is not a name in certificates"))),
    }
}

/// A path whose characters no request line has in any other meaning.
fn encoded(path: &str) -> String {
    let mut text = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z'
            | b'A'..=b'Z'
            | b'0'..=b'9'
            | b'/'
            | b'-'
            | b'.'
            | b'_'
            | b'~'
            | b':'
            | b'['
            | b']' => {
                text.push(byte.into());
            }
            byte => text += &format!("%{byte:02X}"),
        }
    }
    text
}

/// The status and the body of an answer that ends with its connection.
fn parse(answer: &[u8]) -> Option<(u16, String)> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).ok()?;
    let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    let body = String::from_utf8(answer[end + 4..].to_vec()).ok()?;
    Some((status, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answer_has_status_and_body() {
        let answer = b"HTTP/1.1 409 Conflict\r\nContent-Length: 3\r\n\r\nno\n";
        assert_eq!(parse(answer), Some((409, "no\n".to_owned())));
        for wrong in [
            &b""[..],
            b"HTTP/1.1 200 OK\r\n",
            b"SSH-2.0\r\n\r\n",
            b"HTTP/1.1 abc\r\n\r\n",
        ] {
            assert_eq!(parse(wrong), None);
        }
    }

    #[test]
    fn path_cannot_end_the_request_line() {
        assert_eq!(
            encoded("/plugins/a b\r\nX: y/reload"),
            "/plugins/a%20b%0D%0AX:%20y/reload"
        );
    }
}
